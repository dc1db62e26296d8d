/* The deadline of a child with a memory of its own. */
#ifndef RAMET_DEADLINE_THREAD_H
#define RAMET_DEADLINE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

struct ramet_deadline_thread;

/*
 * A thread that is to kill a child at its deadline: there before the child is, so that none is made that
 * nobody would stop. Whoever gets it has a hold. NULL with *error set when there can be no such thread.
 */
struct ramet_deadline_thread *ramet_deadline_thread_start(int *error);

/* Tells it of the child, once; the descriptor is the deadline thread's from now on. timeout in nanoseconds. */
void ramet_deadline_thread_watch(struct ramet_deadline_thread *deadline_thread, int pidfd, int64_t timeout);

/* Waits until it is over, as it is soon after the child's end, and tells whether it has killed the child. */
bool ramet_deadline_thread_has_killed(struct ramet_deadline_thread *deadline_thread);

/* Gives up the hold. A deadline thread that has a child goes on, and one that has none ends. */
void ramet_deadline_thread_release(struct ramet_deadline_thread *deadline_thread);

#endif
