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

static int smallest_from(int least, const int *kept, int count)
{
    int found = -1;
    for (int i = 0; i < count; i++)
        if (kept[i] >= least && (found < 0 || kept[i] < found))
            found = kept[i];
    return found;
}

void ramet_close_all_but_these(const int *kept, int count)
{
    int least = 0;
    for (int next; (next = smallest_from(least, kept, count)) >= 0; least = next + 1)
        close_range(least, next - 1);
    close_range(least, ~0U);
}

void ramet_close_all_but(int first, int second, int third)
{
    const int kept[] = {first, second, third};
    ramet_syscall1(__NR_chdir, "/");
    ramet_close_all_but_these(kept, 3);
}
