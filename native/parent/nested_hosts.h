/*
 * A child in shared memory can make children itself. Their host threads are threads of its own: they end with it, and the
 * children soon after. The thread that recovers the child then recovers these, too.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct ramet_host;

/* In the process that has just started the host thread. One that stays as long as the memory is not added. */
void ramet_nested_hosts_add(struct ramet_host *host);

/* Whether the calling process has started one whose child is not recovered. */
bool ramet_nested_hosts_any(void);

/* Whether the thread with that tid, as its process sees it, is the host thread of such a child. */
bool ramet_is_nested_host(int tid);

/*
 * One host thread that the process with that pid (as it saw it) has started, after its end and that of its
 * child; NULL when there is no other. Calls `hasten`, waits for these ends, some seconds at most. The caller holds the
 * result.
 */
struct ramet_host *ramet_nested_hosts_take(pid_t maker, void (*hasten)(const struct ramet_host *host));
