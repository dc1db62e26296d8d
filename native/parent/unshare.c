/* What the child's unshare has come to is told in a word that both see. */
#define _GNU_SOURCE
#include "unshare.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "futex.h"
#include "kernel_features.h"

/* A new pid or time namespace would be for the child's children only; what is shared can only be had at a clone call. */
#define BY_CHILD (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWUSER)
#define BY_CALLER (CLONE_PIDFD | CLONE_DETACHED)

#define UNTOLD 1 /* else 0 or -errno */
#define PAUSE INT64_C(10000000)

bool ramet_can_unshare(const struct ramet_request *request)
{
    const struct ramet_clone_args *args = &request->args;
    if (!request->legacy && !ramet_has_clone3()) /* who asks for clone3 itself hears that it is missing */
        return false;
    return (args->flags & ~(uint64_t)(BY_CHILD | BY_CALLER)) == 0 && args->exit_signal == SIGCHLD &&
           args->set_tid_size == 0 && args->stack == 0 && !request->stopped;
}

/* In the child, before anything else. */
static void tell(int *answer, uint64_t namespaces)
{
    long error = ramet_syscall1(__NR_unshare, namespaces);
    __atomic_store_n(answer, (int)error, __ATOMIC_RELEASE);
    ramet_futex_wake(answer);
    if (error < 0)
        ramet_syscall1(__NR_exit_group, 1);
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return ramet_syscall5(__NR_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, NULL) < 0 || info.si_pid != 0;
}

/* One that is killed before it can tell was born all the same. */
static long hear(int *answer, pid_t pid)
{
    while (__atomic_load_n(answer, __ATOMIC_ACQUIRE) == UNTOLD && !has_ended(pid))
        ramet_futex_wait_while(answer, UNTOLD, PAUSE);
    int told = __atomic_load_n(answer, __ATOMIC_ACQUIRE);
    return told == UNTOLD ? 0 : told;
}

static void dispose(pid_t pid)
{
    while (ramet_syscall5(__NR_waitid, P_PID, pid, NULL, WEXITED, NULL) == -EINTR)
        ;
}

static long fork_and_hear(uint64_t namespaces)
{
    int *answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answer == MAP_FAILED)
        return -ENOMEM;
    *answer = UNTOLD;
    pid_t pid = fork();
    long error = pid < 0 ? -errno : 0;
    if (pid == 0)
        tell(answer, namespaces);
    else if (pid > 0 && (error = hear(answer, pid)) < 0)
        dispose(pid);
    munmap(answer, sizeof *answer);
    return error < 0 ? error : pid;
}

static long plain_fork(void)
{
    pid_t pid = fork();
    return pid < 0 ? -errno : pid;
}

long ramet_fork_and_unshare(const struct ramet_request *request)
{
    const struct ramet_clone_args *args = &request->args;
    uint64_t namespaces = args->flags & BY_CHILD;
    long pid = namespaces == 0 ? plain_fork() : fork_and_hear(namespaces);
    if (pid > 0 && args->flags & CLONE_PIDFD) {
        long pidfd = ramet_syscall2(__NR_pidfd_open, pid, 0);
        if (pidfd >= 0)
            *(int *)(uintptr_t)args->pidfd = (int)pidfd;
    }
    return pid;
}
