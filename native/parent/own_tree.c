/*
 * The handler runs in any thread, whatever that does: it calls the kernel alone. What a child that it kills has started becomes its
 * own. Meanwhile none of the other threads may start more, which RLIMIT_NPROC refuses to a process without rights.
 */
#define _GNU_SOURCE
#include "own_tree.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "child.h"
#include "descendants.h"
#include "futex.h"
#include "listing.h"
#include "proc_file.h"

#define LONGEST (5 * RAMET_SECOND)
#define MOST_LOOKS 10 /* two are enough, but for what has rights and gives itself another limit */
#define PAUSE (RAMET_MILLISECOND / 5)

static long parent;     /* the pid of the process that made this one */
static bool is_at_work; /* in another thread */

/* What one look has found. is_all: whether it could see all. */
struct found {
    int killed;
    bool is_all;
};

static bool is_own_child(long pid)
{
    siginfo_t unused;
    return ramet_syscall5(__NR_waitid, P_PID, pid, &unused, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL) == 0;
}

static void end_child(long pid, void *context)
{
    struct found *found = context;
    siginfo_t unused;
    if (!is_own_child(pid)) /* another thread has reaped it, and the number may be a stranger's */
        return;
    if (ramet_syscall2(__NR_kill, pid, SIGKILL) == 0)
        found->killed++;
    else
        found->is_all = false;
    ramet_syscall5(__NR_waitid, P_PID, pid, &unused, WEXITED | WNOHANG | __WALL, NULL);
}

static bool has_thread(long thread)
{
    return ramet_syscall3(__NR_tgkill, ramet_syscall0(__NR_getpid), thread, 0) == 0;
}

static struct found end_children(void)
{
    struct ramet_listing threads;
    struct found found = {0, false};
    long thread;
    if (ramet_proc_own_number() != ramet_syscall0(__NR_gettid)) /* the numbers there are those of another pid namespace */
        return found;
    found.is_all = true;
    ramet_listing_open(&threads, "/proc/self/task");
    while ((thread = ramet_listing_next(&threads)) >= 0)
        if (!ramet_proc_each_child(threads.descriptor, thread, end_child, &found) && has_thread(thread))
            found.is_all = false;
    found.is_all &= ramet_listing_close(&threads);
    return found;
}

/* Files of /proc are opened; and the other threads start no process any more. */
static void change_limits(void)
{
    struct rlimit files;
    const struct rlimit none = {0, 0};
    ramet_syscall4(__NR_prlimit64, 0, RLIMIT_NPROC, &none, NULL);
    if (ramet_syscall4(__NR_prlimit64, 0, RLIMIT_NOFILE, NULL, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max;
    ramet_syscall4(__NR_prlimit64, 0, RLIMIT_NOFILE, &files, NULL);
}

/* Of those that fork faster than one after the other is killed, none may do so any more first. Whether there were such. */
static bool end_descendants(void)
{
    int looks = 0;
    while (ramet_still_descendants() > 0 && ++looks < MOST_LOOKS)
        ;
    ramet_kill_descendants();
    return looks > 0;
}

static struct found end_all(void)
{
    int64_t until = ramet_now() + LONGEST;
    struct found found;
    while ((found = end_children()).killed > 0 && ramet_now() < until) {
        if (end_descendants())
            until = ramet_now() + LONGEST;
        ramet_pause(PAUSE);
    }
    return found;
}

static void end_tree(int signal)
{
    (void)signal;
    if (__atomic_exchange_n(&is_at_work, true, __ATOMIC_ACQUIRE))
        return;
    change_limits();
    const struct found found = end_all();
    if (!found.is_all && ramet_syscall0(__NR_getppid) == parent)
        __atomic_store_n(&is_at_work, false, __ATOMIC_RELEASE);
    else
        ramet_syscall2(__NR_kill, ramet_syscall0(__NR_getpid), SIGKILL);
}

long ramet_end_tree_at(int signal, bool with_parent)
{
    struct sigaction action = {.sa_handler = end_tree, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    parent = ramet_syscall0(__NR_getppid);
    is_at_work = false;
    long error = ramet_syscall5(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (error < 0)
        return error;
    if (sigaction(signal, &action, NULL) < 0)
        return -errno;
    return with_parent ? ramet_syscall2(__NR_prctl, PR_SET_PDEATHSIG, signal) : 0;
}
