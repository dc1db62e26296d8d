/* A thread that waits for a child's end or its deadline, whichever comes first. */
#define _GNU_SOURCE
#include "deadline_thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "futex.h"

#define SECOND INT64_C(1000000000)

enum { NO_CHILD, WATCHING, LEFT, OVER };

struct ramet_deadline_thread {
    int holders;
    int stage;
    int pidfd;
    bool killed;
    int64_t deadline;
};

static void set_stage(struct ramet_deadline_thread *deadline_thread, int stage)
{
    __atomic_store_n(&deadline_thread->stage, stage, __ATOMIC_RELEASE);
    ramet_futex_wake(&deadline_thread->stage);
}

static void let_go(struct ramet_deadline_thread *deadline_thread)
{
    if (__atomic_sub_fetch(&deadline_thread->holders, 1, __ATOMIC_ACQ_REL) == 0)
        free(deadline_thread);
}

/* Whether it ends in time; one that cannot be watched any more has. */
static bool ends_in_time(const struct ramet_deadline_thread *deadline_thread)
{
    struct pollfd end = {.fd = deadline_thread->pidfd, .events = POLLIN};
    for (;;) {
        int64_t left = deadline_thread->deadline - ramet_now();
        if (left < 0)
            left = 0;
        const struct timespec patience = {.tv_sec = left / SECOND, .tv_nsec = left % SECOND};
        int seen = ppoll(&end, 1, &patience, NULL);
        if (seen > 0 || (seen < 0 && errno != EINTR))
            return true;
        if (seen == 0 && left == 0)
            return false;
    }
}

static void *watch(void *context)
{
    struct ramet_deadline_thread *deadline_thread = context;
    while (__atomic_load_n(&deadline_thread->stage, __ATOMIC_ACQUIRE) == NO_CHILD)
        ramet_futex_wait(&deadline_thread->stage, NO_CHILD, NULL);
    if (__atomic_load_n(&deadline_thread->stage, __ATOMIC_ACQUIRE) == WATCHING) {
        if (!ends_in_time(deadline_thread))
            deadline_thread->killed = ramet_syscall4(__NR_pidfd_send_signal, deadline_thread->pidfd, SIGKILL, 0, 0) == 0;
        close(deadline_thread->pidfd);
    }
    set_stage(deadline_thread, OVER);
    let_go(deadline_thread);
    return NULL;
}

/* With all signals blocked: they are for others, who would not be interrupted by them. */
static int start_thread(struct ramet_deadline_thread *deadline_thread)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, watch, deadline_thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

struct ramet_deadline_thread *ramet_deadline_thread_start(int *error)
{
    struct ramet_deadline_thread *deadline_thread = calloc(1, sizeof *deadline_thread);
    if (deadline_thread == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    deadline_thread->holders = 2;
    *error = start_thread(deadline_thread);
    if (*error == 0)
        return deadline_thread;
    free(deadline_thread);
    return NULL;
}

void ramet_deadline_thread_watch(struct ramet_deadline_thread *deadline_thread, int pidfd, int64_t timeout)
{
    deadline_thread->pidfd = pidfd;
    deadline_thread->deadline = ramet_now() + timeout;
    set_stage(deadline_thread, WATCHING);
}

bool ramet_deadline_thread_has_killed(struct ramet_deadline_thread *deadline_thread)
{
    for (int stage; (stage = __atomic_load_n(&deadline_thread->stage, __ATOMIC_ACQUIRE)) != OVER;)
        ramet_futex_wait(&deadline_thread->stage, stage, NULL);
    return deadline_thread->killed;
}

void ramet_deadline_thread_release(struct ramet_deadline_thread *deadline_thread)
{
    if (__atomic_load_n(&deadline_thread->stage, __ATOMIC_ACQUIRE) == NO_CHILD)
        set_stage(deadline_thread, LEFT);
    let_go(deadline_thread);
}
