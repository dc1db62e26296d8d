/*
 * A child in shared memory can make children beside itself. The host threads of these are threads of its
 * own and end with it, and soon the children do; whoever recovers the one then recovers the others, too.
 */
#ifndef RAMET_NESTED_HOSTS_H
#define RAMET_NESTED_HOSTS_H

#include <stdbool.h>
#include <sys/types.h>

struct ramet_host;

/* In the process that has just started the host thread. One that stays as long as the memory is left out. */
void ramet_nested_hosts_add(struct ramet_host *host);

/* Whether the calling process has started one whose child is not recovered. */
bool ramet_nested_hosts_any(void);

/* Whether a thread of that tid, as its process sees it, is the host thread of such a child. */
bool ramet_is_nested_host(int tid);

/*
 * Of those that the process with that pid (as it saw it) has started, one whose thread has ended, as
 * its child has; NULL when there is none more. Waits for such an end, some seconds at most. The
 * caller's to release.
 */
struct ramet_host *ramet_nested_hosts_take(pid_t maker);

#endif
