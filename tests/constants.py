"""Numbers of the kernel and of these tests, typed by hand: a test never reads the table it checks."""

import platform

# How long a test waits for what must come: less than the 45 seconds of a file's lease, and longer where
# the interpreter starts anew.
SECONDS = 30.0
PATIENT_SECONDS = 60.0

# How many times slower the machine is than one of today: --slower says so before a test is imported.
SLOWER = 1
_AT_LEAST = 3


def repeated(count: int) -> int:
    """How often a test does what it repeats for chance's sake: less often where each time takes longer."""
    return max(_AT_LEAST, count // SLOWER)


STACK_BYTES = 256 * 1024
NOBODY = 65534  # a user and a group without rights
A_THREAD = 0x10900  # VM | SIGHAND | THREAD
SIGCHLD = 17
KERNEL_SPACE = 0xFFFF_8000_0000_0000  # no address of a program's

# include/uapi/linux/wait.h
WCLONE, WALL = 0x80000000, 0x40000000

# include/uapi/linux/prctl.h
PR_GET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 3, 22, 24
PR_GET_SECUREBITS, PR_SET_SECUREBITS = 27, 28
PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 29, 30
PR_SET_NO_NEW_PRIVS, PR_SET_SYSCALL_USER_DISPATCH = 38, 59
PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, (1 << 64) - 1

# include/uapi/linux/ptrace.h
PTRACE_PEEKDATA, PTRACE_SINGLESTEP, PTRACE_SEIZE, PTRACE_INTERRUPT = 2, 9, 0x4206, 0x4207

# include/uapi/linux/seccomp.h, bpf_common.h
SECCOMP_MODE_FILTER = 2
SECCOMP_KILL, SECCOMP_TRAP, SECCOMP_ERRNO, SECCOMP_ALLOW = 0x80000000, 0x30000, 0x50000, 0x7FFF0000
BPF_LOAD_WORD, BPF_JUMP_IF_EQUAL, BPF_JUMP_IF_SET, BPF_RETURN = 0x20, 0x15, 0x45, 0x06

# System calls: their numbers on x86_64, on aarch64.
_NUMBERS = {
    "capset": (126, 91),
    "chdir": (80, 49),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close_range": (436, 436),
    "dup3": (292, 24),
    "execve": (59, 221),
    "fcntl": (72, 25),
    "futex": (202, 98),
    "getppid": (110, 173),
    "ioctl": (16, 29),
    "ioprio_get": (252, 31),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "keyctl": (250, 219),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "madvise": (28, 233),
    "mkdirat": (258, 34),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "openat2": (437, 437),
    "openat": (257, 56),
    "personality": (135, 92),
    "memfd_create": (319, 279),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "read": (0, 63),
    "rt_sigaction": (13, 134),
    "sched_getattr": (315, 275),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setscheduler": (144, 119),
    "seccomp": (317, 277),
    "setgroups": (116, 159),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpgid": (109, 154),
    "setpriority": (141, 140),
    "setresgid": (119, 149),
    "setresuid": (117, 147),
    "setsid": (112, 157),
    "socket": (41, 198),
    "umask": (95, 166),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "write": (1, 64),
}
_COLUMN = {"x86_64": 0, "aarch64": 1}[platform.machine()]
SYSTEM_CALLS = {name: numbers[_COLUMN] for name, numbers in _NUMBERS.items()}
