/* The deadline of a child with a memory of its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ramet_deadline_thread;

/*
 * Starts a thread that is to kill a child at its deadline. It is started before the child is made, so that there is no child
 * without one. The caller holds the result. NULL with *error set when no thread can be started.
 */
struct ramet_deadline_thread *ramet_deadline_thread_start(int *error);

/* Gives it the child, once, whose pid is 0 where it is not known; the deadline thread owns the descriptor from now on. timeout in nanoseconds. */
void ramet_deadline_thread_watch(struct ramet_deadline_thread *thread, int pid, int pidfd, int64_t timeout);

/* Waits until the thread ends, as it does soon after the child, and returns whether it has killed the child. */
bool ramet_deadline_thread_has_killed(struct ramet_deadline_thread *thread);

/* Gives up the hold. A deadline thread that has a child continues, and one that has none ends. */
void ramet_deadline_thread_release(struct ramet_deadline_thread *thread);
