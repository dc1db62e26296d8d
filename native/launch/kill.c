/* Stop, look, kill: by raw calls, for a carrier does it, too, while its thread-local block is lent. */
#define _GNU_SOURCE
#include "kill.h"

#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "child.h"
#include "task_state.h"

#define TRIES 100
#define MOST_THREADS 64 /* that are looked at: few children start any */
#define MOST_LOOKS 4000 /* a fifth of a second at least, for a task that no processor has time for */

static void send(pid_t pid, int pidfd, int signal)
{
    if (pidfd >= 0)
        ramet_syscall4(__NR_pidfd_send_signal, pidfd, signal, NULL, 0);
    else
        ramet_syscall2(__NR_kill, pid, signal);
}

/* There is no event to wait for: the report of a stop may have been taken, or be another parent's. */
static void pause_shortly(void)
{
    const struct timespec pause = {.tv_nsec = 50000};
    ramet_syscall2(__NR_nanosleep, &pause, NULL);
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

bool ramet_kill_sharer(pid_t pid, int pidfd, ramet_strike_off *strike_off)
{
    long tids[MOST_THREADS];
    struct ramet_stand stands[MOST_THREADS];
    bool well = false;
    for (int try = 0; try < TRIES; try++) {
        send(pid, pidfd, SIGSTOP);
        int count = ramet_task_tids(pid, tids, MOST_THREADS);
        bool stopped = have_stopped(tids, count);
        for (int i = 0; i < count; i++)
            stands[i] = ramet_task_stand(tids[i]);
        well = stopped && stand_well(stands, count);
        if (stopped && !well && try + 1 < TRIES) {
            send(pid, pidfd, SIGCONT);
            pause_shortly();
            continue;
        }
        for (int i = 0; i < count; i++)
            if (stopped && stands[i].stack_pointer != 0)
                strike_off(&stands[i]);
        well &= count < MOST_THREADS;
        break;
    }
    send(pid, pidfd, SIGKILL);
    return well;
}
