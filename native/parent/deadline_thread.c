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

struct ramet_watchdog {
    int holders;
    int stage;
    int pidfd;
    bool killed;
    int64_t deadline;
};

static void set_stage(struct ramet_watchdog *watchdog, int stage)
{
    __atomic_store_n(&watchdog->stage, stage, __ATOMIC_RELEASE);
    ramet_futex_wake(&watchdog->stage);
}

static void let_go(struct ramet_watchdog *watchdog)
{
    if (__atomic_sub_fetch(&watchdog->holders, 1, __ATOMIC_ACQ_REL) == 0)
        free(watchdog);
}

/* Whether it ends in time; one that cannot be watched any more has. */
static bool ends_in_time(const struct ramet_watchdog *watchdog)
{
    struct pollfd end = {.fd = watchdog->pidfd, .events = POLLIN};
    for (;;) {
        int64_t left = watchdog->deadline - ramet_now();
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
    struct ramet_watchdog *watchdog = context;
    while (__atomic_load_n(&watchdog->stage, __ATOMIC_ACQUIRE) == NO_CHILD)
        ramet_futex_wait(&watchdog->stage, NO_CHILD, NULL);
    if (__atomic_load_n(&watchdog->stage, __ATOMIC_ACQUIRE) == WATCHING) {
        if (!ends_in_time(watchdog))
            watchdog->killed = ramet_syscall4(__NR_pidfd_send_signal, watchdog->pidfd, SIGKILL, 0, 0) == 0;
        close(watchdog->pidfd);
    }
    set_stage(watchdog, OVER);
    let_go(watchdog);
    return NULL;
}

/* With all signals blocked: they are for others, who would not be interrupted by them. */
static int start_thread(struct ramet_watchdog *watchdog)
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
    error = pthread_create(&thread, &attributes, watch, watchdog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

struct ramet_watchdog *ramet_watchdog_start(int *error)
{
    struct ramet_watchdog *watchdog = calloc(1, sizeof *watchdog);
    if (watchdog == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    watchdog->holders = 2;
    *error = start_thread(watchdog);
    if (*error == 0)
        return watchdog;
    free(watchdog);
    return NULL;
}

void ramet_watchdog_watch(struct ramet_watchdog *watchdog, int pidfd, int64_t timeout)
{
    watchdog->pidfd = pidfd;
    watchdog->deadline = ramet_now() + timeout;
    set_stage(watchdog, WATCHING);
}

bool ramet_watchdog_has_killed(struct ramet_watchdog *watchdog)
{
    for (int stage; (stage = __atomic_load_n(&watchdog->stage, __ATOMIC_ACQUIRE)) != OVER;)
        ramet_futex_wait(&watchdog->stage, stage, NULL);
    return watchdog->killed;
}

void ramet_watchdog_release(struct ramet_watchdog *watchdog)
{
    if (__atomic_load_n(&watchdog->stage, __ATOMIC_ACQUIRE) == NO_CHILD)
        set_stage(watchdog, LEFT);
    let_go(watchdog);
}
