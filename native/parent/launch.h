/* What a launch is made of, whether it suspends the caller or the caller goes on. */
#pragma once

#include "child.h"
#include "plan.h"

struct ramet_report {
    long pid;        /* or -errno: no child was made */
    int pidfd;       /* -1 when none was asked for, or where the kernel has none */
    long init;       /* of the pid namespace that its plan has made: a child of this process; 0 for none */
    int init_pidfd;
    int failed_step; /* -1: the program runs, or the child is on its way to it */
    int error;
};

/* A plan is one block from malloc. */
struct ramet_plan *ramet_plan_hold(struct ramet_plan *plan);
void ramet_plan_release(struct ramet_plan *plan);

/* A stack for a task that shares this memory, with room for the slots of its plan. NULL: no memory. */
struct ramet_stack *ramet_launch_stack(size_t slots);
void ramet_launch_stack_release(struct ramet_stack *stack);

/* Has the request ask for a child that carries out launch->plan on that stack. */
struct ramet_entry ramet_prepare_launch(struct ramet_stack *stack, struct ramet_request *request,
                                        struct ramet_launch *launch);

/*
 * For a plan with a PID_NAMESPACE: the child's stack begins below all that its maker can reach of the same. False: there is
 * no memory. What was prepared is released when both tasks have been made, or have not.
 */
bool ramet_prepare_inside(struct ramet_inside *inside, const struct ramet_stack *stack);
void ramet_release_inside(const struct ramet_inside *inside);

/* A pidfd of a child that this process has not reaped, or -1. */
int ramet_open_child(long pid);

void ramet_read_report(const struct ramet_launch *launch, struct ramet_report *report);
