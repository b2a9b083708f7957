#include "twin.h"

static void __attribute__((noinline)) kernel(void) {
    double *x = ARRAY(0, N * N), *y = ARRAY(1, N * N);
    for (long i = 1; i < N - 1; i++)
        for (long j = 1; j < N - 1; j++) {
            double up = x[(i - 1) * N + j]; THEN
            double down = x[(i + 1) * N + j]; THEN
            double left = x[i * N + j - 1]; THEN
            double right = x[i * N + j + 1]; THEN
            double here = x[i * N + j]; THEN
            y[i * N + j] = 0.25 * (up + down + left + right) - here; THEN
        }
}
