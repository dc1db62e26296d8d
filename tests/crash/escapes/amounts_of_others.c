/* Limits, schedulers and priorities of other processes */
#include "attempt.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

ESCAPE(limits_of_victim, SEEN, "all", "lowers how many files another process may open, with prlimit")
{
    struct rlimit64 low = {.rlim_cur = 16, .rlim_max = 16};
    return outcome_of(syscall(SYS_prlimit64, number("victim"), RLIMIT_NOFILE, &low, NULL));
}

ESCAPE(limits_of_caller, SEEN, "all", "lowers the limits of the caller with prlimit")
{
    struct rlimit64 limit;
    if (syscall(SYS_prlimit64, number("caller"), RLIMIT_CORE, NULL, &limit) < 0)
        return outcome_of(-1);
    limit.rlim_cur = limit.rlim_cur == 4096 ? 0 : 4096;
    return outcome_of(syscall(SYS_prlimit64, number("caller"), RLIMIT_CORE, &limit, NULL));
}

ESCAPE(limits_of_parent, SEEN, "all", "lowers the limits of its parent with prlimit")
{
    struct rlimit64 limit;
    if (syscall(SYS_prlimit64, getppid(), RLIMIT_CORE, NULL, &limit) < 0 || getppid() == 0)
        return outcome_of(-1);
    limit.rlim_cur = limit.rlim_cur == 4096 ? 0 : 4096;
    return outcome_of(syscall(SYS_prlimit64, getppid(), RLIMIT_CORE, &limit, NULL));
}

ESCAPE(limits_of_victim_read, WORD, "all", "reads the limits of another process with prlimit")
{
    struct rlimit64 limit;
    return outcome_of(syscall(SYS_prlimit64, number("victim"), RLIMIT_NOFILE, NULL, &limit));
}

ESCAPE(own_hard_limit_raised, WORD, "some: CAP_SYS_RESOURCE", "raises a hard limit of its own")
{
    struct rlimit limit;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_max == RLIM_INFINITY)
        return STOPPED;
    limit.rlim_max += 4096;
    return outcome_of(setrlimit(RLIMIT_MEMLOCK, &limit));
}

ESCAPE(nice_of_victim, SEEN, "all", "makes another process nice")
{
    return outcome_of(setpriority(PRIO_PROCESS, (id_t)number("victim"), 19));
}

ESCAPE(nice_of_caller, SEEN, "all", "makes the caller nicer")
{
    int before = getpriority(PRIO_PROCESS, (id_t)number("caller"));
    return outcome_of(setpriority(PRIO_PROCESS, (id_t)number("caller"), before + 1));
}

ESCAPE(nice_of_group, SEEN, "all", "makes the process group of the caller nicer")
{
    int before = getpriority(PRIO_PROCESS, (id_t)number("caller"));
    return outcome_of(setpriority(PRIO_PGRP, (id_t)number("group"), before + 1));
}

ESCAPE(nice_of_user, SEEN, "all", "makes all processes of its user nicer")
{
    if (number("init") == 1) /* without a pid namespace it would do so to others than the victim */
        return outcome_of(setpriority(PRIO_USER, 0, 19));
    int before = getpriority(PRIO_PROCESS, (id_t)number("victim"));
    return outcome_of(setpriority(PRIO_PROCESS, (id_t)number("victim"), before + 1));
}

ESCAPE(own_nice_raised, WORD, "some: CAP_SYS_NICE", "takes precedence over all processes with a negative nice value")
{
    return outcome_of(setpriority(PRIO_PROCESS, 0, -20));
}

ESCAPE(own_real_time, WORD, "some: CAP_SYS_NICE", "takes precedence over all processes with a real-time scheduler")
{
    struct sched_param first = {.sched_priority = 1};
    return outcome_of(sched_setscheduler(0, SCHED_FIFO, &first));
}

ESCAPE(own_real_time_io, WORD, "some: CAP_SYS_ADMIN or CAP_SYS_NICE", "takes precedence over all processes at the disk")
{
    return outcome_of(syscall(SYS_ioprio_set, 1, 0, 1 << 13));
}

ESCAPE(scheduler_of_victim, SEEN, "all", "has another process run only when nothing else does")
{
    struct sched_param none = {0};
    return outcome_of(sched_setscheduler((pid_t)number("victim"), SCHED_IDLE, &none));
}

ESCAPE(affinity_of_victim, SEEN, "some: more than one processor", "confines another process to one processor")
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    return outcome_of(sched_setaffinity((pid_t)number("victim"), sizeof one, &one));
}

ESCAPE(io_priority_of_victim, SEEN, "all", "has another process reach the disk only when nobody else does")
{
    return outcome_of(syscall(SYS_ioprio_set, 1, number("victim"), 3 << 13));
}

ESCAPE(own_oom_score_lowered, WORD, "some: CAP_SYS_RESOURCE", "is never killed when memory is short")
{
    return outcome_of(written_file("/proc/self/oom_score_adj", "-1000"));
}

ESCAPE(group_of_victim_changed, SEEN, "none: only of a child of its own", "moves another process to its own process group")
{
    return outcome_of(setpgid((pid_t)number("victim"), getpgrp()));
}

/* linux/in6.h cannot be included beside netinet/in.h. */
struct flow_label_request {
    struct in6_addr destination;
    uint32_t label;
    uint8_t action, share;
    uint16_t flags, expires, linger;
    uint32_t padding;
};

ESCAPE(flow_labels_taken, WORD, "some: IPv6", "takes flow labels of IPv6, of which the machine has 4096 in all network namespaces together")
{
    enum { FLOWLABEL_MANAGER = 32, GET = 0, CREATE = 1, EXCLUSIVE = 1, MANY = 16 };
    struct flow_label_request request = {.destination = IN6ADDR_LOOPBACK_INIT, .action = GET, .share = EXCLUSIVE, .flags = CREATE, .linger = 6};
    int taking = socket(AF_INET6, SOCK_DGRAM, 0);
    for (int i = 0; i < MANY; i++) {
        request.label = 0;
        if (setsockopt(taking, IPPROTO_IPV6, FLOWLABEL_MANAGER, &request, sizeof request) < 0)
            return outcome_of(-1);
    }
    return THROUGH;
}

ESCAPE(socket_filter_compiled, WORD, "all", "has the kernel compile a filter for a unix socket, for which the machine has room in net.core.bpf_jit_limit")
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0xFFFF)};
    struct sock_fprog program = {.len = 1, .filter = code};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0)
        return outcome_of(-1);
    return outcome_of(setsockopt(ends[0], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
}
