/*
 * What this thread may do, in one number: the same as long as it is the same. A child knows by it whether it has
 * given up rights since its clone call; whoever does not want to be believed by it asks the kernel, see ramet/_kernel/credentials.py.
 */
#ifndef RAMET_CREDENTIALS_H
#define RAMET_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

/* Its ids, groups, capabilities, no_new_privs and mode of seccomp. */
uint64_t ramet_credentials_now(void);

/* The namespaces of a task, 0: of this process. They take ten times as long. 0 where no /proc tells them. */
uint64_t ramet_namespaces_of(int task);

/*
 * Whether a child that has ended and has not been reaped has all that rights.py asks for as the calling thread has
 * it. False when it has not, and when that cannot be told here: rights.py says then which, and why.
 */
bool ramet_credentials_are_ours(int pid, int pidfd);

#endif
