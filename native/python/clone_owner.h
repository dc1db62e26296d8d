/* ramet._core.CloneOwner: a clone of a template that nobody else owns yet. */
#pragma once

#include "channel.h"

typedef struct core_clone_owner {
    PyObject_HEAD
    int maker;                           /* the process that owns it */
    int pid, pidfd, init, pidfd_of_init; /* init: of its pid namespace, 0 for none */
    PyObject *channel;
    char owns, is_doubted, is_confined, has_own_numbers;
} CloneOwnerObject;
