/* The child reports the result of its unshare in a word that both share. */
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

/* A new pid or time namespace would be for the child's children only, and nothing can be shared after the clone call. */
#define BY_CHILD (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWUSER)
#define BY_CALLER (CLONE_PIDFD | CLONE_DETACHED)

#define NO_ANSWER 1 /* else 0 or -errno */
#define PAUSE INT64_C(10000000)

bool ramet_can_unshare(const struct ramet_request *request)
{
    const struct ramet_clone_args *args = &request->args;
    if (!request->legacy && !ramet_has_clone3()) /* a caller that asks for clone3 itself gets its ENOSYS */
        return false;
    return (args->flags & ~(uint64_t)(BY_CHILD | BY_CALLER)) == 0 && args->exit_signal == SIGCHLD &&
           args->set_tid_size == 0 && args->stack == 0 && !request->stopped;
}

/* In the child, before anything else. */
static void unshare_and_answer(int *answer, uint64_t namespaces)
{
    long error = ramet_syscall1(__NR_unshare, namespaces);
    ramet_futex_set(answer, (int)error);
    if (error < 0)
        ramet_syscall1(__NR_exit_group, 1);
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return ramet_syscall5(__NR_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, NULL) < 0 || info.si_pid != 0;
}

/* A child that is killed before it can answer was made all the same. */
static long await_answer(int *answer, pid_t pid)
{
    while (__atomic_load_n(answer, __ATOMIC_ACQUIRE) == NO_ANSWER && !has_ended(pid))
        ramet_futex_wait_while(answer, NO_ANSWER, PAUSE);
    int error = __atomic_load_n(answer, __ATOMIC_ACQUIRE);
    return error == NO_ANSWER ? 0 : error;
}

static void reap(pid_t pid)
{
    while (ramet_syscall5(__NR_waitid, P_PID, pid, NULL, WEXITED, NULL) == -EINTR)
        ;
}

static long fork_and_await_answer(uint64_t namespaces)
{
    int *answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answer == MAP_FAILED)
        return -ENOMEM;
    *answer = NO_ANSWER;
    pid_t pid = fork();
    long error = pid < 0 ? -errno : 0;
    if (pid == 0)
        unshare_and_answer(answer, namespaces);
    else if (pid > 0 && (error = await_answer(answer, pid)) < 0)
        reap(pid);
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
    long pid = namespaces == 0 ? plain_fork() : fork_and_await_answer(namespaces);
    if (pid > 0 && args->flags & CLONE_PIDFD) {
        long pidfd = ramet_syscall2(__NR_pidfd_open, pid, 0);
        if (pidfd >= 0)
            *(int *)(uintptr_t)args->pidfd = (int)pidfd;
    }
    return pid;
}
