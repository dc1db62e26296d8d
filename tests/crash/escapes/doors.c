/* Doors into the kernel: io_uring, bpf, perf and others that programs do not need */
#include "attempt.h"

#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>

ESCAPE(io_uring_made, WORD, "some: kernel.io_uring_disabled is 0", "makes an io_uring, whose calls no filter sees")
{
    struct io_uring_params wish = {0};
    return outcome_of(syscall(SYS_io_uring_setup, 4, &wish));
}

/* One request on a new ring; what it gave. */
static int by_ring(struct io_uring_sqe request)
{
    struct io_uring_params told = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 4, &told);
    if (ring < 0)
        return -1;
    size_t size = told.cq_off.cqes + told.cq_entries * sizeof(struct io_uring_cqe) + 4096;
    char *queue = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *requests = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (queue == MAP_FAILED || requests == MAP_FAILED)
        return -1;
    requests[0] = request;
    *(uint32_t *)(queue + told.sq_off.array) = 0;
    __atomic_store_n((uint32_t *)(queue + told.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
        return -1;
    struct io_uring_cqe *answer = (void *)(queue + told.cq_off.cqes);
    if (answer->res < 0)
        errno = -answer->res;
    return answer->res < 0 ? -1 : answer->res;
}

ESCAPE(file_by_ring, SEEN, "some: kernel.io_uring_disabled is 0", "opens a file outside by an io_uring")
{
    return printed(by_ring((struct io_uring_sqe){.opcode = IORING_OP_OPENAT,
                                                 .fd = AT_FDCWD,
                                                 .addr = (uintptr_t)given("secret"),
                                                 .open_flags = O_RDONLY}));
}

ESCAPE(set_user_id_by_ring, SEEN, "some: kernel.io_uring_disabled is 0", "leaves a set-user-ID program by an io_uring")
{
    umask(0);
    return outcome_of(by_ring((struct io_uring_sqe){.opcode = IORING_OP_OPENAT,
                                                    .fd = AT_FDCWD,
                                                    .addr = (uintptr_t)below("work", "left"),
                                                    .len = S_ISUID | 0755,
                                                    .open_flags = O_CREAT | O_WRONLY}));
}

ESCAPE(socket_by_ring, WORD, "some: kernel.io_uring_disabled is 0", "opens a socket of a forbidden family by an io_uring")
{
    return outcome_of(
        by_ring((struct io_uring_sqe){.opcode = 45 /* SOCKET */, .fd = 40 /* VSOCK */, .off = 1}));
}

ESCAPE(bpf_map, WORD, "some: root, or kernel.unprivileged_bpf_disabled is 0", "makes a map of bpf")
{
    union bpf_attr wish = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
    return outcome_of(syscall(SYS_bpf, BPF_MAP_CREATE, &wish, sizeof wish));
}

ESCAPE(bpf_program, WORD, "some: root, or kernel.unprivileged_bpf_disabled is 0", "loads a program of bpf into the kernel")
{
    struct bpf_insn code[] = {{.code = 0xb7}, {.code = 0x95}};
    union bpf_attr wish = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
                           .insn_cnt = 2,
                           .insns = (uintptr_t)code,
                           .license = (uintptr_t) "GPL"};
    return outcome_of(syscall(SYS_bpf, BPF_PROG_LOAD, &wish, sizeof wish));
}

static long perf(uint32_t type, uint64_t what, int pid, int processor, bool kernel)
{
    struct perf_event_attr wish = {
        .type = type, .size = sizeof wish, .config = what, .exclude_kernel = !kernel, .exclude_hv = 1};
    return syscall(SYS_perf_event_open, &wish, pid, processor, -1, 0);
}

ESCAPE(perf_of_itself, WORD, "some: kernel.perf_event_paranoid is below 3", "measures itself with perf_event_open")
{
    return outcome_of(perf(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, 0, -1, false));
}

ESCAPE(perf_of_processor, WORD, "root", "measures all that a processor does with perf_event_open")
{
    return outcome_of(perf(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, -1, 0, true));
}

ESCAPE(page_faults_taken, WORD, "some: root, or vm.unprivileged_userfaultfd is 1", "handles page faults of the kernel itself with userfaultfd")
{
    return outcome_of(syscall(SYS_userfaultfd, O_CLOEXEC));
}

ESCAPE(page_faults_of_user_mode_taken, WORD, "all since 5.11", "handles its own page faults with userfaultfd")
{
    return outcome_of(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
}

ESCAPE(page_faults_by_device, WORD, "some: root, and /dev/userfaultfd", "handles page faults by /dev/userfaultfd")
{
    return outcome_of(open("/dev/userfaultfd", O_RDWR));
}

/* What follows is asked with arguments that nothing comes of: who may is told of them, others of their rights. */
static int reached(long result, int error)
{
    return result >= 0 || errno == error ? THROUGH : outcome_of(-1);
}

ESCAPE(module_loaded, WORD, "some: root, and CONFIG_MODULES", "loads a module into the kernel")
{
    return reached(syscall(SYS_init_module, "none", 4, ""), ENOEXEC);
}

ESCAPE(module_loaded_from_file, WORD, "some: root, and CONFIG_MODULES", "loads a module into the kernel from a file")
{
    return reached(syscall(SYS_finit_module, 0, "", 0xffff), EINVAL);
}

ESCAPE(module_removed, WORD, "some: root, and CONFIG_MODULES", "removes a module of the kernel")
{
    return reached(syscall(SYS_delete_module, "there-is-no-such-module", O_NONBLOCK), ENOENT);
}

ESCAPE(kernel_replaced, WORD, "some: root, and CONFIG_KEXEC", "loads another kernel")
{
    return reached(syscall(SYS_kexec_load, 0, 17L, NULL, 0), EINVAL);
}

ESCAPE(machine_ended, WORD, "root", "reboots the machine")
{
    return reached(syscall(SYS_reboot, 1, 2, 3, 0), EINVAL);
}

ESCAPE(io_ports_by_iopl, WORD, "some: root, and CONFIG_X86_IOPL_IOPERM", "reaches the machine's ports with iopl")
{
    return outcome_of(iopl(3));
}

ESCAPE(io_ports_by_ioperm, WORD, "some: root, and CONFIG_X86_IOPL_IOPERM", "reaches a port of the machine with ioperm")
{
    return outcome_of(ioperm(0x80, 1, 1));
}

ESCAPE(segments_changed, WORD, "some: CONFIG_MODIFY_LDT_SYSCALL", "writes its table of segments with modify_ldt")
{
    char text[16];
    return outcome_of(syscall(SYS_modify_ldt, 0, text, sizeof text));
}

ESCAPE(clock_adjusted, WORD, "root", "adjusts the clock of the machine, by nothing")
{
    struct timex wish = {.modes = 0};
    adjtimex(&wish);
    wish.modes = ADJ_TICK;
    return outcome_of(adjtimex(&wish));
}

ESCAPE(clock_set, WORD, "root", "sets the clock of the machine, to a time that is none")
{
    struct timespec none = {.tv_nsec = -1};
    clock_settime(CLOCK_REALTIME, &none);
    /* A time that is none is refused before rights are asked for, so the rights are asked for with adjtimex. */
    struct timex wish = {.modes = 0};
    adjtimex(&wish);
    wish.modes = ADJ_STATUS;
    return outcome_of(adjtimex(&wish));
}

ESCAPE(alarm_clock, WORD, "some: root, and a clock that wakes", "wakes the machine with a timer")
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    return outcome_of(timer_create(CLOCK_REALTIME_ALARM, &event, &timer));
}

ESCAPE(host_name_set, WORD, "root", "sets the name of the machine, to what it is")
{
    char name[64] = {0};
    gethostname(name, sizeof name - 1);
    return outcome_of(sethostname(name, strlen(name)));
}

ESCAPE(domain_name_set, WORD, "root", "sets the domain of the machine, to what it is")
{
    char name[64] = {0};
    getdomainname(name, sizeof name - 1);
    return outcome_of(setdomainname(name, strlen(name)));
}

ESCAPE(disk_quota, WORD, "none: the file system has no quota", "changes how much users may write")
{
    return outcome_of(syscall(SYS_quotactl, 0x80000200, "/", 0, 0));
}

ESCAPE(terminals_hung_up, WORD, "root", "hangs the terminal up")
{
    if (!is_confined())
        return geteuid() == 0 ? THROUGH : STOPPED; /* the caller would hear it */
    return outcome_of(vhangup());
}

ESCAPE(secret_memory, WORD, "some: CONFIG_SECRETMEM", "makes memory that is out of the kernel's own map")
{
    return outcome_of(syscall(SYS_memfd_secret, 0));
}

ESCAPE(old_table_of_calls, WORD, "none: Linux has none of these any more", "calls what was given up: _sysctl, nfsservctl, uselib")
{
    return outcome_of(syscall(SYS_uselib, "/lib/none") < 0 && errno != ENOSYS ? syscall(SYS_nfsservctl, 0)
                                                                              : -1);
}
