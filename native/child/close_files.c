/* A task on its own descriptor table closes what it has copied. */
#include "close_files.h"

#include "child.h"

#define MOST_FILES 4096 /* closed one by one, where there is no close_range */

static void close_range(unsigned int first, unsigned int last)
{
    if (first > last || ramet_syscall3(__NR_close_range, first, last, 0) == 0)
        return;
    for (unsigned int fd = first; fd <= last && fd < MOST_FILES; fd++)
        ramet_syscall1(__NR_close, fd);
}

void ramet_close_all_but(int descriptor)
{
    ramet_syscall1(__NR_chdir, "/");
    if (descriptor > 0)
        close_range(0, (unsigned int)descriptor - 1);
    close_range(descriptor < 0 ? 0 : (unsigned int)descriptor + 1, ~0U);
}
