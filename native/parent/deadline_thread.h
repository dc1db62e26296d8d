/* The deadline of a child with a memory of its own. */
#ifndef RAMET_WATCHDOG_H
#define RAMET_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct ramet_watchdog;

/*
 * A thread that is to kill a child at its deadline: there before the child is, so that none is made that
 * nobody would stop. Whoever gets it has a hold. NULL with *error set when there can be no such thread.
 */
struct ramet_watchdog *ramet_watchdog_start(int *error);

/* Tells it of the child, once; the descriptor is the watchdog's from now on. timeout in nanoseconds. */
void ramet_watchdog_watch(struct ramet_watchdog *watchdog, int pidfd, int64_t timeout);

/* Waits until it is over, as it is soon after the child's end, and tells whether it has killed the child. */
bool ramet_watchdog_has_killed(struct ramet_watchdog *watchdog);

/* Gives up the hold. A watchdog that has a child goes on, and one that has none ends. */
void ramet_watchdog_release(struct ramet_watchdog *watchdog);

#endif
