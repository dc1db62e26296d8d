/* Python's list of interpreters. */
#ifndef RAMET_INTERPRETER_LIST_H
#define RAMET_INTERPRETER_LIST_H

#include "core.h"

/*
 * Takes an interpreter off the list, and puts it on again. Python goes through the list at two moments.
 * The child of a fork deletes all interpreters but the main one, and dies of the attempt (3.12 to
 * 3.15: in PyOS_AfterFork_Child): so a program could not fork any more as long as
 * a function of ours runs. And since 3.14 the end of Python finalizes them, where a dead child may
 * have left locks that nobody gives back. To be deleted it must be on the list.
 */
void core_interpreter_hide(PyInterpreterState *interpreter);
void core_interpreter_show(PyInterpreterState *interpreter);

#endif
