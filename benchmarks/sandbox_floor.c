/*
 * What the kernel alone takes for a program in a sandbox: the system calls of ramet's launch, without a library.
 *
 *   sandbox_floor kept N ROOM FILTER USER MOUNT PROGRAM   in copies of namespaces that are open as these descriptors
 *   sandbox_floor anew N ROOM FILTER PROGRAM              user namespace, mounts and all else made for each launch
 *
 * ROOM: a file with what there is to do, a line each:
 *   flags F | hostname NAME | id N | map FILE TEXT | keyring own          in the order of use
 *   limit RESOURCE SOFT HARD | rule RIGHTS PATH
 *   tree PATH | dir PATH | file PATH | link TARGET PATH                   of the root, parents first; anew alone
 * FILTER: the instructions of a seccomp filter, as the kernel has them.
 *
 * Prints the median in nanoseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define LAST_CAPABILITY CAP_CHECKPOINT_RESTORE
#define MOST_LINES 256

enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1, SCOPE_SIGNAL = 2, CONNECT_BIND_TCP = 3 };

struct ruleset_attr { /* of Linux 6.12 */
    uint64_t files, network, scoped;
};

struct line {
    const char *word, *first, *second;
};

static struct room {
    struct line lines[MOST_LINES];
    int count;
    unsigned long flags, id;
    bool has_own_keyring;
    const char *hostname;
    uint64_t handled;
    struct sock_fprog filter;
} room;

static char *const environment[] = {"HOME=/tmp", "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL};
static char setup_stack[65536] __attribute__((aligned(16)));
static char init_stack[65536] __attribute__((aligned(16)));
static char worker_stack[65536] __attribute__((aligned(16)));

static struct launch {
    char **argv;
    int user, mount; /* descriptors; negative: made anew */
    int begun, mapped; /* futex words */
    int parent, maker; /* of the init, pidfds */
    int init, worker;
} launch;

static void fail(const char *what)
{
    fprintf(stderr, "sandbox_floor: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void must(long result, const char *what)
{
    if (result < 0)
        fail(what);
}

#define MUST(call) must((long)(call), #call)

static long futex(int *word, int operation, int value)
{
    return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void set_word(int *word)
{
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    futex(word, FUTEX_WAKE, INT32_MAX);
}

static void await_word(int *word)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0)
        futex(word, FUTEX_WAIT, 0);
}

static int open_process(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* ---- the description */

static void read_room(const char *path)
{
    static char text[1 << 16];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    MUST(file);
    MUST(read(file, text, sizeof text - 1));
    close(file);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        struct line *one = &room.lines[room.count++];
        one->word = line;
        one->first = strchr(line, ' ') + 1;
        line[one->first - 1 - line] = 0;
        char *space = strchr(one->first, ' ');
        one->second = space == NULL ? NULL : space + 1;
        if (strcmp(one->word, "rule") == 0 || strcmp(one->word, "map") == 0 || strcmp(one->word, "link") == 0 ||
            strcmp(one->word, "limit") == 0)
            *space = 0;
        if (strcmp(one->word, "flags") == 0)
            room.flags = strtoul(one->first, NULL, 0);
        else if (strcmp(one->word, "id") == 0)
            room.id = strtoul(one->first, NULL, 0);
        else if (strcmp(one->word, "hostname") == 0)
            room.hostname = one->first;
        else if (strcmp(one->word, "keyring") == 0)
            room.has_own_keyring = true;
        else if (strcmp(one->word, "rule") == 0)
            room.handled |= strtoul(one->first, NULL, 0);
    }
}

static void read_filter(const char *path)
{
    static struct sock_filter instructions[4096];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    MUST(file);
    ssize_t size = read(file, instructions, sizeof instructions);
    MUST(size);
    close(file);
    room.filter = (struct sock_fprog){(unsigned short)((size_t)size / sizeof *instructions), instructions};
}

/* ---- the root, made anew */

static int cloned_tree(const char *path, unsigned flags, uint64_t attributes, bool recursive)
{
    unsigned at = recursive ? AT_RECURSIVE : 0;
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | at | flags);
    struct mount_attr attr = {.attr_set = attributes};
    must(tree, path);
    if (attributes != 0)
        MUST(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | at, &attr, sizeof attr));
    return tree;
}

static void set_attributes(const char *path, uint64_t attributes)
{
    struct mount_attr attr = {.attr_set = attributes};
    MUST(syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attr, sizeof attr));
}

static void move_to(int tree, const char *path)
{
    must(syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH), path);
    close(tree);
}

/* The calls of libc are for all threads of a process, of which this is none. */
static void change_ids(void)
{
    if (room.id == 0)
        return;
    MUST(syscall(SYS_setgroups, 0, NULL));
    MUST(syscall(SYS_setresgid, room.id, room.id, room.id));
    MUST(syscall(SYS_setresuid, room.id, room.id, room.id));
}

static void make_root(void)
{
    static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
    enum { DEVICES = sizeof devices / sizeof *devices };
    int trees[MOST_LINES], device_trees[DEVICES];
    char path[32];
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    for (int i = 0; i < room.count; i++)
        if (strcmp(room.lines[i].word, "tree") == 0)
            trees[i] = cloned_tree(room.lines[i].first, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, true);
    int proc = cloned_tree("/proc", 0, 0, true);
    for (int i = 0; i < DEVICES; i++) {
        snprintf(path, sizeof path, "/dev/%s", devices[i]);
        device_trees[i] = cloned_tree(path, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false);
    }
    change_ids(); /* a file can only belong to an id that the namespace has */
    prctl(PR_SET_DUMPABLE, 1); /* the change has cleared it, of the memory that all three tasks share */
    MUST(mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m"));
    MUST(chdir("/proc"));
    for (int i = 0; i < room.count; i++) {
        const struct line *one = &room.lines[i];
        if (strcmp(one->word, "dir") == 0)
            must(mkdir(one->first + 1, 0755), one->first);
        else if (strcmp(one->word, "file") == 0)
            must(mknod(one->first + 1, S_IFREG | 0644, 0), one->first);
        else if (strcmp(one->word, "link") == 0)
            must(symlink(one->first, one->second + 1), one->second);
    }
    for (int i = 0; i < room.count; i++)
        if (strcmp(room.lines[i].word, "tree") == 0)
            move_to(trees[i], room.lines[i].first + 1);
    move_to(proc, "proc");
    MUST(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k"));
    for (int i = 0; i < DEVICES; i++) {
        snprintf(path, sizeof path, "dev/%s", devices[i]);
        MUST(mknod(path, S_IFREG | 0644, 0));
        move_to(device_trees[i], path);
    }
    MUST(symlink("/proc/self/fd", "dev/fd"));
    MUST(symlink("/proc/self/fd/0", "dev/stdin"));
    MUST(symlink("/proc/self/fd/1", "dev/stdout"));
    MUST(symlink("/proc/self/fd/2", "dev/stderr"));
    MUST(mkdir("dev/shm", 0755));
    MUST(mkdir("dev/pts", 0755));
    set_attributes("dev", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(umount2(".", MNT_DETACH));
    MUST(chdir("/"));
    set_attributes("/", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

/* ---- the three tasks of a launch: one leaves the caller's namespaces and makes the init and the program */

static int run_init(void *unused)
{
    (void)unused;
    signal(SIGCHLD, SIG_IGN);
    waitpid(-1, NULL, WNOHANG | __WALL);
    prctl(PR_SET_NAME, "floor-init");
    chdir("/");
    int low = launch.parent < launch.maker ? launch.parent : launch.maker;
    close_range(0, (unsigned)low - 1, 0);
    close_range((unsigned)low + 2, ~0U, 0);
    await_word(&launch.begun);
    struct pollfd watched[] = {{.fd = launch.parent, .events = POLLIN}, {.fd = open_process(2), .events = POLLIN}};
    ppoll(watched, 2, NULL, NULL);
    _exit(0);
}

static void set_limits(void)
{
    for (int i = 0; i < room.count; i++) {
        if (strcmp(room.lines[i].word, "limit") != 0)
            continue;
        char *hard;
        struct rlimit limit = {.rlim_cur = strtoul(room.lines[i].second, &hard, 0)};
        limit.rlim_max = strtoul(hard, NULL, 0);
        MUST(setrlimit(atoi(room.lines[i].first), &limit));
    }
}

static void drop_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    for (int capability = 0; capability <= LAST_CAPABILITY; capability++)
        MUST(prctl(PR_CAPBSET_DROP, capability));
    MUST(syscall(SYS_capset, &header, none));
    MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void restrict_files(void)
{
    struct ruleset_attr attr = {room.handled, CONNECT_BIND_TCP, SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    MUST(ruleset);
    for (int i = 0; i < room.count; i++) {
        if (strcmp(room.lines[i].word, "rule") != 0)
            continue;
        struct landlock_path_beneath_attr rule = {.allowed_access = strtoul(room.lines[i].first, NULL, 0)};
        rule.parent_fd = open(room.lines[i].second, O_PATH | O_CLOEXEC);
        must(rule.parent_fd, room.lines[i].second);
        MUST(syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
        close(rule.parent_fd);
    }
    MUST(syscall(SYS_landlock_restrict_self, ruleset, 0));
    close(ruleset);
}

static int run_program(void *unused)
{
    (void)unused;
    set_word(&launch.begun);
    MUST(setsid());
    if (room.has_own_keyring)
        MUST(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
    if (launch.mount >= 0)
        change_ids();
    const char *options = "mode=1777,size=67108864,nr_inodes=16384";
    MUST(mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options));
    MUST(mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options));
    MUST(mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,max=256"));
    MUST(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=ptraceable"));
    MUST(chdir("/tmp"));
    MUST(close_range(3, ~0U, 0));
    set_limits();
    drop_rights();
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    restrict_files();
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &room.filter));
    sigset_t none;
    sigemptyset(&none);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
    MUST(execve(launch.argv[0], launch.argv, environment));
    return 0;
}

static int set_up(void *unused)
{
    (void)unused;
    MUST(close_range(64, ~0U, CLOSE_RANGE_UNSHARE));
    if (launch.mount < 0) {
        await_word(&launch.mapped);
        MUST(unshare(CLONE_NEWNS));
        make_root();
        MUST(unshare((int)(room.flags & ~(unsigned long)CLONE_NEWNS)));
    } else {
        MUST(setns(launch.mount, CLONE_NEWNS));
        MUST(setns(launch.user, CLONE_NEWUSER));
        MUST(unshare((int)room.flags));
    }
    if (room.hostname != NULL)
        MUST(sethostname(room.hostname, strlen(room.hostname)));
    launch.parent = open_process(getppid());
    launch.maker = open_process(getpid());
    int flags = CLONE_VM | CLONE_PARENT;
    MUST(unshare(CLONE_NEWPID));
    launch.init = clone(run_init, init_stack + sizeof init_stack, flags, NULL);
    MUST(launch.init);
    launch.worker = clone(run_program, worker_stack + sizeof worker_stack, flags | CLONE_VFORK | CLONE_FILES, NULL);
    MUST(launch.worker);
    _exit(0);
}

static void write_maps(pid_t pid)
{
    char path[64];
    for (int i = 0; i < room.count; i++) {
        if (strcmp(room.lines[i].word, "map") != 0)
            continue;
        snprintf(path, sizeof path, "/proc/%d/%s", pid, room.lines[i].first);
        int file = open(path, O_WRONLY | O_CLOEXEC);
        must(file, path);
        must(write(file, room.lines[i].second, strlen(room.lines[i].second)), path);
        close(file);
    }
}

static void await_end(int pidfd)
{
    siginfo_t info;
    struct pollfd watched = {.fd = pidfd, .events = POLLIN};
    MUST(ppoll(&watched, 1, NULL, NULL));
    MUST(syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | __WALL, NULL));
    if (info.si_status != 0)
        fail("the program");
}

static void once(void)
{
    sigset_t all, before;
    bool anew = launch.mount < 0;
    launch.begun = launch.mapped = 0;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    int flags = CLONE_VM | CLONE_FILES | (anew ? CLONE_NEWUSER : CLONE_VFORK) | SIGCHLD;
    pid_t setup = clone(set_up, setup_stack + sizeof setup_stack, flags, NULL);
    MUST(setup);
    if (anew) {
        write_maps(setup);
        set_word(&launch.mapped);
    }
    prctl(PR_SET_DUMPABLE, 1);
    int status;
    MUST(waitpid(setup, &status, __WALL));
    if (status != 0)
        exit(1);
    sigprocmask(SIG_SETMASK, &before, NULL);
    int worker = open_process(launch.worker), init = open_process(launch.init);
    await_end(worker);
    syscall(SYS_pidfd_send_signal, init, SIGKILL, NULL, 0);
    struct pollfd watched = {.fd = init, .events = POLLIN};
    MUST(ppoll(&watched, 1, NULL, NULL));
    siginfo_t info;
    MUST(syscall(SYS_waitid, P_PIDFD, init, &info, WEXITED | __WALL, NULL));
    close(init);
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return 2;
    bool anew = strcmp(argv[1], "anew") == 0;
    int count = atoi(argv[2]);
    read_room(argv[3]);
    read_filter(argv[4]);
    launch.user = anew ? -1 : atoi(argv[5]);
    launch.mount = anew ? -1 : atoi(argv[6]);
    launch.argv = argv + (anew ? 5 : 7);
    long *times = malloc((size_t)count * sizeof *times);
    for (int i = 0; i < count; i++) {
        long begun = now();
        once();
        times[i] = now() - begun;
    }
    qsort(times, (size_t)count, sizeof *times, compare);
    printf("%ld\n", times[count / 2]);
    if (getenv("FLOOR_LOW") != NULL)
        fprintf(stderr, "min %ld p5 %ld\n", times[0] / 1000, times[count / 20] / 1000);
    return 0;
}
