/* The garbage collector, in whose midst a child in shared memory may die. */
#ifndef RAMET_COLLECTOR_H
#define RAMET_COLLECTOR_H

#include "dead_frames.h"

/*
 * With the GIL, before anything else is done where the dead task's stack was. It may have died while code of
 * Python ran in the collector's midst (a finalizer, a weak reference's callback): what was being looked at is
 * the collector's again then, and somebody else can use it. What was found.
 */
enum core_collecting core_leave_collector(const struct core_dead_stack *stack);

/* The same where it is known that the dead were in its midst, and nothing is on their stack: its callbacks at its beginning and end. */
enum core_collecting core_end_collection(void);

#endif
