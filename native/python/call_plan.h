/* What a call asks of its process besides its function, where that is said by letters: see call_plan.c. */
#pragma once

#include "core.h"

struct core_call_plan {
    int entries;         /* of cgroups */
    bool stack, outputs; /* a file for its stack; two for its output */
    bool last;
};

/* Whether the plan is one of letters, or says nothing. */
bool core_read_call_plan(const char *text, size_t length, struct core_call_plan *plan);

/* How many come with it. */
int core_descriptors_of_plan(const struct core_call_plan *plan);

/* They are taken over. False with an exception set. */
bool core_carry_out_plan(const struct core_call_plan *plan, const int *descriptors);
