/* The Python object around a plan. */
#ifndef RAMET_PLAN_OBJECT_H
#define RAMET_PLAN_OBJECT_H

#include "core.h"
#include "spawn.h"

typedef struct {
    PyObject_HEAD
    struct ramet_plan *plan;
} PlanObject;

extern PyTypeObject Plan_Type;

#endif
