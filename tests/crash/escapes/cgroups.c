/* Control groups */
#include "attempt.h"

#include <dirent.h>
#include <linux/sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *in_group(const char *name)
{
    return below("cgroup", name);
}

ESCAPE(cgroup_entered, WORD, "root", "moves itself into another control group")
{
    return outcome_of(written_file(in_group("cgroup.procs"), "0"));
}

ESCAPE(cgroup_entered_by_thread, WORD, "root", "moves a thread of its into another control group")
{
    if (written_file(in_group("tasks"), "0") == 0)
        return THROUGH;
    return outcome_of(written_file(in_group("cgroup.threads"), "0"));
}

ESCAPE(cgroup_victim_moved, WORD, "root", "moves another process into another control group")
{
    char text[32];
    snprintf(text, sizeof text, "%ld", number("victim"));
    return outcome_of(written_file(in_group("cgroup.procs"), text));
}

ESCAPE(cgroup_made, WORD, "root", "makes a control group below another")
{
    long done = mkdir(in_group("escaped"), 0755);
    if (done == 0)
        rmdir(in_group("escaped"));
    return outcome_of(done);
}

ESCAPE(cgroup_program_at_release, WORD, "some: root, and cgroup v1", "opens release_agent, the program that the kernel runs for an empty group")
{
    char path[512];
    const char *const kinds[] = {"memory", "pids", "cpu", "systemd", "devices", "freezer"};
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s/release_agent", kinds[i]);
        if (open(path, O_WRONLY) >= 0)
            return THROUGH;
    }
    return outcome_of(-1);
}

ESCAPE(cgroup_limit_raised, WORD, "root", "opens the limits of a control group to write")
{
    if (open(in_group("pids.max"), O_WRONLY) >= 0 || open(in_group("cgroup.max.descendants"), O_WRONLY) >= 0)
        return THROUGH;
    return outcome_of(-1);
}

ESCAPE(cgroup_of_its_own_changed, WORD, "root", "opens the limits of the control groups that it is in to write")
{
    FILE *groups = fopen("/proc/self/cgroup", "re");
    char line[512], path[1024];
    while (groups != NULL && fgets(line, sizeof line, groups)) {
        line[strcspn(line, "\n")] = 0;
        char *kind = strchr(line, ':'), *place = kind ? strchr(kind + 1, ':') : NULL;
        if (place == NULL)
            continue;
        *place++ = 0;
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/cgroup.procs", kind + 1, place);
        if (open(path, O_WRONLY) >= 0)
            return THROUGH;
        snprintf(path, sizeof path, "/sys/fs/cgroup/unified%s/cgroup.procs", place);
        if (open(path, O_WRONLY) >= 0)
            return THROUGH;
    }
    return outcome_of(-1);
}

ESCAPE(cgroup_listed, WORD, "all", "lists the control groups of the machine")
{
    DIR *listing = opendir("/sys/fs/cgroup");
    int entries = 0;
    for (; listing != NULL && readdir(listing) != NULL; entries++)
        ;
    return listing == NULL || entries <= 2 ? outcome_of(-1) : THROUGH;
}

ESCAPE(cgroup_of_child, WORD, "some: root, and cgroup v2", "clones a child into another control group")
{
    int group = open(given("cgroup2"), O_RDONLY | O_DIRECTORY);
    struct clone_args wish = {
        .flags = 0x200000000ULL, .exit_signal = SIGCHLD, .cgroup = (uint64_t)(int64_t)group};
    if (group < 0)
        return outcome_of(-1);
    long pid = syscall(SYS_clone3, &wish, sizeof wish);
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid((pid_t)pid, NULL, 0);
    return outcome_of(pid);
}
