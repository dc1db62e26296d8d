/*
 * A sponsor is a thread that makes a child in the caller's stead. The kernel suspends it until the
 * child's program begins, while the caller goes on: so it can do its part for a child that waits at
 * a gate. Other ways to let the caller go cost more: without VFORK the kernel takes the child for one
 * that lives in the caller's memory, and an oom_score_adj of the one becomes that of both.
 *
 * A parent-death signal follows the thread that made the child. A sponsor that stays until the
 * child's end makes it follow the process.
 *
 * Most sponsors are made for one child, and are all that the caller is. Others are kept for those who
 * need one often.
 */
#ifndef RAMET_SPONSOR_H
#define RAMET_SPONSOR_H

#include "spawn.h"

struct ramet_sponsored;

enum ramet_sponsor_kind {
    RAMET_SPONSOR_LEAVES, /* when the program runs */
    RAMET_SPONSOR_STAYS,  /* as long as the child lives */
    RAMET_SPONSOR_KEPT,   /* one that is there already, as long as the process; see standby.h */
};

/*
 * The child of a plan, on its way. The caller holds what it gets. NULL with errno set.
 * `pid_namespace`: a descriptor of the one that the child is born in, or -1 for the caller's, which
 * alone a kept sponsor knows. A failed step of RAMET_ENTERING says that it could not be.
 */
struct ramet_sponsored *ramet_sponsor(const struct ramet_request *request, struct ramet_plan *plan,
                                      enum ramet_sponsor_kind kind, int pid_namespace);
void ramet_sponsored_release(struct ramet_sponsored *child);

/*
 * Waits until the child has come to that gate, has exec'ed or has failed; the report says which.
 * timeout: in nanoseconds, negative for ever. False when the time is up.
 */
bool ramet_sponsored_await(struct ramet_sponsored *child, int gate, int64_t timeout, struct ramet_report *report);

/* A descriptor that can be read once the sponsor has come back; it is closed with the last hold. Or -errno. */
int ramet_sponsored_event(struct ramet_sponsored *child);

/*
 * Kills the child on its way, or sees to it that there will be none. It may have come just so far that
 * this has no effect: so ask again until the sponsor has come back, and not afterwards.
 */
void ramet_sponsored_cancel(struct ramet_sponsored *child);

void ramet_sponsored_open(struct ramet_sponsored *child, int gate);

/* SIGSTOP for a child at a gate, and a wait until it has taken hold. */
void ramet_sponsored_stop(struct ramet_sponsored *child);

#define RAMET_ENTERING (-2)
#define RAMET_AT_GATE (-3) /* a child that ended there, which says so only when it is launched or gone */

/* The number of no gate: what comes after the last. */
#define RAMET_LAUNCHED INT32_MAX

#endif
