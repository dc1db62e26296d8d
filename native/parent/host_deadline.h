/* The deadline of a hosted child: a thread waits for it and then kills the child with care. */
#pragma once

#include <stdint.h>

struct ramet_host;

/*
 * Right after the clone call; claim: the host thread's for this child, timeout in nanoseconds. A thread calls `expire` at
 * the deadline. It may have to wait for a lock that the child holds: then the host thread kills the child.
 * 0, or an errno when no thread can be started; the host thread keeps the deadline all the same.
 */
int ramet_host_set_deadline(struct ramet_host *host, int claim, int child, int64_t timeout);
