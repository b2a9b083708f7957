/* A twin runs its kernel on untouched, page-aligned arrays of side N if it is given an argument.
   The difference between a run with one and a run without is the kernel's alone: nothing follows it that
   could miss what it has thrown out of the cache. */
#include <unistd.h>

#define PAGE 4096
#define ROUNDED(doubles) (((doubles) * 8L + PAGE - 1) / PAGE * PAGE)

/* Loads and stores stay on their side of THEN, so that they happen in the order of the source. */
#define THEN __asm__ volatile("" ::: "memory");

static char memory[16 << 20] __attribute__((aligned(PAGE)));

/* The array that comes after so many others of this many doubles. */
#define ARRAY(number, doubles) ((double *)(memory + (number) * ROUNDED(doubles)))

static void kernel(void);

int main(int count, char **arguments) {
    (void)arguments;
    if (count > 1) kernel();
    _exit(0);
}
