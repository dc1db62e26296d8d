/* In which system call a task is that has been stopped, also where Linux does not show it then. */
#pragma once

#include <sys/types.h>

#include <stopped_call.h>

#include "task_state.h"

#define RAMET_MOST_THREADS 512 /* of one child, that are looked at */

/* By the numbers that /proc has: what is shown before of the calls in which a process's threads sleep; nothing where it is not needed. */
struct ramet_calls_before {
    int count;
#if RAMET_STOP_HIDES_CALL
    long numbers[RAMET_MOST_THREADS];
    struct ramet_syscall_state states[RAMET_MOST_THREADS];
#endif
};

void ramet_look_before_stop(struct ramet_calls_before *before, long number);

/* When it has been stopped. It shares this memory. */
struct ramet_syscall_state ramet_stopped_call(const struct ramet_calls_before *before, long number);
