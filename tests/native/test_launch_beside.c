/* A child waits at its gate while its caller goes on; it can be let on, or killed, and is the process's own in the end. */
#include <pthread.h>

#include "check.h"
#include "launch_beside.h"
#include "plans.h"

#define EVER (-1)
#define AT_ONCE 0

static const struct ramet_launch_manner plain = {.waits = true, .pid_namespace = RAMET_NO_NAMESPACE};

static struct ramet_underway *launch(struct ramet_plan *plan, const struct ramet_launch_manner *manner)
{
    struct ramet_request request = {.args.flags = CLONE_VM, .args.exit_signal = SIGCHLD, .legacy = true};
    if (manner->has_own_score)
        request.args.flags |= CLONE_VFORK;
    int error = 0, pidfd;
    struct ramet_underway *child = ramet_launch_beside(&request, plan, manner, &error);
    CHECK(child != NULL && error == 0);
    CHECK(ramet_underway_pid(child, &pidfd) > 0 && pidfd == -1);
    return child;
}

static void *through_the_gate(void *manner)
{
    const struct ramet_step steps[] = {STEP(GATE, 1, 0), EXEC_SH};
    struct ramet_plan plan = PLAN_OF(steps);
    struct ramet_report report;
    struct ramet_underway *child = launch(&plan, manner);
    CHECK(ramet_underway_await(child, 1, EVER, &report) && report.failed_step == -1);
    CHECK(!ramet_underway_await(child, RAMET_LAUNCHED, AT_ONCE, &report));
    ramet_underway_open_gate(child, 1);
    CHECK(ramet_underway_await(child, RAMET_LAUNCHED, EVER, &report) && report.failed_step == -1);
    CHECK(code_of(report.pid) == FOUND);
    ramet_underway_release(child);
    for (; __atomic_load_n(&plan.holders, __ATOMIC_ACQUIRE) != 1; sched_yield()) /* a helper thread is about to end */
        ramet_underway_sweep();
    return NULL;
}

static void killed_at_the_gate(void)
{
    const struct ramet_step steps[] = {STEP(GATE, 1, 0), EXEC_SH};
    struct ramet_plan plan = PLAN_OF(steps);
    struct ramet_report report;
    struct ramet_underway *child = launch(&plan, &plain);
    CHECK(ramet_underway_await(child, 1, EVER, &report));
    ramet_underway_cancel(child);
    CHECK(ramet_underway_await(child, RAMET_LAUNCHED, EVER, &report));
    CHECK(report.failed_step == RAMET_ENDED_AT_GATE);
    CHECK(code_of(report.pid) == -SIGKILL);
    ramet_underway_release(child);
}

static void a_step_fails(void)
{
    const struct ramet_step steps[] = {EXEC_NOTHING};
    struct ramet_plan plan = PLAN_OF(steps);
    struct ramet_report report;
    struct ramet_underway *child = launch(&plan, &plain);
    CHECK(ramet_underway_await(child, RAMET_LAUNCHED, EVER, &report));
    CHECK(report.failed_step == 0 && report.error == ENOENT);
    CHECK(code_of(report.pid) == 127);
    ramet_underway_release(child);
}

int main(void)
{
    struct ramet_launch_manner scored = {.waits = true, .has_own_score = true, .pid_namespace = RAMET_NO_NAMESPACE};
    pthread_t thread;
    through_the_gate((void *)&plain);
    through_the_gate(&scored);
    CHECK(pthread_create(&thread, NULL, through_the_gate, (void *)&plain) == 0); /* by a helper thread */
    pthread_join(thread, NULL);
    killed_at_the_gate();
    a_step_fails();
    return passed();
}
