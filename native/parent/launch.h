/* What a launch is made of, whether its parent is suspended meanwhile or goes on. */
#ifndef RAMET_LAUNCH_H
#define RAMET_LAUNCH_H

#include "launch_suspending.h"

/* A stack for a task that shares our memory; one is kept for the next. NULL: no memory. */
struct ramet_stack *ramet_launch_stack(size_t slots);
void ramet_launch_stack_release(struct ramet_stack *stack);

/* Has the request ask for a child that carries out launch->plan on that stack. */
struct ramet_entry ramet_prepare_launch(struct ramet_stack *stack, struct ramet_request *request, struct ramet_launch *launch);

void ramet_read_report(const struct ramet_launch *launch, struct ramet_report *report);

#endif
