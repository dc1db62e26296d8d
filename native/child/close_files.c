/* A task on its own descriptor table closes what it has copied. */
#include "close_files.h"

#include "child.h"

#define MOST_FILES 4096 /* closed one by one, where there is no close_range */

static void close_range(long first, long last)
{
    if (first > last || ramet_syscall3(__NR_close_range, first, last, 0) == 0)
        return;
    for (long fd = first; fd <= last && fd < MOST_FILES; fd++)
        ramet_syscall1(__NR_close, fd);
}

void ramet_close_all_but(int one, int other)
{
    const long low = one < other ? one : other, high = one < other ? other : one;
    ramet_syscall1(__NR_chdir, "/");
    close_range(0, low - 1);
    close_range(low < 0 ? 0 : low + 1, high - 1);
    close_range(high < 0 ? 0 : high + 1, ~0U);
}
