/* What a call asks of its process besides its function, where that is said by letters: see call_plan.c. */
#pragma once

#include "core.h"

#define CORE_MOST_STREAMS 5 /* both outputs where they are captured, and all three by options */

struct core_call_plan {
    int entries; /* of cgroups */
    bool stack;  /* a file for its stack */
    int streams[CORE_MOST_STREAMS], stream_count; /* what takes the place of standard input, output and error, one after the other */
    bool last;
    const char *steps; /* of its setup, as core_plain_write() has written them */
    size_t length;     /* 0: none */
};

/* Whether the plan is one of letters, or says nothing. */
bool core_read_call_plan(const char *text, size_t length, struct core_call_plan *plan);

/* How many come with it. */
int core_descriptors_of_plan(const struct core_call_plan *plan);

/* The steps, to be read while the message is there; None for none. NULL with an exception set. */
PyObject *core_steps_of_plan(const struct core_call_plan *plan);

/*
 * The descriptors are taken over. None; or what of the steps failed: its label, the errno, and the file that it is about or None.
 * NULL with an exception set.
 */
PyObject *core_carry_out_plan(const struct core_call_plan *plan, PyObject *steps, const int *descriptors);
