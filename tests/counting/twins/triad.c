#include "twin.h"

static void __attribute__((noinline)) kernel(void) {
    double *a = ARRAY(0, N), *b = ARRAY(1, N), *c = ARRAY(2, N);
    for (long i = 0; i < N; i++) {
        double left = b[i]; THEN
        double right = c[i]; THEN
        a[i] = left + 3.0 * right; THEN
    }
}
