/*
 * Host threads that sleep between two children. The table is in memory that the kernel wipes in the child
 * of a fork, which has none of these threads; a child in shared memory sees it as it is.
 */
#pragma once

struct ramet_host;

/* An idle host thread, claimed; NULL when there is none. */
struct ramet_host *ramet_pool_take(void);

/*
 * The caller no longer needs a host thread, whose child may have ended or not: it becomes idle, at once or later.
 * It is dismissed where the table has no room for it. Takes over the caller's hold.
 */
void ramet_pool_give_back(struct ramet_host *host);

/* Dismisses all that are idle, and waits until they have ended. The caller must not hold a lock that they need for that. */
void ramet_pool_drain(void);
