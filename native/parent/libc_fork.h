/*
 * libc's own fork(), which makes another child: as a request says. So all handlers run that libc and other
 * libraries have for a fork (pthread_atfork), and libc's locks are free in the child.
 *
 * Needs Linux 5.11 on x86_64. It is not available either where a seccomp filter refuses it, and while another
 * thread is in such a call.
 */
#pragma once

#include "clone_stopped.h"

/*
 * Returns twice, as fork() does; the request is for a child with a memory of its own. entry->run: NULL, or
 * what the child runs without ever returning, when it leaves libc behind. fn and arg are laid on a given
 * stack, on which the child begins; it returns on its copy of the caller's. *pid: the child's, 0 in
 * the child, or -errno. False: nothing was made.
 */
bool ramet_libc_fork(const struct ramet_request *request, const struct ramet_entry *entry, long *pid);

/*
 * Runs the handlers that come before and after a fork, and makes no child: a library with a pool of threads and
 * such handlers ends its threads, and starts new ones when it needs them. Where that is not available, by a fork whose
 * child ends at once; the caller may get its SIGCHLD.
 */
void ramet_run_fork_handlers(void);
