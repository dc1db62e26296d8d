/* The body of a hosted child with an interpreter of its own; and, in its host thread, what is done when it is over. */
#pragma once

#include "hosted_child.h"

extern const struct core_hosted_kind core_subinterpreter_kind;

int core_run_subinterpreter(void *task, void *arg, void *context);
void core_recover_subinterpreter(struct core_hosted *call);

/* There was no child, and there will be none. */
void core_discard_subinterpreter(struct core_hosted *call);
