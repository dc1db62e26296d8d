/* Stop, look, kill: by raw calls, for a carrier does it, too, while its thread-local block is lent. */
#define _GNU_SOURCE
#include "kill.h"

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

long ramet_send(pid_t pid, int pidfd, int signal)
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

static bool stand_well(const struct ramet_stand *stands, int count)
{
    for (int i = 0; i < count; i++)
        if (!ramet_stands_well(&stands[i]))
            return false;
    return true;
}

long ramet_kill_sharer(pid_t pid, int pidfd, ramet_strike_off *strike_off, bool *stood_well)
{
    long tids[MOST_THREADS];
    struct ramet_stand stands[MOST_THREADS];
    bool well = false;
    for (int try = 0; try < TRIES; try++) {
        ramet_send(pid, pidfd, SIGSTOP);
        int count = ramet_task_tids(pid, tids, MOST_THREADS);
        bool stopped = have_stopped(tids, count);
        for (int i = 0; i < count; i++)
            stands[i] = ramet_task_stand(tids[i]);
        well = stopped && stand_well(stands, count);
        if (stopped && !well && try + 1 < TRIES) {
            ramet_send(pid, pidfd, SIGCONT);
            pause_after(try);
            continue;
        }
        for (int i = 0; i < count; i++)
            if (stopped && stands[i].stack_pointer != 0)
                strike_off(&stands[i]);
        well &= count < MOST_THREADS;
        break;
    }
    if (stood_well != NULL)
        *stood_well = well;
    return ramet_send(pid, pidfd, SIGKILL);
}
