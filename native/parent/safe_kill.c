/* Stop, look, kill: by raw calls, for a host thread does it, too, while its thread-local block is lent. */
#define _GNU_SOURCE
#include "safe_kill.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "child.h"
#include "task_state.h"

#define TRIES 100
#define TRIES_OF_ONE_PAUSE 5
#define MOST_THREADS 64 /* that are looked at: few children start any */
#define MOST_LOOKS 4000 /* a fifth of a second at least, for a task that no processor has time for */

/* Then nobody has reaped it, and its pid is its own. */
static bool has_not_ended(int pidfd)
{
    const struct timespec at_once = {0};
    struct pollfd waited = {.fd = pidfd, .events = POLLIN};
    return ramet_syscall5(__NR_ppoll, &waited, 1, &at_once, NULL, 0) == 0;
}

long ramet_send_signal(pid_t pid, int pidfd, int signal)
{
    long error = pidfd < 0 ? -ENOSYS : ramet_syscall4(__NR_pidfd_send_signal, pidfd, signal, NULL, 0);
    if (error == 0 || error == -ESRCH || (pidfd >= 0 && !has_not_ended(pidfd)))
        return error;
    return ramet_syscall2(__NR_kill, pid, signal);
}

/* There is no event to wait for: the report of a stop may have been taken, or be another parent's. */
static void pause_shortly(void)
{
    const struct timespec pause = {.tv_nsec = 50000};
    ramet_syscall2(__NR_nanosleep, &pause, NULL);
}

/* Some threads of libraries look for work for tens of milliseconds before they rest. */
static void pause_after(int tries)
{
    for (int i = 0; i <= tries / TRIES_OF_ONE_PAUSE; i++)
        pause_shortly();
}

static bool has_stopped(pid_t pid)
{
    for (int look = 0; look < MOST_LOOKS; look++) {
        char state = ramet_task_state(pid);
        if (state == '\0' || state == 'T' || state == 't' || state == 'Z' || state == 'X')
            return true;
        pause_shortly();
    }
    return false;
}

static bool have_stopped(const long *tids, int count)
{
    for (int i = 0; i < count; i++)
        if (!has_stopped((pid_t)tids[i]))
            return false;
    return true;
}

static bool stand_well(const struct ramet_syscall_state *stands, int count)
{
    for (int i = 0; i < count; i++)
        if (!ramet_is_at_safe_point(&stands[i]))
            return false;
    return true;
}

struct victim {
    pid_t pid;
    int pidfd, count;
    long tids[MOST_THREADS];
    struct ramet_syscall_state stands[MOST_THREADS];
};

/* Whether it stopped at all; it is stopped then. well: all of it, where it is at a safe point. */
static bool stop(struct victim *victim, bool *well)
{
    ramet_send_signal(victim->pid, victim->pidfd, SIGSTOP);
    victim->count = ramet_task_tids(victim->pid, victim->tids, MOST_THREADS);
    bool stopped = have_stopped(victim->tids, victim->count);
    for (int i = 0; i < victim->count; i++)
        victim->stands[i] = ramet_task_syscall(victim->tids[i]);
    *well = stopped && stand_well(victim->stands, victim->count);
    return stopped;
}

/* Lets it go on for a moment while it stands badly. */
static bool stop_well(struct victim *victim, int tries, bool *well)
{
    for (int try = 0;; try++) {
        bool stopped = stop(victim, well);
        if (!stopped || *well || try + 1 >= tries)
            return stopped;
        ramet_send_signal(victim->pid, victim->pidfd, SIGCONT);
        pause_after(try);
    }
}

static long kill_stopped(const struct victim *victim, ramet_remove_waiter *strike_off)
{
    for (int i = 0; i < victim->count; i++)
        if (victim->stands[i].stack_pointer != 0)
            strike_off(&victim->stands[i]);
    return ramet_send_signal(victim->pid, victim->pidfd, SIGKILL);
}

long ramet_kill_sharer(pid_t pid, int pidfd, ramet_remove_waiter *strike_off, bool *stood_well)
{
    struct victim victim = {.pid = pid, .pidfd = pidfd};
    bool well;
    bool stopped = stop_well(&victim, RAMET_KILL_TRIES, &well);
    if (stood_well != NULL)
        *stood_well = well && victim.count < MOST_THREADS;
    return stopped ? kill_stopped(&victim, strike_off) : ramet_send_signal(pid, pidfd, SIGKILL);
}

long ramet_kill_sharer_if_safe(pid_t pid, int pidfd, ramet_remove_waiter *strike_off, int tries)
{
    struct victim victim = {.pid = pid, .pidfd = pidfd};
    bool well;
    stop_well(&victim, tries, &well);
    if (well && victim.count < MOST_THREADS)
        return kill_stopped(&victim, strike_off);
    long error = ramet_send_signal(pid, pidfd, SIGCONT);
    return error < 0 ? error : -EAGAIN;
}
