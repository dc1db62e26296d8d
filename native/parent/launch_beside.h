/*
 * The child of a plan that is on its way to its program while the caller goes on: to do its part for a
 * child that waits at a gate, or since a loop must not stand still.
 *
 * The calling thread makes it, as it makes every child, and without VFORK: so nobody is suspended, and the
 * child has of the calling thread what it is at this moment. Two things need a helper (child/helper.h),
 * which the calling thread makes and which has all that it has:
 *
 *  - A parent-death signal comes when the thread ends whose child it is. One that shall come with the
 *    process needs a child of the main thread. Another thread's becomes one when that thread ends: so a
 *    helper makes it and ends, and the child sets the signal when the main thread has succeeded it.
 *  - The kernel takes a child that shares memory and is not VFORK for one that goes on living in it, and
 *    gives both one oom_score_adj. Where the plan sets it, a helper is suspended in the caller's stead.
 */
#ifndef RAMET_LAUNCH_BESIDE_H
#define RAMET_LAUNCH_BESIDE_H

#include "helper_thread.h"
#include "launch_suspending.h"

struct ramet_underway;

struct ramet_launch_manner {
    bool waits;            /* at a gate: it ends there if the process does */
    bool follows_process;  /* its parent-death signal comes with the end of the process, and not of the thread */
    bool has_own_score;    /* its plan sets oom_score_adj */
    int pid_namespace;     /* a descriptor of the one that it is born in, or RAMET_NO_NAMESPACE */
};

/* The caller holds what it gets. NULL with *error set to an errno when no child came. A failed step says more. */
struct ramet_underway *ramet_launch_beside(const struct ramet_request *request, struct ramet_plan *plan,
                                      const struct ramet_launch_manner *manner, int *error);
void ramet_underway_release(struct ramet_underway *child);

/* Its pid, and its pidfd or -1, which is the caller's; 0 where a failed step says why there is none. */
int ramet_underway_pid(const struct ramet_underway *child, int *pidfd);

/*
 * Waits until the child has come to that gate, has exec'ed or has failed; the report says which.
 * timeout: in nanoseconds, negative for ever. False when the time is up.
 */
bool ramet_underway_await(struct ramet_underway *child, int gate, int64_t timeout, struct ramet_report *report);

/* Kills the child, if it is still on its way. */
void ramet_underway_cancel(struct ramet_underway *child);

void ramet_underway_open_gate(struct ramet_underway *child, int gate);

/* SIGSTOP for a child at a gate, and a wait until it has taken hold. */
void ramet_underway_stop(struct ramet_underway *child);

/* Gives back what those have left that nobody holds any more. */
void ramet_underway_sweep(void);

#define RAMET_FAILED_SETNS (-2)
#define RAMET_ENDED_AT_GATE (-3)   /* a child that ended there, which says so only when it is launched or gone */
#define RAMET_NO_HELPER (-4) /* it could not be made */

/* The number of no gate: what comes after the last. */
#define RAMET_LAUNCHED INT32_MAX

#endif
