/* The parent's side of the watchdog: its start, its end, and the places for pids. */
#define _GNU_SOURCE
#include "watched_children.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "epoch.h"
#include "futex.h"
#include "kernel_features.h"
#include "lock_free_stack.h"
#include "safe_kill.h"
#include "watchdog.h"

#define STACK_BYTES 16384
#define PATIENCE (5 * RAMET_SECOND) /* its start and its end take a tenth of one, or more where no processor is free */
#define PAUSE (10 * RAMET_MILLISECOND)

/* ---- one watchdog */

/*
 * A pidfd that is the watchdog's for certain: it had not left the memory when the pidfd was opened, so no task
 * had reaped it. Negative: it has ended, or no pidfd can be opened.
 */
static int open_watchdog(const struct ramet_watchdog *watchdog)
{
    int pidfd = (int)ramet_syscall2(__NR_pidfd_open, watchdog->pid, 0);
    if (pidfd < 0 || __atomic_load_n(&watchdog->alive, __ATOMIC_ACQUIRE) != 0)
        return pidfd;
    ramet_syscall1(__NR_close, pidfd);
    return -ESRCH;
}

static bool end_by_force(const struct ramet_watchdog *watchdog)
{
    int pidfd = open_watchdog(watchdog);
    if (pidfd < 0)
        return pidfd == -ESRCH;
    bool killed = ramet_send_signal(watchdog->pid, pidfd, SIGKILL) == 0;
    if (killed)
        ramet_syscall5(__NR_waitid, P_PIDFD, pidfd, NULL, WEXITED | __WALL, NULL);
    ramet_syscall1(__NR_close, pidfd);
    return killed;
}

static bool leaves_memory(struct ramet_watchdog *watchdog)
{
    int64_t deadline = ramet_now() + PATIENCE;
    while (__atomic_load_n(&watchdog->alive, __ATOMIC_ACQUIRE) != 0 && ramet_now() < deadline)
        ramet_futex_wait_while(&watchdog->alive, 1, PAUSE);
    return __atomic_load_n(&watchdog->alive, __ATOMIC_ACQUIRE) == 0;
}

/*
 * The watchdog has left the memory and will be a zombie in a moment, unless another task has reaped it: then its pid may be
 * that of another child, which must not be reaped here. So: without sleeping in waitid(), and no child with SIGCHLD.
 */
static void reap(struct ramet_watchdog *watchdog)
{
    int64_t deadline = ramet_now() + PAUSE;
    siginfo_t info = {0};
    while (watchdog->pid > 0 && ramet_now() < deadline) {
        long error = ramet_syscall5(__NR_waitid, P_PID, watchdog->pid, &info, WEXITED | WNOHANG | __WCLONE, NULL);
        if (error < 0 || info.si_pid != 0)
            break;
        ramet_pause(RAMET_MILLISECOND / 10);
    }
    watchdog->pid = 0;
}

/*
 * Where the calling thread has made or joined a pid namespace for its children, a watchdog could be the init of it,
 * and the namespace would end with it. The link has no target as long as there is no init.
 */
static bool has_other_namespace_for_children(void)
{
    struct stat own, of_children;
    if (stat("/proc/self/ns/pid", &own) < 0)
        return false;
    return stat("/proc/thread-self/ns/pid_for_children", &of_children) < 0 || own.st_ino != of_children.st_ino;
}

static long start_task(struct ramet_watchdog *watchdog, char *stack)
{
    struct ramet_request request = {.args.flags = CLONE_VM | CLONE_CHILD_CLEARTID, .size = sizeof request.args};
    request.args.stack = (uintptr_t)stack;
    request.args.stack_size = STACK_BYTES;
    request.args.child_tid = (uintptr_t)&watchdog->alive;
    struct ramet_entry entry = {ramet_run_watchdog, watchdog, NULL, NULL, __NR_exit_group};
    ramet_sigset mask = ramet_block_signals(); /* the watchdog keeps them blocked: a Ctrl-C must not end it */
    watchdog->alive = 1;
    long pid = ramet_make_task(&request, &entry);
    if (pid < 0)
        watchdog->alive = 0;
    ramet_set_signal_mask(mask);
    return pid;
}

/* Whether it has begun to watch: it may be killed before, or get no processor. */
static bool begins_to_watch(struct ramet_watchdog *watchdog)
{
    int64_t deadline = ramet_now() + PATIENCE;
    while (__atomic_load_n(&watchdog->stage, __ATOMIC_ACQUIRE) == RAMET_WATCHDOG_CHANGES &&
           __atomic_load_n(&watchdog->alive, __ATOMIC_ACQUIRE) != 0 && ramet_now() < deadline)
        ramet_futex_wait_while(&watchdog->stage, RAMET_WATCHDOG_CHANGES, PAUSE);
    return __atomic_load_n(&watchdog->stage, __ATOMIC_ACQUIRE) != RAMET_WATCHDOG_CHANGES;
}

/* In the stage RAMET_WATCHDOG_CHANGES. 0, or -errno when there is no watchdog. */
static long start(struct ramet_watchdog *watchdog, char *stack)
{
    if (!leaves_memory(watchdog))
        return -ETIMEDOUT;
    reap(watchdog);
    if (has_other_namespace_for_children())
        return -EINVAL;
    watchdog->owner = (int)ramet_syscall0(__NR_getpid);
    watchdog->pidfd = (int)ramet_syscall2(__NR_pidfd_open, watchdog->owner, 0);
    if (watchdog->pidfd < 0)
        return watchdog->pidfd;
    long pid = start_task(watchdog, stack);
    watchdog->pid = pid > 0 ? (int)pid : 0;
    bool watches = pid > 0 && begins_to_watch(watchdog);
    ramet_syscall1(__NR_close, watchdog->pidfd);
    if (watches)
        return 0;
    if (pid > 0 && end_by_force(watchdog))
        reap(watchdog);
    return pid < 0 ? pid : -ECHILD;
}

/* ---- the one of the process */

static struct ramet_watchdog *common; /* wiped in the child of a fork, which has no watchdog */
static char common_stack[STACK_BYTES] __attribute__((aligned(16)));

static void __attribute__((constructor)) map_common(void)
{
    common = ramet_wiped_on_fork(sizeof *common);
}

/* The next block of places, made where there is none. NULL when there is no memory. */
static struct ramet_watched *next_block(struct ramet_watched *block)
{
    struct ramet_watched *next = __atomic_load_n(&block->next, __ATOMIC_ACQUIRE);
    if (next != NULL)
        return next;
    struct ramet_watched *more = calloc(1, sizeof *more);
    if (more == NULL || __atomic_compare_exchange_n(&block->next, &next, more, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return more;
    free(more);
    return next;
}

static int *free_place(void)
{
    for (struct ramet_watched *block = &common->watched; block != NULL; block = next_block(block))
        for (int i = 0; i < RAMET_WATCHED_AT_ONCE; i++) {
            int none = 0;
            if (__atomic_compare_exchange_n(&block->pids[i], &none, -1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
                return &block->pids[i];
        }
    return NULL;
}

/* One thread at a time changes it. */
static bool begin_change(int from)
{
    return __atomic_compare_exchange_n(&common->stage, &from, RAMET_WATCHDOG_CHANGES, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

/* Called with a place taken, so that no thread ends the watchdog. 0, or -errno when there is none. */
static long have_common_watch(void)
{
    for (;;) {
        int stage = __atomic_load_n(&common->stage, __ATOMIC_SEQ_CST);
        if (stage == RAMET_WATCHDOG_WATCHES && __atomic_load_n(&common->alive, __ATOMIC_ACQUIRE) != 0)
            return 0;
        if (stage == RAMET_WATCHDOG_CHANGES)
            ramet_futex_wait_while(&common->stage, stage, PAUSE); /* the other thread gives up after a while */
        else if (begin_change(stage)) {
            long error = start(common, common_stack);
            if (error < 0)
                ramet_futex_set(&common->stage, RAMET_NO_WATCHDOG);
            return error;
        }
    }
}

static int *place_with_common(long *error)
{
    int *place = free_place();
    *error = place == NULL ? -ENOMEM : have_common_watch();
    if (*error == 0)
        return place;
    ramet_watched_leave(place);
    return NULL;
}

/* ---- one for each child of a child, which may end without ending its watchdogs */

struct own_watchdog {
    struct ramet_link link;
    struct ramet_watchdog watchdog; /* with one watched child */
    uint64_t maker; /* the process that started it */
    char stack[STACK_BYTES] __attribute__((aligned(16)));
};

static struct ramet_link *own_watchdogs;

/* Two processes in different pid namespaces may have one pid; since Linux 6.9 the inodes of their pidfds differ. */
static uint64_t number_of_this_process(void)
{
    struct stat status = {0};
    int pidfd = (int)ramet_syscall2(__NR_pidfd_open, ramet_syscall0(__NR_getpid), 0);
    if (pidfd < 0)
        return 0;
    if (fstat(pidfd, &status) < 0)
        status.st_ino = 0;
    ramet_syscall1(__NR_close, pidfd);
    return status.st_ino << 32 | (uint64_t)ramet_syscall0(__NR_getpid);
}

/* Only the recovery of the watched child frees the place, and no task uses it afterwards. */
static bool is_free(const struct own_watchdog *one)
{
    return __atomic_load_n(&one->watchdog.alive, __ATOMIC_ACQUIRE) == 0 &&
           __atomic_load_n(&one->watchdog.watched.pids[0], __ATOMIC_ACQUIRE) == 0;
}

static struct own_watchdog *take_free(void)
{
    struct own_watchdog *found = NULL;
    RAMET_EACH_TAKEN(link, &own_watchdogs)
        if (found == NULL && is_free((struct own_watchdog *)link))
            found = (struct own_watchdog *)link;
        else
            ramet_push(&own_watchdogs, link);
    return found == NULL ? calloc(1, sizeof *found) : found;
}

static int *place_with_own(long *error)
{
    uint64_t maker = number_of_this_process();
    struct own_watchdog *one = take_free();
    if (one == NULL) {
        *error = -ENOMEM;
        return NULL;
    }
    if (one->maker != maker)
        one->watchdog.pid = 0; /* its own parent has ended: init reaps it */
    one->maker = maker;
    one->watchdog.stage = RAMET_WATCHDOG_CHANGES;
    one->watchdog.watched.pids[0] = -1;
    *error = start(&one->watchdog, one->stack);
    if (*error < 0)
        one->watchdog.watched.pids[0] = 0;
    ramet_push(&own_watchdogs, &one->link);
    return *error < 0 ? NULL : &one->watchdog.watched.pids[0];
}

int *ramet_watched_place(long *error)
{
    *error = 0;
    if (ramet_epoch() == 0 || common == NULL || !ramet_has_clone3())
        return NULL;
    return ramet_owns_memory() ? place_with_common(error) : place_with_own(error);
}

void ramet_watched_leave(int *place)
{
    if (place != NULL)
        __atomic_store_n(place, 0, __ATOMIC_RELEASE);
}

/* In a change from that stage; returns the next one. */
static int end_common(int stage)
{
    bool watches = stage == RAMET_WATCHDOG_WATCHES && __atomic_load_n(&common->alive, __ATOMIC_ACQUIRE) != 0;
    if (watches && (ramet_watchdog_has_children(common) || !end_by_force(common)))
        return RAMET_WATCHDOG_WATCHES;
    if (leaves_memory(common)) /* one that ends by itself is about to */
        reap(common);
    return RAMET_NO_WATCHDOG;
}

void ramet_watched_drain(void)
{
    if (common == NULL || common->pid <= 0 || ramet_watchdog_has_children(common) || !ramet_owns_memory())
        return;
    int stage = __atomic_load_n(&common->stage, __ATOMIC_ACQUIRE);
    if (stage != RAMET_WATCHDOG_CHANGES && begin_change(stage))
        ramet_futex_set(&common->stage, end_common(stage));
}
