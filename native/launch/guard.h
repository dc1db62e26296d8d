/*
 * Children in shared memory that get no signal of their owner's end of their own, given to a guardian.
 * The process whose memory it is has one for all; a child in it has one for each child of its own.
 */
#ifndef RAMET_GUARD_H
#define RAMET_GUARD_H

/*
 * A place for a child's pid, which the kernel is to fill in (PARENT_SETTID), watched by a guardian.
 * NULL where there is none: no place, or no guardian.
 */
int *ramet_guard_place(void);

/* The child is off the memory, or was never born. */
void ramet_guard_leave(int *place);

/* Ends the guardian, if it has nobody to guard. */
void ramet_guard_drain(void);

#endif
