/*
 * What this thread may do, as one number that changes when its rights do. A child learns from it whether it has
 * given up rights since its clone call. A parent that does not trust the child asks the kernel: see
 * src/ramet/_kernel/credentials.py.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A hash of its ids, groups, capabilities, no_new_privs and seccomp mode. */
uint64_t ramet_credentials_now(void);

/* A hash of the namespaces of a task, 0: of this process. It takes ten times as long. 0 where /proc does not show them. */
uint64_t ramet_namespaces_of(int task);

/*
 * Whether a child that has ended and has not been reaped has the same credentials as the calling thread, as credentials.py
 * compares them; in_any_pid_namespace: its own may be another. False when it has not, and when that cannot be read here: then
 * credentials.py says which differs, and why.
 */
bool ramet_credentials_are_ours(int pid, int pidfd, bool in_any_pid_namespace);
