/* The parent's side of the guardian. */
#define _GNU_SOURCE
#include "guard.h"

#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "birth.h"
#include "futex.h"
#include "guardian.h"
#include "memory.h"
#include "pile.h"
#include "pool.h"

#define STACK_BYTES 16384

static struct ramet_guard *common; /* wiped in the child of a fork, which has no guardian */
static char common_stack[STACK_BYTES] __attribute__((aligned(16)));

static void __attribute__((constructor)) make_guard(void)
{
    common = ramet_wiped_on_fork(sizeof *common);
}

static void reap(struct ramet_guard *guard)
{
    siginfo_t info;
    if (guard->guardian > 0)
        ramet_syscall5(__NR_waitid, P_PID, guard->guardian, &info, WEXITED | __WALL, NULL);
    guard->guardian = 0;
}

static long start_task(struct ramet_guard *guard, char *stack, int *on_stack)
{
    struct ramet_request request = {.args.flags = CLONE_VM | CLONE_CHILD_CLEARTID, .size = sizeof request.args};
    request.args.stack = (uintptr_t)stack;
    request.args.stack_size = STACK_BYTES;
    request.args.child_tid = (uintptr_t)on_stack;
    struct ramet_entry entry = {ramet_guardian, guard, NULL, NULL, __NR_exit_group};
    ramet_sigset mask = ramet_block_signals(); /* for good: a Ctrl-C is none of its business */
    long pid = ramet_birth(&request, &entry);
    ramet_set_signal_mask(mask);
    return pid;
}

/* The stack is free: who was on it has ended. */
static void start(struct ramet_guard *guard, char *stack, int *on_stack)
{
    guard->owner = (int)ramet_syscall0(__NR_getpid);
    guard->pidfd = (int)ramet_syscall2(__NR_pidfd_open, guard->owner, 0);
    *on_stack = 1;
    long pid = guard->pidfd < 0 ? guard->pidfd : start_task(guard, stack, on_stack);
    guard->guardian = pid > 0 ? (int)pid : 0;
    while (pid > 0 && __atomic_load_n(&guard->stage, __ATOMIC_ACQUIRE) == RAMET_GUARDIAN_STARTS)
        ramet_futex_wait(&guard->stage, RAMET_GUARDIAN_STARTS, NULL);
    if (guard->pidfd >= 0)
        ramet_syscall1(__NR_close, guard->pidfd);
    if (pid < 0) {
        *on_stack = 0;
        __atomic_store_n(&guard->stage, RAMET_NO_GUARDIAN, __ATOMIC_RELEASE);
    }
}

static int *free_place(void)
{
    for (int i = 0; i < RAMET_MOST_WARDS; i++) {
        int nobody = 0;
        if (__atomic_compare_exchange_n(&common->wards[i], &nobody, -1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return &common->wards[i];
    }
    return NULL;
}

static int *place_with_common(void)
{
    static int on_stack;
    if (common == NULL)
        return NULL;
    int *place = free_place();
    int nobody = RAMET_NO_GUARDIAN;
    if (place != NULL && __atomic_compare_exchange_n(&common->stage, &nobody, RAMET_GUARDIAN_STARTS, false,
                                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        reap(common);
        start(common, common_stack, &on_stack);
    }
    return place;
}

/* ---- in a child, which ends without looking after anything */

struct nested {
    struct ramet_link link;
    struct ramet_guard guard; /* with one ward */
    uint64_t maker;
    int on_stack; /* the guardian; cleared by the kernel */
    char stack[STACK_BYTES] __attribute__((aligned(16)));
};

static struct ramet_link *nested;

/* Whom a pid does not tell from one in another pid namespace, an inode does, since Linux 6.9. */
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

/* Only the burial of the ward gives up the place, and then nobody has it any more. */
static bool is_free(const struct nested *one)
{
    return __atomic_load_n(&one->on_stack, __ATOMIC_ACQUIRE) == 0 &&
           __atomic_load_n(&one->guard.wards[0], __ATOMIC_ACQUIRE) == 0;
}

static struct nested *take_free(void)
{
    struct nested *found = NULL;
    struct ramet_link *next;
    for (struct ramet_link *link = ramet_take_all(&nested); link != NULL; link = next) {
        next = link->next;
        if (found == NULL && is_free((struct nested *)link))
            found = (struct nested *)link;
        else
            ramet_push(&nested, link);
    }
    return found == NULL ? calloc(1, sizeof *found) : found;
}

static int *place_of_its_own(void)
{
    uint64_t maker = number_of_this_process();
    struct nested *one = take_free();
    if (one == NULL)
        return NULL;
    if (one->maker == maker)
        reap(&one->guard); /* else it is init's */
    one->maker = maker;
    one->guard.stage = RAMET_GUARDIAN_STARTS;
    one->guard.wards[0] = -1;
    start(&one->guard, one->stack, &one->on_stack);
    bool failed = one->guard.guardian == 0;
    if (failed)
        one->guard.wards[0] = 0;
    ramet_push(&nested, &one->link);
    return failed ? NULL : &one->guard.wards[0];
}

int *ramet_guard_place(void)
{
    if (ramet_epoch() == 0 || !ramet_has_clone3())
        return NULL;
    return ramet_pool_is_ours() ? place_with_common() : place_of_its_own();
}

void ramet_guard_leave(int *place)
{
    if (place != NULL)
        __atomic_store_n(place, 0, __ATOMIC_RELEASE);
}

void ramet_guard_drain(void)
{
    if (common == NULL || common->guardian <= 0 || !ramet_pool_is_ours())
        return;
    for (int i = 0; i < RAMET_MOST_WARDS; i++)
        if (__atomic_load_n(&common->wards[i], __ATOMIC_ACQUIRE) != 0)
            return;
    ramet_syscall2(__NR_kill, common->guardian, SIGKILL); /* not reaped yet: nobody else has its pid */
    reap(common);
    __atomic_store_n(&common->stage, RAMET_NO_GUARDIAN, __ATOMIC_RELEASE);
}
