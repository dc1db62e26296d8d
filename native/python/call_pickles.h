/* Calls and results that are pickles, see call_pickles.c. */
#pragma once

#include "channel.h"

/* Whether what has been written is one. */
bool core_is_pickled(const char *call, size_t length);

/* The function and its arguments, of the parts of a message: the plan, the pickle, its buffers. NULL with an exception set. */
PyObject *core_read_pickled_call(PyObject *parts);

/* Of a pickle of it alone. NULL with an exception set. */
PyObject *core_read_pickled_function(PyObject *pickle);

/* Whether this process reads a call now: what that imports may begin no other. */
PyObject *core_reads_call(PyObject *module, PyObject *args);
PyObject *core_note_reading(PyObject *module, PyObject *is_reading);

/* The pickle of a value, and what lies outside of it. NULL where Python is to pickle it; an exception may be set. */
PyObject *core_pickled_parts(PyObject *value);

/*
 * A result. 1; 0: nothing was sent, it is for Python; -1 with an exception set. unsent: then the parts of its message, which is
 * too long to be sent but in a memfd; NULL where Python is to pickle it.
 */
int core_send_pickled(ChannelObject *channel, uint8_t kind, PyObject *value, PyObject **unsent);
