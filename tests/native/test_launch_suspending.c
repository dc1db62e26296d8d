/* A launch returns when the program runs or a step has failed, with what there is to know of the child. */
#include "check.h"
#include "launch_suspending.h"
#include "plans.h"

static struct ramet_report launch(struct ramet_plan *plan, uint64_t flags)
{
    struct ramet_report report;
    struct ramet_request request = {.legacy = true};
    request.args.flags = CLONE_VM | CLONE_VFORK | flags;
    request.args.exit_signal = SIGCHLD;
    ramet_launch_suspending(&request, plan, &report);
    CHECK(plan->holders == 1);
    return report;
}

int main(void)
{
    const struct ramet_step runs[] = {STEP(CHDIR, ADDRESS("/")), EXEC_SH};
    const struct ramet_step fails[] = {STEP(CHDIR, ADDRESS("/")), EXEC_NOTHING};
    struct ramet_plan running = PLAN_OF(runs), failing = PLAN_OF(fails);
    struct ramet_report report = launch(&running, 0);
    CHECK(report.failed_step == -1 && report.pidfd == -1);
    CHECK(code_of(report.pid) == FOUND);
    running.slots = 100000;
    report = launch(&running, CLONE_PIDFD);
    CHECK(report.pidfd >= 0 && close(report.pidfd) == 0);
    CHECK(code_of(report.pid) == FOUND);
    report = launch(&failing, 0);
    CHECK(report.failed_step == 1 && report.error == ENOENT);
    CHECK(code_of(report.pid) == 127);
    report = launch(&running, CLONE_THREAD); /* without SIGHAND */
    CHECK(report.pid == -EINVAL);
    return passed();
}
