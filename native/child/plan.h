/* What a child does between its birth and its program, decided before it exists. */
#ifndef RAMET_PLAN_H
#define RAMET_PLAN_H

#include <stdbool.h>

#include "child.h"

enum ramet_operation {
#define RAMET_STEP(name, shown) RAMET_##name,
#include "steps.def"
#undef RAMET_STEP
    RAMET_OPERATIONS
};

struct ramet_step {
    enum ramet_operation operation;
    uintptr_t operands[3]; /* numbers, or addresses within the plan's own block */
};

struct ramet_plan {
    int holders; /* the parent's business: see launch/spawn.h */
    size_t count;
    size_t slots; /* for descriptors that a later step takes up again */
    const struct ramet_step *steps;
};

/* One launch of a plan: what the child reads of it, and what it leaves for the parent to read. */
struct ramet_launch {
    const struct ramet_plan *plan;
    ramet_sigset mask;          /* let in just before the program begins */
    bool clear_handlers;        /* the kernel was not asked to, and they are the child's own */
    int *slots;
    struct ramet_gate *gate;    /* NULL, or where to wait before the last step... */
    int *arrived;               /* ...and a futex to set to RAMET_ARRIVED there */
    int failed_step;            /* its index, -1 while none has failed */
    int error;                  /* its errno */
};

#define RAMET_ARRIVED 1

int ramet_run_plan(void *launch, void *unused, void *context);

#endif
