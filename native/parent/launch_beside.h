/*
 * A launch beside the caller, which goes on while the child carries out its plan: to do the parent's part for a child
 * that waits at a gate, or since an event loop must not stop.
 *
 * The calling thread makes the child without VFORK, so that no thread is suspended and the child inherits from the
 * calling thread. Two things need a helper thread (child/helper_thread.h), which inherits all from the calling thread:
 *
 *  - A parent-death signal comes when the thread ends that made the child. A signal that is to come with the process
 *    needs a child of the main thread. When a thread ends, the kernel makes the main thread the parent of its
 *    children: so a helper thread makes the child and ends, and then the child sets the signal.
 *  - The kernel gives a child that shares memory and is not VFORK the oom_score_adj of its parent, and both share
 *    it from then on. Where the plan sets it, the helper thread is suspended by VFORK, and not the caller.
 */
#pragma once

#include "helper_thread.h"
#include "launch.h"

struct ramet_underway;

struct ramet_launch_manner {
    bool waits;            /* at a gate, where it ends when the process does */
    bool follows_process;  /* its parent-death signal comes with the end of the process, and not of the thread */
    bool has_own_score;    /* its plan sets oom_score_adj */
    int pid_namespace;     /* a descriptor of the pid namespace that it is made in, or RAMET_NO_NAMESPACE */
};

/*
 * The request is for VM, for VFORK where the plan sets oom_score_adj, and not for PIDFD where it is made by clone().
 * The caller holds the result. NULL with *error set to an errno when no child was made, or a report with a failed step.
 */
struct ramet_underway *ramet_launch_beside(const struct ramet_request *request, struct ramet_plan *plan,
                                      const struct ramet_launch_manner *manner, int *error);
void ramet_underway_release(struct ramet_underway *child);

/* The child's pid; the caller owns the pidfd, -1 where there is none. 0 where a failed step says why there is no child. */
int ramet_underway_pid(const struct ramet_underway *child, int *pidfd);

/*
 * Waits until the child has come to that gate, has exec'ed or has failed; the report says which.
 * timeout: in nanoseconds, negative for none. False when it has expired.
 */
bool ramet_underway_await(struct ramet_underway *child, int gate, int64_t timeout, struct ramet_report *report);

/* Kills the child, if it has not exec'ed. */
void ramet_underway_cancel(struct ramet_underway *child);

void ramet_underway_open_gate(struct ramet_underway *child, int gate);

/* Sends SIGSTOP to a child at a gate and waits until it has stopped. */
void ramet_underway_stop(struct ramet_underway *child);

/* Frees the memory of children that were released before they had left it. */
void ramet_underway_sweep(void);

/* In the place of a failed step's index. */
#define RAMET_FAILED_SETNS (-2)
#define RAMET_ENDED_AT_GATE (-3)
#define RAMET_NO_HELPER_THREAD (-4) /* no helper thread could be made */

/* In the place of a gate's number: the exec. */
#define RAMET_LAUNCHED INT32_MAX
