/* Ending a child in shared memory where it does the least harm. */
#ifndef RAMET_KILL_H
#define RAMET_KILL_H

#include <stdbool.h>
#include <sys/types.h>

struct ramet_stand;

/* Strikes a stopped task that stands there off the lists of those who wait. */
typedef void ramet_strike_off(const struct ramet_stand *stand);

/*
 * SIGKILL for a child that shares our memory. What it holds when it dies stays held for ever: the
 * interpreter lock's own mutex, or one of malloc's. So it is stopped first, and looked at, with the
 * threads that it has started, and let go on for a moment while one of them stands badly. After some
 * tries, or where it does not stop (it is in the midst of a long system call), it is killed all the same.
 * The caller holds what would let the child run on in Python. pidfd: -1 where there is none. Returns whether
 * all of it had stopped where it stands well.
 */
bool ramet_kill_sharer(pid_t pid, int pidfd, ramet_strike_off *strike_off);

#endif
