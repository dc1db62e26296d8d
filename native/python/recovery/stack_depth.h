/* How much of a frame's stack is in use, by the instruction at which it stands. */
#ifndef RAMET_STACK_DEPTH_H
#define RAMET_STACK_DEPTH_H

#include "core.h"

/*
 * With the GIL. How many entries the frame owns for certain while this instruction (counted in code units) is
 * carried out: those below the ones that it takes. -1 where that is not to be found out.
 */
int core_stack_depth(PyCodeObject *code, Py_ssize_t instruction);

#endif
