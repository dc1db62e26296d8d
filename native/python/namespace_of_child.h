/*
 * The pid namespace that was made for a child: all that the child has started ends with its init. PidNamespace is the same in
 * Python, which finds what keeps its end: it takes the init from here.
 */
#pragma once

#include "child_handle.h"

/* The init is the handle's from here on, until it is taken. */
void core_handle_hold_init(HandleObject *self, long pid, int pidfd);

/*
 * Kills all that is left in it, when the child has been reaped, and reaps its init: 1 when they are dead, 0 where Python is
 * to see to it, -1 with an exception set. Threads may be here at once.
 */
int core_handle_end_namespace(HandleObject *self);

PyObject *core_handle_kill_init(HandleObject *self, PyObject *unused);
PyObject *core_handle_end_init(HandleObject *self, PyObject *unused);
PyObject *core_handle_give_init(HandleObject *self, PyObject *kind);
