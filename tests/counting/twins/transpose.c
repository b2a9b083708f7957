#include "twin.h"

static void __attribute__((noinline)) kernel(void) {
    double *x = ARRAY(0, N * N), *y = ARRAY(1, N * N);
    for (long i = 0; i < N; i++)
        for (long j = 0; j < N; j++) {
            y[j * N + i] = x[i * N + j]; THEN
        }
}
