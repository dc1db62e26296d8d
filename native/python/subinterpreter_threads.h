/* Threads that enter a child's own interpreter for a moment. */
#pragma once

#include "subinterpreter.h"

struct ramet_host;

/* Those that have entered, for one child after the other. */
struct core_interpreter_threads {
    int within;                    /* a futex: how many are on their way */
    struct ramet_host *host; /* held by each: all this is the host thread's */
};

/*
 * Starts a thread that waits for the interpreter's GIL and then acts, with a thread state of its own
 * attached. The interpreter is dropped, or rests, only when these threads have left it. Whether it started.
 */
bool core_run_in_interpreter(struct core_interpreter_threads *threads, struct core_interpreter *interpreter,
                             void (*act)(void *context), void *context);

/*
 * Waits until all have left, without a GIL: the caller must not hold the one for which they wait.
 * False when they do not end: another thread of the child died with it, and it is lost.
 */
bool core_await_interpreter_threads(struct core_interpreter_threads *threads);
