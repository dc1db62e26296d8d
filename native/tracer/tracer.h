/*
 * Follows a tree of tasks by ptrace(2) until the last has ended, or until it is told to leave them.
 *
 * All of ramet_tracer_*, save leave(), is called by one thread, the tracer: the kernel takes requests from the task that has
 * attached alone, and detaches all tracees, or kills those that it started, when that task ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "trace_bell.h"
#include "trace_calls.h"
#include "trace_records.h"

struct ramet_tracee;

#define RAMET_TRACEE_LISTS 256

struct ramet_tracer {
    struct ramet_trace_records records;
    struct ramet_trace_limits limits;
    struct ramet_tracee *tracees[RAMET_TRACEE_LISTS]; /* by tid */
    size_t count;
    bool filtered;  /* their filter stops at the calls of the family; else each call stops twice */
    bool owns;      /* it has started them: they end with it */
    bool leaving;
    int leave;      /* another thread asks it to leave them */
    uint64_t stops;
    int64_t busy;   /* ns between a stop and the tracee's going on */
    struct ramet_bell bell;
};

void ramet_tracer_begin(struct ramet_tracer *tracer, const struct ramet_trace_limits *limits, bool filtered, bool owns);
void ramet_tracer_end(struct ramet_tracer *tracer);

/* Attaches to one task, which goes on. 0 or -errno. */
long ramet_tracer_seize(struct ramet_tracer *tracer, int tid);

/* Until no tracee is left; the last record is then there. 0 or -errno. */
long ramet_tracer_run(struct ramet_tracer *tracer);

/* By any thread: run() is to detach from all tracees, or to kill those that were started with a filter. */
void ramet_tracer_leave(struct ramet_tracer *tracer);
