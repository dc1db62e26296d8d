"""The deny list and the allow list, beside filters that libseccomp makes of what is typed here."""

import itertools
from collections.abc import Iterable
from functools import cache

import pytest

from ramet._sandbox.syscalls import (
    compiled,
    of_a_call,
    without_snapshots,
    without_sockets_past_namespaces,
)
from ramet._sandbox.syscalls.call_numbers import NUMBERS

from ....bpf_interpreter import answer
from ....libseccomp import ALLOW, ARCHITECTURES, KILL_PROCESS, Oracle, every, masked

MACHINES = ("x86_64", "aarch64")
EPERM, ENOSYS, ENOTTY, EINVAL = 0x50001, 0x50026, 0x50019, 0x50016
EPROTONOSUPPORT, EAFNOSUPPORT = 0x5005D, 0x50061
DONE, E2BIG = 0x50000, 0x50007
NOTIFY = 0x7FC00000

# include/uapi/linux/sched.h
CLONE_FS, CLONE_FILES, CLONE_SYSVSEM, CLONE_VM = 0x200, 0x400, 0x40000, 0x100
CLONE_SIGHAND, CLONE_THREAD, CLONE_PARENT = 0x800, 0x10000, 0x8000
CLONE_NEWTIME, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x80, 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
NAMESPACES = (
    CLONE_NEWNS,
    CLONE_NEWCGROUP,
    CLONE_NEWUTS,
    CLONE_NEWIPC,
    CLONE_NEWUSER,
    CLONE_NEWPID,
    CLONE_NEWNET,
)
# What glibc makes threads and processes with.
A_THREAD, A_FORK, A_VFORK = 0x3D0F00, 0x1200011, 0x4111
LOW = 0xFFFFFFFF
AF_NETLINK = 16
HIGH = 0x5A5A5A5A << 32  # in the half of a register that the kernel does not read

REFUSED = every(
    [
        "setns listns mount umount2 open_tree open_tree_attr move_mount fsopen fsconfig fsmount",
        "fspick mount_setattr pivot_root chroot name_to_handle_at open_by_handle_at ptrace",
        "process_vm_readv process_vm_writev pidfd_getfd kcmp move_pages migrate_pages",
        "io_uring_setup io_uring_enter io_uring_register bpf perf_event_open userfaultfd keyctl",
        "add_key request_key fanotify_init memfd_secret modify_ldt iopl ioperm init_module",
        "finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff settimeofday",
        "clock_settime adjtimex clock_adjtime quotactl quotactl_fd acct syslog sethostname",
        "setdomainname vhangup lookup_dcookie sysfs ustat uselib",
    ]
)
GONE = every(
    [
        "clone3 openat2 setxattrat io_setup _sysctl nfsservctl create_module get_kernel_syms",
        "query_module getpmsg putpmsg",
        "afs_syscall tuxcall security vserver epoll_ctl_old epoll_wait_old",
    ]
)
PERSONALITIES = {
    "default": [0, 8, 0x20000, 0x20008, 0x40000, 0xFFFFFFFF],
    "strict": [0, 0x40000, 0xFFFFFFFF],
}
IOCTLS = [
    *(
        0x5401,
        0x5402,
        0x5403,
        0x5404,
        0x5409,
        0x540E,
        0x540F,
        0x5410,
        0x5413,
        0x5414,
        0x541B,
        0x5421,
    ),
    *(
        0x5422,
        0x5429,
        0x5441,
        0x5450,
        0x5451,
        0x5452,
        0x802C542A,
        0x402C542B,
        0x402C542C,
        0x402C542D,
    ),
    *(
        0x80045430,
        0x40045431,
        0x8910,
        0x8912,
        0x8913,
        0x8915,
        0x8919,
        0x891B,
        0x8921,
        0x8927,
        0x8933,
    ),
    *(0x40049409, 0x4020940D),
]
PRCTLS = [
    *(
        1,
        2,
        3,
        4,
        15,
        16,
        21,
        23,
        29,
        30,
        36,
        37,
        38,
        39,
        41,
        42,
        47,
        50,
        51,
        52,
        54,
        56,
        0x53564D41,
    ),
]
# What is answered alike where a forbidden call ends the process, beside what is not there.
QUIET = {
    "default": every(
        [
            "setrlimit setxattr lsetxattr fsetxattr",
            "mbind set_mempolicy_home_node io_uring_setup",
        ]
    ),
    "strict": every(
        [
            "setrlimit setxattr lsetxattr fsetxattr",
            "ioctl prctl mbind set_mempolicy set_mempolicy_home_node seccomp",
            "io_uring_setup setfsuid setfsgid",
        ]
    ),
}
IPC = every(
    [
        "shmget shmat shmctl shmdt semget semop semtimedop semctl msgget msgsnd msgrcv msgctl",
        "mq_open mq_unlink",
    ]
)
# Where the mode is among the arguments; of open() and openat() the flags come before it.
MODE_OF = {
    **dict.fromkeys(("chmod", "fchmod", "creat", "mknod"), 1),
    **dict.fromkeys(("fchmodat", "fchmodat2", "mknodat", "open"), 2),
    "openat": 3,
}
OPENING = ("open", "openat")
SETTING_ATTRIBUTES = ("setxattr", "lsetxattr", "fsetxattr")
LARGEST_ATTRIBUTE = 4040
RLIMIT_CORE, PR_FUTEX_HASH = 4, 78
SET_USER_ID, SET_GROUP_ID, O_CREAT, O_TMPFILE = 0o4000, 0o2000, 0o100, 0o20000000
STRICTLY_ALLOWED = every(
    [
        "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek sendfile",
        "copy_file_range splice tee fadvise64 readahead sync_file_range fsync fdatasync open openat",
        "creat close close_range dup dup2 dup3 fcntl flock pipe pipe2 stat fstat lstat",
        "newfstatat statx statfs fstatfs access faccessat faccessat2 umask readlink readlinkat",
        "getcwd chdir fchdir getdents getdents64 truncate ftruncate fallocate mkdir mkdirat rmdir",
        "unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat mknod mknodat chmod",
        "fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat",
        "getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr getxattrat listxattrat setxattr",
        "lsetxattr fsetxattr removexattr lremovexattr fremovexattr removexattrat",
        "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch brk mmap munmap mremap",
        "mprotect madvise process_madvise msync mincore memfd_create membarrier mlock mlock2 munlock",
        "mlockall munlockall pkey_mprotect pkey_alloc pkey_free mseal map_shadow_stack arch_prctl",
        "get_mempolicy fork vfork execve execveat exit exit_group wait4 waitid getpid gettid getppid",
        "getpgid setpgid getpgrp getsid setsid set_tid_address futex futex_waitv futex_wait",
        "futex_wake futex_requeue set_robust_list get_robust_list rseq sched_yield getcpu",
        "sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_getattr",
        "sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority setpriority",
        "ioprio_get pidfd_open pidfd_send_signal kill tkill tgkill rt_sigaction rt_sigprocmask",
        "rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo rt_sigsuspend",
        "sigaltstack signalfd signalfd4 pause restart_syscall getuid geteuid getgid getegid getresuid",
        "getresgid getgroups capget uname sysinfo getrlimit setrlimit prlimit64 getrusage times",
        "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time alarm getitimer",
        "setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete",
        "timerfd_create timerfd_settime timerfd_gettime poll ppoll select pselect6 eventfd eventfd2",
        "epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 bind connect listen",
        "accept accept4 shutdown getsockname getpeername setsockopt getsockopt sendto recvfrom sendmsg",
        "recvmsg sendmmsg recvmmsg getrandom landlock_create_ruleset landlock_add_rule",
        "landlock_restrict_self uretprobe uprobe",
    ]
)
# Numbers that no call has; a kernel that is newer than Linux 7.1 may have calls above 471.
UNASSIGNED = {
    "x86_64": [*range(337, 424), *range(472, 501)],
    "aarch64": [*range(244, 260), *range(295, 424), *range(472, 501)],
}
# Of btrfs and bcachefs: two requests that make them, two that remove subvolumes, and both of bcachefs.
SNAPSHOTS = (0x50009401, 0x50009417, 0x5000940F, 0x5000943F, 0x4020BC10, 0x4020BC11)
# Options of setsockopt() by their level that take of what the whole machine has.
ENODEV, ENOPROTOOPT = 0x50013, 0x5005C
OF_THE_MACHINE = {
    **{(1, option): ENOPROTOOPT for option in (26, 50, 51, 52)},
    **{(6, option): ENOPROTOOPT for option in (14, 32, 38)},
    (41, 32): ENOPROTOOPT,
    **{(41, option): ENODEV for option in (20, 27, 42, 46)},
}
# What libseccomp 2.6.0 does not know: open_tree_attr, file_getattr, file_setattr, listns, rseq_slice_yield;
# and on x86_64 uprobe.
NOT_IN_LIBSECCOMP = {
    "default": {467: EPERM, 468: ALLOW, 469: ENOSYS, 470: EPERM, 471: ALLOW},
    "strict": {467: EPERM, 468: EPERM, 469: EPERM, 470: EPERM, 471: ALLOW},
}
UPROBE = 336
# For all six arguments.
ARGUMENTS = (
    *(RLIMIT_CORE, PR_FUTEX_HASH, LARGEST_ATTRIBUTE, LARGEST_ATTRIBUTE + 1),
    *(0, 1, 2, 7, 8, 16, 35, 0xFFFF, 0x20000, 0x20008, 0x40000, 0x60000, 0xFFFFFFFF, (1 << 64) - 1),
    *(*SNAPSHOTS, SNAPSHOTS[0] | HIGH, SNAPSHOTS[0] + 1),
    *(0x5401, 0x5412, 0x541B, 0x541C, 0x5423, HIGH, HIGH | 0x5412, HIGH | 1, HIGH | 35, 1 << 32),
    *(A_THREAD, A_FORK, A_VFORK, CLONE_PARENT, CLONE_NEWTIME, CLONE_FS | CLONE_FILES, *NAMESPACES),
    *(A_FORK | namespace | HIGH for namespace in NAMESPACES),
    *(0o1777, 0o2755, 0o4755, 0o106755, HIGH | 0o4755, O_CREAT | 0o4000, O_TMPFILE | 0o2000),
)


def add_amounts(oracle: Oracle) -> None:
    """What the kernel would have or do for a program beyond its limits."""
    oracle.add("prctl", EINVAL, masked(0, LOW, PR_FUTEX_HASH))
    oracle.add("setrlimit", DONE, masked(0, LOW, RLIMIT_CORE))
    for name in SETTING_ATTRIBUTES:
        oracle.add(name, E2BIG, (3, "GT", LARGEST_ATTRIBUTE, 0))
    for name in ("mbind", "set_mempolicy_home_node"):
        oracle.add(name, EPERM)


def default_oracle(machine: str) -> bytes:
    oracle = Oracle(machine, ALLOW)
    add_amounts(oracle)
    for name in REFUSED:
        oracle.add(name, EPERM)
    for name in GONE:
        oracle.add(name, ENOSYS)
    for bit in (*NAMESPACES, CLONE_PARENT):
        oracle.add("clone", EPERM, masked(0, bit, bit))
    harmless = CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_VM | CLONE_SIGHAND | CLONE_THREAD
    for bit in (1 << place for place in range(64)):
        if not bit & harmless:
            oracle.add("unshare", EPERM, masked(0, bit, bit))
    for request in (0x5412, 0x541C, 0x5423, *SNAPSHOTS):
        oracle.add("ioctl", EPERM, masked(1, LOW, request))
    oracle.add("prctl", EPERM, masked(0, LOW, 35))
    oracle.add("prctl", EPERM, masked(0, LOW, 0x59616D61))
    for (name, mode), bit in itertools.product(MODE_OF.items(), (SET_USER_ID, SET_GROUP_ID)):
        if name in OPENING:
            for flag in (O_CREAT, O_TMPFILE):
                oracle.add(name, EPERM, masked(mode - 1, flag, flag), masked(mode, bit, bit))
        else:
            oracle.add(name, EPERM, masked(mode, bit, bit))
    return oracle.program()


def strict_oracle(machine: str) -> bytes:
    oracle = Oracle(machine, EPERM)
    for name in STRICTLY_ALLOWED:
        if name not in (*MODE_OF, *SETTING_ATTRIBUTES, "setrlimit"):
            oracle.add(name, ALLOW)
    for name in SETTING_ATTRIBUTES:
        oracle.add(name, ALLOW, (3, "LE", LARGEST_ATTRIBUTE, 0))
        oracle.add(name, E2BIG, (3, "GT", LARGEST_ATTRIBUTE, 0))
    for name, mode in MODE_OF.items():
        oracle.add(name, ALLOW, masked(mode, SET_USER_ID | SET_GROUP_ID, 0))
        if name in OPENING:
            oracle.add(name, ALLOW, masked(mode - 1, O_CREAT | O_TMPFILE, 0))
    for name in ("clone3", "openat2", "setxattrat"):
        oracle.add(name, ENOSYS)
    oracle.add("clone", ALLOW, masked(0, sum(NAMESPACES) | CLONE_PARENT, 0))
    return oracle.program()


def core_limit_oracle(machine: str) -> bytes:
    """setrlimit() of a core file is answered as done."""
    oracle = Oracle(machine, ALLOW)
    oracle.add("setrlimit", DONE, masked(0, LOW, RLIMIT_CORE))
    return oracle.program()


def only(machine: str, name: str, otherwise: int, index: int, values: Iterable[int]) -> bytes:
    """A filter that allows that call with these values of an argument, which is an int."""
    oracle = Oracle(machine, otherwise)
    for value in values:
        oracle.add(name, ALLOW, masked(index, LOW, value))
    return oracle.program()


@cache
def number(machine: str, name: str) -> int:
    found = Oracle(machine, ALLOW).number(name)
    assert found is not None
    return found


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("word", ["default", "strict"])
def test_each_number_is_answered_as_by_libseccomp(word: str, machine: str) -> None:
    """From 0 to 500, with many arguments; libseccomp was given the list that is typed here."""
    ours, arch = compiled(word, machine=machine).program, ARCHITECTURES[machine]
    theirs = default_oracle(machine) if word == "default" else strict_oracle(machine)
    of_one_call = {
        number(machine, name): only(machine, name, otherwise, index, values)
        for name, otherwise, index, values in (
            ("personality", EPERM, 0, PERSONALITIES[word]),
            ("socketpair", EAFNOSUPPORT, 0, [1]),
            *(
                [("ioctl", ENOTTY, 1, IOCTLS), ("prctl", EINVAL, 0, PRCTLS)]
                if word == "strict"
                else []
            ),
        )
    }
    of_one_call[number(machine, "setrlimit")] = core_limit_oracle(machine)
    of_their_own = {number(machine, "socket"), number(machine, "prlimit64")}
    skipped = {*of_their_own, UPROBE, *UNASSIGNED[machine], *NOT_IN_LIBSECCOMP[word]}
    for call, value in itertools.product(sorted({*range(501)} - skipped), ARGUMENTS):
        expected = answer(of_one_call.get(call, theirs), arch, call, [value] * 6)
        assert answer(ours, arch, call, [value] * 6) == expected, (call, hex(value))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("word", ["default", "strict"])
def test_the_limits_of_the_init_are_not_changed(word: str, machine: str) -> None:
    """prlimit64() of pid 1, an int to the kernel, is refused; that of the caller and others passes."""
    ours, arch = compiled(word, machine=machine).program, ARCHITECTURES[machine]
    prlimit = number(machine, "prlimit64")
    assert {answer(ours, arch, prlimit, [pid]) for pid in (1, HIGH | 1)} == {EPERM}
    assert {answer(ours, arch, prlimit, [pid]) for pid in (0, 2, HIGH, 1 << 32)} == {ALLOW}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("word", ["default", "strict", "call"])
def test_the_limit_of_a_core_stays(word: str, machine: str) -> None:
    """To set the own is answered as done, or refused where that before is asked for in the same call."""
    found = of_a_call(machine=machine) if word == "call" else compiled(word, machine=machine)
    ours, arch = found.program, ARCHITECTURES[machine]
    prlimit, setrlimit = number(machine, "prlimit64"), number(machine, "setrlimit")
    new, old = 0x7FFF_0000_1000, 0x7FFF_0000_2000
    for pid, core in itertools.product((0, 2, HIGH), (RLIMIT_CORE, HIGH | RLIMIT_CORE)):
        own = DONE if pid & LOW == 0 else EPERM
        assert answer(ours, arch, prlimit, [pid, core, new, 0]) == own
        assert answer(ours, arch, prlimit, [pid, core, new, old]) == EPERM
        assert answer(ours, arch, prlimit, [pid, core, 1 << 32, 1 << 32]) == EPERM
        assert answer(ours, arch, prlimit, [pid, core, 0, old]) == ALLOW
        assert answer(ours, arch, setrlimit, [core, new]) == DONE
    for other in {*range(16)} - {RLIMIT_CORE}:
        assert answer(ours, arch, prlimit, [0, other, new, old]) == ALLOW
        assert answer(ours, arch, setrlimit, [other, new]) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("word", ["default", "strict"])
def test_a_template_gives_each_call_its_limit_of_a_core(word: str, machine: str) -> None:
    """Its own filter lets pass what a clone does for itself, and not for the init."""
    ours = compiled(word, machine=machine, keeps_namespaces=True).program
    arch, prlimit = ARCHITECTURES[machine], number(machine, "prlimit64")
    assert answer(ours, arch, prlimit, [0, RLIMIT_CORE, 4096, 0]) == ALLOW
    assert answer(ours, arch, prlimit, [1, RLIMIT_CORE, 4096, 0]) == EPERM
    assert answer(ours, arch, prlimit, [2, RLIMIT_CORE, 4096, 0]) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("word", ["default", "strict"])
def test_options_of_sockets_that_the_whole_machine_has(word: str, machine: str) -> None:
    """Those of three levels are refused, whatever the upper halves have; all others pass."""
    ours, arch = compiled(word, machine=machine).program, ARCHITECTURES[machine]
    setsockopt = number(machine, "setsockopt")
    for level, option in itertools.product((0, 1, 2, 6, 17, 41, 58, 255), range(90)):
        expected = OF_THE_MACHINE.get((level, option), ALLOW)
        for high, low in itertools.product((0, HIGH), repeat=2):
            assert answer(ours, arch, setsockopt, [3, high | level, low | option]) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_without_netlink(machine: str) -> None:
    """The default list has routes of netlink or none; the strict one has none."""
    arch, socket = ARCHITECTURES[machine], number(machine, "socket")
    for word, has_netlink in itertools.product(("default", "strict"), (True, False)):
        ours = compiled(word, machine=machine, has_netlink=has_netlink).program
        routes = ALLOW if word == "default" and has_netlink else EAFNOSUPPORT
        assert answer(ours, arch, socket, [16, 3, 0]) == routes
        assert answer(ours, arch, socket, [16, 3, 9]) == EAFNOSUPPORT
        assert answer(ours, arch, socket, [1, 1, 0]) == ALLOW


FLAGS = (0, 0o1, 0o2, 0o100, 0o1101, 0o20200000, 0o20000001, 0o20040002, HIGH, HIGH | 0o100)
OTHER_FLAGS = (
    0o200000,
    0o40000,
    0o2002000,
    1 << 40,
)  # O_DIRECTORY of both machines is none that makes
MODES = (0, 0o644, 0o777, 0o1777, 0o7777, 0o2755, 0o4755, 0o4000, 0o104755, 0xFFFF, LOW)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("word", ["default", "strict"])
def test_set_user_id_programs_are_not_made(word: str, machine: str) -> None:
    """As libseccomp has it, for modes and flags that differ, whatever the upper half of a register has."""
    ours, arch = compiled(word, machine=machine).program, ARCHITECTURES[machine]
    theirs = default_oracle(machine) if word == "default" else strict_oracle(machine)
    numbers = NUMBERS[machine]
    there = [name for name in MODE_OF if name in numbers]
    assert len(there) == (9 if machine == "x86_64" else 5)
    refused = set()
    for name, mode, flags in itertools.product(
        there, (*MODES, *(HIGH | one for one in MODES)), (*FLAGS, *OTHER_FLAGS)
    ):
        arguments = [7] * 6
        arguments[MODE_OF[name] - 1 : MODE_OF[name] + 1] = [flags, mode]
        found = answer(ours, arch, numbers[name], arguments)
        makes = name not in OPENING or bool(flags & (O_CREAT | O_TMPFILE))
        expected = EPERM if makes and mode & (SET_USER_ID | SET_GROUP_ID) else ALLOW
        assert found == answer(theirs, arch, numbers[name], arguments) == expected, (name, mode)
        refused |= {name} if found == EPERM else set()
    assert refused == set(there)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("word", ["default", "strict"])
def test_what_libseccomp_does_not_know(word: str, machine: str) -> None:
    """Linux 7.1's calls have their rows, and a call that is newer does not exist."""
    ours, arch = compiled(word, machine=machine).program, ARCHITECTURES[machine]
    for call, expected in NOT_IN_LIBSECCOMP[word].items():
        assert answer(ours, arch, call) == expected, call
    assert answer(ours, arch, UPROBE) == (ALLOW if machine == "x86_64" else ENOSYS)
    for call in (*UNASSIGNED[machine], 1000, 0x3FFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF):
        assert answer(ours, arch, call) == ENOSYS, call


@pytest.mark.parametrize("word", ["default", "strict"])
def test_calls_by_the_x32_abi_do_not_exist(word: str) -> None:
    """As on a kernel without it: with the bit set no number is taken for the call of x86_64."""
    ours = compiled(word, machine="x86_64").program
    for call in (*range(600), 0x3FFFFFFF):
        assert answer(ours, ARCHITECTURES["x86_64"], 0x40000000 | call) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("forbidden", "expected"),
    [("refuse", KILL_PROCESS), ("kill", KILL_PROCESS), ("notify", NOTIFY)],
)
def test_a_call_of_another_architecture_ends_the_process(
    machine: str, forbidden: str, expected: int
) -> None:
    """32-bit calls have other numbers: none is looked up, whatever it is."""
    ours = compiled("default", machine=machine, forbidden=forbidden).program
    for arch in (0x40000003, 0x40000028, *ARCHITECTURES.values()):  # i386, arm
        if arch != ARCHITECTURES[machine]:
            assert {answer(ours, arch, call) for call in range(500)} == {expected}


@pytest.mark.parametrize(
    ("machine", "arch", "socket", "pair", "ring"),
    [
        ("x86_64", 0xC000003E, 41, 53, 425),
        ("x86_64", 0x40000003, 359, 360, 425),  # i386
        ("aarch64", 0xC00000B7, 198, 199, 425),
        ("aarch64", 0x40000028, 281, 288, 425),  # arm
    ],
)
def test_sockets_that_no_namespace_holds(
    machine: str, arch: int, socket: int, pair: int, ring: int
) -> None:
    """They are refused, to programs for 32 bits as well; all other calls are left."""
    ours = without_sockets_past_namespaces(machine=machine).program
    for family in range(60):
        held = EAFNOSUPPORT if family in (21, 40, 42) else ALLOW
        for call in (socket, pair):
            assert answer(ours, arch, call, [family, 1, 0]) == held
            assert answer(ours, arch, call, [HIGH | family, 1, 0]) == held
    assert answer(ours, arch, ring) == EPERM
    others = {answer(ours, arch, call, [40]) for call in {*range(500)} - {socket, pair, ring}}
    assert others == {ALLOW}


def test_sockets_by_socketcall() -> None:
    """Its family is in memory: none is made by it, and all else of it can be done."""
    ours = without_sockets_past_namespaces(machine="x86_64").program
    for which in range(21):
        expected = EAFNOSUPPORT if which in (1, 8) else ALLOW  # SYS_SOCKET, SYS_SOCKETPAIR
        assert answer(ours, 0x40000003, 102, [which, 1000]) == expected
    assert answer(ours, 0xC00000B7, 198, [1, 1, 0]) == KILL_PROCESS  # of another machine


@pytest.mark.parametrize("machine", MACHINES)
def test_snapshots_alone(machine: str) -> None:
    """They are refused to programs of 64 and of 32 bits, and all else passes."""
    ours, ioctl = without_snapshots(machine=machine).program, number(machine, "ioctl")
    of_32_bits = {"x86_64": 0x40000003, "aarch64": 0x40000028}[machine]
    for arch, call in ((ARCHITECTURES[machine], ioctl), (of_32_bits, 54)):
        for request in SNAPSHOTS:
            assert answer(ours, arch, call, [3, request]) == EPERM
            assert answer(ours, arch, call, [3, HIGH | request]) == EPERM
            assert answer(ours, arch, call, [3, request ^ 0x40]) == ALLOW
        others = {answer(ours, arch, other, [3, SNAPSHOTS[0]]) for other in {*range(500)} - {call}}
        assert others == {ALLOW}


INET_REFUSED = [
    (2, 1, 132),  # SCTP
    (2, 2, 136),  # UDP-Lite
    (10, 1, 256),  # SMC
    (2, 6, 0),  # DCCP's type
    (2, 5, 0),  # SEQPACKET, which is SCTP
    (10, 1, 0x100000000 | 132),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("word", ["default", "strict"])
def test_sockets(word: str, machine: str) -> None:
    """Unix and internet sockets of the usual kinds, by default netlink's routes as well, and no other."""
    ours, arch = compiled(word, machine=machine).program, ARCHITECTURES[machine]
    socket = number(machine, "socket")
    nonblock_cloexec = 0x80800
    for family, protocols in ((1, [0]), (2, [0, 1, 6, 17, 262]), (10, [0, 6, 17, 58, 262])):
        for kind, protocol in itertools.product((1, 2, 3, 1 | nonblock_cloexec), protocols):
            assert answer(ours, arch, socket, [family, kind, protocol]) == ALLOW
            assert (
                answer(ours, arch, socket, [HIGH | family, HIGH | kind, HIGH | protocol]) == ALLOW
            )
    for triple in INET_REFUSED:
        assert answer(ours, arch, socket, triple) == EPROTONOSUPPORT, triple
    for family in {*range(60), LOW, (1 << 64) - 1, HIGH | 40} - {1, 2, 10, 16}:
        assert answer(ours, arch, socket, [family, 1, 0]) == EAFNOSUPPORT, family
    for protocol in range(1, 30):
        assert answer(ours, arch, socket, [16, 3, protocol]) == EAFNOSUPPORT
    routes = ALLOW if word == "default" else EAFNOSUPPORT
    assert answer(ours, arch, socket, [16, 3 | nonblock_cloexec, 0]) == routes


@pytest.mark.parametrize("machine", MACHINES)
def test_an_ipc_namespace_of_others_is_out_of_reach(machine: str) -> None:
    """Where the sandbox has none of its own, System V's and POSIX's queues and memory are refused."""
    arch = ARCHITECTURES[machine]
    own = compiled("default", machine=machine).program
    shared = compiled("default", machine=machine, own_ipc=False).program
    for name in IPC:
        call = number(machine, name)
        assert (answer(own, arch, call), answer(shared, arch, call)) == (ALLOW, EPERM), name
    differing = [
        call for call in range(500) if answer(own, arch, call) != answer(shared, arch, call)
    ]
    assert len(differing) == len(IPC)


# What "strict" forbids otherwise.
KEPT_OF_STRICT = ("capset", "sched_setscheduler")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("word", ["default", "strict"])
def test_a_template_keeps_pid_namespaces_alone(word: str, machine: str) -> None:
    """clone() may have NEWPID, NEWNS and PARENT, setns() NEWPID; no other namespace, above all no user."""
    ours = compiled(word, machine=machine, keeps_namespaces=True).program
    arch = ARCHITECTURES[machine]
    clone, setns, unshare = (number(machine, name) for name in ("clone", "setns", "unshare"))
    for flags in (A_FORK, A_THREAD, CLONE_NEWPID | 17, CLONE_NEWPID | CLONE_PARENT, HIGH | A_FORK):
        assert answer(ours, arch, clone, [flags]) == ALLOW, hex(flags)
    assert answer(ours, arch, clone, [CLONE_NEWPID | CLONE_NEWNS | 17]) == ALLOW
    for namespace in NAMESPACES:
        if namespace not in (CLONE_NEWPID, CLONE_NEWNS):
            assert answer(ours, arch, clone, [namespace | CLONE_NEWPID | 17]) == EPERM
        if namespace != CLONE_NEWPID:
            assert answer(ours, arch, setns, [3, namespace]) == EPERM
            assert answer(ours, arch, setns, [3, namespace | CLONE_NEWPID]) == EPERM
        assert answer(ours, arch, unshare, [namespace]) == EPERM
    assert answer(ours, arch, setns, [3, CLONE_NEWPID]) == ALLOW
    assert answer(ours, arch, setns, [3, 0]) == EPERM
    without = compiled(word, machine=machine).program
    differing = {
        call for call in range(500) if answer(ours, arch, call) != answer(without, arch, call)
    }
    kept = ["mount", "open_tree", "move_mount", *(KEPT_OF_STRICT if word == "strict" else [])]
    assert differing == {number(machine, name) for name in kept}
    prctl, seccomp = number(machine, "prctl"), number(machine, "seccomp")
    assert {answer(ours, arch, prctl, [option]) for option in (22, 24, 28)} == {ALLOW}
    assert answer(ours, arch, seccomp, [1]) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("forbidden", "expected"), [("refuse", EPERM), ("kill", KILL_PROCESS), ("notify", EPERM)]
)
def test_what_a_call_takes_beside_its_template(machine: str, forbidden: str, expected: int) -> None:
    """No namespace, and no child of the template's caller; all else is as the template's filter has it."""
    found = of_a_call(machine=machine, forbidden=forbidden)
    ours, arch = found.program, ARCHITECTURES[machine]
    clone, setns = number(machine, "clone"), number(machine, "setns")
    for bit in (*NAMESPACES, CLONE_PARENT):
        assert answer(ours, arch, clone, [bit | 17]) == expected
        assert answer(ours, arch, clone, [HIGH | bit | 17]) == expected
    assert {answer(ours, arch, clone, [flags]) for flags in (A_FORK, A_THREAD, A_VFORK)} == {ALLOW}
    assert answer(ours, arch, setns, [3, CLONE_NEWPID]) == expected
    others = {call for call in range(501) if answer(ours, arch, call) != ALLOW}
    names = ("setns", "clone3", "mount", "open_tree", "move_mount", *IPC)
    assert others == {number(machine, name) for name in names}
    assert found.count < 60


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("word", ["default", "strict"])
@pytest.mark.parametrize(("forbidden", "expected"), [("kill", KILL_PROCESS), ("notify", NOTIFY)])
def test_what_takes_the_place_of_an_errno(
    word: str, machine: str, forbidden: str, expected: int
) -> None:
    """Each refusal but those that programs go on without in the ordinary course, and none else."""
    ours, arch = (
        compiled(word, machine=machine, forbidden=forbidden).program,
        ARCHITECTURES[machine],
    )
    refusing = compiled(word, machine=machine).program
    quiet = {number(machine, name) for name in QUIET[word]}
    socket, prlimit = number(machine, "socket"), number(machine, "prlimit64")
    goes_on = {(prlimit, RLIMIT_CORE), (number(machine, "prctl"), PR_FUTEX_HASH)}
    goes_on |= {(socket, AF_NETLINK)} if word == "strict" else set()
    for call, value in itertools.product(range(501), ARGUMENTS):
        refused = answer(refusing, arch, call, [value] * 6)
        killed = refused not in (ALLOW, ENOSYS) and call not in quiet
        if killed and (call, value & LOW) in goes_on:
            killed = False
        expected_here = expected if killed else refused
        assert answer(ours, arch, call, [value] * 6) == expected_here, (call, hex(value))
    assert answer(ours, arch, number(machine, "ptrace")) == expected
    assert answer(ours, arch, number(machine, "clone3")) == ENOSYS
    assert answer(ours, arch, number(machine, "ioctl"), [0, HIGH | 0x5412]) in (expected, ENOTTY)
    assert answer(ours, arch, socket, [40, 1, 0]) == expected
    netlink = ALLOW if word == "default" else EAFNOSUPPORT
    assert answer(ours, arch, socket, [16, 3, 0]) == netlink
