/* The watchdog of the children in shared memory. */
#include "watchdog.h"

#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/time_types.h>

#define LOOK_SECONDS 1 /* between two looks at whether it is needed still */
#define IDLE_LOOKS 5   /* its owner mostly ends it before */
#define POLL_IN 1
#define ALL 0x7fffffff
#define OLD_KERNELS_FILES 4096

static void close_all(unsigned int first, unsigned int last)
{
    if (first > last || ramet_syscall3(__NR_close_range, first, last, 0) == 0)
        return;
    for (unsigned int fd = first; fd <= last && fd < OLD_KERNELS_FILES; fd++)
        ramet_syscall1(__NR_close, fd);
}

/* It must not keep anything open: somebody may wait for the end of a pipe, or want to unmount. */
static void let_go(int pidfd)
{
    ramet_syscall1(__NR_chdir, "/");
    if (pidfd > 0)
        close_all(0, (unsigned int)pidfd - 1);
    close_all((unsigned int)pidfd + 1, ~0U);
}

/* Whether that task uses this memory; yes where the kernel does not tell. */
static int shares_memory(long pid)
{
    return ramet_syscall5(__NR_kcmp, ramet_syscall0(__NR_getpid), pid, KCMP_VM, 0, 0) <= 0;
}

/* By a descriptor, so that the task which was looked at is the one that is killed. */
static void kill_ward(long pid)
{
    long pidfd = ramet_syscall2(__NR_pidfd_open, pid, 0);
    if (pidfd < 0)
        return;
    if (shares_memory(pid) && ramet_syscall4(__NR_pidfd_send_signal, pidfd, SIGKILL, 0, 0) < 0)
        ramet_syscall2(__NR_kill, pid, SIGKILL); /* a filter may know this call alone */
    ramet_syscall1(__NR_close, pidfd);
}

static int has_wards(const struct ramet_watchdog *watchdog)
{
    for (const struct ramet_watched *some = &watchdog->watched; some != 0; some = __atomic_load_n(&some->next, __ATOMIC_ACQUIRE))
        for (int i = 0; i < RAMET_WATCHED_AT_ONCE; i++)
            if (__atomic_load_n(&some->pids[i], __ATOMIC_SEQ_CST) != 0)
                return 1;
    return 0;
}

static void kill_wards(const struct ramet_watchdog *watchdog)
{
    for (const struct ramet_watched *some = &watchdog->watched; some != 0; some = some->next)
        for (int i = 0; i < RAMET_WATCHED_AT_ONCE; i++)
            if (some->pids[i] > 0)
                kill_ward(some->pids[i]);
}

static int change_stage(struct ramet_watchdog *watchdog, int from, int to)
{
    return __atomic_compare_exchange_n(&watchdog->stage, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Whether it may go: the place is given up first, so that who comes now either is seen or finds it empty. */
static int retires(struct ramet_watchdog *watchdog)
{
    if (!change_stage(watchdog, RAMET_WATCHDOG_WATCHES, RAMET_NO_WATCHDOG))
        return 0;
    return !has_wards(watchdog) || !change_stage(watchdog, RAMET_NO_WATCHDOG, RAMET_WATCHDOG_WATCHES);
}

/* An exec of the owner's leaves this memory as well, and ends no pidfd: hence a look now and then. */
static int owner_is_gone(const struct ramet_watchdog *watchdog)
{
    struct __kernel_timespec pause = {.tv_sec = LOOK_SECONDS};
    struct pollfd waited = {.fd = watchdog->pidfd, .events = POLL_IN};
    return ramet_syscall5(__NR_ppoll, &waited, 1, &pause, 0, 0) > 0 || !shares_memory(watchdog->owner);
}

int ramet_watchdog(void *fn, void *arg, void *context)
{
    struct ramet_watchdog *watchdog = context;
    (void)fn, (void)arg;
    ramet_syscall2(__NR_prctl, PR_SET_NAME, "ramet-watchdog");
    let_go(watchdog->pidfd);
    if (!change_stage(watchdog, RAMET_WATCHDOG_CHANGES, RAMET_WATCHDOG_WATCHES))
        return 0; /* the owner has lost its patience */
    ramet_syscall3(__NR_futex, &watchdog->stage, FUTEX_WAKE, ALL);
    for (int idle = 0; !owner_is_gone(watchdog);) {
        idle = has_wards(watchdog) ? 0 : idle + 1;
        if (idle >= IDLE_LOOKS && retires(watchdog))
            return 0;
    }
    kill_wards(watchdog);
    return 0;
}
