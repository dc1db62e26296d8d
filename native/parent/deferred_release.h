/* Memory that was lent to a task without a host thread: released when the task is gone. */
#pragma once

#include <stdbool.h>

#include "lent_memory.h"

/* tid: the task; thread: whether it is one of this process. Takes its own holds on stack and words (either may be NULL). */
bool ramet_defer_release(long tid, bool thread, struct ramet_stack *stack, struct ramet_word *const words[2]);

/* Releases what was lent to tasks that are gone. */
void ramet_release_deferred(void);
