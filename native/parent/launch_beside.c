/* A launch without a suspended caller: what parent, child and helper thread share, and which waits for which. */
#define _GNU_SOURCE
#include "launch_beside.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>

#include "clone_stopped.h"
#include "dumpable.h"
#include "futex.h"
#include "kernel_features.h"
#include "lent_memory.h"
#include "libc_thread.h"
#include "lock_free_stack.h"
#include "safe_kill.h"

#define FEW_TRIES 50
#define PAUSE (RAMET_MILLISECOND / 50)

struct ramet_underway {
    struct ramet_link link; /* first: of those that nothing holds any more */
    int tid;                /* the kernel writes it, before the child's first step; 0: no child was made */
    int pidfd;              /* likewise */
    int helper_lives;       /* a futex word: the helper thread's CHILD_CLEARTID */
    uint64_t mark;          /* see dumpable.h */
    struct ramet_stack *stack, *helper_stack;
    struct ramet_plan *plan;
    struct ramet_request request;
    struct ramet_entry entry;
    struct ramet_helper helper;
    struct ramet_launch launch;
};

static struct ramet_link *left_behind;

/* No task uses its memory any more, and the kernel will write nothing there. */
static bool is_over(const struct ramet_underway *child)
{
    return __atomic_load_n(&child->launch.arrived, __ATOMIC_ACQUIRE) == RAMET_GONE &&
           __atomic_load_n(&child->helper_lives, __ATOMIC_ACQUIRE) == 0;
}

static void restore_dumpable(struct ramet_underway *child)
{
    ramet_dumpable_restore(__atomic_exchange_n(&child->mark, 0, __ATOMIC_ACQ_REL));
}

static void discard(struct ramet_underway *child)
{
    restore_dumpable(child);
    if (child->stack != NULL)
        ramet_launch_stack_release(child->stack);
    if (child->helper_stack != NULL)
        ramet_launch_stack_release(child->helper_stack);
    ramet_plan_release(child->plan);
    free(child);
}

void ramet_underway_release(struct ramet_underway *child)
{
    if (is_over(child)) {
        discard(child);
        return;
    }
    if (__atomic_load_n(&child->launch.arrived, __ATOMIC_ACQUIRE) == RAMET_GONE)
        restore_dumpable(child); /* its helper thread is about to end: it leaves this to nobody who may come late */
    ramet_push(&left_behind, &child->link);
}

void ramet_underway_sweep(void)
{
    ramet_dumpable_settle();
    if (__atomic_load_n(&left_behind, __ATOMIC_RELAXED) == NULL)
        return;
    RAMET_EACH_TAKEN(link, &left_behind)
        ramet_underway_release((struct ramet_underway *)link);
}

static void name_words(struct ramet_underway *child)
{
    struct ramet_clone_args *args = &child->request.args;
    ramet_set_address(args, CLONE_PARENT_SETTID, &child->tid);
    ramet_set_address(args, CLONE_CHILD_CLEARTID, &child->launch.arrived);
    if (args->flags & CLONE_PIDFD)
        ramet_set_address(args, CLONE_PIDFD, &child->pidfd);
}

/* The flags of libc's threads, without a thread-local block; and the io context, which a child may share. */
static long start_helper(struct ramet_underway *child)
{
    const uint64_t flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_IO |
                           CLONE_CHILD_CLEARTID;
    struct ramet_request request = {.args.flags = flags, .size = sizeof request.args, .legacy = !ramet_has_clone3()};
    struct ramet_entry entry = {ramet_run_helper, &child->helper, NULL, NULL, __NR_exit};
    request.args.stack = child->helper_stack->base;
    request.args.stack_size = child->helper_stack->size;
    request.args.child_tid = (uintptr_t)&child->helper_lives;
    child->helper_lives = 1;
    long tid = ramet_make_task(&request, &entry);
    if (tid < 0)
        child->helper_lives = 0;
    return tid;
}

/*
 * When a thread ends, the kernel clears its word, then makes the main thread the parent of its children, and then
 * frees its tid: so the children have their new parent when the tid is no longer there.
 */
static void await_main_thread_as_parent(struct ramet_underway *child, long helper)
{
    const long process = ramet_syscall0(__NR_getpid);
    ramet_futex_await_change(&child->helper_lives, 1);
    for (int tries = 0; ramet_syscall3(__NR_tgkill, process, helper, 0) == 0; tries++)
        if (tries < FEW_TRIES)
            ramet_syscall0(__NR_sched_yield);
        else
            ramet_pause(PAUSE);
    ramet_futex_set(&child->launch.parent_ends, 0);
}

static void fail(struct ramet_underway *child, int step, long error)
{
    child->launch.failed_step = step;
    child->launch.error = (int)error;
    child->launch.arrived = RAMET_GONE;
}

static int make_by_helper(struct ramet_underway *child, const struct ramet_launch_manner *manner, bool helper_ends)
{
    child->launch.arrived = RAMET_NOT_MADE;
    child->launch.parent_ends = helper_ends;
    child->helper = (struct ramet_helper){
        .request = &child->request,
        .entry = &child->entry,
        .pid_namespace = manner->pid_namespace,
        .stays = manner->follows_process && manner->has_own_score,
        .arrived = &child->launch.arrived,
    };
    child->helper_stack = ramet_launch_stack(0);
    long helper = child->helper_stack == NULL ? -ENOMEM : start_helper(child);
    if (helper < 0) {
        fail(child, RAMET_NO_HELPER_THREAD, -helper);
        return 0;
    }
    ramet_futex_await_change(&child->launch.arrived, RAMET_NOT_MADE);
    if (child->tid == 0 && child->helper.could_not_enter)
        fail(child, RAMET_FAILED_SETNS, child->helper.error);
    else if (child->tid == 0)
        return child->helper.error;
    if (helper_ends)
        await_main_thread_as_parent(child, helper);
    return 0;
}

static int make_here(struct ramet_underway *child)
{
    child->launch.arrived = RAMET_MADE;
    long pid = ramet_make_task(&child->request, &child->entry);
    if (pid >= 0)
        return 0;
    child->launch.arrived = RAMET_GONE;
    return (int)-pid;
}

/* With PARENT the child has another parent: the end of this process's threads does not concern it. */
static int make(struct ramet_underway *child, const struct ramet_launch_manner *manner)
{
    const bool is_main = ramet_syscall0(__NR_gettid) == ramet_syscall0(__NR_getpid);
    const bool is_ours = !(child->request.args.flags & CLONE_PARENT);
    const bool enters = manner->pid_namespace != RAMET_NO_NAMESPACE;
    const bool of_process = is_ours && (manner->waits || manner->follows_process);
    const bool needs_helper = enters || manner->has_own_score || (of_process && !is_main);
    name_words(child);
    child->entry = ramet_prepare_launch(child->stack, &child->request, &child->launch);
    if (of_process)
        child->launch.parent_word = ramet_main_cleartid_word();
    if (!needs_helper)
        return make_here(child);
    return make_by_helper(child, manner, of_process && !manner->has_own_score);
}

struct ramet_underway *ramet_launch_beside(const struct ramet_request *request, struct ramet_plan *plan,
                                      const struct ramet_launch_manner *manner, int *error)
{
    ramet_underway_sweep();
    struct ramet_underway *child = calloc(1, sizeof *child);
    struct ramet_stack *stack = child == NULL ? NULL : ramet_launch_stack(plan->slots);
    if (stack == NULL) {
        free(child);
        *error = ENOMEM;
        return NULL;
    }
    child->stack = stack;
    child->pidfd = -1;
    child->request = *request;
    child->plan = ramet_plan_hold(plan);
    child->launch.plan = plan;
    child->launch.maker_process = (int)ramet_syscall0(__NR_getpid);
    child->mark = plan->changes_identity ? ramet_dumpable_save(&child->tid, &child->launch.arrived) : 0;
    const ramet_sigset mask = child->launch.mask = ramet_block_signals();
    *error = make(child, manner);
    ramet_set_signal_mask(mask);
    if (*error == 0)
        return child;
    ramet_underway_release(child);
    return NULL;
}

int ramet_underway_pid(const struct ramet_underway *child, int *pidfd)
{
    *pidfd = child->pidfd;
    return child->tid;
}

static bool is_there(int arrived, int gate)
{
    return arrived == RAMET_GONE || arrived >= gate;
}

bool ramet_underway_await(struct ramet_underway *child, int gate, int64_t timeout, struct ramet_report *report)
{
    int *word = &child->launch.arrived, arrived;
    const int64_t time = timeout < 0 ? -1 : ramet_now() + timeout;
    bool in_time = true;
    while (!is_there(arrived = __atomic_load_n(word, __ATOMIC_ACQUIRE), gate) && in_time)
        in_time = ramet_futex_wait_until(word, arrived, time) != -ETIMEDOUT;
    if (!is_there(arrived, gate))
        return false;
    if (arrived == RAMET_GONE) {
        ramet_futex_wake(word); /* the kernel wakes one waiter, and there may be more */
        restore_dumpable(child);
    }
    report->pid = child->tid;
    ramet_read_report(&child->launch, report);
    if (arrived == RAMET_GONE && report->pid > 0 && report->failed_step == -1 &&
        __atomic_load_n(&child->launch.waits_at, __ATOMIC_ACQUIRE) != 0)
        report->failed_step = RAMET_ENDED_AT_GATE;
    return true;
}

void ramet_underway_cancel(struct ramet_underway *child)
{
    if (__atomic_load_n(&child->launch.arrived, __ATOMIC_ACQUIRE) == RAMET_GONE)
        return;
    ramet_send_signal(child->tid, child->pidfd, SIGKILL);
}

void ramet_underway_open_gate(struct ramet_underway *child, int gate)
{
    ramet_futex_set(&child->launch.opened, gate);
}

void ramet_underway_stop(struct ramet_underway *child)
{
    ramet_stop(child->tid);
}
