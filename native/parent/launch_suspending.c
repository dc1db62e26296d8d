/* Launching a plan with VFORK: the kernel suspends the calling thread until the exec. */
#include "launch_suspending.h"

#include <errno.h>
#include <linux/sched.h>
#include <sys/wait.h>

#include "clone_stopped.h"
#include "dumpable.h"
#include "lent_memory.h"
#include "safe_kill.h"

/* Whether the words that the kernel writes are the caller's, or have clone()'s pidfd: then they tell nobody how far the child is. */
static bool has_words(const struct ramet_request *asked)
{
    const uint64_t flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    return (asked->args.flags & flags) != 0 || (asked->legacy && asked->args.flags & CLONE_PIDFD);
}

static void name_words(struct ramet_clone_args *args, struct ramet_launch *launch)
{
    launch->arrived = RAMET_MADE;
    ramet_set_address(args, CLONE_PARENT_SETTID, &launch->tid);
    ramet_set_address(args, CLONE_CHILD_CLEARTID, &launch->arrived);
}

/*
 * Returns when the child has exec'ed or ended: its pid or -errno. A caller that is itself a child in shared
 * memory may be killed meanwhile; it never returns then, and another task gets its stack. So all that the new
 * child reads is on its own stack, which is not given to another launch in that case.
 */
static long launch_suspended(const struct ramet_request *asked, const struct ramet_launch *wanted, struct ramet_stack *stack)
{
    struct ramet_launch *launch = (struct ramet_launch *)stack->base;
    struct ramet_request request = *asked;
    *launch = *wanted;
    struct ramet_entry entry = ramet_prepare_launch(stack, &request, launch);
    if (launch->plan->changes_identity && !has_words(asked))
        name_words(&request.args, launch);
    return ramet_clone(&request, &entry);
}

/* Some kernels and security modules (Yama) do not let a child fetch what its maker has open: then tables are copied. */
static bool fetching_is_refused;

static bool may_fetch(const struct ramet_plan *plan)
{
    return plan->fetches && !__atomic_load_n(&fetching_is_refused, __ATOMIC_RELAXED);
}

static bool has_failed_to_fetch(const struct ramet_launch *launch, long pid)
{
    return pid > 0 && launch->failed_step >= 0 && launch->plan->steps[launch->failed_step].operation == RAMET_FETCH;
}

/* Whether it was killed. */
static bool discard(long pid, int pidfd)
{
    int status = 0;
    ramet_syscall4(__NR_wait4, pid, &status, __WALL, NULL);
    if (pidfd >= 0)
        ramet_syscall1(__NR_close, pidfd);
    return WIFSIGNALED(status);
}

/* One that runs on without the task that made it, in memory that is not its own any more: it is as if it had been killed. */
static void kill_in_memory(long pid, int pidfd)
{
    ramet_send_signal((pid_t)pid, pidfd, SIGKILL);
    ramet_syscall5(__NR_waitid, P_PID, pid, NULL, WEXITED | WNOWAIT | __WALL, NULL);
}

/* In place of the task that has carried out the first steps, which has ended, the two that it has made. */
static void report_inside(const struct ramet_inside *inside, struct ramet_report *report)
{
    if (inside->child > 0) {
        const bool was_killed = discard(report->pid, report->pidfd);
        report->pid = inside->child;
        report->pidfd = ramet_open_child(inside->child);
        if (was_killed)
            kill_in_memory(report->pid, report->pidfd);
    }
    report->init = inside->init;
    report->init_pidfd = inside->init > 0 ? ramet_open_child(inside->init) : -1;
    ramet_release_inside(inside);
}

/* All signals are blocked. */
static void launch_on(struct ramet_stack *stack, const struct ramet_request *request, struct ramet_launch *wanted,
                     struct ramet_report *report)
{
    const struct ramet_launch *launch = (const struct ramet_launch *)stack->base;
    int *pidfd = (int *)(uintptr_t)request->args.pidfd;
    if (wanted->fetches) {
        wanted->maker = (int)ramet_syscall0(__NR_gettid);
        wanted->maker_process = (int)ramet_syscall0(__NR_getpid);
    }
    const bool is_known = !has_words(request);
    const uint64_t mark =
        wanted->plan->changes_identity ? ramet_dumpable_save(is_known ? &launch->tid : NULL, is_known ? &launch->arrived : NULL) : 0;
    report->pid = launch_suspended(request, wanted, stack);
    if (has_failed_to_fetch(launch, report->pid)) {
        discard(report->pid, pidfd == NULL ? -1 : *pidfd);
        if (pidfd != NULL)
            *pidfd = -1;
        if (launch->error == EPERM || launch->error == ENOSYS || launch->error == EINVAL)
            __atomic_store_n(&fetching_is_refused, true, __ATOMIC_RELAXED);
        wanted->fetches = false;
        report->pid = launch_suspended(request, wanted, stack);
    }
    ramet_read_report(launch, report);
    if (pidfd != NULL)
        report->pidfd = *pidfd;
    if (launch->plan->enters)
        report_inside(&launch->inside, report);
    ramet_dumpable_restore(mark); /* what goes on in this memory though its maker was killed has ended by now */
    if (pidfd != NULL)
        *pidfd = report->pidfd;
}

void ramet_launch_suspending(const struct ramet_request *asked, struct ramet_plan *plan, struct ramet_report *report)
{
    struct ramet_request request = *asked;
    struct ramet_launch wanted = {.plan = ramet_plan_hold(plan), .fetches = may_fetch(plan)};
    struct ramet_stack *stack = ramet_launch_stack(plan->slots);
    *report = (struct ramet_report){.pid = -ENOMEM, .pidfd = -1, .init_pidfd = -1};
    if (request.args.flags & CLONE_PIDFD && request.args.pidfd == 0)
        request.args.pidfd = (uintptr_t)&report->pidfd;
    const bool has_room = stack != NULL && (!plan->enters || ramet_prepare_inside(&wanted.inside, stack));
    if (has_room) {
        wanted.mask = ramet_block_signals();
        launch_on(stack, &request, &wanted, report);
        ramet_set_signal_mask(wanted.mask);
    }
    if (stack != NULL)
        ramet_launch_stack_release(stack);
    /* A caller that gave a word for it reads it there while this thread is suspended. */
    if (request.args.flags & CLONE_PIDFD)
        report->pidfd = *(int *)(uintptr_t)request.args.pidfd;
    ramet_plan_release(plan);
}
