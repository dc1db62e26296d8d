/* Host threads whose callbacks count how often they were called. */
#pragma once

#include "check.h"
#include "futex_word.h"
#include "host_thread.h"

/* Behind the host thread's context, which is freed with it. */
static struct {
    int prepared, inspected, recovered, discarded, expired;
    pid_t child; /* that is to be killed at its deadline */
} seen;

#define COUNTED(callback, counter)                                                                                     \
    static void callback(void *context)                                                                                \
    {                                                                                                                  \
        (void)context;                                                                                                 \
        seen.counter++;                                                                                                \
    }

COUNTED(prepare, prepared)
COUNTED(inspect, inspected)
COUNTED(discard, discarded)

static bool recover(void *context)
{
    (void)context;
    seen.recovered++;
    return true;
}

static void expire(void *context)
{
    (void)context;
    seen.expired++;
    kill(seen.child, SIGKILL);
}

static bool blocks_expire(void *context)
{
    (void)context;
    return false;
}

static const struct ramet_host_callbacks callbacks = {
    .run = ramet_host_serve,
    .prepare = prepare,
    .inspect = inspect,
    .recover = recover,
    .discard = discard,
    .expire = expire,
    .blocks_expire = blocks_expire,
};

static inline struct ramet_host *start_host(bool reusable)
{
    int error = 0;
    struct ramet_host *host = ramet_host_start(0, NULL, reusable, &callbacks, malloc(1), &error);
    CHECK(host != NULL && error == 0);
    return host;
}

/* Makes a child on the stack and the thread-local block of a claimed host thread. */
static inline long start_hosted(struct ramet_host *host, int (*run)(void *fn, void *arg, void *context))
{
    const struct ramet_entry entry = {run, host, NULL, NULL, __NR_exit_group};
    struct ramet_request request = {.args.exit_signal = SIGCHLD, .legacy = true};
    request.args.flags = CLONE_VM | CLONE_SETTLS | CLONE_CHILD_CLEARTID;
    request.args.stack = host->stack_top - 65536;
    request.args.stack_size = 65536;
    request.args.tls = (uintptr_t)host->thread_pointer;
    request.args.child_tid = (uintptr_t)host->word;
    return ramet_make_task(&request, &entry);
}

static inline void await_over(struct ramet_host *host, int claim)
{
    while (!ramet_host_is_over(host, claim))
        ramet_futex_wait(&host->over, claim, NULL);
}
