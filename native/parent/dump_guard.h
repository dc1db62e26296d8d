/*
 * A child in shared memory that dies of a signal which dumps core. Before Linux 5.16 the kernel then kills every
 * process that has this memory, also where no core is written, unless the memory is marked as not dumpable. So
 * there such a child marks it first, and dumps no core; who made it restores the mark when it has died.
 *
 * Source: coredump_wait() and zap_threads(), fs/coredump.c; "coredump: Limit coredumps to a single thread group".
 */
#pragma once

#include <stdbool.h>

#define RAMET_GUARD_STACK_BYTES 16384

/* Of one child at a time; zeros at first. */
struct ramet_dump_guard {
    bool has_marked;
    char alternate[RAMET_GUARD_STACK_BYTES]; /* the stack on which it marks, for when its own has overflowed */
};

/* Whether this kernel is one of those. */
bool ramet_dump_ends_sharers(void);

/*
 * In a child that has a table of signal handlers of its own, on a block of its own or that its suspended caller
 * lends it: for each such signal that has its default action.
 */
void ramet_guard_dumps(struct ramet_dump_guard *guard);

/* When it has left the memory, however it ended; by raw calls. */
void ramet_restore_after_dump(struct ramet_dump_guard *guard);
