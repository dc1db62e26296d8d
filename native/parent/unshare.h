/*
 * A child of libc's fork() that makes its namespaces itself, by unshare(2): as good as a clone with flags, where
 * ramet_libc_fork() is not to be had and nothing else is asked for.
 */
#ifndef RAMET_UNSHARE_H
#define RAMET_UNSHARE_H

#include "clone_stopped.h"

/* Whether all that is asked for can be had so. */
bool ramet_can_unshare(const struct ramet_request *request);

/*
 * Returns twice, as fork() does: the child's pid, 0 in the child, or -errno: of the fork, or of the child's unshare;
 * then nothing is left of it, but for a SIGCHLD of which the caller may hear.
 */
long ramet_fork_and_unshare(const struct ramet_request *request);

#endif
