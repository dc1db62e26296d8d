/* A child in shared memory must not outlive its parent's process: it would hold all of that memory. */
#ifndef RAMET_PARENT_DEATH_H
#define RAMET_PARENT_DEATH_H

#include <sys/types.h>

/* Called in the child. owner: the pid of the parent's process. Without effect on a child that shares its handlers. */
void ramet_die_with_process(pid_t owner);

#endif
