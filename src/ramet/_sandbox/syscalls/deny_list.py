"""The default: all system calls but those that programs do not need and that attack a kernel.

Compared with Docker's profile, systemd's groups of calls, flatpak's filter and sandlock's list, of
2026: where a row differs from one of them, its comment says why. What none of them refuses and is
refused here: CLONE_PARENT, line disciplines, snapshots, options of sockets that take of what the
whole machine has, and pairs and protocols of sockets that load modules. To make set-user-ID programs is
refused by systemd alone, where it is asked for.
"""

from .argument_rows import (
    CLONE,
    LIMITS_OF_INIT,
    NETLINK_ROUTES,
    NO_CORE_LIMIT,
    NO_LARGE_ATTRIBUTES,
    NO_LEASES,
    NO_OTHER_SOCKETS,
    NO_SET_IDS,
    NO_SHARED_SOCKET_OPTIONS,
    NO_SNAPSHOTS,
    PERSONALITY,
    PROCESS_CONTROL,
    SOCKETS,
    TERMINALS,
    UNSHARE,
)
from .rule import ENOSYS, EPERM, Row

DENIED: tuple[Row, ...] = (
    *CLONE,
    *LIMITS_OF_INIT,
    *NO_CORE_LIMIT,
    *UNSHARE,
    *NO_SET_IDS,
    *NO_LARGE_ATTRIBUTES,
    *NO_LEASES,
    *NO_SNAPSHOTS,
    *TERMINALS,
    *SOCKETS,
    *NETLINK_ROUTES,
    *NO_OTHER_SOCKETS,
    *NO_SHARED_SOCKET_OPTIONS,
    *PROCESS_CONTROL,
    *PERSONALITY,
    # ---- namespaces and mounts
    Row("setns", EPERM, why="enters a namespace of another process"),
    # Since Linux 7.0; the profiles do not know it yet.
    Row("listns", EPERM, why="tells of the namespaces of others"),
    Row(
        "mount umount2 open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr",
        EPERM,
        # flatpak answers ENOSYS to the new ones. EPERM is the kernel's own answer to who has no capability.
        why="changes what is visible; reading images of file systems is where kernels fail most",
    ),
    Row("pivot_root chroot", EPERM, why="has another directory pass for the root"),
    # Docker allows name_to_handle_at, which tells of files that cannot be opened; systemd goes on
    # without it.
    Row("name_to_handle_at open_by_handle_at", EPERM, why="opens files past their directories"),
    # Since Linux 6.17; the profiles do not know it yet. Programs take ioctl(FS_IOC_SETFLAGS) then.
    Row(
        "file_setattr", ENOSYS, why="changes flags of files by their path, which Landlock lets pass"
    ),
    # ---- other processes
    # Docker allows these three since Linux 4.8, when ptrace no longer led past a filter. A process of a
    # sandbox that reads another's memory is what an escape begins with, where two of unlike rights are
    # in one. Debuggers do not work inside.
    Row(
        "ptrace process_vm_readv process_vm_writev",
        EPERM,
        why="reads and changes other processes",
    ),
    Row("pidfd_getfd", EPERM, why="takes descriptors of other processes"),
    Row("kcmp", EPERM, why="compares addresses of the kernel's objects, which helps to guess them"),
    # set_mempolicy, which Docker refuses and flatpak as well, concerns the own memory: programs for
    # machines with several nodes use it. mbind, which they refuse too, keeps as many policies as there are
    # pages in a file in memory, also of pages that are not there, and no control group is charged for
    # them; libnuma and OpenBLAS go on.
    # Source: mm/mempolicy.c, mpol_set_shared_policy().
    Row(
        "mbind set_mempolicy_home_node",
        EPERM,
        why="takes memory of the kernel that counts for nobody",
        quiet=True,
    ),
    Row("move_pages migrate_pages", EPERM, why="moves pages, as attacks on the kernel's memory do"),
    # ---- large interfaces, where kernels fail
    # Docker refuses them since 2023; systemd and flatpak do not.
    # libuv tries it in each program and goes on by epoll: cmake asks even for its version.
    Row(
        "io_uring_setup",
        EPERM,
        why="makes calls that no filter sees; its faults were most of the kernel's in some years",
        quiet=True,
    ),
    Row("io_uring_enter io_uring_register", EPERM, why="nobody has a ring to use them with"),
    Row("bpf", EPERM, why="loads code into the kernel"),
    Row("perf_event_open", EPERM, why="measures the kernel and other processes"),
    Row(
        "userfaultfd",
        EPERM,
        why="halts the kernel in the middle of a copy, which turns races into certain attacks",
    ),
    # systemd allows them to services; Docker and flatpak do not.
    Row("keyctl add_key request_key", EPERM, why="keys are in no namespace"),
    Row("fanotify_init", EPERM, why="watches whole file systems; inotify watches files"),
    # Docker allows it. Since Linux 6.5 it is on where nothing else is said.
    Row("memfd_secret", EPERM, why="memory that is hidden from who watches the sandbox"),
    # Docker allows it on x86_64; old Windows programs under Wine need it, which run on 32-bit calls anyway.
    Row("modify_ldt", EPERM, why="16-bit segments, with faults of their own"),
    Row("iopl ioperm", EPERM, why="reaches the hardware's ports"),
    # ---- the machine
    Row("init_module finit_module delete_module", EPERM, why="loads code into the kernel"),
    Row("kexec_load kexec_file_load reboot", EPERM, why="ends the kernel"),
    Row("swapon swapoff", EPERM, why="belongs to the administrator"),
    # Docker allows adjtimex and clock_adjtime, which read as well: what they are to do is in memory,
    # out of sight.
    Row(
        "settimeofday clock_settime adjtimex clock_adjtime",
        EPERM,
        why="sets the clock, which is in no namespace",
    ),
    Row("quotactl quotactl_fd acct", EPERM, why="accounts of all users"),
    Row("syslog", EPERM, why="the kernel's messages tell of its addresses and of others"),
    # Their own namespace has the name; where there is none, root would rename the machine.
    Row("sethostname setdomainname", EPERM, why="names the machine"),
    Row("vhangup", EPERM, why="takes the terminal from who started the sandbox"),
    # No profile refuses it. Programs that use it, databases and emulators, go on where a kernel has none;
    # aio_read(3) is made of threads.
    Row("io_setup", ENOSYS, why="takes of what all users share: /proc/sys/fs/aio-max-nr"),
    # ---- gone, or in no program that is alive
    Row("lookup_dcookie", EPERM, why="for a profiler; gone since Linux 6.7"),
    Row("sysfs ustat uselib", EPERM, why="for programs of thirty years ago"),
    Row(
        "_sysctl nfsservctl create_module get_kernel_syms query_module getpmsg putpmsg afs_syscall "
        "tuxcall security vserver epoll_ctl_old epoll_wait_old",
        ENOSYS,
        why="answered as by the kernels of today, which have them no more",
    ),
)

# Refused where the sandbox has no ipc namespace. In one of its own they reach nobody, and PostgreSQL,
# fakeroot and programs for X use them; Docker allows them for the same reason, sandlock, which makes no
# namespace, does not.
IPC_OF_OTHERS: tuple[Row, ...] = (
    Row(
        "shmget shmat shmctl shmdt semget semop semtimedop semctl msgget msgsnd msgrcv msgctl",
        EPERM,
        why="reaches memory and queues of all processes of the user",
    ),
    Row("mq_open mq_unlink", EPERM, why="reaches queues of all processes of the user"),
)
