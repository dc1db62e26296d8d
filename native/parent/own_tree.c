/*
 * The handler runs in any thread, whatever that does: it calls the kernel alone. What a child that it kills has started becomes its
 * own. Meanwhile none of the other threads may start more, which RLIMIT_NPROC refuses to a process without rights.
 */
#define _GNU_SOURCE
#include "own_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "child.h"
#include "futex.h"
#include "listing.h"
#include "proc_file.h"

#define LONGEST (5 * RAMET_SECOND)
#define PAUSE (RAMET_MILLISECOND / 5)
#define PART_BYTES 512
#define BEFORE_NUMBER (sizeof "/proc/" - 1) /* of a path */

static long parent; /* the pid of the process that made this one */

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

static void end_child(long pid, struct found *found)
{
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

/* proc_tid_children(5): their numbers, a space after each. threads: /proc/self/task. */
static void end_children_of(long thread, long threads, struct found *found)
{
    char path[RAMET_PROC_PATH_BYTES], part[PART_BYTES];
    ramet_proc_path(path, thread, "children");
    long file = ramet_syscall4(__NR_openat, threads, path + BEFORE_NUMBER, O_RDONLY | O_CLOEXEC, 0);
    long pid = 0, length;
    if (file < 0 && has_thread(thread))
        found->is_all = false;
    while ((length = ramet_syscall3(__NR_read, file, part, sizeof part)) > 0)
        for (long i = 0; i < length; i++) {
            if (part[i] >= '0' && part[i] <= '9') {
                pid = pid * 10 + (part[i] - '0');
                continue;
            }
            if (pid > 0)
                end_child(pid, found);
            pid = 0;
        }
    if (file >= 0)
        ramet_syscall1(__NR_close, file);
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
        end_children_of(thread, threads.descriptor, &found);
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

static void end_tree(int signal)
{
    const int64_t until = ramet_now() + LONGEST;
    struct found found;
    (void)signal;
    change_limits();
    while ((found = end_children()).killed > 0 && ramet_now() < until)
        ramet_pause(PAUSE);
    if (!found.is_all && ramet_syscall0(__NR_getppid) == parent)
        return;
    ramet_syscall2(__NR_kill, ramet_syscall0(__NR_getpid), SIGKILL);
}

long ramet_end_tree_at(int signal, bool with_parent)
{
    struct sigaction action = {.sa_handler = end_tree, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    parent = ramet_syscall0(__NR_getppid);
    long error = ramet_syscall5(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (error < 0)
        return error;
    if (sigaction(signal, &action, NULL) < 0)
        return -errno;
    return with_parent ? ramet_syscall2(__NR_prctl, PR_SET_PDEATHSIG, signal) : 0;
}
