/*
 * Children in shared memory that get no signal of their owner's end of their own, given to a guardian.
 * The process whose memory it is has one for all; a child in it has one for each child of its own.
 */
#ifndef RAMET_GUARD_H
#define RAMET_GUARD_H

/*
 * A place for a child's pid, which the kernel is to fill in (PARENT_SETTID), watched by a guardian.
 * NULL, with *error: -errno when there can be no guardian now, 0 where the kernel is too old for one.
 */
int *ramet_guard_place(long *error);

/* The child is off the memory, or was never born. */
void ramet_guard_leave(int *place);

/* Ends the guardian of the process, if it has nobody to guard, and waits for it. By the process that owns the memory. */
void ramet_guard_drain(void);

#endif
