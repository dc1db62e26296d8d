/* New namespaces, and those of others */
#include "attempt.h"

#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static int unshared(int flags)
{
    return outcome_of(unshare(flags));
}

ESCAPE(unshare_user, WORD, "all", "makes a user namespace, in which it has all capabilities")
{
    return unshared(CLONE_NEWUSER);
}

ESCAPE(unshare_mount, WORD, "root", "makes a mount namespace")
{
    return unshared(CLONE_NEWNS);
}

ESCAPE(unshare_pid, WORD, "root", "makes a pid namespace")
{
    return unshared(CLONE_NEWPID);
}

ESCAPE(unshare_net, WORD, "root", "makes a network namespace")
{
    return unshared(CLONE_NEWNET);
}

ESCAPE(unshare_ipc, WORD, "root", "makes an ipc namespace")
{
    return unshared(CLONE_NEWIPC);
}

ESCAPE(unshare_uts, WORD, "root", "makes a uts namespace")
{
    return unshared(CLONE_NEWUTS);
}

ESCAPE(unshare_cgroup, WORD, "root", "makes a cgroup namespace")
{
    return unshared(CLONE_NEWCGROUP);
}

ESCAPE(unshare_time, WORD, "root", "makes a time namespace")
{
    return unshared(CLONE_NEWTIME);
}

ESCAPE(unshare_user_with_others, WORD, "all", "makes a user namespace and a mount namespace in one call")
{
    return unshared(CLONE_NEWUSER | CLONE_NEWNS);
}

ESCAPE(unshare_high_bits, WORD, "none: the kernel refuses them", "makes a user namespace with higher bits set beside the flag")
{
    return outcome_of(syscall(SYS_unshare, CLONE_NEWUSER | 1UL << 40));
}

static int made(long pid)
{
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid((pid_t)pid, NULL, __WALL);
    return outcome_of(pid);
}

ESCAPE(clone_user, WORD, "all", "clones a child into a new user namespace")
{
    return made(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

ESCAPE(clone_high_bits, WORD, "all", "clones a child into a new user namespace, with higher bits set beside the flag")
{
    return made(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD | 1UL << 40, 0, 0, 0, 0));
}

static int made3(struct clone_args wish)
{
    return made(syscall(SYS_clone3, &wish, sizeof wish));
}

ESCAPE(clone3_user, WORD, "all", "clones a child into a new user namespace with clone3, whose flags no filter can read")
{
    return made3((struct clone_args){.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD});
}

ESCAPE(clone3_pid, WORD, "root", "clones a child into a new pid namespace with clone3")
{
    return made3((struct clone_args){.flags = CLONE_NEWPID, .exit_signal = SIGCHLD});
}

ESCAPE(clone3_any, WORD, "all", "calls clone3 at all")
{
    return made3((struct clone_args){.exit_signal = SIGCHLD});
}

ESCAPE(clone3_chosen_pid, WORD, "root", "chooses the pid of a child with clone3")
{
    pid_t pid = 30000;
    return made3((struct clone_args){
        .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1});
}

ESCAPE(clone_sibling, SEEN, "all", "makes the caller a child that it knows nothing of, with CLONE_PARENT")
{
    long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return outcome_of(pid);
}

ESCAPE(clone_pidfd_of_child, SEEN, "none: it is harmless", "clones a child with a pidfd, and looks at the pidfd for pids outside")
{
    int held = -1;
    long pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &held, 0, 0);
    if (pid == 0)
        _exit(0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", held);
    printed_file(path);
    return outcome_of(pid);
}

static int joined(const char *who, const char *name, int kind)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/ns/%s", number(who), name);
    int space = open(path, O_RDONLY);
    return outcome_of(space < 0 ? -1 : setns(space, kind));
}

ESCAPE(setns_user_of_victim, WORD, "none: nobody joins the user namespace that he is in", "joins the user namespace of another process")
{
    return joined("victim", "user", CLONE_NEWUSER);
}

ESCAPE(setns_mount_of_victim, WORD, "root", "joins the mount namespace of another process")
{
    return joined("victim", "mnt", CLONE_NEWNS);
}

ESCAPE(setns_pid_of_victim, WORD, "root", "joins the pid namespace of another process")
{
    return joined("victim", "pid", CLONE_NEWPID);
}

ESCAPE(setns_net_of_victim, WORD, "root", "joins the network namespace of another process")
{
    return joined("victim", "net", CLONE_NEWNET);
}

ESCAPE(setns_ipc_of_victim, WORD, "root", "joins the ipc namespace of another process")
{
    return joined("victim", "ipc", CLONE_NEWIPC);
}

ESCAPE(setns_cgroup_of_caller, WORD, "root", "joins the cgroup namespace of the caller")
{
    return joined("caller", "cgroup", CLONE_NEWCGROUP);
}

ESCAPE(setns_by_pidfd, WORD, "root", "joins all namespaces of another process by a pidfd")
{
    int process = (int)syscall(SYS_pidfd_open, number("victim"), 0);
    return outcome_of(process < 0 ? -1 : setns(process, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS));
}

ESCAPE(namespaces_by_pidfd, WORD, "all since 6.11", "gets descriptors of the namespaces of another process by ioctl calls on its pidfd")
{
    enum { FIRST = 1, LAST = 10 }; /* PIDFD_GET_CGROUP_NAMESPACE to PIDFD_GET_UTS_NAMESPACE of linux/pidfd.h */
    int process = (int)syscall(SYS_pidfd_open, number("victim"), 0);
    if (process < 0)
        return outcome_of(-1);
    for (unsigned one = FIRST; one <= LAST; one++)
        if (ioctl(process, _IO(0xFF, one), 0) >= 0)
            return THROUGH;
    return outcome_of(-1);
}

ESCAPE(parent_of_namespace, WORD, "none: the first user namespace has no parent", "gets a descriptor of the user namespace above its own")
{
    int own = open("/proc/self/ns/user", O_RDONLY);
    return outcome_of(own < 0 ? -1 : ioctl(own, NS_GET_PARENT));
}

ESCAPE(owner_of_namespace, WORD, "some: root, or in a user namespace", "gets a descriptor of the user namespace that owns its network namespace, and joins it")
{
    int own = open("/proc/self/ns/net", O_RDONLY);
    int above = own < 0 ? -1 : ioctl(own, NS_GET_USERNS);
    return outcome_of(above < 0 || !is_confined() ? above : setns(above, CLONE_NEWUSER));
}

ESCAPE(own_id_map_written, WORD, "none: the map of the first user namespace is fixed", "writes the map of the ids of its user namespace")
{
    return outcome_of(written_file("/proc/self/uid_map", "0 0 4294967295"));
}

ESCAPE(nested_map_of_root, WORD, "root", "maps the host's root in a user namespace of its own")
{
    if (unshare(CLONE_NEWUSER) < 0)
        return outcome_of(-1);
    return outcome_of(written_file("/proc/self/uid_map", "0 0 1"));
}
