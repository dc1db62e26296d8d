/*
 * A thread that makes a child for the calling thread, with all that the calling thread has. It uses raw system
 * calls alone: libc does not know of it, so no change of identity, which libc makes in all of its threads, waits
 * for it; and the thread that started it may end before it does.
 */
#pragma once

#include "child.h"

#define RAMET_NO_NAMESPACE (-1)

struct ramet_helper {
    const struct ramet_request *request;
    const struct ramet_entry *entry;
    int pid_namespace; /* a descriptor of the child's pid namespace; RAMET_NO_NAMESPACE: the caller's */
    bool stays;        /* until the child ends */
    bool could_not_enter;
    int error;    /* why there is no child: an errno */
    int *arrived; /* a futex word: set to 0 when there is no child */
};

/* What the thread runs; context is its struct ramet_helper. */
int ramet_run_helper(void *fn, void *arg, void *context);
