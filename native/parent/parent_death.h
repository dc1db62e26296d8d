/* A child in shared memory must not outlive its parent's process: it would hold all of that memory. */
#ifndef RAMET_ORPHAN_H
#define RAMET_ORPHAN_H

#include <sys/types.h>

/* Called in the child. owner: the pid of the parent's process. Without effect on a child that shares its handlers. */
void ramet_die_with(pid_t owner);

#endif
