"""``strict``: those system calls alone that programs usually need.

It was tried with CPython with numpy, programs in C, C++, Rust, Go and Java with their compilers, node,
git, bash and coreutils. Only getifaddrs() and if_nameindex() fail.

A call is here because programs fail without it, or because libc asks for it first and takes another
only after ENOSYS.
"""

import errno

from .argument_rows import (
    ADDR_NO_RANDOMIZE,
    CLONE,
    LIMITS_OF_INIT,
    NO_CORE_LIMIT,
    NO_LARGE_ATTRIBUTES,
    NO_LEASES,
    NO_NETLINK,
    NO_OTHER_SOCKETS,
    NO_SET_IDS,
    NO_SHARED_SOCKET_OPTIONS,
    READ_PERSONALITY,
    SOCKETS,
    either,
)
from .rule import ALLOW, EPERM, Row, error

# include/uapi/asm-generic/ioctls.h, linux/sockios.h, linux/fs.h
_IOCTLS = {
    "TCGETS": 0x5401,
    "TCSETS": 0x5402,
    "TCSETSW": 0x5403,
    "TCSETSF": 0x5404,
    "TCSBRK": 0x5409,
    "TIOCSCTTY": 0x540E,
    "TIOCGPGRP": 0x540F,
    "TIOCSPGRP": 0x5410,
    "TIOCGWINSZ": 0x5413,
    "TIOCSWINSZ": 0x5414,
    "FIONREAD": 0x541B,
    "FIONBIO": 0x5421,
    "TIOCNOTTY": 0x5422,
    "TIOCGSID": 0x5429,
    "TIOCGPTPEER": 0x5441,
    "FIONCLEX": 0x5450,
    "FIOCLEX": 0x5451,
    "FIOASYNC": 0x5452,
    "TCGETS2": 0x802C542A,  # libc's since glibc 2.42
    "TCSETS2": 0x402C542B,
    "TCSETSW2": 0x402C542C,
    "TCSETSF2": 0x402C542D,
    "TIOCGPTN": 0x80045430,
    "TIOCSPTLCK": 0x40045431,
    "SIOCGIFNAME": 0x8910,  # Java asks for interfaces by these
    "SIOCGIFCONF": 0x8912,
    "SIOCGIFFLAGS": 0x8913,
    "SIOCGIFADDR": 0x8915,
    "SIOCGIFBRDADDR": 0x8919,
    "SIOCGIFNETMASK": 0x891B,
    "SIOCGIFMTU": 0x8921,
    "SIOCGIFHWADDR": 0x8927,
    "SIOCGIFINDEX": 0x8933,
    "FICLONE": 0x40049409,
    "FICLONERANGE": 0x4020940D,
}

# include/uapi/linux/prctl.h
_PRCTLS = {
    "PR_SET_PDEATHSIG": 1,
    "PR_GET_PDEATHSIG": 2,
    "PR_GET_DUMPABLE": 3,
    "PR_SET_DUMPABLE": 4,
    "PR_SET_NAME": 15,
    "PR_GET_NAME": 16,
    "PR_GET_SECCOMP": 21,
    "PR_CAPBSET_READ": 23,
    "PR_SET_TIMERSLACK": 29,
    "PR_GET_TIMERSLACK": 30,
    "PR_SET_CHILD_SUBREAPER": 36,
    "PR_GET_CHILD_SUBREAPER": 37,
    "PR_SET_NO_NEW_PRIVS": 38,
    "PR_GET_NO_NEW_PRIVS": 39,
    "PR_SET_THP_DISABLE": 41,
    "PR_GET_THP_DISABLE": 42,
    "PR_CAP_AMBIENT": 47,
    "PR_SVE_SET_VL": 50,
    "PR_SVE_GET_VL": 51,
    "PR_GET_SPECULATION_CTRL": 52,
    "PR_PAC_RESET_KEYS": 54,
    "PR_GET_TAGGED_ADDR_CTRL": 56,
    "PR_SET_VMA": 0x53564D41,  # names memory: libc, Java and Python since 3.13
}

_ALLOWED = (
    # ---- files and descriptors
    "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek",
    "sendfile copy_file_range splice tee fadvise64 readahead sync_file_range fsync fdatasync",
    "open openat creat close close_range dup dup2 dup3 fcntl flock pipe pipe2",
    "stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 umask",
    "readlink readlinkat getcwd chdir fchdir getdents getdents64 truncate ftruncate fallocate",
    "mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat",
    "mknod mknodat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat",
    "utime utimes futimesat utimensat",
    "getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr getxattrat listxattrat",
    "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr removexattrat",
    "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch",
    # ---- memory
    "brk mmap munmap mremap mprotect madvise process_madvise msync mincore memfd_create membarrier",
    "mlock mlock2 munlock mlockall munlockall pkey_mprotect pkey_alloc pkey_free mseal",
    "map_shadow_stack arch_prctl get_mempolicy",
    # ---- processes and threads
    "fork vfork execve execveat exit exit_group wait4 waitid",
    "getpid gettid getppid getpgid setpgid getpgrp getsid setsid set_tid_address",
    "futex futex_waitv futex_wait futex_wake futex_requeue set_robust_list get_robust_list",
    "rseq rseq_slice_yield sched_yield getcpu sched_getaffinity sched_setaffinity",
    "sched_getparam sched_getscheduler sched_getattr sched_get_priority_max sched_get_priority_min",
    "sched_rr_get_interval getpriority setpriority ioprio_get",
    "pidfd_open pidfd_send_signal",
    # ---- signals
    "kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait",
    "rt_sigqueueinfo rt_tgsigqueueinfo rt_sigsuspend sigaltstack signalfd signalfd4 pause",
    "restart_syscall",
    # ---- who and where
    "getuid geteuid getgid getegid getresuid getresgid getgroups capget uname sysinfo",
    "getrlimit setrlimit prlimit64 getrusage times",
    # ---- time
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time alarm",
    "getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete",
    "timerfd_create timerfd_settime timerfd_gettime",
    # ---- waiting
    "poll ppoll select pselect6 eventfd eventfd2 epoll_create epoll_create1 epoll_ctl",
    "epoll_wait epoll_pwait epoll_pwait2",
    # ---- sockets, once they are made
    "bind connect listen accept accept4 shutdown getsockname getpeername setsockopt getsockopt",
    "sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg",
    # ---- other
    "getrandom",
    # A program that confines itself further, as xz does, can only lose by it.
    "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    # Made by the kernel's own code where an administrator traces the program.
    "uretprobe uprobe",
)

ALLOWED: tuple[Row, ...] = (
    *CLONE,
    *LIMITS_OF_INIT,
    *NO_CORE_LIMIT,
    Row("clone", ALLOW, why="threads and processes"),
    *NO_SET_IDS,
    *NO_LARGE_ATTRIBUTES,
    *NO_LEASES,
    *NO_NETLINK,
    *SOCKETS,
    *NO_OTHER_SOCKETS,
    *NO_SHARED_SOCKET_OPTIONS,
    *either("ioctl", 1, tuple(_IOCTLS.values()), "terminals, sockets and copies of files"),
    Row(
        "ioctl",
        error(errno.ENOTTY),
        why="answered as by a file that has no such request",
        quiet=True,
    ),
    *either("prctl", 0, tuple(_PRCTLS.values()), "what libc, Python, Java and compilers ask for"),
    Row(
        "prctl",
        error(errno.EINVAL),
        why="answered as by a kernel that has no such option",
        quiet=True,
    ),
    *either("personality", 0, (READ_PERSONALITY, 0, ADDR_NO_RANDOMIZE), "what programs ask for"),
    *(Row(names, ALLOW) for names in _ALLOWED),
    Row(
        "mbind set_mempolicy set_mempolicy_home_node",
        EPERM,
        why="libnuma tries and goes on",
        quiet=True,
    ),
    Row("seccomp", EPERM, why="a compiler in the kernel; programs go on without", quiet=True),
    Row("io_uring_setup", EPERM, why="libuv, as of cmake, tries and goes on by epoll", quiet=True),
    # ncurses takes the caller's ids while it reads what a terminal can: tput, less, Python's readline.
    Row("setfsuid setfsgid", EPERM, why="ncurses tries and goes on with its own ids", quiet=True),
)
