/*
 * What the kernel alone takes for a call in a clone of the process that has loaded this library.
 *
 * calls(N) gives the median, in nanoseconds, of clone, a byte there and back through a pair of pipes, exit and
 * wait. alive(N) gives the time in which so many clones are made that are alive at once.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

/* No fork handlers, neither libc's nor Python's. */
static pid_t bare_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void call(int *there, int *back)
{
    char byte = 0;
    pid_t pid = bare_clone();
    if (pid == 0) {
        if (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
            syscall(SYS_exit_group, 0);
        syscall(SYS_exit_group, 1);
    }
    if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
        abort();
    waitpid(pid, NULL, 0);
}

long calls(int count)
{
    int there[2], back[2];
    long *times = malloc((size_t)count * sizeof *times);
    if (pipe(there) < 0 || pipe(back) < 0)
        abort();
    for (int i = 0; i < count; i++) {
        long begun = now();
        call(there, back);
        times[i] = now() - begun;
    }
    qsort(times, (size_t)count, sizeof *times, compare);
    return times[count / 2];
}

long alive(int count)
{
    pid_t *pids = malloc((size_t)count * sizeof *pids);
    long begun = now();
    for (int i = 0; i < count; i++) {
        pids[i] = bare_clone();
        if (pids[i] == 0)
            for (;;)
                pause();
    }
    long took = now() - begun;
    for (int i = 0; i < count; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    return took;
}
