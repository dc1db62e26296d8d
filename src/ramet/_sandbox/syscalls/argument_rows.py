"""Rows for calls that are forbidden with some arguments only.

Each test reads of an argument what the kernel's function reads: a cmd, a family or an option is an int
there, and what stands in the upper half of the register must not get past the filter.
"""

import errno
import stat

from ...flags import CloneFlag
from .rule import ALLOW, ENOSYS, EPERM, WORD, ArgumentTest, Row, error

# clone(2) has no NEWTIME: the bit belongs to the exit signal there.
NAMESPACES = (
    CloneFlag.NEWNS
    | CloneFlag.NEWCGROUP
    | CloneFlag.NEWUTS
    | CloneFlag.NEWIPC
    | CloneFlag.NEWUSER
    | CloneFlag.NEWPID
    | CloneFlag.NEWNET
).value
NOT_UNSHARED = (
    CloneFlag.FS
    | CloneFlag.FILES
    | CloneFlag.SYSVSEM
    | CloneFlag.VM
    | CloneFlag.SIGHAND
    | CloneFlag.THREAD
).value

# include/linux/socket.h, include/uapi/linux/in.h, netlink.h, net.h
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_SMC = 1, 2, 10, 16, 43
AF_RDS, AF_VSOCK, AF_QIPCRTR = 21, 40, 42
SYS_SOCKET, SYS_SOCKETPAIR = 1, 8
MSG_FASTOPEN, IPPROTO_SMC = 0x20000000, 256
NETLINK_ROUTE = 0
PROTOCOLS = {"any": 0, "icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "mptcp": 262}
NO_PLAIN_TYPE = 0xC  # STREAM, DGRAM and RAW are 1, 2 and 3 of the four bits

# include/uapi/asm-generic/socket.h, linux/in.h, linux/in6.h, linux/tcp.h
SOL_SOCKET, SOL_TCP, SOL_IPV6 = 1, 6, 41
SO_ATTACH_FILTER, SO_ATTACH_BPF = 26, 50
SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF = 51, 52
IPV6_ADD_MEMBERSHIP, IPV6_JOIN_ANYCAST, IPV6_FLOWLABEL_MGR = 20, 27, 32
MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP = 42, 46
TCP_MD5SIG, TCP_MD5SIG_EXT, TCP_AO_ADD_KEY = 14, 32, 38

# include/uapi/linux/btrfs.h; fs/bcachefs/bcachefs_ioctl.h
BTRFS_IOC_SNAP_CREATE, BTRFS_IOC_SNAP_CREATE_V2 = 0x50009401, 0x50009417
BTRFS_IOC_SNAP_DESTROY, BTRFS_IOC_SNAP_DESTROY_V2 = 0x5000940F, 0x5000943F
BCH_IOCTL_SUBVOLUME_CREATE, BCH_IOCTL_SUBVOLUME_DESTROY = 0x4020BC10, 0x4020BC11

# include/uapi/asm-generic/ioctls.h
TIOCSTI, TIOCLINUX, TIOCSETD = 0x5412, 0x541C, 0x5423

# include/uapi/linux/prctl.h, seccomp.h
SCHED_OTHER, SCHED_BATCH = 0, 3  # include/uapi/linux/sched.h

PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_MM = 22, 24, 28, 35
PR_SET_PTRACER = 0x59616D61
PR_FUTEX_HASH = 78  # since Linux 6.16
SECCOMP_SET_MODE_FILTER = 1

# include/uapi/asm-generic/fcntl.h, the same on both machines; O_TMPFILE without the bit of O_DIRECTORY
O_CREAT, O_TMPFILE = 0x40, 0x400000
SET_IDS = stat.S_ISUID | stat.S_ISGID
F_SETLEASE, F_SETDELEG = 1024, 1040  # include/uapi/linux/fcntl.h; the second since Linux 6.19

RLIMIT_CORE = 4  # include/uapi/asm-generic/resource.h
# What a block of ext4 can have beside its headers. A list of access rights of that size takes a page.
LARGEST_ATTRIBUTE = 4040

# include/uapi/linux/personality.h
READ_PERSONALITY, ADDR_NO_RANDOMIZE = 0xFFFFFFFF, 0x0040000
PER_LINUX32, UNAME26 = 0x0008, 0x0020000


def is_(index: int, value: int) -> ArgumentTest:
    """That argument, as an int, is this."""
    return ArgumentTest(index, "==", value, WORD)


def has_any_bit(index: int, bits: int) -> ArgumentTest:
    """That argument has one of these bits, at least."""
    return ArgumentTest(index, "!=", 0, bits)


def has_no_bit(index: int, bits: int) -> ArgumentTest:
    """That argument has none of these bits."""
    return ArgumentTest(index, "==", 0, bits)


def either(names: str, index: int, values: tuple[int, ...], why: str) -> tuple[Row, ...]:
    """Rows that allow these values of an argument."""
    return tuple(Row(names, ALLOW, (is_(index, value),), why) for value in values)


CLONE = (
    Row(
        "clone",
        EPERM,
        (has_any_bit(0, NAMESPACES),),
        "gives all capabilities in a namespace, with which most faults of the kernel are in reach",
    ),
    # Docker, systemd and flatpak let it pass.
    Row(
        "clone",
        EPERM,
        (has_any_bit(0, CloneFlag.PARENT.value),),
        "is a child of the caller's, outside, who does not know to reap it; a pid namespace waits for that",
    ),
    Row(
        "clone3",
        ENOSYS,
        why="its flags are in memory, where no filter reads; libc makes the call with clone then",
    ),
)

# What a template for confined calls keeps: it makes pid namespaces, and its calls give up what is left of
# its rights. The namespaces need a capability, which calls have no more when they run what is not trusted.
KEPT_BY_TEMPLATES = (
    Row(
        "clone",
        ALLOW,
        (has_no_bit(0, NAMESPACES & ~(CloneFlag.NEWPID | CloneFlag.NEWNS).value),),
        "each call has a pid namespace and mounts of its own, and is a child of the template's caller",
    ),
    Row("mount", ALLOW, why="of the call's own /tmp and /proc, before it gives up the capability"),
    Row("open_tree", ALLOW, why="of what is shown below the call's own /tmp, and would be covered"),
    Row("move_mount", ALLOW, why="of the same, into the new /tmp"),
    Row("setns", ALLOW, (is_(1, CloneFlag.NEWPID.value),), "a call's first process joins it"),
    Row("prlimit64", ALLOW, (is_(0, 0), is_(1, RLIMIT_CORE)), "each call is given its own"),
    Row("capset", ALLOW, why="a call gives up the capability"),
    *either(
        "prctl", 0, (PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_SECUREBITS), "a call gives up more"
    ),
    Row("seccomp", ALLOW, (is_(0, SECCOMP_SET_MODE_FILTER),), "a call takes a filter beside"),
    Row(
        "unshare",
        ALLOW,
        (is_(0, CloneFlag.THREAD.value),),
        "fails if there are threads, else does nothing",
    ),
    *either(
        "sched_setscheduler",
        1,
        (SCHED_OTHER, SCHED_BATCH),
        "a template leaves the processor to its caller, a call does not",
    ),
)
# Of that what the strict list refuses, and a call needs no more when it has its filter.
NO_OTHER_RIGHTS = (
    Row("seccomp capset", EPERM),
    *(
        Row("prctl", EPERM, (is_(0, option),))
        for option in (PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_SECUREBITS)
    ),
)

# What is no namespace a thread may have alone; Docker and flatpak refuse unshare entirely.
UNSHARE = (
    Row(
        "unshare",
        ALLOW,
        (has_no_bit(0, ~NOT_UNSHARED & 0xFFFFFFFFFFFFFFFF),),
        "a thread's own working directory or descriptors",
    ),
    Row("unshare", EPERM, why="new namespaces, as with clone"),
)

# What a sandbox writes belongs to its caller: such a program on the caller's disk would run with the
# caller's rights for every user of the machine. systemd's RestrictSUIDSGID refuses the same, but for
# mkdir(), where the kernel drops these bits. chmod() is refused for directories too, as a filter does not
# see of what a path is, and for files that nobody may execute, since a list of access rights may let
# others do so later. open() has a mode where its flags make a file; else anything may be in that register.
# The mode is tested first, since nearly no call has such a one.
_LEAVES_SET_IDS = (
    "leaves a program on the caller's disk that runs as the caller for whoever starts it"
)
NO_SET_IDS = (
    Row("chmod fchmod creat mknod", EPERM, (has_any_bit(1, SET_IDS),), _LEAVES_SET_IDS),
    Row("fchmodat fchmodat2 mknodat", EPERM, (has_any_bit(2, SET_IDS),), _LEAVES_SET_IDS),
    *(
        Row(
            name,
            EPERM,
            (has_any_bit(flags + 1, SET_IDS), has_any_bit(flags, O_CREAT | O_TMPFILE)),
            _LEAVES_SET_IDS,
        )
        for name, flags in (("open", 1), ("openat", 2))
    ),
    Row(
        "openat2",
        ENOSYS,
        why="its flags and its mode are in memory, where no filter reads; programs take openat then",
    ),
)

# A lease on a file that can only be read halts whoever opens it to write, and a write lease whoever opens
# it at all, for the 45 s of /proc/sys/fs/lease-break-time; the paths of a sandbox are shown as its own
# user's, who may take one. systemd has @file-system allow it; Docker and flatpak let it pass.
NO_LEASES = (
    *(
        Row("fcntl", EPERM, (is_(1, command),), "halts others who open the file, the caller too")
        for command in (F_SETLEASE, F_SETDELEG)
    ),
)

# With a limit of 1, as a sandbox has it, the kernel writes no core and starts no program of core_pattern;
# with 0 it starts that, outside, as root. Programs with secrets set 0, and some end where that fails: they
# are told that it is done. Who asks for the limit before in the same call would read what is not there, and
# of another process it is not theirs to set.
# Source: core(5); fs/coredump.c, coredump_pipe().
_NO_CORE = "another limit has the kernel start the program of core_pattern, outside"
NO_CORE_LIMIT = (
    Row("setrlimit", error(0), (is_(0, RLIMIT_CORE),), _NO_CORE, quiet=True),
    Row("prlimit64", ALLOW, (is_(1, RLIMIT_CORE), ArgumentTest(2, "==", 0)), "it only asks"),
    Row(
        "prlimit64",
        error(0),
        (is_(0, 0), is_(1, RLIMIT_CORE), ArgumentTest(3, "==", 0)),
        _NO_CORE,
        quiet=True,
    ),
    Row("prlimit64", EPERM, (is_(1, RLIMIT_CORE),), _NO_CORE, quiet=True),
)

# The kernel charges a list of access rights in a tmpfs to no control group: up to 128 KiB for each file,
# two for a directory. The names of attributes are in memory, where no filter reads; their size is not.
# Source: fs/posix_acl.c, posix_acl_alloc(); fs/xattr.c.
NO_LARGE_ATTRIBUTES = (
    Row(
        "setxattr lsetxattr fsetxattr",
        error(errno.E2BIG),
        (ArgumentTest(3, ">", LARGEST_ATTRIBUTE),),
        "takes memory of the kernel that counts for nobody",
        quiet=True,
    ),
    Row(
        "setxattrat",
        ENOSYS,
        why="its size is in memory, where no filter reads; programs take setxattr then",
    ),
)

# What is hidden is covered by a mount, which a snapshot of the directory around it has not: the file lies
# there with its owner, whom the sandbox may be. Removing a subvolume does not look at mounts either. No
# profile refuses it; who is not root may do it, and the programs btrfs and bcachefs alone need it.
# Source: fs/btrfs/ioctl.c, __btrfs_ioctl_snap_create(), btrfs_ioctl_snap_destroy().
NO_SNAPSHOTS = tuple(
    Row("ioctl", EPERM, (is_(1, request),), "copies directories with what is hidden in them")
    for request in (
        BTRFS_IOC_SNAP_CREATE,
        BTRFS_IOC_SNAP_CREATE_V2,
        BTRFS_IOC_SNAP_DESTROY,
        BTRFS_IOC_SNAP_DESTROY_V2,
        BCH_IOCTL_SUBVOLUME_CREATE,
        BCH_IOCTL_SUBVOLUME_DESTROY,
    )
)

TERMINALS = (
    Row("ioctl", EPERM, (is_(1, TIOCSTI),), "types into the terminal of who started the sandbox"),
    Row("ioctl", EPERM, (is_(1, TIOCLINUX),), "pastes into a console, as TIOCSTI types"),
    # Docker, systemd and flatpak let it pass.
    Row("ioctl", EPERM, (is_(1, TIOCSETD),), "loads a line discipline into the kernel"),
)

_PLAIN = "the families that programs use"
SOCKETS = (
    Row("socket", ALLOW, (is_(0, AF_UNIX),), _PLAIN),
    *(
        Row(
            "socket",
            ALLOW,
            (is_(0, family), has_no_bit(1, NO_PLAIN_TYPE), is_(2, protocol)),
            _PLAIN,
        )
        for family in (AF_INET, AF_INET6)
        for protocol in PROTOCOLS.values()
    ),
    # Docker lets any protocol pass: each one that is asked for is a module that the kernel loads.
    *(
        Row(
            "socket",
            error(errno.EPROTONOSUPPORT),
            (is_(0, family),),
            "SCTP, SMC, L2TP and others: modules that are loaded for who asks",
        )
        for family in (AF_INET, AF_INET6)
    ),
)
NO_OTHER_SOCKETS = (
    # Docker refuses AF_ALG and AF_VSOCK alone, flatpak all but these and all of netlink.
    Row(
        "socket",
        error(errno.EAFNOSUPPORT),
        why="vsock reaches the host of a virtual machine past the network namespace; alg, packet and "
        "thirty others are modules that are loaded for who asks",
    ),
    # The kernel loads the family's module before it says that the family has no pairs.
    Row("socketpair", ALLOW, (is_(0, AF_UNIX),), _PLAIN),
    Row("socketpair", error(errno.EAFNOSUPPORT), why="loads the family's module, as socket does"),
)
# What no namespace and no control group holds. The profiles let them pass.
# * A filter of a socket, also of a unix one, is compiled: the code of all together has a limit on the
#   machine, net.core.bpf_jit_limit, at which nobody else's filters of system calls are compiled. Where
#   the kernel runs no others, no program can take one.
# * Flow labels: 4096 of them, of all network namespaces together. Who has no CAP_NET_ADMIN gets none
#   when most are taken.
# * A group of IPv6 takes some hundred bytes to some KB, and a socket joins two thousand. (Of IPv4 it
#   joins 20, net.ipv4.igmp_max_memberships.)
# * A key that signs segments of TCP takes some hundred bytes, and a socket has a thousand; programs
#   that tell routers of routes have them.
# ping goes on without. Source: net/core/filter.c; kernel/bpf/core.c, bpf_jit_charge_modmem();
# net/ipv6/ip6_flowlabel.c, mem_check(); net/ipv6/mcast.c; net/ipv4/tcp_ipv4.c, tcp_md5_do_add().
_OF_ALL = "takes of what the whole machine has, and counts for nobody"
NO_SHARED_SOCKET_OPTIONS = tuple(
    Row("setsockopt", error(number), (is_(1, level), is_(2, option)), _OF_ALL, quiet=True)
    for level, number, options in (
        (
            SOL_SOCKET,
            errno.ENOPROTOOPT,
            (
                SO_ATTACH_FILTER,
                SO_ATTACH_BPF,
                SO_ATTACH_REUSEPORT_CBPF,
                SO_ATTACH_REUSEPORT_EBPF,
            ),
        ),
        (SOL_TCP, errno.ENOPROTOOPT, (TCP_MD5SIG, TCP_MD5SIG_EXT, TCP_AO_ADD_KEY)),
        (SOL_IPV6, errno.ENOPROTOOPT, (IPV6_FLOWLABEL_MGR,)),
        (
            SOL_IPV6,
            errno.ENODEV,
            (
                IPV6_ADD_MEMBERSHIP,
                IPV6_JOIN_ANYCAST,
                MCAST_JOIN_GROUP,
                MCAST_JOIN_SOURCE_GROUP,
            ),
        ),
    )
    for option in options
)
# Where there is no network namespace.
NO_NETWORK = (
    Row("socket socketpair", ALLOW, (is_(0, AF_UNIX),), _PLAIN),
    Row("socket socketpair", error(errno.EACCES), why="the network is the host's", quiet=True),
    Row("io_uring_setup", EPERM, why="makes sockets without the call", quiet=True),
)
# Where the network is not the caller's and the list of calls is none of ours: the families that are open to
# who has no capability and ask for no network namespace, or not for all that they reach. The others belong
# to their namespace, or are in the first one alone and fail elsewhere: bluetooth, nfc, ieee802154, X.25.
# Source: net/vmw_vsock/af_vsock.c (vsock_create), net/rds/bind.c (one table of all addresses),
# net/qrtr/af_qrtr.c.
_PAST_NAMESPACES = "no network namespace holds it"
NO_SOCKETS_PAST_NAMESPACES = (
    *(
        Row(
            "socket socketpair",
            error(errno.EAFNOSUPPORT),
            (is_(0, family),),
            _PAST_NAMESPACES,
            quiet=True,
        )
        for family in (AF_VSOCK, AF_RDS, AF_QIPCRTR)
    ),
    # Of programs for 32 bits on x86_64: the family is in memory, where no filter reads.
    *(
        Row("socketcall", error(errno.EAFNOSUPPORT), (is_(0, which),), _PAST_NAMESPACES, quiet=True)
        for which in (SYS_SOCKET, SYS_SOCKETPAIR)
    ),
    Row("io_uring_setup", EPERM, why="makes sockets without the call", quiet=True),
)
# Where Landlock names the ports of TCP: it is not asked when a connection is made by sending, and knows
# nothing of multipath TCP, nor of the TCP that SMC falls back to.
_PAST_PORTS = "reaches TCP ports past Landlock's rules"
NO_WAYS_PAST_PORTS = (
    *(
        Row(
            "socket",
            error(errno.EPROTONOSUPPORT),
            (is_(0, family), is_(2, protocol)),
            _PAST_PORTS,
            quiet=True,
        )
        for family in (AF_INET, AF_INET6)
        for protocol in (PROTOCOLS["mptcp"], IPPROTO_SMC)
    ),
    Row("socket", error(errno.EAFNOSUPPORT), (is_(0, AF_SMC),), _PAST_PORTS, quiet=True),
    # As where tcp_fastopen is off: who asks goes on with connect().
    *(
        Row(name, error(errno.EOPNOTSUPP), (has_any_bit(flags, MSG_FASTOPEN),), _PAST_PORTS, True)
        for name, flags in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3))
    ),
    Row("io_uring_setup", EPERM, why="makes sockets and sends without the calls", quiet=True),
)
# Where there is no pid namespace: who is the same user may set these of each other. Programs name
# themselves by 0; libc names its threads by their numbers to sched_setaffinity() and the like, which
# therefore are left.
_SETS_LIMITS = "sets the limits and priorities of others of the same user"
NO_LIMITS_OF_OTHERS = (
    Row("prlimit64", ALLOW, (is_(0, 0),), "its own"),
    Row("prlimit64", ALLOW, (ArgumentTest(2, "==", 0),), "it only asks"),
    Row("prlimit64", EPERM, why=_SETS_LIMITS, quiet=True),
    *(
        Row(name, ALLOW, (is_(0, which), is_(1, 0)), "of itself, or of its process group")
        for name, kinds in (("setpriority", (0, 1)), ("ioprio_set", (1, 2)))
        for which in kinds
    ),
    Row("setpriority ioprio_set", EPERM, why=_SETS_LIMITS, quiet=True),
)
# getaddrinfo() asks which addresses this machine has, if_nameindex() and Go which interfaces.
NETLINK_ROUTES = (
    Row(
        "socket", ALLOW, (is_(0, AF_NETLINK), is_(2, NETLINK_ROUTE)), "tells of the own interfaces"
    ),
)
NO_NETLINK = (
    Row(
        "socket",
        error(errno.EAFNOSUPPORT),
        (is_(0, AF_NETLINK),),
        "netlink is large; getaddrinfo() goes on without it",
        quiet=True,
    ),
)

# The profiles let it pass, as their init has other rights than what it serves.
LIMITS_OF_INIT = (
    Row("prlimit64", EPERM, (is_(0, 1),), "the init of the namespace may be of the same user"),
)

# Docker and flatpak allow all of prctl.
PROCESS_CONTROL = (
    Row("prctl", EPERM, (is_(0, PR_SET_MM),), "has another file pass for the program that runs"),
    # The profiles allow it. Crash handlers ask for it, whose ptrace is refused here.
    Row("prctl", EPERM, (is_(0, PR_SET_PTRACER),), "lets others trace it, which Yama would refuse"),
    # Newer than the profiles. The kernel makes a table by itself where there are threads.
    Row(
        "prctl",
        error(errno.EINVAL),
        (is_(0, PR_FUTEX_HASH),),
        "makes a table of any size in the kernel, which no limit of a process counts",
        quiet=True,
    ),
)

# Docker's, and ADDR_NO_RANDOMIZE: sanitizers, debuggers and some compilers start themselves anew with
# it. It weakens the program alone that asks. READ_IMPLIES_EXEC and what changes the layout are not
# needed.
PERSONALITY = (
    *either(
        "personality",
        0,
        (READ_PERSONALITY, 0, PER_LINUX32, UNAME26, UNAME26 | PER_LINUX32, ADDR_NO_RANDOMIZE),
        "what programs ask for",
    ),
    Row("personality", EPERM, why="emulates other systems, in code that hardly anyone runs"),
)
