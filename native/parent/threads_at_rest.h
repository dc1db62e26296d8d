/*
 * libc's fork takes the locks of malloc, so that its child finds them free. A clone with flags cannot take them,
 * since they are libc's own: a lock that another thread holds at that moment is held for ever in the copy. But a
 * thread holds it for less than a microsecond while it runs, or until it has a processor again. So the caller
 * waits until each other thread is at rest: it waits in a system call for something else (ramet_is_at_safe_point).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Called with the interpreter's lock, so that Python's threads come to rest. Gives up when native code computes for long. */
void ramet_await_threads_at_rest(void);

/* Whether all other threads of this process are seen at rest in one look, within that time. */
bool ramet_all_threads_at_rest(int64_t nanoseconds);

/* Whether each other thread of this process is seen at rest once within that time, one by one. Allocates nothing. */
bool ramet_each_thread_at_rest(int64_t nanoseconds);
