/* A launch that suspends the caller: a child in shared memory carries out the plan, on a stack of its own. */
#pragma once

#include "launch.h"

/*
 * Makes the child and waits until it has exec'ed or failed. A pid with a failed step in the report
 * is a child that has ended with code 127: the caller reaps it. The request has VM and VFORK; with
 * PIDFD and no word for it, the pidfd is in the report alone.
 */
void ramet_launch_suspending(const struct ramet_request *request, struct ramet_plan *plan, struct ramet_report *report);
