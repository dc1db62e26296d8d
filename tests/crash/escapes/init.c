/* Pid 1 of the sandbox, which is a task in the caller's memory */
#include "attempt.h"
#include "tracing.h"

#include <dirent.h>
#include <linux/kcmp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *of_init(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "/proc/%ld/%s", number("init"), name);
    return path;
}

ESCAPE(init_ptrace_attach, SEEN, "all", "attaches to pid 1 with ptrace, reads and writes")
{
    return attached(number("init"), "init_memory");
}

ESCAPE(init_ptrace_seize, SEEN, "all", "seizes pid 1 with ptrace, reads and writes")
{
    return seized(number("init"), "init_memory");
}

ESCAPE(init_process_vm_readv, SEEN, "all", "reads the memory of pid 1 with process_vm_readv")
{
    return read_by_call(number("init"), "init_memory");
}

ESCAPE(init_process_vm_writev, SEEN, "all", "writes the memory of pid 1 with process_vm_writev")
{
    return written_by_call(number("init"), "init_memory");
}

ESCAPE(init_mem_read, SEEN, "all", "reads the memory of pid 1 by /proc/1/mem")
{
    char text[64];
    int memory = open(of_init("mem"), O_RDONLY);
    if (memory < 0 || pread(memory, text, sizeof text, number("init_memory")) <= 0)
        return outcome_of(-1);
    return printed_memory(text, sizeof text);
}

ESCAPE(init_mem_written, SEEN, "all", "writes the memory of pid 1 by /proc/1/mem")
{
    int memory = open(of_init("mem"), O_RDWR);
    return outcome_of(memory < 0 ? -1 : pwrite(memory, SHOT, strlen(SHOT), number("init_memory") + 64));
}

ESCAPE(init_mem_of_thread_self, SEEN, "all", "reads the memory of pid 1 by /proc/1/task/1/mem")
{
    char name[64], text[64];
    snprintf(name, sizeof name, "task/%ld/mem", number("init"));
    int memory = open(of_init(name), O_RDONLY);
    if (memory < 0 || pread(memory, text, sizeof text, number("init_memory")) <= 0)
        return outcome_of(-1);
    return printed_memory(text, sizeof text);
}

ESCAPE(init_environ, SEEN, "all", "reads the environment of pid 1, which is the caller's")
{
    return printed_file(of_init("environ"));
}

ESCAPE(init_cmdline, SEEN, "all", "reads the arguments of pid 1, which are the caller's")
{
    return printed_file(of_init("cmdline"));
}

ESCAPE(init_maps, WORD, "all", "reads where the memory of pid 1 lies")
{
    return printed_file(of_init("maps"));
}

ESCAPE(init_smaps_rollup, WORD, "all", "reads how much memory pid 1 has")
{
    return printed_file(of_init("smaps_rollup"));
}

ESCAPE(init_auxv, WORD, "all", "reads the auxiliary vector of pid 1")
{
    return printed_file(of_init("auxv"));
}

ESCAPE(init_map_files, WORD, "some: CAP_CHECKPOINT_RESTORE", "opens what pid 1 has mapped by /proc/1/map_files")
{
    DIR *listing = opendir(of_init("map_files"));
    if (listing == NULL)
        return outcome_of(-1);
    for (struct dirent *entry; (entry = readdir(listing));)
        if (entry->d_name[0] != '.' && openat(dirfd(listing), entry->d_name, O_RDONLY) >= 0)
            return THROUGH;
    return outcome_of(-1);
}

ESCAPE(init_exe, WORD, "all", "opens the program of pid 1, which is the caller's")
{
    return printed_file(of_init("exe"));
}

ESCAPE(init_root, SEEN, "all", "opens a file by the root directory of pid 1")
{
    char name[4096];
    snprintf(name, sizeof name, "root%s", below("outside", "secret"));
    return printed_file(of_init(name));
}

ESCAPE(init_cwd, SEEN, "all", "opens a file by the working directory of pid 1")
{
    return printed_file(of_init("cwd/secret"));
}

ESCAPE(init_fd, SEEN, "all", "opens the files of pid 1 by /proc/1/fd")
{
    for (int fd = 3; fd < 1024; fd++) {
        char name[16];
        snprintf(name, sizeof name, "fd/%d", fd);
        int file = open(of_init(name), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (file >= 0)
            printed(file);
    }
    return THROUGH;
}

ESCAPE(init_pidfd_getfd, SEEN, "all", "takes the files of pid 1 with pidfd_getfd")
{
    int process = (int)syscall(SYS_pidfd_open, number("init"), 0);
    int last = process < 0 ? errno : 0;
    for (int fd = 3; process >= 0 && fd < 64; fd++) {
        int taken = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
        char text[256];
        ssize_t size = taken < 0 ? -1 : pread(taken, text, sizeof text, 0);
        last = taken < 0 ? errno : last;
        if (size > 0)
            printed_memory(text, (size_t)size);
    }
    errno = last;
    return outcome_of(-1);
}

ESCAPE(init_kcmp, WORD, "all", "compares its memory with that of pid 1")
{
    return outcome_of(syscall(SYS_kcmp, getpid(), number("init"), KCMP_VM, 0, 0));
}

ESCAPE(init_process_madvise, WORD, "some: CAP_SYS_NICE", "takes a page from the memory of pid 1 with process_madvise")
{
    return outcome_of(advised(number("init"), "init_memory"));
}

ESCAPE(init_move_pages, WORD, "all", "asks where the pages of pid 1 are with move_pages")
{
    return outcome_of(moved(number("init"), "init_memory"));
}

ESCAPE(init_migrate_pages, WORD, "all", "moves the memory of pid 1 to other nodes with migrate_pages")
{
    unsigned long nodes = 1;
    return outcome_of(syscall(SYS_migrate_pages, number("init"), 8L * sizeof nodes, &nodes, &nodes));
}

ESCAPE(init_robust_list, WORD, "all", "reads an address of pid 1 with get_robust_list")
{
    void *head;
    size_t size;
    return outcome_of(syscall(SYS_get_robust_list, number("init"), &head, &size));
}

ESCAPE(init_perf, WORD, "all where kernel.perf_event_paranoid <= 2", "measures pid 1 with perf_event_open")
{
    return outcome_of(counted(number("init")));
}

ESCAPE(init_signals, SEEN, "all", "sends pid 1 every signal, whose handlers would run in the caller's memory")
{
    for (int number_of = 1; number_of <= 64; number_of++)
        if (is_confined() || (number_of != SIGKILL && number_of != SIGSTOP && number_of != SIGSEGV))
            kill((pid_t)number("init"), number_of);
    return THROUGH;
}

ESCAPE(init_queued_signals, SEEN, "all", "sends pid 1 a signal with a value")
{
    union sigval value = {.sival_int = 1};
    return outcome_of(sigqueue((pid_t)number("init"), SIGRTMIN + 2, value));
}

ESCAPE(init_tgkill, SEEN, "all", "sends the thread that is pid 1 a signal")
{
    return outcome_of(syscall(SYS_tgkill, number("init"), number("init"), SIGUSR1));
}

ESCAPE(init_pidfd_signal, SEEN, "all", "sends pid 1 a signal by a pidfd")
{
    int process = (int)syscall(SYS_pidfd_open, number("init"), 0);
    return outcome_of(process < 0 ? -1 : syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 0));
}

ESCAPE(init_pidfd_group_signal, SEEN, "some: since Linux 6.9", "sends the process group of pid 1 a signal by a pidfd")
{
    int process = (int)syscall(SYS_pidfd_open, number("init"), 0);
    return outcome_of(process < 0 ? -1 : syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 4));
}

ESCAPE(init_signal_of_timer, SEEN, "none: a timer may only signal its own process", "has a timer signal pid 1")
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    event._sigev_un._tid = (pid_t)number("init");
    timer_t timer;
    return outcome_of(timer_create(CLOCK_MONOTONIC, &event, &timer));
}

ESCAPE(init_signal_of_descriptor, SEEN, "all", "makes pid 1 the owner of a pipe, which is told by SIGIO")
{
    int ends[2];
    if (pipe(ends) < 0 || fcntl(ends[0], F_SETOWN, (int)number("init")) < 0)
        return outcome_of(-1);
    fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    return outcome_of(write(ends[1], "x", 1));
}

ESCAPE(init_prlimit, WORD, "all", "changes the limits of pid 1 with prlimit")
{
    struct rlimit64 limit = {0};
    if (syscall(SYS_prlimit64, number("init"), RLIMIT_CORE, NULL, &limit) < 0)
        return outcome_of(-1);
    return outcome_of(syscall(SYS_prlimit64, number("init"), RLIMIT_CORE, &limit, NULL));
}

ESCAPE(init_affinity, WORD, "all", "changes the processors of pid 1 with sched_setaffinity")
{
    cpu_set_t set;
    if (sched_getaffinity((pid_t)number("init"), sizeof set, &set) < 0)
        return outcome_of(-1);
    return outcome_of(sched_setaffinity((pid_t)number("init"), sizeof set, &set));
}

ESCAPE(init_scheduler, WORD, "all", "changes the scheduler of pid 1")
{
    struct sched_param none = {0};
    return outcome_of(sched_setscheduler((pid_t)number("init"), SCHED_BATCH, &none));
}

ESCAPE(init_priority, WORD, "all", "changes the nice value of pid 1")
{
    return outcome_of(setpriority(PRIO_PROCESS, (id_t)number("init"), 19));
}

ESCAPE(init_io_priority, WORD, "all", "changes the priority of input and output of pid 1")
{
    return outcome_of(syscall(SYS_ioprio_set, 1, number("init"), (3 << 13)));
}

ESCAPE(init_oom_score, WORD, "all", "has pid 1 killed first when memory is short")
{
    return outcome_of(written_file(of_init("oom_score_adj"), "1000"));
}

ESCAPE(init_comm, SEEN, "none: only a process itself may", "changes the name of pid 1")
{
    return outcome_of(written_file(of_init("comm"), "escaped"));
}

ESCAPE(init_group, SEEN, "none: only of a child of its own", "moves pid 1 to another process group")
{
    return outcome_of(setpgid((pid_t)number("init"), (pid_t)number("init")));
}

static int joined(const char *name, int kind)
{
    char path[32];
    snprintf(path, sizeof path, "ns/%s", name);
    int space = open(of_init(path), O_RDONLY);
    return outcome_of(space < 0 ? -1 : setns(space, kind));
}

ESCAPE(init_setns_user, WORD, "none: nobody joins the user namespace that he is in", "joins the user namespace of pid 1")
{
    return joined("user", CLONE_NEWUSER);
}

ESCAPE(init_setns_mount, WORD, "root", "joins the mount namespace of pid 1")
{
    return joined("mnt", CLONE_NEWNS);
}

ESCAPE(init_setns_net, WORD, "root", "joins the network namespace of pid 1")
{
    return joined("net", CLONE_NEWNET);
}

ESCAPE(init_setns_pid, WORD, "root", "joins the pid namespace of pid 1")
{
    return joined("pid", CLONE_NEWPID);
}

ESCAPE(init_setns_by_pidfd, WORD, "root", "joins all namespaces of pid 1 by a pidfd")
{
    int process = (int)syscall(SYS_pidfd_open, number("init"), 0);
    return outcome_of(process < 0 ? -1 : setns(process, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC));
}

ESCAPE(init_of_orphans, SEEN, "none: there is no such init", "leaves pid 1 a thousand orphans to reap")
{
    if (!is_confined())
        return untried("pid 1 of the machine would have them");
    for (int i = 0; i < 1000; i++) {
        pid_t child = fork();
        if (child == 0) {
            if (fork() == 0)
                _exit(0);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    return THROUGH;
}
