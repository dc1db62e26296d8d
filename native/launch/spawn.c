/* Launching a plan: with VFORK the kernel suspends us until the exec, without it a word tells of it. */
#define _GNU_SOURCE
#include "spawn.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>

#include "futex.h"
#include "memory.h"
#include "pile.h"

#define STACK_BYTES 65536
#define MOST_SLOTS_ON_STACK (STACK_BYTES / 2 / sizeof(int))

/*
 * A child that is stopped before its program uses all this until it execs or dies. One word tells
 * where it stands: it sets it itself when it is at the gate, and CHILD_CLEARTID clears it.
 */
struct waiting_launch {
    struct ramet_link link; /* first: the pile knows no more of it */
    struct ramet_launch launch;
    struct ramet_gate gate;
    int word;
    struct ramet_plan *plan;
    struct ramet_stack *stack;
};

#define ON_ITS_WAY (-1)

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

static struct ramet_stack *take_stack(size_t slots)
{
    if (slots > MOST_SLOTS_ON_STACK)
        return ramet_stack_new(STACK_BYTES + slots * sizeof(int));
    struct ramet_stack *stack = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQ_REL);
    return stack != NULL ? stack : ramet_stack_new(STACK_BYTES);
}

static void give_back(struct ramet_stack *stack)
{
    struct ramet_stack *none = NULL;
    if (stack->size == STACK_BYTES &&
        __atomic_compare_exchange_n(&spare, &none, stack, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    ramet_stack_release(stack);
}

/* The slots lie at the far end of the child's stack. */
static void prepare(struct ramet_launch *launch, const struct ramet_plan *plan, const struct ramet_stack *stack)
{
    *launch = (struct ramet_launch){.plan = plan, .slots = (int *)stack->base, .failed_step = -1};
}

static long give_birth(struct ramet_request request, struct ramet_launch *launch, const struct ramet_stack *stack)
{
    struct ramet_entry entry = {ramet_run_plan, NULL, launch, NULL, __NR_exit_group};
    launch->clear_handlers = !(request.args.flags & (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND));
    request.args.stack = stack->base;
    request.args.stack_size = stack->size;
    launch->mask = ramet_block_signals();
    long pid = ramet_birth(&request, &entry);
    ramet_set_signal_mask(launch->mask);
    return pid;
}

static void read_report(const struct ramet_launch *launch, struct ramet_report *report)
{
    report->failed_step = __atomic_load_n(&launch->failed_step, __ATOMIC_ACQUIRE);
    report->error = launch->error;
}

static long spawn_suspended(const struct ramet_request *request, const struct ramet_plan *plan,
                            struct ramet_report *report)
{
    struct ramet_stack *stack = take_stack(plan->slots);
    if (stack == NULL)
        return -ENOMEM;
    struct ramet_launch launch;
    prepare(&launch, plan, stack);
    long pid = give_birth(*request, &launch, stack);
    read_report(&launch, report);
    give_back(stack);
    return pid;
}

static struct ramet_link *waiting;

static void end_waiting(struct waiting_launch *launch)
{
    ramet_stack_release(launch->stack);
    ramet_plan_release(launch->plan);
    free(launch);
}

void ramet_spawn_sweep(void)
{
    struct ramet_link *next;
    for (struct ramet_link *link = ramet_take_all(&waiting); link != NULL; link = next) {
        struct waiting_launch *launch = (struct waiting_launch *)link;
        next = link->next;
        if (__atomic_load_n(&launch->word, __ATOMIC_ACQUIRE) == 0)
            end_waiting(launch);
        else
            ramet_push(&waiting, link);
    }
}

static struct waiting_launch *waiting_new(struct ramet_plan *plan)
{
    struct waiting_launch *launch = calloc(1, sizeof *launch);
    if (launch == NULL)
        return NULL;
    launch->stack = ramet_stack_new(STACK_BYTES + plan->slots * sizeof(int));
    if (launch->stack == NULL) {
        free(launch);
        return NULL;
    }
    launch->plan = ramet_plan_hold(plan);
    launch->word = ON_ITS_WAY;
    prepare(&launch->launch, plan, launch->stack);
    launch->launch.gate = &launch->gate;
    launch->launch.arrived = &launch->word;
    return launch;
}

/* The stop is not at the child's birth but before its program, so that what fails on the way is told. */
static long spawn_stopped(struct ramet_request request, struct ramet_plan *plan, struct ramet_report *report)
{
    struct waiting_launch *launch = waiting_new(plan);
    if (launch == NULL)
        return -ENOMEM;
    request.stopped = false;
    request.args.flags = (request.args.flags & ~(uint64_t)CLONE_VFORK) | CLONE_CHILD_CLEARTID;
    request.args.child_tid = (uintptr_t)&launch->word;
    long pid = give_birth(request, &launch->launch, launch->stack);
    if (pid < 0) {
        end_waiting(launch);
        return pid;
    }
    while (__atomic_load_n(&launch->word, __ATOMIC_ACQUIRE) == ON_ITS_WAY)
        ramet_futex_wait(&launch->word, ON_ITS_WAY, NULL);
    read_report(&launch->launch, report);
    if (report->failed_step < 0)
        ramet_gate_hold(&launch->gate, pid, true);
    ramet_push(&waiting, &launch->link);
    return pid;
}

long ramet_spawn(const struct ramet_request *request, struct ramet_plan *plan, struct ramet_report *report)
{
    ramet_spawn_sweep();
    return request->stopped ? spawn_stopped(*request, plan, report) : spawn_suspended(request, plan, report);
}
