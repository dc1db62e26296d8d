/* The functions of the steps that are more than one system call; what they take is in steps.def. */
#pragma once

#include "plan.h"

#define RAMET_CALL(name, call)
#define RAMET_STEP(name) long ramet_step_##name(const uintptr_t *operand, struct ramet_launch *launch);
#include "steps.def"
#undef RAMET_CALL
#undef RAMET_STEP

/* Keeps a descriptor in a slot, above all that the program is to have, and closes the one that is given. */
long ramet_keep_above(long own, const uintptr_t *slot_and_lowest, struct ramet_launch *launch);
