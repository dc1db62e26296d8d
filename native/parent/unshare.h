/*
 * A child of libc's fork() that makes its namespaces itself, by unshare(2). It stands in for a clone with flags, where
 * ramet_libc_fork() is not available and the request is for namespaces alone.
 */
#pragma once

#include "clone_stopped.h"

/* Whether the request can be met like this. */
bool ramet_can_unshare(const struct ramet_request *request);

/*
 * Returns twice, as fork() does: the child's pid, 0 in the child, or -errno: of the fork, or of the child's unshare.
 * In that case the child is reaped, but the caller may get its SIGCHLD.
 */
long ramet_fork_and_unshare(const struct ramet_request *request);
