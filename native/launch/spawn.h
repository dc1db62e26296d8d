/* The parent's side of a program: a plan is carried out by a child in shared memory, on a stack of its own. */
#ifndef RAMET_SPAWN_H
#define RAMET_SPAWN_H

#include "birth.h"
#include "plan.h"

struct ramet_report {
    int failed_step; /* -1: the program runs */
    int error;
};

/*
 * Makes the child and waits until it has exec'ed or failed, or, for one that shall begin stopped,
 * until it stands stopped before its program. Returns its pid or -errno. A pid with a failed step in
 * the report is a child that has ended with code 127, or is about to: the caller reaps it.
 * The request is for VM, and for VFORK unless stopped. A stopped child holds the plan until it goes on.
 */
long ramet_spawn(const struct ramet_request *request, struct ramet_plan *plan, struct ramet_report *report);

/* Frees what stopped children have left that went on or were killed. */
void ramet_spawn_sweep(void);

/* A plan is one block from malloc. */
struct ramet_plan *ramet_plan_hold(struct ramet_plan *plan);
void ramet_plan_release(struct ramet_plan *plan);

#endif
