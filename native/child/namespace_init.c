/* The init of a pid namespace. */
#include "namespace_init.h"

#include <linux/errno.h>
#include <linux/ioctl.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/signal.h>
#include <linux/time_types.h>
#include <linux/wait.h>

#include "child.h"
#include "close_files.h"
#include "descriptor_message.h"
#include "futex_word.h"

#define POLL_IN 1
#define NAME_BYTES 16 /* TASK_COMM_LEN, linux/sched.h: the last is 0 */
#define LOOK_SECONDS 1 /* between two looks whether it is alone */

#define POLL_HANGUP 16

#define LEAST_ADDRESS_BITS 38
#define MOST_ADDRESS_BITS 56
#define LARGEST_PAGE 65536 /* x86 leaves one out, below its limit */

enum { PARENT, MAKER, WATCHED, SOCKET = WATCHED, LISTENER, WATCHED_OF_CHILD };

/* From here on the kernel reaps who is reparented to this process; some may have been, and have ended, before. */
static void have_orphans_reaped(void)
{
    ramet_set_action(SIGCHLD, (void *)SIG_IGN);
    while (ramet_syscall4(__NR_wait4, -1, NULL, WNOHANG | __WALL, NULL) > 0)
        ;
}

/* Whether there are others in the namespace; a zombie is one. With signal 0 none is sent to them. */
static bool kill_others(int signal)
{
    return ramet_syscall2(__NR_kill, -1, signal) != -ESRCH;
}

/* A limit that the kernel does not have is an error: the machine's addresses have 39 to 56 bits. */
static void unmap_from(uintptr_t start)
{
    for (int bits = MOST_ADDRESS_BITS; bits >= LEAST_ADDRESS_BITS; bits--) {
        const uintptr_t end = ((uintptr_t)1 << bits) - LARGEST_PAGE;
        if (end <= start || ramet_syscall2(__NR_munmap, start, end - start) == 0)
            return;
    }
}

/* Clones of the maker have copies of it, page by page, as long as one of them is here. */
static void give_memory_back(const struct ramet_range *needed)
{
    const bool in_order = needed[0].start < needed[1].start;
    const struct ramet_range *low = &needed[in_order ? 0 : 1], *high = &needed[in_order ? 1 : 0];
    ramet_syscall2(__NR_munmap, 0, low->start);
    if (low->end < high->start)
        ramet_syscall2(__NR_munmap, low->end, high->start - low->end);
    unmap_from(high->end);
}

/* As long as the maker lives, nothing wakes it but the end of one of the two (or a debugger). */
static void live_for_all(struct ramet_init_watch *watch, struct pollfd *watched)
{
    bool maker_is_gone = false;
    while (watched[PARENT].revents == 0 && !(maker_is_gone && !kill_others(0))) {
        struct __kernel_timespec pause = {.tv_sec = LOOK_SECONDS}; /* the kernel changes it */
        ramet_syscall5(__NR_ppoll, watched, WATCHED, maker_is_gone ? &pause : NULL, NULL, 0);
        if (watched[MAKER].revents != 0) {
            watched[MAKER].fd = -1;
            maker_is_gone = true;
            if (watch->gives_back) {
                give_memory_back(watch->needed);
                ramet_syscall1(__NR_close, watch->held);
            }
        }
    }
}

/* One that a template has made is called as that and its clones are, with a letter more: clones_by_name.py looks for it. */
static void take_name(void)
{
    static const char of_template[] = "ramet:";
    char name[NAME_BYTES] = "";
    size_t length = 0;
    ramet_syscall2(__NR_prctl, PR_GET_NAME, name);
    while (length < sizeof of_template - 1 && name[length] == of_template[length])
        length++;
    const bool is_of_template = length == sizeof of_template - 1;
    while (length < sizeof name - 2 && name[length] != 0)
        length++;
    name[length] = 'i';
    ramet_syscall2(__NR_prctl, PR_SET_NAME, is_of_template ? name : "ramet-init");
}

static bool one_has_ended(struct pollfd *watched, struct __kernel_timespec *patience)
{
    return ramet_syscall5(__NR_ppoll, watched, WATCHED, patience, NULL, 0) > 0;
}

/* The number of the child; 0: its maker, or the parent, has ended before. */
static int await_child(struct ramet_init_watch *watch, struct pollfd *watched)
{
    int begun;
    while ((begun = __atomic_load_n(&watch->begun, __ATOMIC_ACQUIRE)) == 0) {
        struct __kernel_timespec pause = {.tv_sec = LOOK_SECONDS}, none = {0};
        ramet_futex_wait(&watch->begun, 0, &pause);
        if (__atomic_load_n(&watch->begun, __ATOMIC_ACQUIRE) == 0 && one_has_ended(watched, &none))
            return 0;
    }
    return begun;
}

/* In the maker's place, who may end before it. Negative: it has ended, and was reaped (-ESRCH), or cannot be watched. */
static long watch_child(struct pollfd *watched, int child)
{
    long pidfd = ramet_syscall2(__NR_pidfd_open, child, 0);
    if (pidfd >= 0) {
        ramet_syscall1(__NR_close, watched[MAKER].fd);
        watched[MAKER].fd = (int)pidfd;
    }
    return pidfd;
}

bool ramet_is_hidden(long error)
{
    return error == -ENOSYS || error == -EPERM || error == -EACCES;
}

/* Without a descriptor of it the parent is the thread that made it, to the kernel. */
static void follow_parent(struct ramet_init_watch *watch)
{
    if (watch->parent >= 0)
        return;
    ramet_syscall2(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    ramet_futex_set(&watch->follows, 1);
}

int ramet_run_namespace_init(void *fn, void *arg, void *context)
{
    struct ramet_init_watch *watch = context;
    struct pollfd watched[WATCHED] = {
        [PARENT] = {.fd = watch->parent, .events = POLL_IN},
        [MAKER] = {.fd = watch->maker, .events = POLL_IN},
    };
    (void)fn, (void)arg;
    have_orphans_reaped();
    follow_parent(watch);
    take_name();
    ramet_close_all_but(watch->parent, watch->maker, watch->gives_back ? watch->held : -1);
    const int child = await_child(watch, watched);
    const long pidfd = child > 0 ? watch_child(watched, child) : -EINVAL;
    if (pidfd >= 0)
        one_has_ended(watched, NULL);
    else if (pidfd != -ESRCH)
        live_for_all(watch, watched);
    return 0;
}

/*
 * What the filter has refused, whoever did it: its number is told, and all are killed. Not by the end of the init,
 * which closes the listener first: the call would return ENOSYS to a program that lives on for a moment.
 */
static bool tells_of_call(const struct pollfd *listener, int *told)
{
    struct seccomp_notif call = {0};
    if (listener->revents == 0 || ramet_syscall3(__NR_ioctl, listener->fd, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
        return false;
    const bool foreign = call.data.arch != RAMET_AUDIT_ARCH;
    __atomic_store_n(told, call.data.nr | (foreign ? RAMET_FOREIGN_CALL : 0), __ATOMIC_RELEASE);
    ramet_syscall2(__NR_kill, -1, SIGKILL);
    return true;
}

/* Whether it was reaped: nobody else gets its number, which the kernel keeps for the first processes of a namespace. */
static bool child_is_gone(void)
{
    return ramet_syscall2(__NR_kill, RAMET_FIRST_CHILD, 0) == -ESRCH;
}

/* Until the child or the parent ends, or the filter tells of a call. looks: no descriptor tells of the child's end. */
static void live_with_child(struct ramet_init_watch *watch, struct pollfd *watched, bool looks)
{
    while (!looks || !child_is_gone()) {
        struct __kernel_timespec pause = {.tv_sec = LOOK_SECONDS}; /* the kernel changes it */
        ramet_syscall5(__NR_ppoll, watched, WATCHED_OF_CHILD, looks ? &pause : NULL, NULL, 0);
        if (watched[PARENT].revents != 0 || watched[MAKER].revents != 0 || tells_of_call(&watched[LISTENER], watch->told))
            return;
        if (watched[LISTENER].revents & POLL_HANGUP) /* the filter's last task has ended */
            watched[LISTENER].fd = -1;
        if (watched[SOCKET].revents != 0) {
            watched[LISTENER].fd = ramet_receive_descriptor(watched[SOCKET].fd);
            ramet_syscall1(__NR_close, watched[SOCKET].fd);
            watched[SOCKET].fd = -1;
        }
    }
}

/* The others are killed now; the init itself is left for its parent to end, or ends in a second. */
static void stay(struct pollfd *parent)
{
    struct __kernel_timespec pause = {.tv_sec = LOOK_SECONDS};
    kill_others(SIGKILL);
    ramet_syscall5(__NR_ppoll, parent, 1, &pause, NULL, 0);
}

int ramet_run_init_of_child(void *fn, void *arg, void *context)
{
    struct ramet_init_watch *watch = context;
    struct pollfd watched[WATCHED_OF_CHILD] = {
        [PARENT] = {.fd = watch->parent, .events = POLL_IN},
        [MAKER] = {.fd = watch->maker, .events = POLL_IN},
        [SOCKET] = {.fd = watch->told_by, .events = POLL_IN},
        [LISTENER] = {.fd = -1, .events = POLL_IN},
    };
    (void)fn, (void)arg;
    have_orphans_reaped();
    follow_parent(watch);
    take_name();
    ramet_close_all_but(watch->parent, watch->maker, watch->told_by);
    const long pidfd = await_child(watch, watched) > 0 ? watch_child(watched, RAMET_FIRST_CHILD) : -EINVAL;
    const bool looks = ramet_is_hidden(pidfd);
    if (looks)
        watched[MAKER].fd = -1;
    if (pidfd >= 0 || looks)
        live_with_child(watch, watched, looks);
    const bool has_ended = looks ? child_is_gone() : pidfd == -ESRCH || (pidfd >= 0 && watched[MAKER].revents != 0);
    if (watch->stays && has_ended && watched[PARENT].revents == 0)
        stay(&watched[PARENT]);
    return 0;
}
