#include "twin.h"
#define SIZE 24

/* One block: a function of its own has registers enough for all its variables. */
static void __attribute__((noinline)) block(double *A, double *B, double *C) {
    for (long i = 0; i < SIZE; i++)
        for (long j = 0; j < SIZE; j++) {
            double total = C[i * N + j]; THEN
            for (long k = 0; k < SIZE; k++) {
                double a = A[i * N + k]; THEN
                double b = B[k * N + j]; THEN
                total += a * b;
            }
            C[i * N + j] = total; THEN
        }
}

static void __attribute__((noinline)) kernel(void) {
    double *A = ARRAY(0, N * N), *B = ARRAY(1, N * N), *C = ARRAY(2, N * N);
    for (long i = 0; i < N; i += SIZE)
        for (long j = 0; j < N; j += SIZE)
            for (long k = 0; k < N; k += SIZE) block(A + i * N + k, B + k * N + j, C + i * N + j);
}
