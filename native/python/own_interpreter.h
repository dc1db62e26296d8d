/*
 * What the core keeps for each interpreter. Those that share the main one's GIL use the same core, but have Python modules of
 * their own, which are gone when they end.
 */
#pragma once

#include "core.h"
#include "called_names.h"

struct core_interpreter {
    int64_t number;
    bool looked_up[CORE_NEEDS];
    PyObject *found[CORE_NAMES];
    int kinds_known; /* of files that may be left open, see left_open.c */
    PyTypeObject *exit_status;
    PyObject *end_slot; /* of an exit status, in which all is that it says */
};

/* A program may initialize Python again when it has ended: from then on nothing is left here of what the first one had. */
void core_hear_of_end(void);

/* The calling thread's; NULL with an exception set. */
struct core_interpreter *core_own_interpreter(void);
