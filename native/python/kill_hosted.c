/* SIGKILL for a hosted child that has its caller's interpreter: where it is at a safe point. */
#include "hosted_child.h"

#include "futex.h"
#include "safe_kill.h"

#define TO_REST_NANOSECONDS INT64_C(1000000000)         /* of the processor's time that it gets */
#define LONGEST_TO_REST_NANOSECONDS INT64_C(5000000000) /* on the clock */
#define SHORT_TRIES 40                                  /* some 10 ms, in which it cannot run Python */
#define OTHERS_NANOSECONDS 2000000                      /* and then others run */
#define QUIET_NANOSECONDS 50000000                      /* in which one that runs gets a processor */
#define MOST_LOOKS 5                                    /* at its clock, before it is stopped again */

static void let_others_run(long nanoseconds)
{
    const struct timespec pause = {.tv_nsec = nanoseconds};
    Py_BEGIN_ALLOW_THREADS
    ramet_syscall2(__NR_nanosleep, &pause, NULL);
    Py_END_ALLOW_THREADS
}

/* The processor's time that a process has had; the most there is where the kernel does not tell. */
static int64_t time_had(int pid)
{
    const clockid_t clock = (clockid_t)((~(unsigned)pid << 3) | 2); /* as clock_getcpuclockid(3) makes it */
    struct timespec had;
    return clock_gettime(clock, &had) < 0 ? INT64_MAX : had.tv_sec * INT64_C(1000000000) + had.tv_nsec;
}

/* Where nothing shows in which system call it is: whether it waits in one, by its clock. It has just been let go on. */
static bool is_quiet(int pid)
{
    int64_t had = -1, has = time_had(pid);
    for (int look = 0; look < MOST_LOOKS && has != had; look++) {
        had = has;
        let_others_run(QUIET_NANOSECONDS);
        has = time_had(pid);
    }
    return has == had;
}

/*
 * Native code that computes may hold a lock of its library's, which would stay held: so it is given time to come to a safe
 * point. -EAGAIN: it has not.
 */
static long kill_at_rest(const struct ramet_host *host, int claim, int pid, int pidfd)
{
    int64_t had = time_had(pid), until = ramet_now() + LONGEST_TO_REST_NANOSECONDS;
    long error = ramet_kill_sharer_if_safe(pid, pidfd, &core_sharers, RAMET_KILL_TRIES);
    while ((error == -EAGAIN || error == -ENODATA) && ramet_now() < until && time_had(pid) - had < TO_REST_NANOSECONDS) {
        bool may_be_killed = error == -ENODATA && is_quiet(pid);
        let_others_run(OTHERS_NANOSECONDS);
        if (ramet_host_is_over(host, claim)) /* it is no longer the one that had this claim of the host thread */
            return -ESRCH;
        if (may_be_killed)
            break;
        error = ramet_kill_sharer_if_safe(pid, pidfd, &core_sharers, SHORT_TRIES);
    }
    return error == -ENODATA ? -EAGAIN : error;
}

static long kill_carefully(struct core_hosted *call, int pid, int pidfd)
{
    const struct ramet_host *host = call->host;
    int claim = __atomic_load_n(&host->over, __ATOMIC_ACQUIRE);
    call->had_threads = core_has_native_threads(pid);
    long error = kill_at_rest(host, claim, pid, pidfd);
    if (ramet_host_is_over(host, claim))
        return -ESRCH;
    bool at_safe_point = error == 0;
    if (error == -EAGAIN) {
        call->killed_at_work = true;
        error = ramet_kill_sharer(pid, pidfd, &core_sharers, &at_safe_point);
    }
    call->at_safe_point |= at_safe_point; /* before the recovering thread can have the GIL */
    return error;
}

long core_kill_hosted(struct core_hosted *call, int pid, int pidfd)
{
    struct ramet_host *host = call->host;
    /* Its pid may be another's before this is done: another thread may reap it meanwhile. */
    int own = pidfd < 0 ? (int)ramet_syscall2(__NR_pidfd_open, pid, 0) : -1;
    ramet_host_hold(host);
    long error = kill_carefully(call, pid, own >= 0 ? own : pidfd);
    ramet_host_release(host);
    if (own >= 0)
        ramet_syscall1(__NR_close, own);
    return error;
}
