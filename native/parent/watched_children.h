/*
 * Children in shared memory that get no parent-death signal of their own are given to a watchdog.
 * The process that owns the memory has one for all; a child that shares it has one for each child of its own.
 */
#pragma once

/*
 * A place for a child's pid, which the kernel is to write (PARENT_SETTID), and which a watchdog reads.
 * NULL, with *error: -errno when there can be no watchdog now, 0 where the kernel is too old for one.
 */
int *ramet_watched_place(long *error);

/* The child has left the memory, or was not made. */
void ramet_watched_leave(int *place);

/* In the process that owns the memory: ends its watchdog, if it has no child to watch, and waits for that end. */
void ramet_watched_drain(void);
