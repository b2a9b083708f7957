#include "twin.h"

static void __attribute__((noinline)) kernel(void) {
    double *A = ARRAY(0, N * N), *B = ARRAY(1, N * N), *C = ARRAY(2, N * N);
    for (long i = 0; i < N; i++)
        for (long k = 0; k < N; k++)
            for (long j = 0; j < N; j++) {
                double c = C[i * N + j]; THEN
                double a = A[i * N + k]; THEN
                double b = B[k * N + j]; THEN
                C[i * N + j] = c + a * b; THEN
            }
}
