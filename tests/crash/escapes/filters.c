/* Rules added to rules: seccomp, landlock, dumps */
#include "attempt.h"

#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static long allow_all(unsigned flags)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = 1, .filter = code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

ESCAPE(filter_that_allows_all, WORD, "all", "adds a filter that allows all, and makes a user namespace")
{
    allow_all(0);
    return outcome_of(unshare(CLONE_NEWUSER));
}

ESCAPE(filter_for_all_threads, WORD, "all", "adds a filter that allows all for all its threads, and makes a user namespace")
{
    allow_all(SECCOMP_FILTER_FLAG_TSYNC);
    return outcome_of(unshare(CLONE_NEWUSER));
}

ESCAPE(filter_with_a_listener, WORD, "all", "has a child listen to forbidden calls, and let them go on")
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0)
        return outcome_of(-1);
    pid_t child = fork();
    if (child == 0) {
        struct seccomp_notif asked = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) < 0)
            _exit(1);
        struct seccomp_notif_resp answer = {.id = asked.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        _exit(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0);
    }
    long done = unshare(CLONE_NEWUSER);
    int error = errno;
    kill(child, SIGKILL);
    errno = error;
    return outcome_of(done);
}

ESCAPE(filter_missing, WORD, "all", "is without a filter")
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2 ? STOPPED : THROUGH;
}

static int allowed_below(const char *path)
{
    struct landlock_ruleset_attr all = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
                                              .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return (int)syscall(SYS_landlock_restrict_self, rules, 0);
}

ESCAPE(landlock_that_allows_all, SEEN, "all", "adds a landlock domain that allows all files, and reads")
{
    allowed_below("/");
    return printed_file(given("secret"));
}

ESCAPE(landlock_until_full, SEEN, "all", "adds landlock domains until no more fit, and reads")
{
    for (int i = 0; i < 20; i++)
        allowed_below("/");
    return printed_file(given("secret"));
}

ESCAPE(landlock_by_parent, SEEN, "all", "reads in a child that was made before a domain was added")
{
    fflush(stdout);
    int ends[2];
    pipe(ends);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(ends[1]);
        read(ends[0], &byte, 1);
        exit(printed_file(given("secret")));
    }
    allowed_below("/");
    close(ends[1]);
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : STOPPED;
}

ESCAPE(dumpable_again, SEEN, "all", "makes itself dumpable, and reads the memory of its parent")
{
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
    int memory = open(path, O_RDONLY);
    if (memory < 0 || pread(memory, text, sizeof text, number("caller_memory")) <= 0)
        return outcome_of(-1);
    return printed_memory(text, sizeof text);
}

ESCAPE(reaper_of_orphans, SEEN, "none: it is harmless", "makes itself the parent of orphans with PR_SET_CHILD_SUBREAPER")
{
    return outcome_of(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}
