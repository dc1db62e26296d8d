/*
 * What this thread may do, in one number: the same as long as it is the same. A child knows by it whether it has
 * given up rights since its birth; whoever does not want to be believed by it asks the kernel, see ramet/rights.py.
 */
#ifndef RAMET_RIGHTS_H
#define RAMET_RIGHTS_H

#include <stdbool.h>
#include <stdint.h>

/* Its ids, groups, capabilities, no_new_privs and mode of seccomp. */
uint64_t ramet_rights_now(void);

/* The namespaces of this process; 0 where there is no /proc that tells them. */
uint64_t ramet_namespaces_now(void);

/*
 * The same, before a function; 0 also where it can enter none but with a user namespace, which gives it other
 * capabilities: so whoever could not enter any is not asked for them.
 */
uint64_t ramet_namespaces_at_birth(void);

/*
 * Whether a child that has ended and has not been reaped has all that rights.py asks for as the calling thread has
 * it. False when it has not, and when that cannot be told here: rights.py says then which, and why.
 */
bool ramet_rights_are_ours(int pid, int pidfd);

#endif
