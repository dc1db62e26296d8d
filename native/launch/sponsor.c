/* The sponsor's thread, and what it shares with the caller and with the child. */
#define _GNU_SOURCE
#include "sponsor.h"

#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "futex.h"
#include "launch.h"
#include "standby.h"

#define STACK_BYTES 65536
#define SECOND INT64_C(1000000000)

/* `launch.arrived` tells the caller where the child is, and at last that the sponsor has come back. */
struct ramet_sponsored {
    struct ramet_errand errand; /* first: of one that is kept */
    int holders;
    enum ramet_sponsor_kind kind;
    int pid_namespace; /* -1 for the caller's */
    int tid;   /* the kernel's to write, before the child's first step */
    int pidfd; /* the same */
    int event; /* -1 while nobody wants one */
    long result;
    struct ramet_request request;
    struct ramet_plan *plan;
    struct ramet_launch launch;
};

void ramet_sponsored_release(struct ramet_sponsored *child)
{
    if (__atomic_sub_fetch(&child->holders, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    ramet_plan_release(child->plan);
    if (child->event >= 0)
        close(child->event);
    free(child);
}

/* Not libc's waitid, which would be a point of cancellation; whoever reaps the child first ends it. */
static void await_end(long pid)
{
    long error;
    do
        error = ramet_syscall5(__NR_waitid, P_PID, pid, NULL, WEXITED | WNOWAIT | __WALL, NULL);
    while (error == -EINTR);
}

/* Which namespace the children of a thread are born in is that thread's own affair. */
static long make(struct ramet_sponsored *child)
{
    long error = 0;
    if (child->pid_namespace >= 0)
        error = ramet_syscall2(__NR_setns, child->pid_namespace, CLONE_NEWPID);
    if (error == 0)
        return ramet_launch(&child->request, &child->launch);
    child->launch.failed_step = RAMET_ENTERING;
    child->launch.error = (int)-error;
    return 0;
}

static void run(struct ramet_errand *errand)
{
    struct ramet_sponsored *child = (struct ramet_sponsored *)errand;
    child->result = make(child);
}

static void write_event(int event)
{
    const uint64_t one = 1;
    ramet_syscall3(__NR_write, event, &one, sizeof one);
}

/* Either this sees the event, or whoever made it sees that the sponsor has come back. */
static void tell(struct ramet_errand *errand)
{
    struct ramet_sponsored *child = (struct ramet_sponsored *)errand;
    __atomic_store_n(&child->launch.arrived, RAMET_LAUNCHED, __ATOMIC_SEQ_CST);
    int event = __atomic_load_n(&child->event, __ATOMIC_SEQ_CST);
    if (event >= 0)
        write_event(event);
    ramet_futex_wake(&child->launch.arrived);
    ramet_sponsored_release(child);
}

static void *sponsor(void *sponsored)
{
    struct ramet_sponsored *child = sponsored;
    run(&child->errand);
    long pid = child->kind == RAMET_SPONSOR_STAYS ? child->result : 0;
    tell(&child->errand);
    if (pid > 0)
        await_end(pid);
    return NULL;
}

/* clone() has one word for the pidfd and the tid, and we cannot do without the tid. */
static void ask_for_words(struct ramet_sponsored *child)
{
    struct ramet_clone_args *args = &child->request.args;
    args->flags |= CLONE_PARENT_SETTID;
    args->parent_tid = (uintptr_t)&child->tid;
    if (child->request.legacy)
        args->flags &= ~(uint64_t)CLONE_PIDFD;
    if (args->flags & CLONE_PIDFD)
        args->pidfd = (uintptr_t)&child->pidfd;
}

/* It inherits all that the caller is: its namespaces, its identity, its place. */
static int start_thread(struct ramet_sponsored *child)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int error = pthread_create(&thread, &attributes, sponsor, child);
    pthread_attr_destroy(&attributes);
    return error;
}

/* No signal comes to a sponsor; the program begins with the caller's mask. */
static int start(struct ramet_sponsored *child)
{
    const ramet_sigset mask = child->launch.mask = ramet_block_signals();
    int error = child->kind == RAMET_SPONSOR_KEPT ? ramet_standby_take(&child->errand) : ECHILD;
    if (error != 0)
        error = start_thread(child);
    ramet_set_signal_mask(mask);
    return error;
}

struct ramet_sponsored *ramet_sponsor(const struct ramet_request *request, struct ramet_plan *plan,
                                      enum ramet_sponsor_kind kind, int pid_namespace)
{
    struct ramet_sponsored *child = calloc(1, sizeof *child);
    if (child == NULL)
        return NULL;
    child->errand = (struct ramet_errand){.run = run, .tell = tell};
    child->holders = 2;
    child->kind = kind;
    child->pid_namespace = pid_namespace;
    child->pidfd = -1;
    child->event = -1;
    child->request = *request;
    child->plan = ramet_plan_hold(plan);
    child->launch.plan = plan;
    child->launch.failed_step = -1;
    ask_for_words(child);
    int error = start(child);
    if (error == 0)
        return child;
    ramet_plan_release(plan);
    free(child);
    errno = error;
    return NULL;
}

bool ramet_sponsored_await(struct ramet_sponsored *child, int gate, int64_t timeout, struct ramet_report *report)
{
    int *word = &child->launch.arrived, arrived;
    int64_t at = timeout < 0 ? 0 : ramet_now() + timeout;
    const struct timespec moment = {.tv_sec = at / SECOND, .tv_nsec = at % SECOND};
    bool in_time = true;
    while ((arrived = __atomic_load_n(word, __ATOMIC_ACQUIRE)) < gate && in_time)
        in_time = ramet_futex_wait_until(word, arrived, timeout < 0 ? NULL : &moment) != -ETIMEDOUT;
    if (arrived < gate)
        return false;
    report->pid = arrived == RAMET_LAUNCHED ? child->result : child->tid;
    report->pidfd = child->pidfd;
    ramet_read_report(&child->launch, report);
    if (arrived == RAMET_LAUNCHED && report->pid > 0 && report->failed_step == -1 &&
        __atomic_load_n(&child->launch.waits_at, __ATOMIC_ACQUIRE) != 0)
        report->failed_step = RAMET_AT_GATE;
    return true;
}

int ramet_sponsored_event(struct ramet_sponsored *child)
{
    int event = child->event >= 0 ? child->event : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0)
        return -errno;
    __atomic_store_n(&child->event, event, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&child->launch.arrived, __ATOMIC_SEQ_CST) == RAMET_LAUNCHED)
        write_event(event);
    return event;
}

void ramet_sponsored_cancel(struct ramet_sponsored *child)
{
    int pidfd = __atomic_load_n(&child->pidfd, __ATOMIC_ACQUIRE), tid = __atomic_load_n(&child->tid, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&child->launch.arrived, __ATOMIC_ACQUIRE) == RAMET_LAUNCHED)
        return;
    if (child->kind == RAMET_SPONSOR_KEPT && ramet_standby_give_back(&child->errand)) {
        child->result = -ECANCELED;
        tell(&child->errand);
    } else if (pidfd >= 0)
        ramet_syscall4(__NR_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    else if (tid > 0)
        ramet_syscall2(__NR_kill, tid, SIGKILL);
}

void ramet_sponsored_open(struct ramet_sponsored *child, int gate)
{
    __atomic_store_n(&child->launch.opened, gate, __ATOMIC_RELEASE);
    ramet_futex_wake(&child->launch.opened);
}

void ramet_sponsored_stop(struct ramet_sponsored *child)
{
    ramet_stop(child->tid);
}
