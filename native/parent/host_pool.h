/*
 * Host threads that sleep between two children. The table lies in a page that the kernel wipes in the
 * child of a fork, which has none of these threads; a child in shared memory sees it as it is.
 */
#ifndef RAMET_HOST_POOL_H
#define RAMET_HOST_POOL_H

struct ramet_host;

/* A host thread at rest, claimed; NULL when there is none. */
struct ramet_host *ramet_pool_take(void);

/*
 * The caller is done with a host thread, which may be over or not: it goes to rest, at once or later.
 * What there is no room for is dismissed. Takes over the caller's hold.
 */
void ramet_pool_give_back(struct ramet_host *host);

/* Dismisses all that are at rest, and waits until they have ended. The caller must not hold what they need for that. */
void ramet_pool_drain(void);

#endif
