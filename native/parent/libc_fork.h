/*
 * libc's own fork(), in which the child is another's: made as a request says. So all handlers run that
 * libc and other libraries have for a fork (pthread_atfork), and libc's locks are whole in the child.
 *
 * Needs Linux 5.11 on x86_64. It is also not to be had where a filter refuses it, and while another
 * thread is in the midst of one.
 */
#ifndef RAMET_LIBC_FORK_H
#define RAMET_LIBC_FORK_H

#include "clone_stopped.h"

/*
 * Returns twice, as fork() does; request is for a child with a memory of its own. entry->run: NULL, or
 * what the child runs without ever coming back, when it leaves libc behind. fn and arg are laid on a given
 * stack, on which the child begins; it comes back on its copy of the caller's. *pid: the child's, 0 in
 * the child, or -errno. False: nothing was made.
 */
bool ramet_libc_fork(const struct ramet_request *request, const struct ramet_entry *entry, long *pid);

/*
 * Runs the handlers that come before and after a fork, and makes nothing: what has a pool of threads and knows
 * of forks takes it down, and starts another when it needs one. Where that is not to be had, by a fork
 * whose child ends at once; the caller may hear of it by SIGCHLD.
 */
void ramet_run_fork_handlers(void);

/*
 * The same in a thread of its own, when all others of this process rest (a pool that computes must not be taken
 * down), since a handler may wait for a thread that will never answer. Whether they have come to their end within
 * that time; else they were not run, or the thread waits on.
 */
bool ramet_run_fork_handlers_within(int64_t nanoseconds);

#endif
