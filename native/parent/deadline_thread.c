/* A thread that waits for a child's end or its deadline, whichever comes first. */
#define _GNU_SOURCE
#include "deadline_thread.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "detached_thread.h"
#include "futex.h"
#include "safe_kill.h"

enum { NO_CHILD, WATCHING, LEFT, OVER };

struct ramet_deadline_thread {
    int holders;
    int stage;
    int pid, pidfd;
    bool killed;
    int64_t deadline;
};

static void release(struct ramet_deadline_thread *thread)
{
    if (__atomic_sub_fetch(&thread->holders, 1, __ATOMIC_ACQ_REL) == 0)
        free(thread);
}

/* Whether the child ends in time; true, too, where poll() fails. */
static bool ends_in_time(const struct ramet_deadline_thread *thread)
{
    struct pollfd end = {.fd = thread->pidfd, .events = POLLIN};
    for (;;) {
        int64_t left = thread->deadline - ramet_now();
        if (left < 0)
            left = 0;
        const struct timespec patience = {.tv_sec = left / RAMET_SECOND, .tv_nsec = left % RAMET_SECOND};
        int seen = ppoll(&end, 1, &patience, NULL);
        if (seen > 0 || (seen < 0 && errno != EINTR))
            return true;
        if (seen == 0 && left == 0)
            return false;
    }
}

static void *watch(void *context)
{
    struct ramet_deadline_thread *thread = context;
    ramet_futex_await_change(&thread->stage, NO_CHILD);
    if (__atomic_load_n(&thread->stage, __ATOMIC_ACQUIRE) == WATCHING) {
        if (!ends_in_time(thread))
            thread->killed = ramet_send_signal(thread->pid, thread->pidfd, SIGKILL) == 0;
        close(thread->pidfd);
    }
    ramet_futex_set(&thread->stage, OVER);
    release(thread);
    return NULL;
}

struct ramet_deadline_thread *ramet_deadline_thread_start(int *error)
{
    struct ramet_deadline_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    thread->holders = 2;
    *error = ramet_start_detached_thread(watch, thread, 0);
    if (*error == 0)
        return thread;
    free(thread);
    return NULL;
}

void ramet_deadline_thread_watch(struct ramet_deadline_thread *thread, int pid, int pidfd, int64_t timeout)
{
    thread->pid = pid;
    thread->pidfd = pidfd;
    thread->deadline = ramet_now() + timeout;
    ramet_futex_set(&thread->stage, WATCHING);
}

bool ramet_deadline_thread_has_killed(struct ramet_deadline_thread *thread)
{
    ramet_futex_await_change(&thread->stage, NO_CHILD);
    ramet_futex_await_change(&thread->stage, WATCHING);
    return thread->killed;
}

void ramet_deadline_thread_release(struct ramet_deadline_thread *thread)
{
    if (__atomic_load_n(&thread->stage, __ATOMIC_ACQUIRE) == NO_CHILD)
        ramet_futex_set(&thread->stage, LEFT);
    release(thread);
}
