/* ramet._core.PlainLink: what the caller of a template needs for plain calls on its spares. */
#pragma once

#include "channel.h"

typedef struct {
    PyObject_HEAD
    PyObject *asked, *waiting; /* lists */
    int last_told;
    int maker;
    bool is_plain; /* whether plain calls are allowed; if so, all that follows is set */
    bool is_doubted, is_confined, is_untrusted, in_namespace;
    int wanted; /* spares, of which some may be asked for */
    ChannelObject *control;
    unsigned long long sent_before, taken_before; /* messages of control, before all that was in the list */
    PyObject *lock, *clone_type, *ending, *reader, *request;
} LinkObject;

/* Takes it out of the list. A new reference; NULL with an exception set, or where there is none. */
PyObject *core_link_take_first(PyObject *list);
