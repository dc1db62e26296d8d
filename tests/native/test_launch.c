/* What a launch is made of: a stack that is kept for the next, a request for it, and a plan that its last holder frees. */
#include "check.h"
#include "launch.h"
#include "lent_memory.h"

static void a_stack_is_used_again(void)
{
    struct ramet_stack *first = ramet_launch_stack(0), *second = ramet_launch_stack(0);
    CHECK(first != NULL && second != NULL && first != second);
    ramet_launch_stack_release(first);
    ramet_launch_stack_release(second);
    CHECK(ramet_launch_stack(0) == first);
    struct ramet_stack *large = ramet_launch_stack(100000);
    CHECK(large->size >= 100000 * sizeof(int));
    ramet_launch_stack_release(large);
    ramet_launch_stack_release(first);
}

static void a_request_is_completed(void)
{
    const struct ramet_plan plan = {.minds_parent = true};
    struct ramet_stack *stack = ramet_launch_stack(0);
    struct ramet_request request = {0};
    struct ramet_launch launch = {.plan = &plan};
    struct ramet_report report;
    struct ramet_entry entry = ramet_prepare_launch(stack, &request, &launch);
    CHECK(request.args.stack == stack->base && request.args.stack_size == stack->size);
    CHECK(entry.run == ramet_run_plan && entry.fn == &launch && launch.clear_handlers);
    CHECK(launch.parent_word == NULL || *launch.parent_word != 0);
    ramet_read_report(&launch, &report);
    CHECK(report.failed_step == -1);
    request.args.flags = CLONE_SIGHAND;
    ramet_prepare_launch(stack, &request, &launch);
    CHECK(!launch.clear_handlers);
    ramet_launch_stack_release(stack);
}

static void a_plan_is_counted(void)
{
    struct ramet_plan *plan = calloc(1, sizeof *plan);
    plan->holders = 1;
    CHECK(ramet_plan_hold(plan) == plan && plan->holders == 2);
    ramet_plan_release(plan);
    CHECK(plan->holders == 1);
    ramet_plan_release(plan);
}

int main(void)
{
    a_stack_is_used_again();
    a_request_is_completed();
    a_plan_is_counted();
    return passed();
}
