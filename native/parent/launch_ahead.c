/* A launch in two parts: who makes the child, waits for it, sends it on and ends it. */
#define _GNU_SOURCE
#include "launch_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptor_message.h"
#include "dumpable.h"
#include "futex.h"
#include "lent_memory.h"

struct ramet_ahead {
    pid_t maker;
    struct ramet_plan *first, *second;
    struct ramet_stack *stack;
    struct ramet_launch *launch; /* at the lower end of the stack */
    struct ramet_report tasks;   /* its pids are 0 when they are not this object's */
    int socket;
};

static void close_if_open(int descriptor)
{
    if (descriptor >= 0)
        ramet_syscall1(__NR_close, descriptor);
}

/* This end of a new socket; the other is at the place. */
static int connect_place(int place)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    const int placed = dup3(ends[1], place, O_CLOEXEC), error = errno;
    close(ends[1]);
    if (placed >= 0)
        return ends[0];
    close(ends[0]);
    return -error;
}

static void reap(long pid)
{
    while (ramet_syscall4(__NR_wait4, pid, NULL, __WALL, NULL) == -EINTR)
        ;
}

/* For a child of this process. If somebody else has reaped it, another may have its pid, and is left alone. */
static void kill_and_reap(long pid, int pidfd)
{
    if (pid > 0 && waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0) {
        ramet_syscall2(__NR_kill, pid, SIGKILL);
        reap(pid);
    }
    close_if_open(pidfd);
}

/* No task uses its memory any more: it waits for that, if it has been killed. */
static void await_gone(struct ramet_launch *launch)
{
    for (int arrived; (arrived = __atomic_load_n(&launch->arrived, __ATOMIC_ACQUIRE)) != RAMET_GONE;)
        ramet_futex_wait(&launch->arrived, arrived, NULL);
}

static void await_message_wanted(struct ramet_launch *launch)
{
    ramet_futex_await_change(&launch->arrived, RAMET_MADE);
}

/* The child is first: the end of the init waits for it to be reaped. */
static void end_tasks(struct ramet_report *tasks)
{
    kill_and_reap(tasks->pid, tasks->pidfd);
    kill_and_reap(tasks->init, tasks->init_pidfd);
    *tasks = (struct ramet_report){.pidfd = -1, .init_pidfd = -1};
}

/* With all signals blocked. Returns when the child waits: whether it does, and there is a pidfd for each of the two. */
static bool make_tasks(struct ramet_ahead *child, const struct ramet_request *asked, struct ramet_report *report)
{
    struct ramet_launch *launch = child->launch;
    struct ramet_request request = *asked;
    struct ramet_entry entry = ramet_prepare_launch(child->stack, &request, launch);
    launch->arrived = RAMET_MADE;
    const long maker = report->pid = ramet_make_task(&request, &entry);
    if (maker < 0)
        return false;
    reap(maker);
    child->tasks.pid = launch->inside.child;
    child->tasks.init = launch->inside.init;
    if (child->tasks.pid > 0) {
        await_message_wanted(launch);
        child->tasks.pidfd = ramet_open_child(child->tasks.pid);
    }
    if (child->tasks.init > 0)
        child->tasks.init_pidfd = ramet_open_child(child->tasks.init);
    ramet_read_report(launch, report);
    if (report->failed_step != -1)
        return false;
    if (child->tasks.pidfd < 0 || child->tasks.init_pidfd < 0)
        report->pid = -EMFILE;
    return report->pid > 0 && __atomic_load_n(&launch->arrived, __ATOMIC_ACQUIRE) == RAMET_AWAITS;
}

/* The child's end of the socket is at `place`, which stands for nothing again when the child has a table of its own. */
static bool make(struct ramet_ahead *child, const struct ramet_request *request, int place, int nothing, struct ramet_report *report)
{
    const struct ramet_launch *launch = child->launch;
    const uint64_t mark = child->first->changes_identity ? ramet_dumpable_save(&launch->inside.child, &launch->arrived) : 0;
    const ramet_sigset mask = ramet_block_signals();
    const bool waits = make_tasks(child, request, report);
    ramet_set_signal_mask(mask);
    ramet_dumpable_restore(mark);
    dup3(nothing, place, O_CLOEXEC);
    return waits;
}

struct ramet_ahead *ramet_launch_ahead(const struct ramet_request *request, struct ramet_plan *plan, int place, int nothing,
                                      struct ramet_report *report)
{
    struct ramet_ahead *child = calloc(1, sizeof *child);
    struct ramet_stack *stack = child == NULL ? NULL : ramet_launch_stack(plan->slots);
    *report = (struct ramet_report){.pid = -ENOMEM, .pidfd = -1, .failed_step = -1, .init_pidfd = -1};
    if (stack == NULL) {
        free(child);
        return NULL;
    }
    *child = (struct ramet_ahead){.maker = getpid(), .first = ramet_plan_hold(plan), .stack = stack, .socket = -1};
    child->tasks = (struct ramet_report){.pidfd = -1, .init_pidfd = -1};
    child->launch = (struct ramet_launch *)stack->base;
    *child->launch = (struct ramet_launch){.plan = plan, .is_ahead = true};
    if (ramet_prepare_inside(&child->launch->inside, stack)) {
        child->socket = connect_place(place);
        const bool waits = child->socket >= 0 && make(child, request, place, nothing, report);
        ramet_release_inside(&child->launch->inside);
        if (waits)
            return child;
        if (child->socket < 0)
            report->pid = child->socket;
    }
    ramet_ahead_release(child);
    return NULL;
}

long ramet_ahead_pid(const struct ramet_ahead *child, long *init)
{
    *init = child->tasks.init;
    return child->tasks.pid;
}

/* One message, whose byte is how many they are. */
static int send_descriptors(int socket, const int *descriptors, int count)
{
    unsigned char byte = (unsigned char)count;
    struct iovec vector = {&byte, 1};
    char control[CMSG_SPACE(RAMET_MOST_SENT * sizeof(int))] __attribute__((aligned(8))) = {0};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        *head = (struct cmsghdr){.cmsg_len = CMSG_LEN((size_t)count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(head), descriptors, (size_t)count * sizeof(int));
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int ramet_ahead_go(struct ramet_ahead *child, struct ramet_plan *plan, const int *descriptors, int count,
                   struct ramet_report *report)
{
    struct ramet_launch *launch = child->launch;
    if (child->tasks.pid == 0 || child->second != NULL)
        return -ESRCH;
    child->second = ramet_plan_hold(plan);
    launch->next = plan;
    launch->mask = ramet_block_signals();
    const ramet_sigset mask = launch->mask;
    const int error = send_descriptors(child->socket, descriptors, count);
    if (error == 0)
        await_gone(launch);
    ramet_set_signal_mask(mask);
    if (error != 0) {
        ramet_plan_release(plan);
        child->second = NULL;
        return error == -EPIPE || error == -ECONNRESET ? -ESRCH : error;
    }
    if (__atomic_load_n(&launch->waits_at, __ATOMIC_ACQUIRE) != 0)
        return -ESRCH;
    *report = child->tasks;
    ramet_read_report(launch, report);
    child->tasks = (struct ramet_report){.pidfd = -1, .init_pidfd = -1};
    return 0;
}

void ramet_ahead_release(struct ramet_ahead *child)
{
    const bool is_ours = child->maker == getpid();
    close_if_open(child->socket);
    if (is_ours)
        end_tasks(&child->tasks);
    else {
        close_if_open(child->tasks.pidfd);
        close_if_open(child->tasks.init_pidfd);
    }
    ramet_launch_stack_release(child->stack);
    ramet_plan_release(child->first);
    if (child->second != NULL)
        ramet_plan_release(child->second);
    free(child);
}
