/*
 * A host thread is a thread of libc's that lends a child what only libc can make: a thread-local block,
 * and a stack with its guard page and its known bounds.
 *
 * The thread that calls clone makes the child itself, with SETTLS on the host thread's block and the
 * stack below the host thread's frame: so the child inherits from the calling thread, and not from the host thread,
 * its namespaces, identity, tracer, io context and limits. Meanwhile the host thread sleeps in raw
 * system calls, on a small stack within its frame. One block, one stack, one user at a time.
 *
 * The kernel clears a word when the child has left stack and block (CHILD_CLEARTID), and a child can choose
 * which. It begins with `lent`, on which the host thread sleeps: so in whatever way the child dies, the host
 * thread wakes up and recovers what it left. A child that returns, and leaves nothing to recover, chooses
 * `over` instead: then no thread wakes up, and the host thread can lend again.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "child.h"
#include "lock_free_stack.h"

struct ramet_host;
struct ramet_stack;
struct ramet_word;

/* What the Python side does. In the host thread, unless it says otherwise. */
struct ramet_host_callbacks {
    void (*run)(struct ramet_host *host); /* all of it: ramet_host_serve(), with what belongs before and after it */
    void (*prepare)(void *context);       /* before the block is lent */
    void (*inspect)(void *context);       /* the child has left, and its stack is as it left it; by raw calls */
    bool (*recover)(void *context);       /* the block is free; whether it may be lent again, prepared */
    void (*discard)(void *context);        /* undoes prepare: nothing will be lent again */
    void (*expire)(void *context);        /* in another thread: the deadline has come, kill the child with care */
    bool (*blocks_expire)(void *context); /* whether the child holds what that thread waits for; by raw calls */
};

struct ramet_host {
    struct ramet_link link; /* first: in the list of the pool */
    int lent;               /* the word on which the host thread sleeps; 0 when the child has left */
    int over;               /* 0: no task uses block and stack, and nothing is to be recovered; else the claim */
    int claims;
    int stage; /* a futex word */
    int holders;
    bool reusable; /* it lends more than once */
    bool made;     /* there was a child */
    bool dismissed;
    bool must_not_end;    /* its pthread_t must not become another thread's */
    int *word;            /* CHILD_CLEARTID: `lent`, or the word of a given stack */
    void *thread_pointer; /* what is lent: the block... */
    uintptr_t stack_top;  /* ...and the stack, from here down */
    void *robust_list;
    size_t robust_length;
    const struct ramet_host_callbacks *callbacks;
    void *context; /* from malloc, freed with the host thread */
    uint64_t epoch;
    int tid;                      /* of its thread; libc reads it on the block */
    pid_t maker;                  /* 0 when this thread stays as long as the memory. Else its process... */
    const int *own_cleartid_word; /* ...and a word that the kernel clears when this thread ends */
    int *settid_word;             /* of CHILD_SETTID: the child writes it itself */
    int *cleartid_word;           /* of CHILD_CLEARTID: the host thread clears it itself */
    struct ramet_stack *stack;    /* one that the caller gave; its word is then `word` */
    struct ramet_word *words[2];
    int *watched;     /* the child's place with the watchdog */
    int64_t deadline; /* of the child, by the monotonic clock, in nanoseconds; 0 for none */
    int child;        /* its pid, where there is a deadline */
    int expired;      /* it was killed at its deadline, or is about to be */
    bool kills;       /* the host thread kills it */
};

enum ramet_host_stage { RAMET_STARTING, RAMET_LENT, RAMET_ENDED };

/*
 * Starts a host thread and waits until it lends; the caller has it claimed and held. stack_size: in
 * bytes, 0 for libc's default. stack: NULL, or one that the child uses instead of the host thread's, and
 * that is occupied until the child has left it. reusable: whether it may lend more than once, which goes with neither
 * of these. NULL with *error set to an errno on failure; then the caller still owns the context.
 */
struct ramet_host *ramet_host_start(size_t stack_size, struct ramet_stack *stack, bool reusable,
                                    const struct ramet_host_callbacks *callbacks, void *context, int *error);

/* The work of a host thread, from its first child to its last. The host may be freed afterwards. */
void ramet_host_serve(struct ramet_host *host);

/* Claims an idle host thread; false when it is not idle, or has ended. */
bool ramet_host_claim(struct ramet_host *host);

/* Tells a claimed host thread to end: there is no child and there will be none. */
void ramet_host_dismiss(struct ramet_host *host);

/* In the child, when nothing is to be recovered: the host thread sleeps on. Only the exit may follow. */
void ramet_host_leave(struct ramet_host *host);

/* Whether a robust mutex is held on the block, which only the end of a thread releases. */
bool ramet_host_holds_mutex(const struct ramet_host *host);

/* Whether the child of that claim has left block and stack, and is recovered. */
bool ramet_host_is_over(const struct ramet_host *host, int claim);

/* In another thread, when the host thread has ended without recovering its child: marks it as over, and releases it. */
void ramet_host_mark_over(struct ramet_host *host);

void ramet_host_wait_end(struct ramet_host *host);
struct ramet_host *ramet_host_hold(struct ramet_host *host);
void ramet_host_release(struct ramet_host *host);
