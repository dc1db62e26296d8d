/*
 * A host thread is an ordinary thread that lends a child what only libc can make: a thread-local block
 * and a stack with its guard page and its known bounds.
 *
 * The thread that calls clone makes the child itself, with SETTLS on the host thread's block and the
 * stack below the host thread's frame, so the child inherits from the caller and from nobody else:
 * its namespaces, identity, tracer, io context, limits. The host thread sleeps meanwhile on a small
 * bench, in raw system calls. One block, one stack, one user at a time.
 *
 * The kernel clears a word when the child has left stack and block (CHILD_CLEARTID), and a child
 * can choose which. It is born with `lent`, on which the host thread sleeps: so whatever way the child
 * dies, the host thread wakes up and recovers what it left. A child that comes to a good end, and leaves
 * nothing to recover, chooses `over` instead: nobody need wake up, and the host thread can lend again.
 */
#ifndef RAMET_HOST_THREAD_H
#define RAMET_HOST_THREAD_H

#include <pthread.h>

#include "clone_stopped.h"
#include "lock_free_stack.h"

struct ramet_word;
struct ramet_stack;

struct ramet_host;

/* What the Python side does in the host thread's own thread. */
struct ramet_host_callbacks {
    void (*run)(struct ramet_host *host); /* all that the thread does: ramet_host_serve(), with what belongs before and after it */
    void (*prepare)(void *context); /* before the block is lent */
    void (*inspect)(void *context);    /* when the child is off, and its stack as it left it; by raw calls */
    bool (*recover)(void *context);    /* when it is back; whether it may be lent again, prepared */
    void (*retire)(void *context);  /* undoes prepare: nothing will be lent again */
    void (*expire)(void *context);  /* in a thread of its own: the deadline has come, kill the child with care */
    bool (*blocks_expire)(void *context); /* whether the child has, now, what that thread waits for; by raw calls */
};

struct ramet_host {
    struct ramet_link link; /* first: for the pile of those that are not over, or the one of nested.c */
    int lent;  /* the word on which the host thread sleeps; 0 when it has to look */
    int over;  /* 0: nobody is on block and stack, and nothing is left to do; else the number of the claim */
    int claims;
    int stage; /* a futex: where the host thread stands */
    int holders;
    bool reusable; /* it lends more than once */
    bool made;
    bool dismissed;
    bool must_not_end; /* it may not end: its identity must not become another thread's */
    int *word;            /* CHILD_CLEARTID: lent, or the word of the given stack */
    void *thread_pointer; /* what is lent: the block... */
    uintptr_t stack_top;  /* ...and the stack, from here down */
    void *robust_list;
    size_t robust_length;
    const struct ramet_host_callbacks *callbacks;
    void *context;              /* from malloc, freed with the host thread */
    uint64_t epoch;
    int tid; /* its thread's, and libc's on the block */
    pid_t maker;  /* see nested.c: 0 when this thread stays as long as the memory... */
    const int *own_cleartid_word; /* ...else its process, and a word that the kernel clears when this thread ends */
    int *settid_word;           /* the word of CHILD_SETTID that the child fills in itself */
    int *cleartid_word;         /* the word of CHILD_CLEARTID to which the host thread passes the clearing on */
    struct ramet_stack *stack;  /* a block of the caller's choice, whose word is then the word */
    struct ramet_word *words[2];
    int *watched; /* its place with the watchdog */
    int64_t deadline; /* of the child, by the monotonic clock, in nanoseconds; 0 for none */
    int child;        /* its pid, where there is a deadline */
    int expired;      /* it was killed at its deadline, or is about to be */
    bool kills;       /* by the host thread */
};

enum ramet_host_stage { RAMET_STARTING, RAMET_LENT, RAMET_ENDED };

/*
 * Starts a host thread and waits until it lends; it is claimed, and held by the caller. stack_size: in
 * bytes, 0 for libc's default. stack: NULL, or a block that the child will use in its stead, and
 * that is occupied until the child has left it. again: whether it may lend more than once, which
 * goes with neither of these. NULL with *error set to an errno on failure, and the context stays
 * the caller's.
 */
struct ramet_host *ramet_host_start(size_t stack_size, struct ramet_stack *stack, bool again,
                                          const struct ramet_host_callbacks *callbacks, void *context, int *error);

/* The work of a host thread, from its first child to its last. The host may be gone afterwards. */
void ramet_host_serve(struct ramet_host *host);

/* A thread that nobody waits for, for what a host thread may not do itself, as it could take for ever. 0, or an errno. */
int ramet_start_detached_thread(void *(*run)(void *), void *context);

/* Claims a host thread that is at rest; false when it is not, or has ended. */
bool ramet_host_claim(struct ramet_host *host);

/*
 * Gives the child a deadline, right after its clone call; timeout in nanoseconds. A thread waits for it and
 * then kills with all care, which may need what the child does not give up: then the host thread kills.
 * 0, or an errno when there can be no such thread; the host thread keeps the deadline all the same.
 */
int ramet_host_set_deadline(struct ramet_host *host, int claim, int child, int64_t timeout);

/* Tells a claimed host thread to end; no child came, or none will. */
void ramet_host_dismiss(struct ramet_host *host);

/* In the child, at a good end: the host thread may sleep on. Nothing but the exit may follow. */
void ramet_host_leave(struct ramet_host *host);

/* Whether a robust mutex is held on the block, which only the end of a thread gives up. */
bool ramet_host_holds_mutex(const struct ramet_host *host);

/* Whether the child of that claim is off block and stack, and recovered. */
bool ramet_host_is_over(const struct ramet_host *host, int claim);

/* In another thread, when that of the host thread has ended without seeing to it: it is over. Releases the host thread. */
void ramet_host_mark_over(struct ramet_host *host);

void ramet_host_wait_end(struct ramet_host *host);
struct ramet_host *ramet_host_hold(struct ramet_host *host);
void ramet_host_release(struct ramet_host *host);

#endif
