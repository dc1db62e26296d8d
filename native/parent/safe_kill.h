/* Ending a child in shared memory where it does the least harm. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct ramet_syscall_state;

/*
 * Sends a child a signal by its pidfd, if there is one (-1: there is none); and by its pid where that fails and the
 * child has not ended, since a seccomp filter may allow kill() alone. pid: 0 where it is not known. 0, or
 * -errno; -ESRCH where it has ended.
 */
long ramet_send_signal(pid_t pid, int pidfd, int signal);

/* Whether a process has this memory; false where the kernel does not tell. */
bool ramet_shares_memory(pid_t pid);

/*
 * Kills a process of this memory that has not left it: till then the word is not 0 (CHILD_CLEARTID), and its pid no
 * other's. By raw calls.
 */
void ramet_kill_in_memory(pid_t pid, const int *word);

/* What the interpreter knows. The others among a child's own children go on: those that become programs, and watchdogs. */
struct ramet_sharers {
    void (*remove_waiter)(const struct ramet_syscall_state *state); /* removes a stopped task, which will be killed, from lists of waiters */
    bool (*runs_python)(pid_t pid); /* NULL: none does; such a child of a child would die with it, wherever it is */
};

/*
 * Kills a child that shares this memory, and those of its own that do and run Python. What they hold when they die stays held for ever: the mutex
 * of the interpreter lock, or a lock of malloc. So all of them and their threads are stopped first. While one is not at a
 * safe point, they run on for a moment and are stopped again. After some tries, or where one does not stop, they are killed all the
 * same. The caller holds the lock without which they cannot run Python. at_safe_point: NULL, or whether all were stopped at one. 0, or
 * -errno where the child could not be killed.
 */
long ramet_kill_sharer(pid_t pid, int pidfd, const struct ramet_sharers *known, bool *at_safe_point);

/*
 * The same with so many tries, and at a safe point only: else the child runs on, and this returns -EAGAIN; or -ENODATA where
 * that cannot be told, as there is no /proc to read, or no descriptor to read it by, or no memory.
 */
#define RAMET_KILL_TRIES 100 /* some 50 ms */
long ramet_kill_sharer_if_safe(pid_t pid, int pidfd, const struct ramet_sharers *known, int tries);
