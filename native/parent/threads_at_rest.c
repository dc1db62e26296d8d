/* All other threads, one look after the other. */
#define _GNU_SOURCE
#include "threads_at_rest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "child.h"
#include "futex.h"
#include "task_state.h"

#define MOST_LOOKS 200
#define PAUSE_NANOSECONDS 100000

static bool is_quiet(long tid)
{
    struct ramet_syscall_state stand = ramet_task_syscall(tid);
    if (ramet_is_at_safe_point(&stand))
        return true;
    char state = ramet_task_state(tid); /* that cannot be read of one that has ended */
    return state == '\0' || state == 'Z' || state == 'X';
}

static bool others_are_quiet(DIR *tasks, long own)
{
    struct dirent *entry;
    rewinddir(tasks);
    while ((entry = readdir(tasks)) != NULL) {
        long tid = strtol(entry->d_name, NULL, 10);
        if (tid != 0 && tid != own && !is_quiet(tid))
            return false;
    }
    return true;
}

void ramet_await_threads_at_rest(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    long own = ramet_syscall0(__NR_gettid);
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL)
        return;
    for (int look = 0; look < MOST_LOOKS && !others_are_quiet(tasks, own); look++)
        ramet_syscall2(__NR_nanosleep, &pause, NULL);
    closedir(tasks);
}

bool ramet_all_threads_at_rest(int64_t nanoseconds)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    const int64_t deadline = ramet_now() + nanoseconds;
    long own = ramet_syscall0(__NR_gettid);
    DIR *tasks = opendir("/proc/self/task");
    bool rest = false;
    while (tasks != NULL && !(rest = others_are_quiet(tasks, own)) && ramet_now() < deadline)
        ramet_syscall2(__NR_nanosleep, &pause, NULL);
    if (tasks != NULL)
        closedir(tasks);
    return rest;
}

static bool is_quiet_until(long tid, int64_t deadline)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    while (!is_quiet(tid)) {
        if (ramet_now() >= deadline)
            return false;
        ramet_syscall2(__NR_nanosleep, &pause, NULL);
    }
    return true;
}

bool ramet_each_thread_at_rest(int64_t nanoseconds)
{
    const int64_t deadline = ramet_now() + nanoseconds;
    long own = ramet_syscall0(__NR_gettid), length = -1;
    int tasks = (int)ramet_syscall4(__NR_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    char entries[4096] __attribute__((aligned(8)));
    bool well = tasks >= 0;
    while (well && (length = ramet_syscall3(__NR_getdents64, tasks, entries, sizeof entries)) > 0)
        for (long at = 0; well && at < length; at += ((struct dirent64 *)(entries + at))->d_reclen) {
            long tid = strtol(((struct dirent64 *)(entries + at))->d_name, NULL, 10);
            well = tid == 0 || tid == own || is_quiet_until(tid, deadline);
        }
    if (tasks >= 0)
        ramet_syscall1(__NR_close, tasks);
    return well && length == 0;
}
