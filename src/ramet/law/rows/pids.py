"""The child's registers, its pids and its pidfd."""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import CLONE, CLONE3, Rule

_SETTLS = CloneFlag.SETTLS.value
_PIDFD = CloneFlag.PIDFD.value
_PID = "kernel/pid.c"

ROWS = (
    Rule(
        id="K1",
        all_of=_SETTLS,
        when=ask.tls_beyond_user_space,
        errno="EPERM",
        kernel_function="copy_thread",
        since="2.6.0",
        source="arch/x86/kernel/process.c",
        sentence="tls must be an address of user space: x86-64 puts it into the child's FS base",
        remedy="give the address of the child's thread-local block",
    ),
    Rule(
        id="K2",
        all_of=_SETTLS,
        when=ask.tls_description_unreadable,
        errno="EFAULT",
        kernel_function="do_set_thread_area",
        since="2.5.32",
        source="arch/x86/kernel/tls.c",
        sentence="on i386 tls points to a user_desc, which the caller must be able to read",
        remedy="give the address of a struct user_desc",
    ),
    Rule(
        id="K2",
        all_of=_SETTLS,
        when=ask.tls_description_invalid,
        kernel_function="do_set_thread_area",
        since="2.5.32",
        source="arch/x86/kernel/tls.c",
        sentence="on i386 the user_desc at tls must name one of the entries 12 to 14",
        remedy="use the entry that set_thread_area returned",
    ),
    Rule(
        id="L1",
        calls=CLONE3,
        field="set_tid",
        when=ask.more_pids_than_levels,
        kernel_function="alloc_pid",
        since="5.5",
        source=_PID,
        unseen=True,
        sentence="set_tid has more pids than the child has pid namespaces",
        remedy="choose one pid, or one for each namespace from the innermost outwards",
    ),
    Rule(
        id="L2",
        calls=CLONE3,
        field="set_tid",
        when=ask.pid_out_of_range,
        kernel_function="alloc_pid",
        since="5.5",
        source=_PID,
        unseen=True,
        sentence=(
            "a chosen pid is at least 1 and below pid_max, and the first in a new pid namespace "
            "can only be 1"
        ),
        remedy="choose such a pid, with CLONE_NEWPID 1 for the innermost namespace",
    ),
    Rule(
        id="L3",
        calls=CLONE3,
        field="set_tid",
        when=ask.pid_not_permitted,
        errno="EPERM",
        kernel_function="alloc_pid",
        since="5.5",
        source=_PID,
        unseen=True,
        sentence=(
            "choosing a pid needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE (5.9) in the user "
            "namespace that owns the pid namespace"
        ),
        remedy="let the kernel choose, or add CLONE_NEWUSER and CLONE_NEWPID and choose 1",
    ),
    Rule(
        id="L4",
        calls=CLONE3,
        field="set_tid",
        when=ask.pid_in_use,
        errno="EEXIST",
        kernel_function="alloc_pid",
        since="5.5",
        source=_PID,
        unseen=True,
        sentence="the chosen pid is in use: by a task, or as the id of a group or session",
        remedy="choose another, or wait until it is free",
    ),
    Rule(
        id="L5",
        when=ask.no_free_pid,
        errno="EAGAIN",
        kernel_function="alloc_pid",
        since="1.0",
        source=_PID,
        unseen=True,
        sentence=(
            "all pids below pid_max are in use (since 6.14 each pid namespace has a limit of its "
            "own)"
        ),
        remedy="wait for tasks to end, or raise /proc/sys/kernel/pid_max",
    ),
    Rule(
        id="L6",
        when=ask.children_init_dead,
        errno="ENOMEM",
        kernel_function="alloc_pid",
        since="3.8",
        source=_PID,
        unseen=True,
        sentence=(
            "the init of the pid namespace for the caller's children has ended, and no task can be "
            "made in it again"
        ),
        remedy="make a new pid namespace, in a process whose children are still in its own",
    ),
    Rule(
        id="M1",
        all_of=_PIDFD,
        when=ask.no_free_descriptor,
        errno="EMFILE",
        kernel_function="pidfd_prepare",
        since="5.2",
        unseen=True,
        sentence="CLONE_PIDFD needs a free descriptor, and RLIMIT_NOFILE leaves none",
        remedy="close descriptors, or raise RLIMIT_NOFILE (ulimit -n)",
    ),
    *(
        Rule(
            id="M2",
            calls=call,
            all_of=_PIDFD,
            when=ask.pidfd_unwritable,
            errno="EFAULT",
            kernel_function="copy_process",
            since="5.2",
            unseen=True,
            sentence=f"CLONE_PIDFD writes the descriptor at {where}, which must be writable",
            remedy="give the address of an int",
        )
        for call, where in ((CLONE, "parent_tid"), (CLONE3, "pidfd"))
    ),
)
