/* The stack, the plan and the request of a launch. */
#include "launch.h"

#include <linux/sched.h>
#include <stdlib.h>

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

/* One stack is kept for the next launch: to map one costs as much as all else that the parent does. */
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

struct ramet_entry ramet_prepare_launch(struct ramet_stack *stack, struct ramet_request *request,
                                        struct ramet_launch *launch)
{
    request->args.stack = stack->base;
    request->args.stack_size = stack->size;
    launch->slots = (int *)(stack->base + sizeof *launch); /* at the lower end, which the child does not reach */
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
