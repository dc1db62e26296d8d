/* The steps that a child carries out before its program, decided before the child exists. */
#pragma once

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

#define RAMET_MOST_OPERANDS 6

struct ramet_step {
    enum ramet_operation operation;
    uintptr_t operands[RAMET_MOST_OPERANDS]; /* numbers, or addresses within the plan's own block */
};

#define RAMET_NOT_LAUNCHED 127 /* the exit code of a child in which a step has failed */
#define RAMET_ANSWERED 4096 /* above all errnos */
#define RAMET_UNCHANGED UINT64_MAX /* for a set of capabilities that is left as it is */

struct ramet_plan {
    int holders;           /* for the parent: see parent/launch.h */
    size_t count;
    size_t slots;          /* for descriptors that a later step uses again */
    int gates;             /* where the child waits for its parent */
    bool minds_parent;     /* a step needs to know whether the thread that made the child lives */
    bool fetches;          /* it has a FETCH, and begins with an OWN_FILES */
    bool enters;           /* it has a PID_NAMESPACE */
    bool changes_identity; /* a step gives the child another user's rights, in the parent's memory */
    const struct ramet_step *steps;
};

/* How far a child is whose parent goes on meanwhile; at a gate it is the gate's number, from 1 on. */
#define RAMET_NOT_MADE (-2)
#define RAMET_MADE (-1)
#define RAMET_AWAITS 1 /* in an AWAIT; no plan has it with a gate */
#define RAMET_GONE 0 /* it has left the memory: its program runs, or it has ended. The kernel writes this (CHILD_CLEARTID) */

struct ramet_init_watch;

/* What PID_NAMESPACE needs, and the two tasks that it makes: children of the parent, as the task that carries it out is. */
struct ramet_inside {
    struct ramet_init_watch *watch; /* of the init of the namespace */
    int *alive;                     /* CHILD_CLEARTID of the init: not 0 while it uses this and its stack */
    uintptr_t init_stack;
    size_t init_stack_size;
    uintptr_t stack; /* of the child */
    size_t stack_size;
    bool legacy; /* there is no clone3 */
    int parent;  /* the process that launches; whoever adopts its children when it has ended is another */
    int init;    /* their pids, 0 while they are not made */
    int child;
};

/* One launch of a plan: what the child reads, and what it writes for the parent. */
struct ramet_launch {
    const struct ramet_plan *plan;
    const struct ramet_plan *next; /* after an AWAIT */
    bool is_ahead;           /* the parent does not wait for an exec: the plan ends with an AWAIT */
    ramet_sigset mask;       /* set just before the program begins */
    bool clear_handlers;     /* the kernel was not asked to do so, and they are the child's own */
    int *slots;
    bool fetches;            /* what a FETCH names is only in the table of the thread that made the child */
    int maker, maker_process; /* then: that thread, and its process */
    const int *parent_word;  /* not 0 while the parent, a thread, lives and uses this memory; NULL where that is not known */
    int parent_ends;         /* a futex word: not 0 while the parent is a helper thread, which will end */
    int opened;              /* a futex word: the number of the last gate that is open */
    int arrived;             /* a futex word: how far the child is */
    int tid;                 /* the kernel writes it, where it is asked to: before the child's first step */
    int waits_at;            /* the gate at which it waits, 0 for none */
    size_t at;               /* the step that is carried out */
    struct ramet_inside inside;
    int failed_step;         /* its index, -1 while none has failed */
    int error;               /* its errno */
};

/* Carries out the steps one by one. False when one has failed: `failed_step` and `error` then say which, and why. */
bool ramet_do_steps(struct ramet_launch *launch);
bool ramet_do_steps_from(size_t first, struct ramet_launch *launch);

/* In a new task: the steps, the last of which is EXEC. */
int ramet_run_plan(void *launch, void *unused, void *context);
