/*
 * A carrier is an ordinary thread that lends a child what only libc can make: a thread-local block
 * and a stack with its guard page and its known bounds.
 *
 * The thread that calls clone makes the child itself, with SETTLS on the carrier's block and the
 * stack below the carrier's frame, so the child inherits from the caller and from nobody else:
 * its namespaces, identity, tracer, io context, limits. The carrier sleeps meanwhile on a small
 * bench, in raw system calls, until the kernel clears its word; then block and stack are its own
 * again, and it buries what the child left. One block, one stack, one user at a time.
 */
#ifndef RAMET_CARRIER_H
#define RAMET_CARRIER_H

#include <pthread.h>

#include "birth.h"

struct ramet_word;
struct ramet_stack;

/* What the Python side does in the carrier's own thread, before the block is lent and when it is back. */
struct ramet_carrier_duties {
    void (*prepare)(void *context);
    void (*bury)(void *context);
};

struct ramet_carrier {
    int *word; /* CHILD_CLEARTID: not 0 while a child may be on the block and the stack */
    int own_word;
    int stage; /* a futex: where the carrier stands */
    int holders;
    bool born;
    void *thread_pointer; /* what is lent: the block... */
    uintptr_t stack_top;  /* ...and the stack, from here down */
    const struct ramet_carrier_duties *duties;
    void *context;
    int *settid_word;           /* the word of CHILD_SETTID that the child fills in itself */
    int *cleartid_word;         /* the word of CHILD_CLEARTID to which the carrier passes the clearing on */
    struct ramet_stack *stack;  /* a block of the caller's choice, whose word is then the word */
    struct ramet_word *words[2];
};

enum ramet_carrier_stage { RAMET_STARTING, RAMET_LENT, RAMET_DONE };

/*
 * Starts a carrier with a stack of stack_size bytes (0: libc's default) and waits until it lends.
 * stack: NULL, or a block that the child will use in its stead, and that is occupied until the child
 * has left it. NULL with *error set to an errno on failure.
 */
struct ramet_carrier *ramet_carrier_start(size_t stack_size, struct ramet_stack *stack,
                                          const struct ramet_carrier_duties *duties, void *context, int *error);

/* Tells the carrier that no child came. */
void ramet_carrier_dismiss(struct ramet_carrier *carrier);

/* Waits until the carrier has done all its duties; timeout in nanoseconds, negative for ever. 0, or -errno. */
int ramet_carrier_wait(struct ramet_carrier *carrier, int64_t timeout);

void ramet_carrier_release(struct ramet_carrier *carrier);

#endif
