/* /proc of other processes, and of the kernel */
#include "attempt.h"

#include <dirent.h>
#include <sys/klog.h>
#include <sys/stat.h>

static const char *proc(long pid, const char *name)
{
    static char paths[2][4096];
    static int next;
    char *path = paths[next++ % 2];
    snprintf(path, sizeof paths[0], "/proc/%ld/%s", pid, name);
    return path;
}

static int read_memory(long pid, const char *address)
{
    int memory = open(proc(pid, "mem"), O_RDONLY | O_CLOEXEC);
    char text[64];
    if (memory < 0 || pread(memory, text, sizeof text, number(address)) <= 0)
        return outcome_of(-1);
    return printed_memory(text, sizeof text);
}

static int write_memory(long pid, const char *address)
{
    int memory = open(proc(pid, "mem"), O_RDWR | O_CLOEXEC);
    return outcome_of(memory < 0 ? -1 : pwrite(memory, SHOT, strlen(SHOT), number(address) + 64));
}

ESCAPE(proc_mem_of_victim_read, SEEN, "all", "reads the memory of another process by /proc/PID/mem")
{
    return read_memory(number("victim"), "victim_memory");
}

ESCAPE(proc_mem_of_victim_written, SEEN, "all", "writes the memory of another process by /proc/PID/mem")
{
    return write_memory(number("victim"), "victim_memory");
}

ESCAPE(proc_mem_of_caller_read, SEEN, "all", "reads the memory of the caller by /proc/PID/mem")
{
    return read_memory(number("caller"), "caller_memory");
}

ESCAPE(proc_mem_of_caller_written, SEEN, "all", "writes the memory of the caller by /proc/PID/mem")
{
    return write_memory(number("caller"), "caller_memory");
}

ESCAPE(proc_mem_of_parent_read, SEEN, "all", "reads the memory of its parent by /proc/PID/mem")
{
    return read_memory(getppid(), "caller_memory");
}

ESCAPE(proc_task_mem_of_victim, SEEN, "all", "reads the memory of another process by /proc/PID/task/PID/mem")
{
    long pid = number("victim");
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/mem", pid, pid);
    int memory = open(path, O_RDONLY);
    if (memory < 0 || pread(memory, text, sizeof text, number("victim_memory")) <= 0)
        return outcome_of(-1);
    return printed_memory(text, sizeof text);
}

ESCAPE(proc_environ_of_victim, SEEN, "all", "reads the environment of another process")
{
    return printed_file(proc(number("victim"), "environ"));
}

ESCAPE(proc_environ_of_caller, SEEN, "all", "reads the environment of the caller")
{
    return printed_file(proc(number("caller"), "environ"));
}

ESCAPE(proc_cmdline_of_victim, SEEN, "all", "reads the arguments of another process")
{
    return printed_file(proc(number("victim"), "cmdline"));
}

ESCAPE(proc_cmdline_of_all, SEEN, "all", "reads the arguments of all processes that /proc lists")
{
    DIR *listing = opendir("/proc");
    for (struct dirent *entry; listing && (entry = readdir(listing));)
        if (atol(entry->d_name) > 0)
            printed_file(proc(atol(entry->d_name), "cmdline"));
    return THROUGH;
}

ESCAPE(proc_root_of_victim, SEEN, "all", "opens a file by the root directory of another process")
{
    char path[4096];
    snprintf(path, sizeof path, "/proc/%ld/root%s", number("victim"), below("outside", "secret"));
    return printed_file(path);
}

ESCAPE(proc_root_of_caller, SEEN, "all", "opens a file by the root directory of the caller")
{
    char path[4096];
    snprintf(path, sizeof path, "/proc/%ld/root%s", number("caller"), below("outside", "secret"));
    return printed_file(path);
}

ESCAPE(proc_root_of_parent, SEEN, "all", "opens a file by the root directory of its parent")
{
    char path[4096];
    snprintf(path, sizeof path, "/proc/%d/root%s", (int)getppid(), below("outside", "secret"));
    return printed_file(path);
}

ESCAPE(proc_cwd_of_victim, SEEN, "all", "opens a file by the working directory of another process")
{
    return printed_file(proc(number("victim"), "cwd/secret"));
}

ESCAPE(proc_cwd_of_caller, SEEN, "all", "opens a file by the working directory of the caller")
{
    return printed_file(proc(number("caller"), "cwd/secret"));
}

ESCAPE(proc_maps_of_victim, WORD, "all", "reads where the memory of another process lies")
{
    return printed_file(proc(number("victim"), "maps"));
}

ESCAPE(proc_maps_of_caller, WORD, "all", "reads where the memory of the caller lies")
{
    return printed_file(proc(number("caller"), "maps"));
}

ESCAPE(proc_auxv_of_victim, WORD, "all", "reads the auxiliary vector of another process")
{
    return printed_file(proc(number("victim"), "auxv"));
}

ESCAPE(proc_stack_of_victim, WORD, "root", "reads the kernel stack of another process")
{
    return printed_file(proc(number("victim"), "stack"));
}

ESCAPE(proc_syscall_of_victim, WORD, "some: CONFIG_HAVE_ARCH_TRACEHOOK", "reads the system call that another process is in")
{
    return printed_file(proc(number("victim"), "syscall"));
}

ESCAPE(proc_exe_of_victim, WORD, "all", "opens the program of another process by /proc/PID/exe")
{
    return printed_file(proc(number("victim"), "exe"));
}

ESCAPE(proc_clear_refs_of_victim, WORD, "all", "clears the marks of the pages of another process")
{
    return outcome_of(written_file(proc(number("victim"), "clear_refs"), "1"));
}

ESCAPE(proc_coredump_filter_of_victim, SEEN, "all", "changes what a core of another process has")
{
    return outcome_of(written_file(proc(number("victim"), "coredump_filter"), "0x7f"));
}

ESCAPE(proc_oom_score_of_victim, SEEN, "all", "has another process killed first when memory is short")
{
    return outcome_of(written_file(proc(number("victim"), "oom_score_adj"), "999"));
}

ESCAPE(proc_oom_score_of_caller, SEEN, "all", "has the caller killed first when memory is short")
{
    return outcome_of(written_file(proc(number("caller"), "oom_score_adj"), "777"));
}

ESCAPE(proc_timerslack_of_victim, WORD, "some: needs CAP_SYS_NICE", "changes the timers of another process")
{
    return outcome_of(written_file(proc(number("victim"), "timerslack_ns"), "50000"));
}

static int opened_to_write(const char *path)
{
    return outcome_of(open(path, O_WRONLY | O_CLOEXEC));
}

/* Opening is enough: nothing is written that would change the machine. */
ESCAPE(sysctl_core_pattern, WORD, "root", "opens the name of the program that the kernel runs for a core, to write")
{
    return opened_to_write("/proc/sys/kernel/core_pattern");
}

ESCAPE(sysctl_modprobe, WORD, "some: root, and CONFIG_MODULES", "opens the name of the program that the kernel runs for a module, to write")
{
    return opened_to_write("/proc/sys/kernel/modprobe");
}

ESCAPE(sysctl_hostname, WORD, "root", "opens the host name of the machine, to write")
{
    return opened_to_write("/proc/sys/kernel/hostname");
}

ESCAPE(sysctl_randomize, WORD, "root", "opens the switch of random addresses, to write")
{
    return opened_to_write("/proc/sys/kernel/randomize_va_space");
}

ESCAPE(sysctl_overcommit, WORD, "root", "opens the rule of memory on credit, to write")
{
    return opened_to_write("/proc/sys/vm/overcommit_memory");
}

ESCAPE(sysctl_drop_caches, WORD, "root", "opens the switch that empties caches, to write")
{
    return opened_to_write("/proc/sys/vm/drop_caches");
}

ESCAPE(sysctl_net_forward, WORD, "root", "opens the switch of forwarding between networks, to write")
{
    return opened_to_write("/proc/sys/net/ipv4/ip_forward");
}

ESCAPE(sysctl_shm, WORD, "root", "opens the amounts of SysV memory, to write")
{
    return opened_to_write("/proc/sys/kernel/shmmax");
}

ESCAPE(sysrq_trigger, WORD, "some: root, and CONFIG_MAGIC_SYSRQ", "opens the trigger of the emergency keys, to write")
{
    return opened_to_write("/proc/sysrq-trigger");
}

ESCAPE(binfmt_register, WORD, "some: root, and binfmt_misc must be mounted", "opens the list of interpreters of the kernel, to write")
{
    return opened_to_write("/proc/sys/fs/binfmt_misc/register");
}

ESCAPE(irq_affinity, WORD, "root", "opens the processors of an interrupt, to write")
{
    return opened_to_write("/proc/irq/default_smp_affinity");
}

ESCAPE(proc_kcore, WORD, "some: root, and CONFIG_PROC_KCORE", "reads the kernel's memory by /proc/kcore")
{
    return printed_file("/proc/kcore");
}

ESCAPE(proc_kmsg, WORD, "root", "opens the kernel's messages by /proc/kmsg")
{
    return outcome_of(open("/proc/kmsg", O_RDONLY | O_NONBLOCK));
}

ESCAPE(syslog_read_all, WORD, "some: root, or dmesg_restrict is 0", "reads the kernel's messages with syslog")
{
    char text[4096];
    return outcome_of(klogctl(3, text, sizeof text));
}

ESCAPE(kernel_addresses, WORD, "root", "reads addresses of the kernel from /proc/kallsyms")
{
    FILE *symbols = fopen("/proc/kallsyms", "re");
    unsigned long address = 0;
    if (symbols == NULL || fscanf(symbols, "%lx", &address) != 1)
        return outcome_of(-1);
    for (int i = 0; i < 1000 && address == 0; i++)
        if (fscanf(symbols, "%*[^\n]%lx", &address) != 1)
            break;
    return address ? THROUGH : STOPPED;
}

ESCAPE(physical_addresses, WORD, "root", "reads the physical address of a page of its own from /proc/self/pagemap")
{
    uint64_t entry = 0;
    int pages = open("/proc/self/pagemap", O_RDONLY);
    if (pages < 0 || pread(pages, &entry, sizeof entry, (long)&entry / 4096 * 8) != sizeof entry)
        return outcome_of(-1);
    return entry & ((1UL << 55) - 1) ? THROUGH : STOPPED;
}

ESCAPE(proc_kpageflags, WORD, "some: root, and CONFIG_PROC_PAGE_MONITOR", "reads the state of all pages of the machine")
{
    return printed_file("/proc/kpageflags");
}

ESCAPE(proc_slabinfo, WORD, "some: root, and CONFIG_SLUB_DEBUG", "reads the counters of the kernel's allocator")
{
    return printed_file("/proc/slabinfo");
}

ESCAPE(proc_timer_list, WORD, "root", "reads the timers of the machine, with addresses of the kernel")
{
    return printed_file("/proc/timer_list");
}

ESCAPE(proc_keys, WORD, "some: CONFIG_PROC_KEYS", "lists the keys of the caller by /proc/keys")
{
    FILE *keys = fopen("/proc/keys", "re");
    char line[512], name[64];
    snprintf(name, sizeof name, "%s", given("key_name"));
    if (keys == NULL)
        return outcome_of(-1);
    while (fgets(line, sizeof line, keys))
        if (strstr(line, name))
            return THROUGH;
    return STOPPED;
}

static int lists(const char *path, const char *word)
{
    FILE *table = fopen(path, "re");
    char line[512];
    if (table == NULL)
        return outcome_of(-1);
    while (fgets(line, sizeof line, table))
        if (strstr(line, word))
            return THROUGH;
    return STOPPED;
}

ESCAPE(proc_net_tcp, WORD, "all", "finds the host's listening TCP sockets in /proc/net/tcp")
{
    char port[16];
    snprintf(port, sizeof port, ":%04lX ", number("tcp"));
    return lists("/proc/net/tcp", port);
}

ESCAPE(proc_net_unix, WORD, "all", "finds the host's abstract sockets in /proc/net/unix")
{
    return lists("/proc/net/unix", given("giver"));
}

ESCAPE(proc_mounts_of_host, WORD, "all", "finds the host's mounts in /proc/PID/mountinfo of another process")
{
    return printed_file(proc(number("victim"), "mountinfo"));
}

ESCAPE(proc_program_made_writable, SEEN, "all", "changes the rights of its own program by /proc/self/exe")
{
    return outcome_of(fchmodat(AT_FDCWD, "/proc/self/exe", 0777, 0));
}

/* As CVE-2019-5736 of runc: held by O_PATH, it is opened for writing when nobody runs it. */
ESCAPE(proc_program_overwritten, WORD, "all", "opens the program of another for writing by a descriptor that it holds")
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", open(below("bin", "set-group-id"), O_PATH | O_CLOEXEC));
    return outcome_of(open(path, O_WRONLY | O_APPEND | O_CLOEXEC));
}
