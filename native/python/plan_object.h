/* The Python object around a plan. */
#pragma once

#include "core.h"
#include "launch_suspending.h"

typedef struct {
    PyObject_HEAD
    struct ramet_plan *plan;
} PlanObject;

extern PyTypeObject Plan_Type, Underway_Type, Ahead_Type;

/* Of a tuple of steps. NULL with an exception set. */
PyObject *core_plan_of(PyObject *steps);

/* What came of a launch: None, or (failed step, its errno). */
PyObject *core_failure(const struct ramet_report *report);

/* Carries a plan out in the calling task: the failed step or -1, and its errno. False when there is no memory for it. */
bool core_do_plan(const struct ramet_plan *plan, int *failed_step, int *error);
