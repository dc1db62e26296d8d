/*
 * A thread that makes a child in the stead of the thread that starts it, and has all that this one has. It
 * lives on raw system calls: libc does not know of it, so no change of identity, which libc makes in all
 * of its threads, waits for it; and whoever has started it may end before it does.
 */
#ifndef RAMET_HELPER_THREAD_H
#define RAMET_HELPER_THREAD_H

#include "child.h"

#define RAMET_NO_NAMESPACE (-1)

struct ramet_helper {
    const struct ramet_request *request;
    const struct ramet_entry *entry;
    int pid_namespace; /* a descriptor of the one that the child is born in; RAMET_NO_NAMESPACE: the caller's */
    bool stays;        /* as long as the child lives */
    bool could_not_enter;
    int error; /* why there is no child: an errno */
    int *told; /* a futex: 0 when there is none */
};

int ramet_run_helper(void *fn, void *arg, void *helper);

#endif
