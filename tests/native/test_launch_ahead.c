/* A child that is made ahead waits unseen, goes on with what it is sent, and ends with who made it. */
#include <fcntl.h>
#include <string.h>

#include "check.h"
#include "launch_ahead.h"
#include "pid_namespace.h"
#include "plans.h"

static int place, nothing;

/* As a plain user it needs a user namespace for the other. */
static uint64_t around(void)
{
    return geteuid() == 0 ? 0 : CLONE_NEWUSER;
}

static struct ramet_ahead *make(struct ramet_plan *plan, struct ramet_report *report)
{
    struct ramet_request request = {.legacy = true};
    request.args.flags = CLONE_VM | CLONE_FILES;
    plan->enters = true;
    return ramet_launch_ahead(&request, plan, place, nothing, report);
}

static struct ramet_ahead *waiting(struct ramet_plan *plan)
{
    struct ramet_report report;
    struct ramet_ahead *child = make(plan, &report);
    if (child == NULL && report.error == EPERM)
        SKIP("no pid namespace can be made here");
    CHECK(child != NULL);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    return child;
}

/* In the order in which the kernel lets them be reaped; the init lives until it is killed, and for a second at most. */
static int code_of_both(const struct ramet_report *report)
{
    const int code = code_of(report->pid);
    CHECK(kill((pid_t)report->init, SIGKILL) == 0 && code_of(report->init) == -SIGKILL);
    close(report->pidfd);
    close(report->init_pidfd);
    return code;
}

static void goes_on_with_what_it_is_sent(struct ramet_plan *first)
{
    static char *const says[] = {"sh", "-c", "read word && echo \"$word\" >&7; exit 42", NULL};
    const struct ramet_step steps[] = {
        STEP(RAISE, 0, 8), STEP(RAISE, 1, 8), STEP(RESTORE, 1, 0), STEP(RESTORE, 0, 7),
        STEP(EXEC, ADDRESS(places), ADDRESS(says), ADDRESS(environ)),
    };
    struct ramet_plan second = PLAN_OF(steps);
    struct ramet_ahead *child = waiting(first);
    struct ramet_report report;
    int in[2], out[2];
    char text[8] = "";
    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    const int sent[] = {out[1], in[0]}, closed[] = {out[1], 1000};
    CHECK(ramet_ahead_go(child, &second, closed, 2, &report) == -EBADF); /* it waits on */
    CHECK(ramet_ahead_go(child, &second, sent, 2, &report) == 0);
    CHECK(report.failed_step == -1 && ramet_ahead_go(child, &second, sent, 2, &report) == -ESRCH);
    ramet_ahead_release(child);
    close(out[1]);
    CHECK(write(in[1], "word\n", 5) == 5);
    CHECK(read(out[0], text, sizeof text) == 5 && strcmp(text, "word\n") == 0);
    CHECK(code_of_both(&report) == FOUND);
    close(in[0]), close(in[1]), close(out[0]);
}

/* As soon as the child has ended, though it was not reaped; the init stays. */
static void kills_who_is_left(struct ramet_plan *first)
{
    static char *const leaves[] = {"sh", "-c", "sleep 1000 & exit 42", NULL};
    const struct ramet_step steps[] = {
        STEP(RAISE, 0, 8), STEP(RESTORE, 0, 7), STEP(EXEC, ADDRESS(places), ADDRESS(leaves), ADDRESS(environ))};
    struct ramet_plan second = PLAN_OF(steps);
    struct ramet_ahead *child = waiting(first);
    struct ramet_report report;
    int held[2];
    char byte;
    CHECK(pipe2(held, O_CLOEXEC) == 0);
    CHECK(ramet_ahead_go(child, &second, &held[1], 1, &report) == 0 && report.failed_step == -1);
    ramet_ahead_release(child);
    close(held[1]);
    CHECK(read(held[0], &byte, 1) == 0);
    CHECK(code_of_both(&report) == FOUND);
    close(held[0]);
}

/* And what was below the child is below the init when the child can be reaped. */
static void gets_who_is_left(struct ramet_plan *first)
{
    static char *const leaves[] = {"sh", "-c", "sleep 1000 & exit 42", NULL};
    const struct ramet_step steps[] = {STEP(EXEC, ADDRESS(places), ADDRESS(leaves), ADDRESS(environ))};
    struct ramet_plan second = PLAN_OF(steps);
    struct ramet_ahead *child = waiting(first);
    struct ramet_report report;
    char path[64], pids[16] = "";
    long init;
    ramet_ahead_pid(child, &init);
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", init, init);
    const int children = open(path, O_RDONLY | O_CLOEXEC);
    if (children < 0)
        SKIP("this kernel has no such file in /proc");
    CHECK(pread(children, pids, sizeof pids, 0) == 0);
    CHECK(kill((pid_t)init, SIGSTOP) == 0); /* it kills nobody meanwhile */
    CHECK(ramet_ahead_go(child, &second, NULL, 0, &report) == 0);
    ramet_ahead_release(child);
    CHECK(code_of(report.pid) == FOUND && pread(children, pids, sizeof pids, 0) > 1);
    CHECK(kill((pid_t)init, SIGKILL) == 0 && code_of(init) == -SIGKILL);
    close(report.pidfd), close(report.init_pidfd), close(children);
}

static void fails_where_it_does(struct ramet_plan *first)
{
    const struct ramet_step steps[] = {STEP(CHDIR, ADDRESS("/")), EXEC_NOTHING};
    struct ramet_plan second = PLAN_OF(steps);
    struct ramet_report report;
    struct ramet_ahead *child = waiting(first);
    CHECK(ramet_ahead_go(child, &second, NULL, 0, &report) == 0);
    CHECK(report.failed_step == 1 && report.error == ENOENT);
    ramet_ahead_release(child);
    CHECK(code_of_both(&report) == 127);
}

static void is_ended_unless_it_was_sent_on(struct ramet_plan *first)
{
    const struct ramet_step steps[] = {EXEC_SH};
    struct ramet_plan second = PLAN_OF(steps);
    struct ramet_report report;
    ramet_ahead_release(waiting(first));
    struct ramet_ahead *child = waiting(first);
    long init, pid = ramet_ahead_pid(child, &init);
    CHECK(init > 0 && kill((pid_t)pid, SIGKILL) == 0);
    CHECK(ramet_ahead_go(child, &second, NULL, 0, &report) == -ESRCH);
    ramet_ahead_release(child);
    CHECK(kill((pid_t)init, 0) == -1 && errno == ESRCH);
}

int main(void)
{
    place = open("/dev/null", O_PATH | O_CLOEXEC), nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct ramet_step own = STEP(OWN_FILES, 100, 100), enter = STEP(PID_NAMESPACE, -1, -1, 0);
    const struct ramet_step first[] = {own, STEP(UNSHARE, around()), enter, STEP(AWAIT, place)};
    const struct ramet_step fails[] = {own, STEP(UNSHARE, around()), enter, STEP(CHDIR, ADDRESS("/nowhere")), STEP(AWAIT, place)};
    const struct ramet_step fails_before[] = {own, STEP(CHDIR, ADDRESS("/nowhere")), enter, STEP(AWAIT, place)};
    struct ramet_plan good = PLAN_OF(first), bad = PLAN_OF(fails), worse = PLAN_OF(fails_before);
    struct ramet_report report;
    goes_on_with_what_it_is_sent(&good);
    kills_who_is_left(&good);
    gets_who_is_left(&good);
    fails_where_it_does(&good);
    is_ended_unless_it_was_sent_on(&good);
    CHECK(make(&bad, &report) == NULL && report.failed_step == 3 && report.error == ENOENT);
    CHECK(make(&worse, &report) == NULL && report.failed_step == 1);
    close(place), place = -1;
    CHECK(make(&good, &report) == NULL && report.pid == -EBADF);
    CHECK(good.holders == 1 && bad.holders == 1 && worse.holders == 1);
    return passed();
}
