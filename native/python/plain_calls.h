/* Calls that the core serves alone, see plain_calls.c. */
#pragma once

#include "channel.h"

/* What came of a call. The numbers are src/ramet/_workers/in_call/serving.py's, which reads them. */
enum core_served { CORE_SERVED_ENDED, CORE_SERVED_ANOTHER, CORE_SERVED_RETURNED, CORE_SERVED_RAISED, CORE_SERVED_ALONE, CORE_SERVED_UNREAD, CORE_SERVED_UNPREPARED, CORE_SERVED_PICKLED, CORE_SERVED_STEP_FAILED, CORE_SERVED_FAILED_ALONE };

/*
 * What is called before and after each function, and after the last one if there may be trackers; None for nothing. trust: whether
 * the caller loads the pickles of this process; a number: if it is core_credentials_now() still.
 */
struct core_around {
    PyObject *before, *after, *finish, *trust;
};

/* Calls it, unless it is None. False with an exception set. */
bool core_act(PyObject *function);

/* The message that has arrived: what came of it (core_served), a value or an exception, and whether it was the last. */
PyObject *core_serve_plain_call(ChannelObject *self, const struct core_around *around, bool *goes_on);

/* All that come, until one is for Python, or the last. */
PyObject *core_serve_plain_calls(ChannelObject *self, const struct core_around *around);
