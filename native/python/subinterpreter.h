/* Interpreters with a GIL of their own, each used by one child after the other. */
#pragma once

#include "clone_ways.h"

/* Its objects belong to that interpreter: they are used with its GIL. */
struct core_interpreter {
    PyInterpreterState *state;
    PyObject *run;         /* src/ramet/_function/in_subinterpreter.py: run(arrival) */
    PyObject *interrupted; /* ...and what is raised there for ramet.Interrupted */
    struct core_interpreter *next;
};

/* One at rest, with the GIL of the main interpreter; NULL when there is none. */
struct core_interpreter *core_interpreter_take(void);

/*
 * A new one, made in a thread that has no thread state.
 * child_code: bytes of another interpreter, which are only read: marshalled code. NULL when it cannot
 * be made.
 */
struct core_interpreter *core_interpreter_new(PyObject *child_code);

/* For the next child; with the GIL of the main interpreter, and with no thread state of a child in it. */
void core_interpreter_rest(struct core_interpreter *interpreter);

/*
 * It is never used again, and none of its code runs any more: what it holds are numbers of
 * descriptors, names of files, locks, that meant something in a child which is dead. So it is not
 * finalized, and what it has not given back of its memory is lost.
 */
void core_interpreter_drop(struct core_interpreter *interpreter);

/*
 * In the child, attached: calls the subinterpreter with the views of the task, and the step of its plan that
 * failed (-1 for none) with its errno. Returns the exit code. *lent: whether something of the
 * interpreter still refers to the caller's memory.
 */
int core_interpreter_run(struct core_interpreter *interpreter, const SharedTaskObject *task, int failed_step, int error,
                         bool *lent);

/* One more is going to be made, or (-1) is made; with the GIL of the main interpreter. */
void core_interpreter_being_made(int more);
