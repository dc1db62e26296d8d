/* Identity, capabilities and programs that raise them */
#include "attempt.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int run_confederate(const char *program)
{
    fflush(stdout);
    execl(below("bin", program), program, "confederate", given("secret"), NULL);
    return outcome_of(-1);
}

ESCAPE(setuid_program, SEEN, "all", "runs a program that becomes root by its set-user-ID bit")
{
    return run_confederate("set-user-id");
}

ESCAPE(setgid_program, SEEN, "all", "runs a program that joins a group by its set-group-ID bit")
{
    return run_confederate("set-group-id");
}

ESCAPE(file_capabilities, SEEN, "all", "runs a program that has capabilities by its file")
{
    return run_confederate("with-capabilities");
}

ESCAPE(setuid_program_of_system, WORD, "some: the machine has one", "runs a program of the system that becomes root, and looks at it")
{
    const char *const programs[] = {"/usr/bin/su", "/usr/bin/passwd", "/usr/bin/chsh"};
    for (int i = 0; i < 3; i++) {
        int input[2], started[2];
        pipe(input);
        pipe2(started, O_CLOEXEC);
        pid_t pid = fork();
        if (pid == 0) {
            dup2(input[0], 0);
            dup2(open("/dev/null", O_WRONLY), 1);
            dup2(1, 2);
            execl(programs[i], programs[i], NULL);
            _exit(1);
        }
        close(started[1]);
        char byte, path[64], status[4096] = {0};
        read(started[0], &byte, 1); /* until its exec */
        snprintf(path, sizeof path, "/proc/%d/status", pid);
        int told = open(path, O_RDONLY);
        read(told, status, sizeof status - 1);
        const char *line = strstr(status, "\nUid:");
        int real = 0, effective = -1;
        if (line != NULL)
            sscanf(line, "\nUid: %d %d", &real, &effective);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        struct stat file;
        if (effective == 0 && real != 0 && stat(programs[i], &file) == 0 && file.st_uid == 0)
            return THROUGH;
    }
    return STOPPED;
}

ESCAPE(become_root, SEEN, "root", "becomes user 0, and reads")
{
    if (setuid(0) < 0)
        return outcome_of(-1);
    return printed_file(given("secret"));
}

ESCAPE(become_the_caller, SEEN, "all", "becomes the user of the caller, and reads")
{
    if (setresuid((uid_t)number("uid"), (uid_t)number("uid"), (uid_t)number("uid")) < 0)
        return outcome_of(-1);
    return printed_file(given("secret"));
}

ESCAPE(file_user_of_the_caller, SEEN, "all", "takes the user of the caller for files, and reads")
{
    setfsuid((uid_t)number("uid"));
    return printed_file(given("secret"));
}

ESCAPE(become_any_user, WORD, "root", "becomes another user")
{
    return outcome_of(setresuid(12345, 12345, 12345));
}

ESCAPE(join_a_group, WORD, "root", "joins group 0 beside its own")
{
    gid_t group = 0;
    return outcome_of(setgroups(1, &group));
}

ESCAPE(drop_groups, WORD, "root", "drops its groups, which a file may refuse something to")
{
    return outcome_of(setgroups(0, NULL));
}

static int raised(bool inheritable)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    syscall(SYS_capget, &header, data);
    data[0].effective = data[0].permitted = data[0].permitted | 1u << CAP_SYS_ADMIN;
    if (inheritable)
        data[0].inheritable = 1u << CAP_SYS_ADMIN;
    return outcome_of(syscall(SYS_capset, &header, data));
}

ESCAPE(capability_raised, WORD, "root", "takes CAP_SYS_ADMIN")
{
    return raised(false);
}

ESCAPE(capability_inheritable, WORD, "root", "takes CAP_SYS_ADMIN, and gives it to its programs")
{
    return raised(true);
}

ESCAPE(capability_ambient, WORD, "root", "makes a capability ambient")
{
    raised(true);
    return outcome_of(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0));
}

ESCAPE(capability_in_bounding_set, WORD, "all", "has a capability in its bounding set, for programs to have")
{
    for (unsigned long capability = 0; capability < 64; capability++)
        if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1)
            return THROUGH;
    return STOPPED;
}

ESCAPE(any_capability, WORD, "root", "has a capability at all")
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    syscall(SYS_capget, &header, data);
    return data[0].permitted | data[1].permitted | data[0].inheritable | data[1].inheritable ? THROUGH
                                                                                             : STOPPED;
}

ESCAPE(secure_bits, WORD, "root", "changes how user 0 has capabilities with PR_SET_SECUREBITS")
{
    return outcome_of(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0));
}

ESCAPE(no_new_privs_taken_back, WORD, "none: nobody may", "allows itself new privileges again")
{
    return outcome_of(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

ESCAPE(no_new_privs_missing, WORD, "all", "may still get privileges from programs")
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? STOPPED : THROUGH;
}

ESCAPE(memory_map_changed, WORD, "some: CAP_SYS_RESOURCE, and CONFIG_CHECKPOINT_RESTORE", "changes what program /proc says it is with PR_SET_MM")
{
    int file = open("/proc/self/exe", O_RDONLY);
    long done = prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, file, 0, 0);
    return outcome_of(done < 0 && errno == EBUSY ? 0 : done);
}

ESCAPE(personality_of_another_system, WORD, "all", "has the kernel treat it as a program of another system")
{
    return outcome_of(syscall(SYS_personality, 0x0005 /* PER_ISCR4 */));
}

ESCAPE(personality_high_bits, WORD, "all", "changes its personality with higher bits set beside the number")
{
    return outcome_of(syscall(SYS_personality, 1UL << 40 | 0x0005));
}

ESCAPE(trace_allowed_to_all, WORD, "some: the Yama security module", "lets any process trace it with PR_SET_PTRACER")
{
    return outcome_of(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0));
}
