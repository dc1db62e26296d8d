/*
 * A launch in two parts. A child is made ahead and carries out a first plan, all but what is not known yet: it waits then,
 * as a task in this memory, in a pid namespace of its own. Later it is sent descriptors, and goes on with a second plan,
 * which lies in this memory, and execs.
 */
#pragma once

#include "launch.h"

struct ramet_ahead;

/*
 * The request has VM and neither VFORK nor PIDFD, and exit signal 0, so that no wait for any child sees it before its exec.
 * The plan has a PID_NAMESPACE and ends with an AWAIT at `place`, a descriptor of this process that stands for nothing
 * else: it is replaced for a moment, and by `nothing` again. Two threads may not use one place at a time.
 * Returns when the child waits. NULL: none was made, and the report has a pid of -errno or a failed step.
 */
struct ramet_ahead *ramet_launch_ahead(const struct ramet_request *request, struct ramet_plan *plan, int place, int nothing,
                                      struct ramet_report *report);

/* The child's pid, and that of its init; 0 when they are the caller's. */
long ramet_ahead_pid(const struct ramet_ahead *child, long *init);

/*
 * Sends the child on, and waits until it has exec'ed or failed. 0: the report has both tasks, which are the caller's now, and the
 * failed step of a child that has ended with code 127. -errno: it has not been sent anything, or had ended before, -ESRCH.
 */
int ramet_ahead_go(struct ramet_ahead *child, struct ramet_plan *plan, const int *descriptors, int count,
                   struct ramet_report *report);

/* Kills and reaps a child that waits still, and frees the memory; in a copy of its maker it does nothing. */
void ramet_ahead_release(struct ramet_ahead *child);
