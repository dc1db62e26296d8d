/* A child that waits is killed at a safe point; one that computes runs on, or is killed all the same. None is waited for in vain. */
#include <sys/resource.h>

#include "owner.h"
#include "refused_call.h"
#include "safe_kill.h"
#include "task_state.h"

static int removed;

static void count(const struct ramet_syscall_state *state)
{
    removed += state->call == __NR_ppoll;
}

static const struct ramet_sharers known = {count, NULL};

static int compute(void *fn, void *arg, void *computes)
{
    (void)fn, (void)arg;
    for (*(volatile int *)computes = 1; *(volatile int *)computes;)
        ;
    return FAILED;
}

static void a_signal_needs_no_pidfd(void)
{
    long pid = start_sharer(wait_for_ever, NULL, 0);
    CHECK(ramet_send_signal((pid_t)pid, -1, SIGTERM) == 0);
    CHECK(code_of(pid) == -SIGTERM);
    pid = start_sharer(wait_for_ever, NULL, 0);
    int pidfd = (int)ramet_syscall2(__NR_pidfd_open, pid, 0);
    CHECK(ramet_send_signal((pid_t)pid, pidfd, SIGTERM) == 0);
    CHECK(code_of(pid) == -SIGTERM);
    CHECK(ramet_send_signal((pid_t)pid, pidfd, SIGTERM) == -ESRCH);
    close(pidfd);
}

static void one_that_waits(void)
{
    bool at_safe_point = false;
    long pid = start_sharer(wait_for_ever, NULL, 0);
    while (ramet_task_state(pid) != 'S')
        sched_yield();
    CHECK(ramet_kill_sharer((pid_t)pid, -1, &known, &at_safe_point) == 0);
    CHECK(code_of(pid) == -SIGKILL);
    if (!at_safe_point)
        SKIP("/proc/PID/syscall cannot be read");
    CHECK(removed == 1);
}

static void one_that_computes(void)
{
    bool at_safe_point = true;
    int computes = 0;
    long pid = start_sharer(compute, &computes, 0);
    while (!*(volatile int *)&computes)
        sched_yield();
    CHECK(ramet_kill_sharer_if_safe((pid_t)pid, -1, &known, 2) == -EAGAIN);
    CHECK(waitpid((pid_t)pid, NULL, WNOHANG) == 0);
    CHECK(ramet_kill_sharer((pid_t)pid, -1, &known, &at_safe_point) == 0);
    CHECK(code_of(pid) == -SIGKILL && !at_safe_point);
}

/* A sleep is one switch. */
static long switches(void)
{
    struct rusage used;
    CHECK(getrusage(RUSAGE_SELF, &used) == 0);
    return used.ru_nvcsw;
}

#define FEW_SWITCHES 20

/* At its death, which it did not die of this kill, it was at no safe point. */
static void one_that_has_ended(void)
{
    bool at_safe_point = true;
    siginfo_t info;
    long pid = start_sharer(wait_for_ever, NULL, 0);
    kill((pid_t)pid, SIGTERM);
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    long before = switches();
    ramet_kill_sharer((pid_t)pid, -1, &known, &at_safe_point);
    CHECK(!at_safe_point && ramet_kill_sharer_if_safe((pid_t)pid, -1, &known, RAMET_KILL_TRIES) < 0);
    CHECK(switches() - before < FEW_SWITCHES);
    CHECK(code_of(pid) == -SIGTERM);
}

static int wait_with_owner(void *fn, void *arg, void *context)
{
    ramet_syscall5(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    __atomic_store_n((int *)context, 1, __ATOMIC_RELEASE);
    return wait_for_ever(fn, arg, NULL);
}

static void one_that_may_not_be_signalled(void)
{
    int waits = 0;
    long pid = start_sharer(wait_with_owner, &waits, 0);
    while (!__atomic_load_n(&waits, __ATOMIC_ACQUIRE))
        sched_yield();
    if (!refuse_call(__NR_kill, EPERM))
        SKIP("no seccomp filter can be installed");
    long before = switches();
    CHECK(ramet_kill_sharer_if_safe((pid_t)pid, -1, &known, RAMET_KILL_TRIES) == -EPERM);
    CHECK(ramet_kill_sharer((pid_t)pid, -1, &known, NULL) == -EPERM);
    CHECK(switches() - before < FEW_SWITCHES);
}

int main(void)
{
    a_signal_needs_no_pidfd();
    one_that_waits();
    one_that_computes();
    one_that_has_ended();
    expect_killed_with_owner(one_that_may_not_be_signalled, 1);
    return passed();
}
