/*
 * Threads that are kept for births, so that a caller who must not be suspended need not make one for
 * each. From such a thread a child has what belongs to a thread and is not told in its plan: affinity,
 * scheduling, namespaces; all of them have it from whoever needed the first.
 */
#ifndef RAMET_STANDBY_H
#define RAMET_STANDBY_H

#include <stdbool.h>

/* What a thread is to do; it lies in the caller's own structure. */
struct ramet_errand {
    void (*run)(struct ramet_errand *errand);
    void (*tell)(struct ramet_errand *errand); /* when it is done, and the thread is free for another one */
    struct ramet_errand *next;
};

/*
 * Has it done soon, by a thread with all signals blocked, in the order in which they come. 0 or an errno:
 * no thread can be had, or those that are there belong to another process whose memory this is. The
 * caller has blocked all signals.
 */
int ramet_standby_take(struct ramet_errand *errand);

/* Takes it back, if nobody has begun; whether that was so. */
bool ramet_standby_give_back(struct ramet_errand *errand);

/* Ends the threads that have nothing to do. */
void ramet_standby_drain(void);

#endif
