/* What a child does between its clone call and its program, decided before it exists. */
#ifndef RAMET_PLAN_H
#define RAMET_PLAN_H

#include <stdbool.h>

#include "child.h"

enum ramet_operation {
#define RAMET_CALL(name, call) RAMET_##name,
#define RAMET_STEP(name) RAMET_##name,
#include "steps.def"
#undef RAMET_CALL
#undef RAMET_STEP
    RAMET_OPERATIONS
};

#define RAMET_MOST_OPERANDS 5

struct ramet_step {
    enum ramet_operation operation;
    uintptr_t operands[RAMET_MOST_OPERANDS]; /* numbers, or addresses within the plan's own block */
};

#define RAMET_UNCHANGED UINT64_MAX /* for a set of capabilities */

struct ramet_plan {
    int holders;           /* the parent's business: see launch/spawn.h */
    size_t count;
    size_t slots;          /* for descriptors that a later step takes up again */
    int gates;             /* where the child waits for its parent */
    bool minds_parent;     /* a step wants to know whether the thread that made us lives */
    bool fetches;          /* it has a FETCH, and begins with an OWN_FILES */
    bool changes_identity; /* a step gives the child another user's rights, in memory that is ours */
    const struct ramet_step *steps;
};

/* Where a child is whose parent goes on meanwhile; at a gate it is the gate's number, from 1 on. */
#define RAMET_NOT_MADE (-2)
#define RAMET_MADE (-1)
#define RAMET_GONE 0 /* off our memory: its program runs, or it has ended. The kernel writes this (CHILD_CLEARTID) */

/* One launch of a plan: what the child reads of it, and what it leaves for the parent to read. */
struct ramet_launch {
    const struct ramet_plan *plan;
    ramet_sigset mask;       /* let in just before the program begins */
    bool clear_handlers;     /* the kernel was not asked to, and they are the child's own */
    int *slots;
    bool fetches;            /* what a FETCH names is still in the table of the thread that made us, and not in ours */
    int maker, maker_process; /* then: that thread, and its process */
    const int *parent_word;  /* not 0 while our parent, a thread, lives and uses this memory; NULL where that is not known */
    int fostered;            /* a futex: not 0 while our parent is a thread that ends at once, for the main one to succeed it */
    int opened;              /* a futex: the number of the last gate that is open */
    int arrived;             /* a futex: where the child is */
    int waits_at;            /* the gate at which it stands, 0 for none */
    int failed_step;         /* its index, -1 while none has failed */
    int error;               /* its errno */
};

/* Does the steps one by one. False when one has failed; `failed_step` and `error` then say it. */
bool ramet_do_steps(struct ramet_launch *launch);

/* In a new task: the steps, the last of which is EXEC. */
int ramet_run_plan(void *launch, void *unused, void *context);

#endif
