/* Ending a child in shared memory where it does the least harm. */
#ifndef RAMET_SAFE_KILL_H
#define RAMET_SAFE_KILL_H

#include <stdbool.h>
#include <sys/types.h>

struct ramet_syscall_state;

/*
 * A signal for a child, by its pidfd where there is one; by its pid, too, while it has not ended: a filter
 * may know kill() and not the newer call. 0, or -errno.
 */
long ramet_send_signal(pid_t pid, int pidfd, int signal);

/* Strikes a stopped task that stands there off the lists of those who wait. */
typedef void ramet_remove_waiter(const struct ramet_syscall_state *stand);

/*
 * SIGKILL for a child that shares our memory. What it holds when it dies stays held for ever: the
 * interpreter lock's own mutex, or one of malloc's. So it is stopped first, and looked at, with the
 * threads that it has started, and let go on for a moment while one of them stands badly. After some
 * tries, or where it does not stop (it is in the midst of a long system call), it is killed all the same.
 * The caller holds what would let the child run on in Python. pidfd: -1 where there is none. stood_well: NULL, or
 * whether all of it had stopped where it is at a safe point. 0, or -errno where it could not be killed.
 */
long ramet_kill_sharer(pid_t pid, int pidfd, ramet_remove_waiter *strike_off, bool *stood_well);

/* The same with so many tries, and only where it is at a safe point: else it goes on, and this returns -EAGAIN. */
#define RAMET_KILL_TRIES 100 /* some 50 ms */
long ramet_kill_sharer_if_safe(pid_t pid, int pidfd, ramet_remove_waiter *strike_off, int tries);

#endif
