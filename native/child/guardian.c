/* The guardian of the children in shared memory. */
#include "guardian.h"

#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/time_types.h>

#define LOOK_SECONDS 1 /* between two looks at whether it is needed still */
#define POLL_IN 1
#define OLD_KERNELS_FILES 4096

static void close_all(unsigned int first, unsigned int last)
{
    if (first > last || ramet_syscall3(__NR_close_range, first, last, 0) == 0)
        return;
    for (unsigned int fd = first; fd <= last && fd < OLD_KERNELS_FILES; fd++)
        ramet_syscall1(__NR_close, fd);
}

/* It must not keep anything open: somebody may wait for the end of a pipe, or want to unmount. */
static void let_go(int pidfd)
{
    ramet_syscall1(__NR_chdir, "/");
    if (pidfd > 0)
        close_all(0, (unsigned int)pidfd - 1);
    close_all((unsigned int)pidfd + 1, ~0U);
}

/* Whether that task uses this memory; yes where the kernel does not tell. */
static int shares_memory(long pid)
{
    return ramet_syscall5(__NR_kcmp, ramet_syscall0(__NR_getpid), pid, KCMP_VM, 0, 0) <= 0;
}

/* By a descriptor, so that the task which was looked at is the one that is killed. */
static void kill_ward(long pid)
{
    long pidfd = ramet_syscall2(__NR_pidfd_open, pid, 0);
    if (pidfd < 0)
        return;
    if (shares_memory(pid))
        ramet_syscall4(__NR_pidfd_send_signal, pidfd, SIGKILL, 0, 0);
    ramet_syscall1(__NR_close, pidfd);
}

static int has_wards(const struct ramet_guard *guard)
{
    for (int i = 0; i < RAMET_MOST_WARDS; i++)
        if (__atomic_load_n(&guard->wards[i], __ATOMIC_ACQUIRE) != 0)
            return 1;
    return 0;
}

/* Whether it may go: the place is given up first, so that who comes now either is seen or finds it empty. */
static int retires(struct ramet_guard *guard)
{
    int watching = RAMET_GUARDIAN_WATCHES, nobody = RAMET_NO_GUARDIAN;
    if (has_wards(guard))
        return 0;
    __atomic_compare_exchange_n(&guard->stage, &watching, RAMET_NO_GUARDIAN, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (!has_wards(guard))
        return 1;
    return !__atomic_compare_exchange_n(&guard->stage, &nobody, RAMET_GUARDIAN_WATCHES, 0, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST);
}

/* An exec of the owner's leaves this memory as well, and ends no pidfd: hence a look now and then. */
static int owner_is_gone(const struct ramet_guard *guard)
{
    struct __kernel_timespec pause = {.tv_sec = LOOK_SECONDS};
    struct pollfd waited = {.fd = guard->pidfd, .events = POLL_IN};
    return ramet_syscall5(__NR_ppoll, &waited, 1, &pause, 0, 0) > 0 || !shares_memory(guard->owner);
}

int ramet_guardian(void *fn, void *arg, void *context)
{
    struct ramet_guard *guard = context;
    (void)fn, (void)arg;
    ramet_syscall2(__NR_prctl, PR_SET_NAME, "ramet-guardian");
    let_go(guard->pidfd);
    __atomic_store_n(&guard->stage, RAMET_GUARDIAN_WATCHES, __ATOMIC_RELEASE);
    ramet_syscall3(__NR_futex, &guard->stage, FUTEX_WAKE, 1);
    while (!owner_is_gone(guard))
        if (retires(guard))
            return 0;
    for (int i = 0; i < RAMET_MOST_WARDS; i++)
        if (guard->wards[i] > 0)
            kill_ward(guard->wards[i]);
    return 0;
}
