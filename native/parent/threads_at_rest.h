/*
 * libc's fork takes the locks of malloc, so that its child finds them free. A clone with flags cannot,
 * since libc keeps them to itself: a lock that another thread holds at that moment is held for ever in
 * the copy. But it is held for less than a microsecond, by a thread that runs; or that has been
 * preempted, and is soon to run. So one waits until every other thread waits for something else.
 */
#ifndef RAMET_THREADS_AT_REST_H
#define RAMET_THREADS_AT_REST_H

#include <stdbool.h>
#include <stdint.h>

/* With the interpreter's lock, so that Python's threads come to rest. Gives up when native code computes without end. */
void ramet_await_threads_at_rest(void);

/* Whether all other threads of this process are seen at rest in one look, within that time. */
bool ramet_all_threads_at_rest(int64_t nanoseconds);

/*
 * Whether each other thread of this process is seen at rest once within that time, one after the other.
 * Without an allocation.
 */
bool ramet_each_thread_at_rest(int64_t nanoseconds);

#endif
