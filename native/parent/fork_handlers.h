/* The fork handlers of libraries (pthread_atfork), run within a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * ramet_run_fork_handlers() in a thread of its own, since a handler may wait for a thread that never answers. It is
 * called when all other threads of this process are at rest: a pool that computes must not be taken down. Whether the
 * handlers have ended within that time; else they were not called, or are still running.
 */
bool ramet_run_fork_handlers_within(int64_t nanoseconds);
