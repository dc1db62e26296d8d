/* ptrace, and calls on the memory of other processes */
#include "attempt.h"
#include "tracing.h"

#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

static int poked(long pid, const char *address)
{
    char text[64] = {0};
    for (size_t at = 0; at < sizeof text; at += sizeof(long)) {
        errno = 0;
        long word = ptrace(PTRACE_PEEKDATA, pid, number(address) + (long)at, 0);
        if (errno)
            return outcome_of(-1);
        memcpy(text + at, &word, sizeof word);
    }
    long shot;
    memcpy(&shot, SHOT, sizeof shot);
    ptrace(PTRACE_POKEDATA, pid, number(address) + 64, shot);
    return printed_memory(text, sizeof text);
}

int attached(long pid, const char *address)
{
    int status;
    if (ptrace(PTRACE_ATTACH, pid, 0, 0) < 0)
        return outcome_of(-1);
    waitpid((pid_t)pid, &status, __WALL);
    int outcome = poked(pid, address);
    ptrace(PTRACE_DETACH, pid, 0, 0);
    return outcome;
}

int seized(long pid, const char *address)
{
    int status;
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0)
        return outcome_of(-1);
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    waitpid((pid_t)pid, &status, __WALL);
    int outcome = poked(pid, address);
    ptrace(PTRACE_DETACH, pid, 0, 0);
    return outcome;
}

int read_by_call(long pid, const char *address)
{
    char text[64];
    struct iovec here = {.iov_base = text, .iov_len = sizeof text};
    struct iovec there = {.iov_base = (void *)number(address), .iov_len = sizeof text};
    if (process_vm_readv((pid_t)pid, &here, 1, &there, 1, 0) < 0)
        return outcome_of(-1);
    return printed_memory(text, sizeof text);
}

int written_by_call(long pid, const char *address)
{
    struct iovec here = {.iov_base = SHOT, .iov_len = strlen(SHOT)};
    struct iovec there = {.iov_base = (void *)(number(address) + 64), .iov_len = strlen(SHOT)};
    return outcome_of(process_vm_writev((pid_t)pid, &here, 1, &there, 1, 0));
}

ESCAPE(ptrace_attach_to_victim, SEEN, "all", "attaches to another process with ptrace, reads and writes")
{
    return attached(number("victim"), "victim_memory");
}

ESCAPE(ptrace_seize_of_victim, SEEN, "all", "seizes another process with ptrace, reads and writes")
{
    return seized(number("victim"), "victim_memory");
}

ESCAPE(process_vm_readv_of_victim, SEEN, "all", "reads the memory of another process with process_vm_readv")
{
    return read_by_call(number("victim"), "victim_memory");
}

ESCAPE(process_vm_writev_of_victim, SEEN, "all", "writes the memory of another process with process_vm_writev")
{
    return written_by_call(number("victim"), "victim_memory");
}

ESCAPE(ptrace_attach_to_caller, SEEN, "all", "attaches to the caller with ptrace, reads and writes")
{
    return attached(number("caller"), "caller_memory");
}

ESCAPE(ptrace_seize_of_caller, SEEN, "all", "seizes the caller with ptrace, reads and writes")
{
    return seized(number("caller"), "caller_memory");
}

ESCAPE(process_vm_readv_of_caller, SEEN, "all", "reads the memory of the caller with process_vm_readv")
{
    return read_by_call(number("caller"), "caller_memory");
}

ESCAPE(process_vm_writev_of_caller, SEEN, "all", "writes the memory of the caller with process_vm_writev")
{
    return written_by_call(number("caller"), "caller_memory");
}

ESCAPE(ptrace_attach_to_parent, SEEN, "all", "attaches to its parent with ptrace, reads and writes")
{
    return attached(getppid(), "caller_memory");
}

ESCAPE(process_vm_readv_of_parent, SEEN, "all", "reads the memory of its parent with process_vm_readv")
{
    return read_by_call(getppid(), "caller_memory");
}

ESCAPE(process_vm_writev_of_parent, SEEN, "all", "writes the memory of its parent with process_vm_writev")
{
    return written_by_call(getppid(), "caller_memory");
}

ESCAPE(ptrace_of_own_child, WORD, "all", "traces a child of its own with ptrace, which could change calls behind a filter")
{
    pid_t child = sleeping_child();
    int status;
    long done = ptrace(PTRACE_ATTACH, child, 0, 0);
    int outcome = outcome_of(done);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return outcome;
}

ESCAPE(ptrace_suspends_seccomp, WORD, "some: CAP_SYS_ADMIN, and CONFIG_CHECKPOINT_RESTORE", "switches the filter of a child off with PTRACE_O_SUSPEND_SECCOMP")
{
    pid_t child = sleeping_child();
    long done = ptrace(PTRACE_SEIZE, child, 0, 0x200000);
    int outcome = outcome_of(done);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return outcome;
}

static int pidfd_of(long pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

ESCAPE(pidfd_open_of_victim, WORD, "all", "gets a descriptor of another process")
{
    return outcome_of(pidfd_of(number("victim")));
}

ESCAPE(pidfd_open_of_caller, WORD, "all", "gets a descriptor of the caller")
{
    return outcome_of(pidfd_of(number("caller")));
}

long advised(long pid, const char *address)
{
    int process = pidfd_of(pid);
    struct iovec page = {.iov_base = (void *)(number(address) & ~4095L), .iov_len = 4096};
    return process < 0 ? -1 : syscall(SYS_process_madvise, process, &page, 1, MADV_PAGEOUT, 0);
}

ESCAPE(process_madvise_of_victim, WORD, "some: CAP_SYS_NICE", "takes a page from the memory of another process with process_madvise")
{
    return outcome_of(advised(number("victim"), "victim_memory"));
}

ESCAPE(process_mrelease_of_victim, WORD, "none: the victim is not being killed", "releases the memory of another process with process_mrelease")
{
    return outcome_of(syscall(SYS_process_mrelease, pidfd_of(number("victim")), 0));
}

long moved(long pid, const char *address)
{
    void *page = (void *)(number(address) & ~4095L);
    int status = 0;
    return syscall(SYS_move_pages, pid, 1L, &page, NULL, &status, 0);
}

ESCAPE(move_pages_of_victim, WORD, "all", "asks where the pages of another process are with move_pages")
{
    return outcome_of(moved(number("victim"), "victim_memory"));
}

ESCAPE(migrate_pages_of_victim, WORD, "all", "moves the memory of another process to other nodes with migrate_pages")
{
    unsigned long nodes = 1;
    return outcome_of(syscall(SYS_migrate_pages, number("victim"), 8L * sizeof nodes, &nodes, &nodes));
}

ESCAPE(robust_list_of_victim, WORD, "all", "reads an address of another process with get_robust_list")
{
    void *head;
    size_t size;
    return outcome_of(syscall(SYS_get_robust_list, number("victim"), &head, &size));
}

long counted(long pid)
{
    struct perf_event_attr wish = {.type = PERF_TYPE_SOFTWARE,
                                   .size = sizeof wish,
                                   .config = PERF_COUNT_SW_TASK_CLOCK,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    return syscall(SYS_perf_event_open, &wish, pid, -1, -1, 0);
}

ESCAPE(perf_of_victim, WORD, "all where kernel.perf_event_paranoid <= 2", "measures another process with perf_event_open")
{
    return outcome_of(counted(number("victim")));
}

ESCAPE(core_scheduling_with_victim, WORD, "some: CONFIG_SCHED_CORE, and more than one thread of a core", "takes the cookie of another process with PR_SCHED_CORE")
{
    return outcome_of(syscall(SYS_prctl, 62 /* PR_SCHED_CORE */, 3 /* SHARE_FROM */, number("victim"), 0, 0));
}
