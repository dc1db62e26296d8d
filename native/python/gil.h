/* The GIL that a child took along, killed in the few instructions in which it takes the GIL or gives it up. */
#ifndef RAMET_GIL_H
#define RAMET_GIL_H

#include "core.h"

/* Gives back what protects the GIL of that state, where the dead child held it; tid: libc's own on the child's block. */
void core_gil_unlock(const PyThreadState *dead, int tid);

/* Then: gives up the GIL itself, where the dead child had it and was not, or no longer, attached. */
void core_gil_release(const PyThreadState *dead);

#endif
