/* The parent's side of a program: a plan is carried out by a child in shared memory, on a stack of its own. */
#ifndef RAMET_LAUNCH_SUSPENDING_H
#define RAMET_LAUNCH_SUSPENDING_H

#include "clone_stopped.h"
#include "plan.h"

struct ramet_report {
    long pid;        /* or -errno: no child was made */
    int pidfd;       /* -1 when none was asked for, or where the kernel has none */
    int failed_step; /* -1: the program runs, or the child is on its way to it */
    int error;
};

/*
 * Makes the child and waits until it has exec'ed or failed. A pid with a failed step in the report
 * is a child that has ended with code 127: the caller reaps it. The request is for VM|VFORK; with
 * PIDFD the word for it is found here.
 */
void ramet_launch_suspending(const struct ramet_request *request, struct ramet_plan *plan, struct ramet_report *report);

/* A plan is one block from malloc. */
struct ramet_plan *ramet_plan_hold(struct ramet_plan *plan);
void ramet_plan_release(struct ramet_plan *plan);

#endif
