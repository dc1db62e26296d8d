/* Stop, look, kill: by raw calls, since a host thread does so, too, while its thread-local block is lent. */
#define _GNU_SOURCE
#include "safe_kill.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "futex.h"
#include "proc_file.h"
#include "stopped_task.h"

#define PAUSE (RAMET_MILLISECOND / 20)     /* between two looks */
#define LEAST_RUN (RAMET_MILLISECOND / 10) /* between two tries */
#define TRIES_OF_ONE_RUN 5
#define MOST_LOOKS 4000 /* a fifth of a second at least */
#define MOST_LOOKS_AT_RUNNABLE (5 * MOST_LOOKS)

/* Then no task has reaped it, and its pid is still its own. */
static bool has_not_ended(int pidfd)
{
    const struct timespec at_once = {0};
    struct pollfd waited = {.fd = pidfd, .events = POLLIN};
    return ramet_syscall5(__NR_ppoll, &waited, 1, &at_once, NULL, 0) == 0;
}

long ramet_send_signal(pid_t pid, int pidfd, int signal)
{
    long error = pidfd < 0 ? -ENOSYS : ramet_syscall4(__NR_pidfd_send_signal, pidfd, signal, NULL, 0);
    if (error == 0 || error == -ESRCH || error == -EBADF || error == -EINVAL)
        return error;
    if (pidfd >= 0 && !has_not_ended(pidfd))
        return -ESRCH; /* whatever was answered: a zombie takes no signal */
    if (pid <= 0)
        return error;
    return ramet_syscall2(__NR_kill, pid, signal);
}

/*
 * There is no event to wait for: another thread may take the report of a stop, or another process gets it (CLONE_PARENT).
 * A task that is runnable will stop when it gets a processor; one in uninterruptible sleep may never.
 */
static bool has_stopped(long number)
{
    char state = 'R';
    for (int look = 0; look < (state == 'R' ? MOST_LOOKS_AT_RUNNABLE : MOST_LOOKS); look++) {
        state = ramet_task_state(number);
        if (state == '\0' || state == 'T' || state == 't' || state == 'Z' || state == 'X')
            return true;
        ramet_pause(PAUSE);
    }
    return false;
}

struct target {
    pid_t pid;
    int pidfd, count;
    long number; /* by which /proc has it */
    bool hidden; /* where it is cannot be read */
    long numbers[RAMET_MOST_THREADS]; /* of its threads */
    struct ramet_syscall_state states[RAMET_MOST_THREADS];
};

/* Whether all of it has stopped. safe: at safe points. */
static bool stop(struct target *target, bool *safe)
{
    struct ramet_calls_before before;
    ramet_look_before_stop(&before, target->number);
    ramet_send_signal(target->pid, target->pidfd, SIGSTOP);
    target->count = ramet_task_numbers(target->number, target->numbers, RAMET_MOST_THREADS);
    bool stopped = *safe = true;
    for (int i = 0; i < target->count && stopped; i++) {
        stopped = has_stopped(target->numbers[i]);
        target->states[i] = ramet_stopped_call(&before, target->numbers[i]);
        target->hidden = target->hidden || target->states[i].hidden;
        *safe = *safe && stopped && ramet_is_at_safe_point(&target->states[i]);
    }
    return stopped;
}

/*
 * Lets it run on for a moment while it is not at a safe point: longer from try to try, since some libraries' threads
 * spin for tens of milliseconds before they sleep.
 */
static bool stop_at_safe_point(struct target *target, int tries, bool *safe)
{
    for (int try = 0;; try++) {
        bool stopped = stop(target, safe);
        if (!stopped || *safe || target->hidden || try + 1 >= tries)
            return stopped;
        ramet_send_signal(target->pid, target->pidfd, SIGCONT);
        ramet_pause((try / TRIES_OF_ONE_RUN + 1) * LEAST_RUN);
    }
}

static long kill_stopped(const struct target *target, ramet_remove_waiter *remove_waiter)
{
    for (int i = 0; i < target->count; i++)
        if (target->states[i].stack_pointer != 0)
            remove_waiter(&target->states[i]);
    return ramet_send_signal(target->pid, target->pidfd, SIGKILL);
}

long ramet_kill_sharer(pid_t pid, int pidfd, ramet_remove_waiter *remove_waiter, bool *at_safe_point)
{
    struct target target = {.pid = pid, .pidfd = pidfd, .number = ramet_proc_number_of_process(pid, pidfd)};
    bool safe;
    bool stopped = stop_at_safe_point(&target, RAMET_KILL_TRIES, &safe);
    if (at_safe_point != NULL)
        *at_safe_point = safe && target.count < RAMET_MOST_THREADS;
    return stopped ? kill_stopped(&target, remove_waiter) : ramet_send_signal(pid, pidfd, SIGKILL);
}

long ramet_kill_sharer_if_safe(pid_t pid, int pidfd, ramet_remove_waiter *remove_waiter, int tries)
{
    struct target target = {.pid = pid, .pidfd = pidfd, .number = ramet_proc_number_of_process(pid, pidfd)};
    bool safe;
    stop_at_safe_point(&target, tries, &safe);
    if (safe && target.count < RAMET_MOST_THREADS)
        return kill_stopped(&target, remove_waiter);
    long error = ramet_send_signal(pid, pidfd, SIGCONT);
    return error < 0 ? error : target.hidden ? -ENODATA : -EAGAIN;
}
