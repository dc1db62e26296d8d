/*
 * The tracer's loop. ptrace(2) has the stops; what is not said there:
 *
 *  - A new task's first stop and even its end may come before the event of its clone call; with CLONE_UNTRACED|CLONE_PTRACE that never comes.
 *  - After a stop for the filter the tracee is let go on to the end of its call, since only that tells an error; after the event
 *    of a clone call or an exec it is let go on without: that call has succeeded, and its end would tell nothing new.
 *  - A tracee may be killed at any time. Then a request fails with ESRCH, and its end is told next.
 *  - When a thread that does not lead execs, it goes on under the leader's tid; neither of the two old ones has an end. A stop of
 *    the leader's may have been waited for and not been answered by then: an answer would now let the other one go on unseen.
 *  - wait4(2) tells of the newest tracee first. Answered one by one, a few busy ones would keep the others waiting without end:
 *    all that have stopped are waited for before the first is answered.
 */
#define _GNU_SOURCE
#include "tracer.h"

#include <errno.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "futex.h"
#include "task_state.h"

#define OPTIONS \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | \
     PTRACE_O_TRACESECCOMP)
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define STOP_OF_EXEC (SIGTRAP | PTRACE_EVENT_EXEC << 8)

/* What wait4(2) has told of a task. */
struct told {
    int tid, status;
    struct rusage used;
    int64_t time;
};

#define MOST_AT_ONCE 64

struct ramet_tracee {
    int tid;
    bool is_told;   /* that it was made, or is there */
    bool has_ended; /* before its making was told: kept for that; or is to be left and not waited for */
    enum ramet_family_call call; /* that it is in, 0 for none */
    struct ramet_tracee *next;
};

/* ptrace(2); -errno on failure */
static long request(long what, int tid, long address, long data)
{
    return ramet_syscall4(__NR_ptrace, what, tid, address, data);
}

/* ---- the tracees by tid */

static struct ramet_tracee **place_of(struct ramet_tracer *tracer, int tid)
{
    struct ramet_tracee **place = &tracer->tracees[(unsigned)tid % RAMET_TRACEE_LISTS];
    while (*place != NULL && (*place)->tid != tid)
        place = &(*place)->next;
    return place;
}

/* NULL: no memory. It is traced all the same, and what it does is not told. */
static struct ramet_tracee *add(struct ramet_tracer *tracer, int tid)
{
    struct ramet_tracee **place = place_of(tracer, tid);
    if (*place == NULL) {
        *place = calloc(1, sizeof **place);
        if (*place == NULL) {
            tracer->records.lost++;
            return NULL;
        }
        (*place)->tid = tid;
        tracer->count++;
    }
    return *place;
}

static void drop(struct ramet_tracer *tracer, int tid)
{
    struct ramet_tracee **place = place_of(tracer, tid), *found = *place;
    if (found == NULL)
        return;
    *place = found->next;
    tracer->count -= !found->has_ended;
    free(found);
}

/* It is waited for no longer. One that was killed before its first stop is not known yet, and may still be told to be made. */
static void end(struct ramet_tracer *tracer, int tid)
{
    struct ramet_tracee *found = add(tracer, tid);
    if (found == NULL)
        return;
    if (found->is_told)
        drop(tracer, tid);
    else if (!found->has_ended) {
        found->has_ended = true;
        tracer->count--;
    }
}

static void put(struct ramet_tracer *tracer, enum ramet_trace_kind kind, int tid, int other, int64_t time, uint64_t arg)
{
    const struct ramet_trace_record record = {
        .kind = (uint16_t)kind, .tid = tid, .other = other, .time = time, .args[0] = arg};
    ramet_trace_put(&tracer->records, &record);
}

/* ---- letting a tracee go on */

static bool leaves(const struct ramet_tracer *tracer)
{
    return tracer->leaving && !tracer->owns;
}

static void detach(struct ramet_tracer *tracer, int tid, int signal)
{
    if (request(PTRACE_DETACH, tid, 0, signal) != 0)
        return; /* it has been killed: its end comes */
    put(tracer, RAMET_TRACE_LEFT, tid, 0, ramet_now(), 0);
    drop(tracer, tid);
}

/* to_call_end: it stops there, as it does without a filter in any case. */
static void go_on(struct ramet_tracer *tracer, int tid, int signal, bool to_call_end)
{
    if (leaves(tracer))
        detach(tracer, tid, signal);
    else if (tracer->leaving)
        ramet_syscall2(__NR_tkill, tid, SIGKILL); /* it was made meanwhile */
    else
        request(to_call_end || !tracer->filtered ? PTRACE_SYSCALL : PTRACE_CONT, tid, 0, signal);
}

/* ---- stops */

/* Whether it has made a call of the family, whose end is to be told. */
static bool see_call(struct ramet_tracer *tracer, struct ramet_tracee *tracee, int64_t time)
{
    struct ptrace_syscall_info info = {0};
    if (request(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof info, (long)&info) <= 0)
        return false;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        if (tracee->call != 0)
            ramet_trace_return(&tracer->records, tracee->call, tracee->tid, time, info.exit.rval);
        tracee->call = 0;
        return false;
    }
    const struct ramet_family_row *row =
        info.op == PTRACE_SYSCALL_INFO_NONE ? NULL : ramet_family_find(info.arch, info.entry.nr);
    if (row == NULL)
        return false;
    tracee->call = row->call;
    /* entry.args and seccomp.args lie at the same place */
    ramet_trace_call(&tracer->records, &tracer->limits, row, tracee->tid, time, (const uint64_t *)info.entry.args);
    return true;
}

static void see_new_task(struct ramet_tracer *tracer, struct ramet_tracee *parent, int event, int64_t time)
{
    unsigned long child = 0;
    parent->call = 0;
    if (request(PTRACE_GETEVENTMSG, parent->tid, 0, (long)&child) != 0 || child == 0)
        return;
    put(tracer, RAMET_TRACE_MADE, parent->tid, (int)child, time, (uint64_t)event);
    struct ramet_tracee *made = add(tracer, (int)child);
    if (made != NULL && made->has_ended)
        drop(tracer, (int)child);
    else if (made != NULL)
        made->is_told = true;
}

static void see_exec(struct ramet_tracer *tracer, struct ramet_tracee *tracee, int64_t time)
{
    unsigned long former = 0;
    tracee->call = 0;
    if (request(PTRACE_GETEVENTMSG, tracee->tid, 0, (long)&former) != 0 || former == 0)
        former = (unsigned long)tracee->tid;
    if ((int)former != tracee->tid)
        drop(tracer, (int)former);
    put(tracer, RAMET_TRACE_EXECED, tracee->tid, (int)former, time, 0);
}

static bool is_group_stop(int signal)
{
    return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* PTRACE_LISTEN leaves it stopped until SIGCONT, as without a tracer. */
static void see_event_stop(struct ramet_tracer *tracer, int tid, int signal)
{
    if (is_group_stop(signal) && !leaves(tracer))
        request(PTRACE_LISTEN, tid, 0, 0);
    else
        go_on(tracer, tid, 0, false);
}

static void see_stop(struct ramet_tracer *tracer, int tid, int status, int64_t time)
{
    const int event = status >> 16, signal = WSTOPSIG(status);
    if (*place_of(tracer, tid) != NULL && (*place_of(tracer, tid))->has_ended)
        drop(tracer, tid); /* that one is never told to be made, and this is another task */
    const bool is_known = *place_of(tracer, tid) != NULL;
    struct ramet_tracee *tracee = add(tracer, tid);
    if (tracee == NULL) {
        go_on(tracer, tid, event == 0 && signal != SYSCALL_STOP ? signal : 0, false);
        return;
    }
    if (!is_known)
        put(tracer, RAMET_TRACE_SEEN, tid, 0, time, 0);
    if (event == PTRACE_EVENT_STOP)
        see_event_stop(tracer, tid, signal);
    else if (event == PTRACE_EVENT_SECCOMP || (event == 0 && signal == SYSCALL_STOP))
        go_on(tracer, tid, 0, see_call(tracer, tracee, time));
    else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
        see_new_task(tracer, tracee, event, time);
        go_on(tracer, tid, 0, false);
    } else if (event == PTRACE_EVENT_EXEC) {
        see_exec(tracer, tracee, time);
        go_on(tracer, tid, 0, false);
    } else
        go_on(tracer, tid, event == 0 ? signal : 0, false);
}

static uint64_t microseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static void see_end(struct ramet_tracer *tracer, int tid, int status, const struct rusage *used, int64_t time)
{
    const struct ramet_trace_record record = {
        .kind = RAMET_TRACE_ENDED,
        .tid = tid,
        .time = time,
        .result = status,
        .args = {microseconds(used->ru_utime), microseconds(used->ru_stime), (uint64_t)used->ru_maxrss},
    };
    ramet_trace_put(&tracer->records, &record);
    end(tracer, tid);
}

/* ---- leaving */

/*
 * Whether no stop is to be waited for: of a main thread that has ended while others of its process live on, and of one that waits
 * for its vfork()'s child, or in the kernel otherwise, for how long nobody knows. The kernel lets go of it when this thread ends.
 */
static bool stops_late(int tid)
{
    const char state = ramet_task_state(tid);
    return state == 'Z' || state == 'D';
}

/* Those that were started with a filter cannot go on without a tracer: the calls of the family would fail with ENOSYS. */
static void leave_all(struct ramet_tracer *tracer)
{
    tracer->leaving = true;
    for (size_t list = 0; list < RAMET_TRACEE_LISTS; list++)
        for (struct ramet_tracee *one = tracer->tracees[list]; one != NULL; one = one->next)
            if (one->has_ended)
                continue;
            else if (tracer->owns)
                ramet_syscall2(__NR_tkill, one->tid, SIGKILL);
            else if (!stops_late(one->tid))
                request(PTRACE_INTERRUPT, one->tid, 0, 0); /* one that has not stopped yet will, as each new one does */
            else {
                one->has_ended = true;
                tracer->count--;
            }
}

/* Those whose end was not waited for. */
static void tell_left(struct ramet_tracer *tracer)
{
    for (size_t list = 0; list < RAMET_TRACEE_LISTS; list++)
        for (struct ramet_tracee *one = tracer->tracees[list]; one != NULL; one = one->next)
            if (one->has_ended && one->is_told)
                put(tracer, RAMET_TRACE_LEFT, one->tid, 0, ramet_now(), 0);
}

static long hear_bell(struct ramet_tracer *tracer)
{
    tracer->bell.pid = 0;
    if (__atomic_load_n(&tracer->leave, __ATOMIC_ACQUIRE) && !tracer->leaving)
        leave_all(tracer);
    else if (!tracer->leaving && tracer->count > 0) /* somebody has killed it */
        return ramet_bell_hang(&tracer->bell);
    return 0;
}

/* ---- the tracer */

void ramet_tracer_begin(struct ramet_tracer *tracer, const struct ramet_trace_limits *limits, bool filtered, bool owns)
{
    *tracer = (struct ramet_tracer){.limits = *limits, .filtered = filtered, .owns = owns};
    ramet_trace_records_begin(&tracer->records);
}

void ramet_tracer_end(struct ramet_tracer *tracer)
{
    for (size_t list = 0; list < RAMET_TRACEE_LISTS; list++)
        while (tracer->tracees[list] != NULL)
            drop(tracer, tracer->tracees[list]->tid);
    ramet_trace_records_end(&tracer->records);
}

/* Without a filter it has to be stopped once, so that it stops at its next call. */
long ramet_tracer_seize(struct ramet_tracer *tracer, int tid)
{
    const long options = OPTIONS | (tracer->owns ? PTRACE_O_EXITKILL : 0);
    const long error = request(PTRACE_SEIZE, tid, 0, options);
    if (error < 0)
        return error;
    struct ramet_tracee *tracee = add(tracer, tid);
    if (tracee == NULL)
        return -ENOMEM;
    tracee->is_told = true;
    put(tracer, RAMET_TRACE_SEEN, tid, 0, ramet_now(), 1);
    if (!tracer->filtered)
        request(PTRACE_INTERRUPT, tid, 0, 0);
    return 0;
}

static void tell_costs(struct ramet_tracer *tracer)
{
    const struct ramet_trace_record record = {
        .kind = RAMET_TRACE_OVER,
        .time = ramet_now(),
        .args = {tracer->stops, (uint64_t)tracer->busy, tracer->records.lost},
    };
    ramet_trace_put(&tracer->records, &record);
    ramet_trace_over(&tracer->records);
}

/* Whether another stops under this tid by now: a thread that has exec'ed, whose stop is waited for next. */
static bool is_anothers(const struct told *told)
{
    siginfo_t now;
    return WIFSTOPPED(told->status) && told->status >> 8 != STOP_OF_EXEC &&
           request(PTRACE_GETSIGINFO, told->tid, 0, (long)&now) == 0 && now.si_signo == SIGTRAP &&
           now.si_code == STOP_OF_EXEC;
}

static void see(struct ramet_tracer *tracer, const struct told *told)
{
    if (WIFSTOPPED(told->status)) {
        tracer->stops++;
        see_stop(tracer, told->tid, told->status, told->time);
    } else
        see_end(tracer, told->tid, told->status, &told->used, told->time);
    tracer->busy += ramet_now() - told->time;
}

/* How many tell something by now, at least one; 0 when nothing is waited for any more; or -errno. */
static long wait_for_all(struct ramet_tracer *tracer, struct told *all)
{
    size_t count = 0;
    int hangs = tracer->count == 0 && tracer->bell.pid == 0 ? WNOHANG : 0; /* the thread may have children */
    while (count < MOST_AT_ONCE) {
        struct told *one = &all[count];
        one->tid = wait4(-1, &one->status, __WALL | __WNOTHREAD | hangs, &one->used);
        if (one->tid > 0) {
            one->time = ramet_now();
            hangs = WNOHANG;
            count++;
        } else if (one->tid == 0 || errno != EINTR)
            break;
    }
    return count > 0 || all->tid == 0 || errno == ECHILD ? (long)count : -errno;
}

/*
 * When no tracee is known any more the bell is rung, and meanwhile a late one may come whose maker was killed at its clone call. One
 * that is later still ends with this thread, or goes on without it.
 */
long ramet_tracer_run(struct ramet_tracer *tracer)
{
    struct told all[MOST_AT_ONCE];
    long error = tracer->bell.pid == 0 ? ramet_bell_hang(&tracer->bell) : 0;
    while (error == 0) {
        if (tracer->count == 0 && tracer->bell.pid != 0)
            ramet_bell_ring(&tracer->bell);
        const long count = wait_for_all(tracer, all);
        for (long i = 0; i < count && error == 0; i++)
            if (all[i].tid == tracer->bell.pid)
                error = hear_bell(tracer);
            else if (i == 0 || !is_anothers(&all[i])) /* the first has not waited */
                see(tracer, &all[i]);
        if (count <= 0) {
            error = count;
            break;
        }
    }
    tell_left(tracer);
    tell_costs(tracer);
    return error;
}

void ramet_tracer_leave(struct ramet_tracer *tracer)
{
    __atomic_store_n(&tracer->leave, 1, __ATOMIC_RELEASE);
    ramet_bell_ring(&tracer->bell);
}
