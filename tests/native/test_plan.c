/* A child carries out the steps of its plan in their order; the first that fails is reported with its number and errno. */
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "check.h"
#include "plans.h"

enum { OPENED = 60, KEPT = 61, LOWEST = 100 };

static bool do_steps(const struct ramet_step *steps, size_t count, struct ramet_launch *launch)
{
    static int slots[2];
    static struct ramet_plan plan;
    plan = (struct ramet_plan){.count = count, .slots = 2, .steps = steps};
    *launch = (struct ramet_launch){.plan = &plan, .slots = slots, .failed_step = -1};
    return ramet_do_steps(launch);
}

#define DO(steps, launch) do_steps(steps, sizeof(steps) / sizeof(steps)[0], launch)

/* Steps change the process, so each case is a child. */
static void in_a_child(int (*check)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(check());
    CHECK(code_of(pid) == FOUND);
}

static int steps_take_effect(void)
{
    const struct ramet_step steps[] = {
        STEP(CHDIR, ADDRESS("/proc")),
        STEP(UMASK, 027),
        STEP(SIGNAL_ACTION, SIGUSR1, (uintptr_t)SIG_IGN),
        STEP(SIGNAL_MASK, 5),
        STEP(WRITE, (uintptr_t)AT_FDCWD, ADDRESS("self/comm"), ADDRESS("by-a-step"), 9),
    };
    struct ramet_launch launch;
    char directory[16], name[16];
    CHECK(DO(steps, &launch) && launch.failed_step == -1);
    CHECK(strcmp(getcwd(directory, sizeof directory), "/proc") == 0);
    CHECK(umask(0) == 027);
    CHECK(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    CHECK(launch.mask == 5);
    CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "by-a-step") == 0);
    return FOUND;
}

static int descriptors_are_placed(void)
{
    const struct ramet_step steps[] = {
        STEP(OPEN, ADDRESS("/dev/null"), O_RDONLY, 0, LOWEST),
        STEP(SAVE, 2, 1, LOWEST),
        STEP(RESTORE, 0, OPENED),
        STEP(RESTORE, 1, KEPT),
        STEP(CLOSE_RANGE, KEPT + 1, UINT32_MAX),
    };
    struct ramet_launch launch;
    struct stat opened, null;
    CHECK(DO(steps, &launch));
    CHECK(fstat(OPENED, &opened) == 0 && stat("/dev/null", &null) == 0 && opened.st_rdev == null.st_rdev);
    CHECK(fcntl(KEPT, F_GETFD) == 0);
    CHECK(fcntl(LOWEST, F_GETFD) == -1 && fcntl(LOWEST + 1, F_GETFD) == -1);
    return FOUND;
}

/* The number that a call returns comes in the place of an errno, above all of these; its own errno is as it is. */
static int a_question_is_answered(void)
{
    const struct ramet_step granted[] = {
        STEP(SYSCALL, SYS_umask, 027),
        STEP(ASK, SYS_umask, 077),
        STEP(UMASK, 0),
    };
    const struct ramet_step refused[] = {STEP(ASK, SYS_chdir, ADDRESS("/nonexistent"))};
    struct ramet_launch launch;
    CHECK(!DO(granted, &launch));
    CHECK(launch.failed_step == 1 && launch.error == RAMET_ANSWERED + 027);
    CHECK(umask(0) == 077); /* the step after it is left out */
    CHECK(!DO(refused, &launch));
    CHECK(launch.failed_step == 0 && launch.error == ENOENT);
    return FOUND;
}

static int a_failure_is_reported(void)
{
    const struct ramet_step steps[] = {
        STEP(UMASK, 027),
        STEP(CHDIR, ADDRESS("/nonexistent")),
        STEP(UMASK, 077),
    };
    struct ramet_launch launch;
    CHECK(!DO(steps, &launch));
    CHECK(launch.failed_step == 1 && launch.error == ENOENT);
    CHECK(umask(0) == 027); /* the step after it is left out */
    return FOUND;
}

static int a_program_is_executed(void)
{
    const struct ramet_step steps[] = {EXEC_SH};
    struct ramet_launch launch;
    DO(steps, &launch);
    return FAILED;
}

/* In shared memory, and so the report is here when the child has ended. */
static void an_exec_that_fails_ends_the_child(void)
{
    const struct ramet_step steps[] = {EXEC_NOTHING};
    const struct ramet_plan plan = PLAN_OF(steps);
    struct ramet_launch launch = {.plan = &plan, .failed_step = -1};
    static char stack[65536] __attribute__((aligned(16)));
    struct ramet_request request = {.args.flags = CLONE_VM | CLONE_VFORK, .args.exit_signal = SIGCHLD, .legacy = true};
    const struct ramet_entry entry = {ramet_run_plan, NULL, &launch, NULL, __NR_exit_group};
    request.args.stack = (uintptr_t)stack;
    request.args.stack_size = sizeof stack;
    CHECK(code_of(ramet_make_task(&request, &entry)) == 127);
    CHECK(launch.failed_step == 0 && launch.error == ENOENT);
}

int main(void)
{
    in_a_child(steps_take_effect);
    in_a_child(descriptors_are_placed);
    in_a_child(a_question_is_answered);
    in_a_child(a_failure_is_reported);
    in_a_child(a_program_is_executed);
    an_exec_that_fails_ends_the_child();
    return passed();
}
