/* In the thread that lent its block: the GIL, after the end of the child. */
#pragma once

#include "left_open.h"

/*
 * In the thread that lent the block, without the GIL unless the child died holding it: then its state
 * is attached still, and so the GIL is this thread's. `mine` is attached afterwards, with the GIL, and
 * the dead child's own children are recovered: how many. maker: the dead child's pid, as it saw it; pid: as this process
 * does, 0 where no process died. dead: its state, NULL if it left none. process: it, in the list of who has which table.
 */
int core_regain_gil(PyThreadState *dead, PyThreadState *mine, pid_t maker, long pid, struct core_table_user *process);
