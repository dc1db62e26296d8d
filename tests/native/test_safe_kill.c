/* A child that waits is killed at a safe point; one that computes runs on, or is killed all the same. */
#include "check.h"
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

int main(void)
{
    a_signal_needs_no_pidfd();
    one_that_waits();
    one_that_computes();
    return passed();
}
