/* Launching a plan: with VFORK the kernel suspends us until the exec. */
#include "launch_suspending.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>

#include "dumpable.h"
#include "launch.h"
#include "lent_memory.h"
#include "libc_thread.h"

#define STACK_BYTES 65536
#define MOST_SLOTS_ON_STACK (STACK_BYTES / 2 / sizeof(int))

struct ramet_plan *ramet_plan_hold(struct ramet_plan *plan)
{
    __atomic_add_fetch(&plan->holders, 1, __ATOMIC_RELAXED);
    return plan;
}

void ramet_plan_release(struct ramet_plan *plan)
{
    if (__atomic_sub_fetch(&plan->holders, 1, __ATOMIC_ACQ_REL) == 0)
        free(plan);
}

/* One stack is kept for the next launch: making one costs as much as all else the parent does. */
static struct ramet_stack *spare;

struct ramet_stack *ramet_launch_stack(size_t slots)
{
    if (slots > MOST_SLOTS_ON_STACK)
        return ramet_stack_new(STACK_BYTES + slots * sizeof(int));
    struct ramet_stack *stack = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQ_REL);
    return stack != NULL ? stack : ramet_stack_new(STACK_BYTES);
}

void ramet_launch_stack_release(struct ramet_stack *stack)
{
    struct ramet_stack *none = NULL;
    if (stack->size == STACK_BYTES &&
        __atomic_compare_exchange_n(&spare, &none, stack, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    ramet_stack_release(stack);
}

struct ramet_entry ramet_prepare_launch(struct ramet_stack *stack, struct ramet_request *request, struct ramet_launch *launch)
{
    request->args.stack = stack->base;
    request->args.stack_size = stack->size;
    launch->slots = (int *)(stack->base + sizeof *launch); /* at the far end of the child's stack */
    launch->failed_step = -1;
    launch->clear_handlers = !(request->args.flags & (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND));
    launch->parent_word = launch->plan->minds_parent ? ramet_cleartid_word() : NULL;
    return (struct ramet_entry){ramet_run_plan, NULL, launch, NULL, __NR_exit_group};
}

void ramet_read_report(const struct ramet_launch *launch, struct ramet_report *report)
{
    report->failed_step = __atomic_load_n(&launch->failed_step, __ATOMIC_ACQUIRE);
    report->error = launch->error;
}

/*
 * Comes back when the child has exec'ed or ended: its pid or -errno. A caller that is itself a child in
 * shared memory may be killed meanwhile, and does not come back, while somebody else gets its stack: so
 * nothing that the child reads is there, but on its own stack, which nobody gets then.
 */
static long launch_suspended(const struct ramet_request *asked, const struct ramet_launch *wanted, struct ramet_stack *stack)
{
    struct ramet_launch *launch = (struct ramet_launch *)stack->base;
    struct ramet_request request = *asked;
    *launch = *wanted;
    struct ramet_entry entry = ramet_prepare_launch(stack, &request, launch);
    bool noted = launch->plan->changes_identity && ramet_dumpable_save();
    long pid = ramet_clone(&request, &entry);
    if (noted)
        ramet_dumpable_restore();
    return pid;
}

/* Some kernels and guards (Yama) do not let a child have what its maker has open: then tables are copied. */
static bool fetching_is_refused;

static bool may_fetch(const struct ramet_plan *plan)
{
    return plan->fetches && !__atomic_load_n(&fetching_is_refused, __ATOMIC_RELAXED);
}

static bool has_failed_to_fetch(const struct ramet_launch *launch, long pid)
{
    return pid > 0 && launch->failed_step >= 0 && launch->plan->steps[launch->failed_step].operation == RAMET_FETCH;
}

static void discard(long pid, int pidfd)
{
    ramet_syscall4(__NR_wait4, pid, NULL, __WALL, NULL);
    if (pidfd >= 0)
        ramet_syscall1(__NR_close, pidfd);
}

/* All signals are blocked. */
static void spawn_on(struct ramet_stack *stack, const struct ramet_request *request, struct ramet_launch *wanted,
                     struct ramet_report *report)
{
    const struct ramet_launch *launch = (const struct ramet_launch *)stack->base;
    int *pidfd = (int *)(uintptr_t)request->args.pidfd;
    if (wanted->fetches) {
        wanted->maker = (int)ramet_syscall0(__NR_gettid);
        wanted->maker_process = (int)ramet_syscall0(__NR_getpid);
    }
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
}

void ramet_launch_suspending(const struct ramet_request *asked, struct ramet_plan *plan, struct ramet_report *report)
{
    struct ramet_request request = *asked;
    struct ramet_launch wanted = {.plan = ramet_plan_hold(plan), .fetches = may_fetch(plan)};
    struct ramet_stack *stack = ramet_launch_stack(plan->slots);
    *report = (struct ramet_report){.pid = -ENOMEM, .pidfd = -1};
    if (request.args.flags & CLONE_PIDFD && request.args.pidfd == 0)
        request.args.pidfd = (uintptr_t)&report->pidfd;
    if (stack != NULL) {
        wanted.mask = ramet_block_signals();
        spawn_on(stack, &request, &wanted, report);
        ramet_set_signal_mask(wanted.mask);
        ramet_launch_stack_release(stack);
    }
    /* Whoever has named a word for it sees it there while we are suspended. */
    if (request.args.flags & CLONE_PIDFD)
        report->pidfd = *(int *)(uintptr_t)request.args.pidfd;
    ramet_plan_release(plan);
}
