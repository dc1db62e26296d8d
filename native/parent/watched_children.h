/*
 * Children in shared memory that get no signal of their owner's end of their own, given to a watchdog.
 * The process whose memory it is has one for all; a child in it has one for each child of its own.
 */
#ifndef RAMET_WATCHED_CHILDREN_H
#define RAMET_WATCHED_CHILDREN_H

/*
 * A place for a child's pid, which the kernel is to fill in (PARENT_SETTID), watched by a watchdog.
 * NULL, with *error: -errno when there can be no watchdog now, 0 where the kernel is too old for one.
 */
int *ramet_watched_place(long *error);

/* The child is off the memory, or was never born. */
void ramet_watched_leave(int *place);

/* Ends the watchdog of the process, if it has nobody to guard, and waits for it. By the process that owns the memory. */
void ramet_watched_drain(void);

#endif
