/*
 * The end of the interpreter, and children in shared memory: one that waits for the GIL then would end as a thread
 * does, and take along whose stack it is on. So the other threads make no more of them, those that are being made are awaited,
 * and those that suspend their caller are killed. All with the GIL.
 */
#pragma once

#include "clone_request.h"

/*
 * Before a clone call whose child will run Python; and after it, with what the first wrote, when the child is listed. False with an
 * exception set. What a child does that shares the memory is not counted: its own children die with it.
 *
 * A flush of the standard streams is between the two as well, before a copy is made: a thread that waits for the GIL then, and
 * ends, would keep the lock of a stream, for which the interpreter's own flush waits in vain.
 */
bool core_may_begin_sharing(bool *counted);
void core_has_shared(bool counted);

/* Lists a child with those that the end kills, by ramet's Python code. False with an exception set. */
bool core_list_sharer(const struct core_request *request);
