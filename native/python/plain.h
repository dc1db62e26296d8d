/* Objects whose end is no more than that their memory is free again. */
#ifndef RAMET_PLAIN_H
#define RAMET_PLAIN_H

#include "core.h"

/* Before the first question: a class that is written in Python, whose instances are tracked by the garbage collector. */
void core_plain_ready(PyTypeObject *class);

/* Whether it holds nothing that has to be looked at, and can end anywhere. */
bool core_is_plain_leaf(PyObject *object);

/*
 * Whether it can end anywhere once what it holds can: it has one of the interpreter's own types, or a class
 * written in Python that has no finalizer and derives from these only; and nobody is told of its end (no weak
 * reference). core_go_through() shows all that it holds.
 */
bool core_is_plain_container(PyObject *object);

/* As its tp_traverse does, and more where that does not show all. */
int core_go_through(PyObject *object, visitproc visit, void *context);

/* Whether it is never freed, and its references are not counted. */
bool core_is_immortal(PyObject *object);

#endif
