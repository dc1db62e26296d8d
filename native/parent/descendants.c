/*
 * A limit holds at once, unlike SIGSTOP, which a process takes when it gets a processor: of some hundred that want one each waits for
 * long, and so would this process, which has to look at them all.
 */
#define _GNU_SOURCE
#include "descendants.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "child.h"
#include "listing.h"
#include "proc_file.h"

#define MOST 16384 /* of more the first ones are killed, and the others found after that */
#define NICEST 19

/* Parents before their children. */
static struct {
    int pid, parent;
} found[MOST];
static int count, newcomers;

/* Its number is another's where its parent has reaped it. What has lost its parent has come to this process. */
static bool is_child_of(long pid, long parent)
{
    const long its_parent = ramet_proc_parent(pid);
    return its_parent == parent || its_parent == ramet_syscall0(__NR_getpid);
}

static void take(long pid, void *its_parent)
{
    const struct rlimit none = {0, 0};
    const long parent = *(const long *)its_parent;
    struct rlimit before;
    if (count == MOST || !is_child_of(pid, parent))
        return;
    found[count].pid = (int)pid;
    found[count++].parent = (int)parent;
    if (ramet_syscall4(__NR_prlimit64, pid, RLIMIT_NPROC, &none, &before) == 0 && before.rlim_max > 0)
        newcomers++;
    ramet_syscall3(__NR_setpriority, PRIO_PROCESS, pid, NICEST);
}

static void take_children_of(long pid)
{
    char path[RAMET_PROC_PATH_BYTES];
    struct ramet_listing threads;
    long thread;
    ramet_proc_path(path, pid, "task");
    ramet_listing_open(&threads, path);
    while ((thread = ramet_listing_next(&threads)) >= 0)
        ramet_proc_each_child(threads.descriptor, thread, take, &pid);
    ramet_listing_close(&threads);
}

int ramet_still_descendants(void)
{
    count = newcomers = 0;
    take_children_of(ramet_syscall0(__NR_getpid));
    for (int i = 0; i < count; i++)
        take_children_of(found[i].pid);
    return newcomers;
}

/* By a descriptor, which stays that process's. */
static void kill_child_of(long parent, long pid)
{
    const long pidfd = ramet_syscall2(__NR_pidfd_open, pid, 0);
    if (pidfd < 0)
        return;
    if (is_child_of(pid, parent))
        ramet_syscall4(__NR_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    ramet_syscall1(__NR_close, pidfd);
}

void ramet_kill_descendants(void)
{
    while (count > 0) {
        count--;
        kill_child_of(found[count].parent, found[count].pid);
    }
}
