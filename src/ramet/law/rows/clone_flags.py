"""Which flags exclude or need each other: kernel_clone, and the beginning of copy_process."""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import CLONE, CLONE3, CLONE_CALLS, UNSHARE, Rule

_THREAD_OR_PARENT = CloneFlag.THREAD.value | CloneFlag.PARENT.value
_AUTOKILL = CloneFlag.PIDFD_AUTOKILL.value

# fmt: off
ROWS = (
    Rule(
        id="C0", calls=CLONE3, kernel_function="kernel_clone", since="7.1", errno=None,
        all_of=CloneFlag.EMPTY_MNTNS.value,
        sentence="CLONE_EMPTY_MNTNS implies CLONE_NEWNS and all of that flag's rules",
        remedy="no change is needed",
    ),
    Rule(
        id="C1", calls=CLONE, kernel_function="kernel_clone", since="5.2", certain=True,
        all_of=CloneFlag.PIDFD.value | CloneFlag.PARENT_SETTID.value,
        sentence="CLONE_PIDFD excludes CLONE_PARENT_SETTID in clone(), where both would be "
                 "written at parent_tid",
        remedy="use clone3, which has a field for each",
    ),
    Rule(
        id="C1", calls=CLONE3, kernel_function="kernel_clone", since="5.9",
        all_of=CloneFlag.PIDFD.value | CloneFlag.PARENT_SETTID.value, when=ask.pidfd_is_parent_tid,
        sentence="CLONE_PIDFD and CLONE_PARENT_SETTID may not write at the same address",
        remedy="give pidfd and parent_tid different addresses",
    ),
    Rule(
        id="C2", calls=CLONE, kernel_function="kernel_clone", since="7.2",
        when=ask.exit_signal_beyond_last,
        sentence="the exit signal must be from 0 to 64, in clone() as in clone3 since Linux 7.2",
        remedy="use a signal from 1 to 64, or 0 for none",
    ),
    Rule(
        id="D1", kernel_function="copy_process", since="2.4.19", certain=True,
        all_of=CloneFlag.NEWNS.value | CloneFlag.FS.value,
        sentence="CLONE_NEWNS excludes CLONE_FS, since one root directory cannot be in two mount "
                 "namespaces",
        remedy="drop CLONE_FS",
    ),
    Rule(
        id="D1", calls=CLONE3, kernel_function="copy_process", since="7.1",
        all_of=CloneFlag.EMPTY_MNTNS.value | CloneFlag.FS.value, none_of=CloneFlag.NEWNS.value,
        sentence="CLONE_EMPTY_MNTNS implies CLONE_NEWNS, which excludes CLONE_FS",
        remedy="drop CLONE_FS",
    ),
    Rule(
        id="D2", kernel_function="copy_process", since="3.9", certain=True,
        all_of=CloneFlag.NEWUSER.value | CloneFlag.FS.value,
        sentence="CLONE_NEWUSER excludes CLONE_FS, since its new rights would let the child "
                 "chroot the caller as well",
        remedy="drop CLONE_FS",
    ),
    Rule(
        id="D2", calls=CLONE_CALLS | UNSHARE, kernel_function="copy_process", since="3.8", errno="EPERM",
        source="a patch of Debian's and others", unseen=True,
        all_of=CloneFlag.NEWUSER.value, when=ask.user_ns_switched_off,
        sentence="kernel.unprivileged_userns_clone is 0, and CLONE_NEWUSER then needs CAP_SYS_ADMIN",
        remedy="sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    Rule(
        id="D3", kernel_function="copy_process", since="2.5.35", certain=True,
        all_of=CloneFlag.THREAD.value, none_of=CloneFlag.SIGHAND.value,
        sentence="CLONE_THREAD needs CLONE_SIGHAND, since a thread group has one table of signal handlers",
        remedy="add CLONE_SIGHAND, and CLONE_VM with it",
    ),
    Rule(
        id="D4", kernel_function="copy_process", since="2.6.0", certain=True,
        all_of=CloneFlag.SIGHAND.value, none_of=CloneFlag.VM.value,
        sentence="CLONE_SIGHAND needs CLONE_VM, since a handler is an address and must be in "
                 "memory that both share",
        remedy="add CLONE_VM",
    ),
    Rule(
        id="D5", kernel_function="copy_process", since="2.6.32", unseen=True,
        all_of=CloneFlag.PARENT.value, when=ask.is_namespace_init,
        sentence="CLONE_PARENT is refused to the init of a pid namespace, whose parent is "
                 "outside and could not see the child",
        remedy="drop CLONE_PARENT, or make the call in a child of init",
    ),
    Rule(
        id="D6", kernel_function="copy_process", since="3.8", certain=True,
        all_of=CloneFlag.THREAD.value | CloneFlag.NEWUSER.value,
        sentence="CLONE_THREAD excludes CLONE_NEWUSER, since a thread group is in one user namespace",
        remedy="drop one of the two",
    ),
    Rule(
        id="D6", kernel_function="copy_process", since="3.8", certain=True,
        all_of=CloneFlag.THREAD.value | CloneFlag.NEWPID.value,
        sentence="CLONE_THREAD excludes CLONE_NEWPID, since a thread group has one pid, in one "
                 "pid namespace",
        remedy="drop one of the two",
    ),
    Rule(
        id="D6", kernel_function="copy_process", since="4.3", unseen=True,
        all_of=CloneFlag.THREAD.value, none_of=CloneFlag.NEWUSER.value | CloneFlag.NEWPID.value,
        when=ask.children_go_elsewhere,
        sentence="CLONE_THREAD is refused once unshare() or setns() gave the caller's children "
                 "another pid namespace, since a thread has to stay in the caller's",
        remedy="start threads first, or in a child",
    ),
    Rule(
        id="D7", kernel_function="copy_process", since="5.6", until="6.2",
        unseen=True,
        any_of=CloneFlag.THREAD.value | CloneFlag.VM.value, when=ask.children_get_other_time,
        sentence="CLONE_VM and CLONE_THREAD were refused after unshare(CLONE_NEWTIME), since "
                 "shared memory holds one page of clock offsets",
        remedy="drop CLONE_VM, or run on Linux 6.2, where the child changes its time at exec",
    ),
    Rule(
        id="D8", kernel_function="copy_process", since="5.2", certain=True,
        all_of=CloneFlag.PIDFD.value | CloneFlag.DETACHED.value,
        sentence="CLONE_PIDFD excludes CLONE_DETACHED, to keep the old flag's bit free for a later flag",
        remedy="drop CLONE_DETACHED, which has no effect",
    ),
    Rule(
        id="D8", kernel_function="copy_process", since="5.2", until="6.9",
        all_of=CloneFlag.PIDFD.value | CloneFlag.THREAD.value,
        sentence="CLONE_PIDFD excluded CLONE_THREAD before Linux 6.9, when a pidfd was for processes only",
        remedy="drop CLONE_PIDFD",
    ),
    Rule(
        id="D9", calls=CLONE3, kernel_function="copy_process", since="7.1",
        all_of=CloneFlag.AUTOREAP.value, any_of=_THREAD_OR_PARENT,
        sentence="CLONE_AUTOREAP is for children of the caller, and excludes CLONE_THREAD and CLONE_PARENT",
        remedy="drop CLONE_AUTOREAP, or the other",
    ),
    Rule(
        id="D9", calls=CLONE3, kernel_function="copy_process", since="7.1",
        all_of=CloneFlag.AUTOREAP.value, when=ask.exit_signal_given,
        sentence="CLONE_AUTOREAP takes no exit signal, since such a child's end sends no signal",
        remedy="use exit_signal 0",
    ),
    Rule(
        id="D10", kernel_function="copy_process", since="7.1", verified=False, unseen=True,
        all_of=CloneFlag.PARENT.value, when=ask.is_autoreap,
        sentence="CLONE_PARENT is refused to a caller that was itself made with CLONE_AUTOREAP, "
                 "whose parent does not wait for children",
        remedy="drop CLONE_PARENT",
    ),
    Rule(
        id="D11", calls=CLONE3, kernel_function="copy_process", since="7.1",
        all_of=CloneFlag.NNP.value | CloneFlag.THREAD.value,
        sentence="CLONE_NNP excludes CLONE_THREAD, since it is for whole processes",
        remedy="let the thread set no_new_privs for itself",
    ),
    Rule(
        id="D12", calls=CLONE3, kernel_function="copy_process", since="7.1",
        all_of=_AUTOKILL, none_of=CloneFlag.PIDFD.value,
        sentence="CLONE_PIDFD_AUTOKILL needs CLONE_PIDFD, whose descriptor kills the child when closed",
        remedy="add CLONE_PIDFD",
    ),
    Rule(
        id="D12", calls=CLONE3, kernel_function="copy_process", since="7.1",
        all_of=_AUTOKILL, none_of=CloneFlag.AUTOREAP.value,
        sentence="CLONE_PIDFD_AUTOKILL needs CLONE_AUTOREAP, since a task that closed the pidfd "
                 "is not expected to wait",
        remedy="add CLONE_AUTOREAP",
    ),
    Rule(
        id="D12", calls=CLONE3, kernel_function="copy_process", since="7.1",
        all_of=_AUTOKILL | CloneFlag.THREAD.value,
        sentence="CLONE_PIDFD_AUTOKILL excludes CLONE_THREAD, since it kills whole processes",
        remedy="drop one of the two",
    ),
    Rule(
        id="D13", calls=CLONE3, kernel_function="copy_process", since="7.1", errno="EPERM",
        verified=False, unseen=True,
        all_of=_AUTOKILL, none_of=CloneFlag.NNP.value, when=ask.unprivileged,
        sentence="CLONE_PIDFD_AUTOKILL without CLONE_NNP needs CAP_SYS_ADMIN, since the child "
                 "could gain rights by an exec and still be killed",
        remedy="add CLONE_NNP",
    ),
)
# fmt: on
