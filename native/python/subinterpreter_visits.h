/* Threads that enter a child's own interpreter for a moment. */
#pragma once

#include "subinterpreter.h"

struct ramet_host;

/* The visitors of one child after the other. */
struct core_visits {
    int within;                    /* a futex: how many are on their way */
    struct ramet_host *host; /* held by each: all this is the host thread's */
};

/*
 * Starts a thread that waits for the interpreter's GIL and then acts, with a thread state of its own
 * attached. The interpreter is dropped, or rests, only when the visits are over. Whether it started.
 */
bool core_visit(struct core_visits *visits, struct core_interpreter *interpreter, void (*act)(void *context),
                void *context);

/*
 * Waits for the end of all visits, without a GIL: nobody should hold the one for which they wait.
 * False when they do not end: another thread of the child died with it, and it is lost.
 */
bool core_end_visits(struct core_visits *visits);
