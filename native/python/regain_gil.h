/* In the thread that lent its block: the GIL, after the end of the child. */
#ifndef RAMET_REGAIN_GIL_H
#define RAMET_REGAIN_GIL_H

#include "core.h"

/*
 * In the thread that lent the block, without the GIL unless the child died holding it: then its state
 * is attached still, and so the GIL is this thread's. `mine` is attached afterwards, with the GIL, and
 * the children recovered that were the dead one's own; maker is its pid, as it saw it, and pid as this process does, 0 where
 * it is no process that died. dead: NULL if it has not left a state. How many children it was.
 */
int core_regain_gil(PyThreadState *dead, PyThreadState *mine, pid_t maker, long pid);

#endif
