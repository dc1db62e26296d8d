/* A child in shared memory must end with its parent's process: else it would keep all of that memory. */
#pragma once

#include <sys/types.h>

/* Called in the child. owner: the pid of the parent's process. Not for a child that shares its signal handlers. */
void ramet_die_with_process(pid_t owner);
