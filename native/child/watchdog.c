/* The watchdog of the children in shared memory. */
#include "watchdog.h"

#include <linux/kcmp.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/time_types.h>

#include "close_files.h"
#include "futex_word.h"

#define LOOK_SECONDS 1 /* between two checks whether it is still needed */
#define IDLE_LOOKS 5   /* after which it ends; mostly its owner has ended it before */
#define POLL_IN 1

/* Whether that task uses this memory; true where the kernel does not answer. */
static bool shares_memory(long pid)
{
    return ramet_syscall5(__NR_kcmp, ramet_syscall0(__NR_getpid), pid, KCMP_VM, 0, 0) <= 0;
}

/* By a pidfd, so that the task that is killed is the one that was checked. */
static void kill_child(long pid)
{
    long pidfd = ramet_syscall2(__NR_pidfd_open, pid, 0);
    if (pidfd < 0)
        return;
    if (shares_memory(pid) && ramet_syscall4(__NR_pidfd_send_signal, pidfd, SIGKILL, 0, 0) < 0)
        ramet_syscall2(__NR_kill, pid, SIGKILL); /* a seccomp filter may allow this call alone */
    ramet_syscall1(__NR_close, pidfd);
}

bool ramet_watchdog_has_children(const struct ramet_watchdog *watchdog)
{
    for (const struct ramet_watched *block = &watchdog->watched; block != NULL;
         block = __atomic_load_n(&block->next, __ATOMIC_ACQUIRE))
        for (int i = 0; i < RAMET_WATCHED_AT_ONCE; i++)
            if (__atomic_load_n(&block->pids[i], __ATOMIC_SEQ_CST) != 0)
                return true;
    return false;
}

static void kill_watched(const struct ramet_watchdog *watchdog)
{
    for (const struct ramet_watched *block = &watchdog->watched; block != NULL; block = block->next)
        for (int i = 0; i < RAMET_WATCHED_AT_ONCE; i++)
            if (block->pids[i] > 0)
                kill_child(block->pids[i]);
}

static bool change_stage(struct ramet_watchdog *watchdog, int from, int to)
{
    return __atomic_compare_exchange_n(&watchdog->stage, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/*
 * Whether it may end. The stage is changed first: a thread that takes a place for a child at this moment either is seen
 * here, or sees that there is no watchdog and starts one.
 */
static bool may_end(struct ramet_watchdog *watchdog)
{
    if (!change_stage(watchdog, RAMET_WATCHDOG_WATCHES, RAMET_NO_WATCHDOG))
        return false;
    return !ramet_watchdog_has_children(watchdog) || !change_stage(watchdog, RAMET_NO_WATCHDOG, RAMET_WATCHDOG_WATCHES);
}

/* The owner leaves this memory by an exec, too, which no pidfd reports: hence a look at it every second. */
static bool owner_is_gone(const struct ramet_watchdog *watchdog)
{
    struct __kernel_timespec pause = {.tv_sec = LOOK_SECONDS};
    struct pollfd waited = {.fd = watchdog->pidfd, .events = POLL_IN};
    return ramet_syscall5(__NR_ppoll, &waited, 1, &pause, 0, 0) > 0 || !shares_memory(watchdog->owner);
}

int ramet_run_watchdog(void *fn, void *arg, void *context)
{
    struct ramet_watchdog *watchdog = context;
    (void)fn, (void)arg;
    ramet_syscall2(__NR_prctl, PR_SET_NAME, "ramet-watchdog");
    ramet_close_all_but(watchdog->pidfd, -1, -1);
    if (!change_stage(watchdog, RAMET_WATCHDOG_CHANGES, RAMET_WATCHDOG_WATCHES))
        return 0; /* the owner waits no longer */
    ramet_futex_wake(&watchdog->stage);
    for (int idle = 0; !owner_is_gone(watchdog);) {
        idle = ramet_watchdog_has_children(watchdog) ? 0 : idle + 1;
        if (idle >= IDLE_LOOKS && may_end(watchdog))
            return 0;
    }
    kill_watched(watchdog);
    return 0;
}
