/* Of this thread by some system calls of a tenth of a microsecond each, of a child by /proc. */
#define _GNU_SOURCE
#include "credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "child.h"
#include "epoch.h"
#include "proc_file.h"

#define FEW_GROUPS 256    /* as many as are hashed */
#define LONGEST_LINK 64   /* cgroup:[4026531835] */
#define MOST_BYTES 8192   /* of a file; where there are thousands of groups credentials.py reads them */
#define FLAGS_FIELD 7     /* of /proc/PID/stat, counted from the end of the name */
#define FORKED_WITHOUT_EXEC 0x40

static uint64_t hash(uint64_t sum, const void *bytes, size_t length)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ byte[i]) * 0x100000001b3; /* FNV-1a */
    return sum;
}

static uint64_t hash_number(uint64_t sum, long number)
{
    return hash(sum, &number, sizeof number);
}

static uint64_t hash_groups(uint64_t sum)
{
    unsigned groups[FEW_GROUPS];
    long count = ramet_syscall2(__NR_getgroups, 0, 0);
    sum = hash_number(sum, count);
    if (count > 0 && count <= FEW_GROUPS && ramet_syscall2(__NR_getgroups, FEW_GROUPS, (long)groups) == count)
        sum = hash(sum, groups, (size_t)count * sizeof groups[0]);
    return sum;
}

static uint64_t hash_capabilities(uint64_t sum)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    sum = hash_number(sum, ramet_syscall2(__NR_capget, (long)&header, (long)sets));
    return hash(sum, sets, sizeof sets);
}

uint64_t ramet_credentials_now(void)
{
    unsigned users[3] = {0}, groups[3] = {0};
    uint64_t sum = hash_number(0, ramet_syscall3(__NR_getresuid, (long)&users[0], (long)&users[1], (long)&users[2]));
    sum = hash_number(sum, ramet_syscall3(__NR_getresgid, (long)&groups[0], (long)&groups[1], (long)&groups[2]));
    sum = hash(hash(sum, users, sizeof users), groups, sizeof groups);
    sum = hash_capabilities(hash_groups(sum));
    sum = hash_number(sum, ramet_syscall1(__NR_setfsuid, -1)); /* changes nothing, and tells */
    sum = hash_number(sum, ramet_syscall1(__NR_setfsgid, -1));
    sum = hash_number(sum, ramet_syscall5(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    return hash_number(sum, ramet_syscall1(__NR_prctl, PR_GET_SECCOMP));
}

/* The link, without a 0 at its end; its length or -errno. */
static long read_namespace(const char *task, const char *name, char *link)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/%s", task, name);
    return ramet_syscall4(__NR_readlinkat, AT_FDCWD, path, link, LONGEST_LINK);
}

uint64_t ramet_namespaces_of(int task)
{
    static const char *const names[] = {"user", "pid", "mnt", "net", "uts", "ipc", "cgroup", "time"};
    bool are_shown = false;
    uint64_t sum = 0;
    char number[16];
    snprintf(number, sizeof number, "%d", task);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[LONGEST_LINK];
        long length = read_namespace(task == 0 ? "self" : number, names[i], text);
        sum = hash_number(sum, length);
        if (length > 0)
            sum = hash(sum, text, (size_t)length);
        are_shown = are_shown || length > 0;
    }
    return are_shown ? sum : 0;
}

/* ---- of a child that has ended, compared as credentials.py does */

/* A file of a task. */
struct file_text {
    char text[MOST_BYTES];
    long length; /* -errno */
};

static void read_file(struct file_text *read, const char *task, const char *file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/%s", task, file);
    long descriptor = ramet_syscall4(__NR_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
    read->length = descriptor;
    if (descriptor >= 0) {
        read->length = ramet_syscall3(__NR_read, descriptor, (long)read->text, MOST_BYTES - 1);
        ramet_syscall1(__NR_close, descriptor);
    }
    read->text[read->length > 0 ? read->length : 0] = 0;
}

/* A line of /proc/PID/status, with its end; NULL: there is none. */
static const char *line_of(const struct file_text *file, const char *name)
{
    const char *found = strstr(file->text, name);
    return found == NULL || strchr(found + 1, '\n') == NULL ? NULL : found;
}

static bool is_same_line(const struct file_text *a, const struct file_text *b, const char *name)
{
    const char *one = line_of(a, name), *other = line_of(b, name);
    if (one == NULL || other == NULL)
        return one == other;
    size_t length = (size_t)(strchr(one + 1, '\n') - one) + 1;
    return strncmp(one, other, length) == 0;
}

/* How deep its pid namespace lies: of a child of this process, the same depth is the same namespace, since any other is below. */
static int depth_of_pid_namespace(const struct file_text *status)
{
    const char *at = line_of(status, "\nNSpid:");
    int depth = 0;
    for (at = at == NULL ? "" : at + 1; *at != 0 && *at != '\n'; at++)
        depth += *at == '\t';
    return depth;
}

/* What the calling thread has, which is read again only when it may have gained a right. */
struct ours {
    uint64_t epoch; /* of the memory */
    int thread;
    uint64_t rights;
    struct file_text status;
    char user[LONGEST_LINK];
    long user_length;
};

/*
 * Between two changes of ramet_credentials_now() a thread can lose rights (a bounding set, a filter more, another
 * user namespace) but gain none: a child with what it had then has no less than it has now.
 */
static void read_ours(struct ours *ours, int thread, uint64_t rights)
{
    read_file(&ours->status, "thread-self", "status");
    ours->user_length = read_namespace("thread-self", "user", ours->user);
    ours->epoch = ramet_epoch();
    ours->thread = thread;
    ours->rights = rights;
}

static bool is_whole(const struct file_text *status)
{
    return status->length > 0 && status->length < MOST_BYTES - 1 && line_of(status, "\nCapEff:") != NULL;
}

static bool has_same_status(const struct file_text *theirs, const struct file_text *ours, bool in_any_pid_namespace)
{
    static const char *const lines[] = {
        "\nUid:",    "\nGid:",    "\nGroups:", "\nCapInh:",     "\nCapPrm:",  "\nCapEff:",
        "\nCapBnd:", "\nCapAmb:", "\nNoNewPrivs:", "\nSeccomp:", "\nSeccomp_filters:",
    };
    int depth = depth_of_pid_namespace(theirs);
    bool same = is_whole(theirs) && is_whole(ours) && depth > 0 &&
                (in_any_pid_namespace || depth == depth_of_pid_namespace(ours));
    for (size_t i = 0; same && i < sizeof lines / sizeof lines[0]; i++)
        same = is_same_line(theirs, ours, lines[i]);
    return same;
}

static bool has_same_user_namespace(const char *task, const struct ours *ours)
{
    char link[LONGEST_LINK];
    long length = read_namespace(task, "user", link);
    return length > 0 && length == ours->user_length && memcmp(link, ours->user, (size_t)length) == 0;
}

/* A thread may gain rights by another label. Where it has none (EINVAL), no security module gives labels, to no task. */
static bool has_same_label(const char *task)
{
    static bool are_none;
    struct file_text theirs, ours;
    if (are_none)
        return true;
    read_file(&ours, "thread-self", "attr/current");
    are_none = ours.length == -EINVAL;
    if (are_none)
        return true;
    read_file(&theirs, task, "attr/current");
    return theirs.length == ours.length && strcmp(theirs.text, ours.text) == 0;
}

/* A program with set-user-ID has other rights than the task that executed it. */
static bool has_not_executed(const char *task)
{
    struct file_text stat;
    read_file(&stat, task, "stat");
    const char *at = strrchr(stat.text, ')');
    for (int field = 0; at != NULL && field < FLAGS_FIELD; field++)
        at = strchr(at + 1, ' ');
    return at != NULL && (strtoul(at, NULL, 10) & FORKED_WITHOUT_EXEC) != 0;
}

/* Else all that was read may be of the next task with its pid. */
static bool is_unreaped(int pid, int pidfd)
{
    siginfo_t info = {0};
    int options = WEXITED | WNOHANG | WNOWAIT | __WALL;
    if (pidfd >= 0) {
        long error = ramet_syscall4(__NR_pidfd_send_signal, pidfd, 0, 0, 0);
        /* A filter may hide that call. Who asks may wait for it, mostly. */
        return error == 0 || (error != -ESRCH && ramet_syscall5(__NR_waitid, P_PIDFD, pidfd, (long)&info, options, 0) == 0);
    }
    return ramet_syscall5(__NR_waitid, P_PID, pid, (long)&info, options, 0) == 0 && info.si_pid == pid;
}

static bool are_the_same(const char *task, const struct file_text *status, const struct ours *ours, bool in_any_pid_namespace)
{
    return has_same_status(status, &ours->status, in_any_pid_namespace) && has_same_user_namespace(task, ours);
}

/* One task at a time has what was kept. */
static struct ours kept;
static int is_kept_in_use;

/* Compared with what was kept; and with what is read now where that differs, or is not this thread's. */
static bool are_ours(const char *task, bool in_any_pid_namespace)
{
    int thread = (int)ramet_syscall0(__NR_gettid);
    uint64_t rights = ramet_credentials_now();
    struct file_text status;
    read_file(&status, task, "status");
    bool known = kept.epoch == ramet_epoch() && kept.thread == thread && kept.rights == rights;
    if (known && are_the_same(task, &status, &kept, in_any_pid_namespace))
        return true;
    read_ours(&kept, thread, rights);
    return are_the_same(task, &status, &kept, in_any_pid_namespace);
}

static bool find_in_proc(int pid, int pidfd, char *task, size_t size)
{
    long number = ramet_proc_number_of_process(pid, pidfd);
    snprintf(task, size, "%ld", number);
    return number > 0;
}

bool ramet_credentials_are_ours(int pid, int pidfd, bool in_any_pid_namespace)
{
    char task[16];
    if (!find_in_proc(pid, pidfd, task, sizeof task))
        return false;
    if (__atomic_exchange_n(&is_kept_in_use, 1, __ATOMIC_ACQUIRE) != 0)
        return false;
    bool same = are_ours(task, in_any_pid_namespace);
    __atomic_store_n(&is_kept_in_use, 0, __ATOMIC_RELEASE);
    return same && has_same_label(task) && has_not_executed(task) && is_unreaped(pid, pidfd);
}
