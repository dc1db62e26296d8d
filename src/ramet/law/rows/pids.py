"""The child's registers, its pids and its pidfd."""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import CLONE, CLONE3, Rule

_SETTLS = CloneFlag.SETTLS.value
_PIDFD = CloneFlag.PIDFD.value
_PID = "kernel/pid.c"

# fmt: off
ROWS = (
    Rule(
        id="K1", kernel_function="copy_thread", source="arch/x86/kernel/process.c", since="2.6.0",
        errno="EPERM",
        all_of=_SETTLS, when=ask.tls_beyond_user_space,
        sentence="tls must be an address of user space: x86-64 puts it into the child's FS base",
        remedy="give the address of the child's thread-local block",
    ),
    Rule(
        id="K2", kernel_function="do_set_thread_area", source="arch/x86/kernel/tls.c",
        since="2.5.32", errno="EFAULT",
        all_of=_SETTLS, when=ask.tls_description_unreadable,
        sentence="on i386 tls points to a user_desc, which the caller must be able to read",
        remedy="give the address of a struct user_desc",
    ),
    Rule(
        id="K2", kernel_function="do_set_thread_area", source="arch/x86/kernel/tls.c",
        since="2.5.32",
        all_of=_SETTLS, when=ask.tls_description_invalid,
        sentence="on i386 the user_desc at tls must name one of the entries 12 to 14",
        remedy="use the entry that set_thread_area returned",
    ),
    Rule(
        id="L1", calls=CLONE3, kernel_function="alloc_pid", source=_PID, since="5.5", unseen=True,
        field="set_tid",
        when=ask.more_pids_than_levels,
        sentence="set_tid has more pids than the child has pid namespaces",
        remedy="choose one pid, or one for each namespace from the innermost outwards",
    ),
    Rule(
        id="L2", calls=CLONE3, kernel_function="alloc_pid", source=_PID, since="5.5", unseen=True,
        field="set_tid",
        when=ask.pid_out_of_range,
        sentence="a chosen pid is at least 1 and below pid_max, and the first in a new pid "
                 "namespace can only be 1",
        remedy="choose such a pid, with CLONE_NEWPID 1 for the innermost namespace",
    ),
    Rule(
        id="L3", calls=CLONE3, kernel_function="alloc_pid", source=_PID, since="5.5", errno="EPERM",
        unseen=True, field="set_tid",
        when=ask.pid_not_permitted,
        sentence="choosing a pid needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE (5.9) in the user "
                 "namespace that owns the pid namespace",
        remedy="let the kernel choose, or add CLONE_NEWUSER and CLONE_NEWPID and choose 1",
    ),
    Rule(
        id="L4", calls=CLONE3, kernel_function="alloc_pid", source=_PID, since="5.5",
        errno="EEXIST", unseen=True, field="set_tid",
        when=ask.pid_in_use,
        sentence="the chosen pid is in use: by a task, or as the id of a group or session",
        remedy="choose another, or wait until it is free",
    ),
    Rule(
        id="L5", kernel_function="alloc_pid", source=_PID, since="1.0", errno="EAGAIN", unseen=True,
        when=ask.no_free_pid,
        sentence="all pids below pid_max are in use (since 6.14 each pid namespace has a limit of its own)",
        remedy="wait for tasks to end, or raise /proc/sys/kernel/pid_max",
    ),
    Rule(
        id="L6", kernel_function="alloc_pid", source=_PID, since="3.8", errno="ENOMEM", unseen=True,
        when=ask.children_init_dead,
        sentence="the init of the pid namespace for the caller's children has ended, and no task "
                 "can be made in it again",
        remedy="make a new pid namespace, in a process whose children are still in its own",
    ),
    Rule(
        id="M1", kernel_function="pidfd_prepare", since="5.2", errno="EMFILE", unseen=True,
        all_of=_PIDFD, when=ask.no_free_descriptor,
        sentence="CLONE_PIDFD needs a free descriptor, and RLIMIT_NOFILE leaves none",
        remedy="close descriptors, or raise RLIMIT_NOFILE (ulimit -n)",
    ),
    *(
        Rule(
            id="M2", calls=call, kernel_function="copy_process", since="5.2", errno="EFAULT",
            unseen=True,
            all_of=_PIDFD, when=ask.pidfd_unwritable,
            sentence=f"CLONE_PIDFD writes the descriptor at {where}, which must be writable",
            remedy="give the address of an int",
        )
        for call, where in ((CLONE, "parent_tid"), (CLONE3, "pidfd"))
    ),
)
# fmt: on
