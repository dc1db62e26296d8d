"""The rules of process creation, one row each, in the order in which the kernel looks.

To add a rule, add a row where the kernel has its check. A rule with several causes is several rows
with one id, so that each says its own sentence. ``certain`` rows refuse on every Linux from 5.4 to
7.1 and stop a call beforehand; the others only explain a refusal afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..flags import LAST_SIGNAL, CloneFlag

_BOTH = frozenset({"clone", "clone3"})
_CLONE = frozenset({"clone"})
_CLONE3 = frozenset({"clone3"})


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One way to be refused: it is broken when all of its conditions are met.

    ``all_of`` must be set whole, of ``any_of`` (when it is not 0) at least one bit, of ``none_of``
    no bit; ``when`` asks the exit signal what bits cannot say. ``until`` is the first Linux without
    the rule.
    """

    id: str
    calls: frozenset[str] = _BOTH
    all_of: int = 0
    any_of: int = 0
    none_of: int = 0
    when: Callable[[int], bool] | None = None
    errno: str = "EINVAL"
    kernel_function: str
    since: str
    until: str | None = None
    certain: bool = True
    sentence: str
    remedy: str


def exit_signal_beyond_last(exit_signal: int) -> bool:
    """Whether clone3 knows no such signal; clone() takes any byte."""
    return not 0 <= exit_signal <= LAST_SIGNAL


def exit_signal_not_a_byte(exit_signal: int) -> bool:
    """Whether the number would spill out of the low byte of clone()'s flags."""
    return not 0 <= exit_signal <= CloneFlag.CSIGNAL


def exit_signal_given(exit_signal: int) -> bool:
    """Whether any exit signal is asked for."""
    return exit_signal != 0


# What the library refuses on its own account, before the kernel is asked.
_LIBRARY_RULES = (
    Rule(
        id="ramet-pid",
        any_of=CloneFlag.PID,
        kernel_function="none",
        since="2.5.16",
        sentence=(
            "CLONE_PID is gone since Linux 2.5.16 and its bit is CLONE_PIDFD today: two tasks "
            "cannot have one pid"
        ),
        remedy="use CLONE_THREAD for a task that answers to its caller's pid",
    ),
    Rule(
        id="ramet-stopped-thread",
        all_of=CloneFlag.STOPPED | CloneFlag.THREAD,
        kernel_function="none",
        since="2.6.38",
        sentence=(
            "CLONE_STOPPED cannot go with CLONE_THREAD, since SIGSTOP stops the whole group, the "
            "caller with it"
        ),
        remedy="drop one of the two",
    ),
    Rule(
        id="ramet-stopped-vfork",
        all_of=CloneFlag.STOPPED | CloneFlag.VFORK,
        kernel_function="none",
        since="2.6.38",
        sentence=(
            "CLONE_STOPPED cannot go with CLONE_VFORK, since a caller that waits for its child "
            "cannot resume it"
        ),
        remedy="drop one of the two",
    ),
    Rule(
        id="ramet-64-bits",
        any_of=-1 << 66,
        kernel_function="none",
        since="5.3",
        sentence=(
            "flags have 64 bits in the kernel, and nothing above them is known to this library"
        ),
        remedy="drop the bits above bit 63",
    ),
    Rule(
        id="ramet-clone3-only",
        calls=_CLONE,
        any_of=0xFFFFFFFF_00000000,
        kernel_function="sys_clone",
        since="5.3",
        sentence=(
            "only clone3 takes flags above bit 31, and clone() would ignore them without a word"
        ),
        remedy="make the call with clone3",
    ),
    Rule(
        id="ramet-exit-signal",
        calls=_CLONE,
        when=exit_signal_not_a_byte,
        kernel_function="none",
        since="1.0",
        sentence=(
            "the exit signal of clone() is one byte, and a larger number would turn into flags"
        ),
        remedy="use a signal from 1 to 64, or 0 for none",
    ),
)

_KERNEL_RULES = (
    Rule(
        id="A7",
        calls=_CLONE3,
        when=exit_signal_beyond_last,
        kernel_function="copy_clone_args_from_user",
        since="5.3",
        sentence="the exit signal must be from 0 to 64, there are no others",
        remedy="use a signal from 1 to 64, or 0 for none",
    ),
    Rule(
        id="B1",
        calls=_CLONE3,
        any_of=0xFFFFFFFC_00000000,
        kernel_function="clone3_args_valid",
        since="5.3",
        certain=False,
        sentence=(
            "clone3 refuses flags that its kernel does not know: bits 34 to 37 came with 7.1, the "
            "rest later"
        ),
        remedy="drop the flag, or run on a kernel that has it",
    ),
    Rule(
        id="B2",
        calls=_CLONE3,
        any_of=CloneFlag.DETACHED,
        kernel_function="clone3_args_valid",
        since="5.3",
        sentence=(
            "clone3 refuses CLONE_DETACHED, which means nothing, to have the bit free for something"
            " else"
        ),
        remedy="drop CLONE_DETACHED, or use clone(), which ignores it",
    ),
    Rule(
        id="B2",
        calls=_CLONE3,
        any_of=CloneFlag.CSIGNAL & ~CloneFlag.NEWTIME,
        kernel_function="clone3_args_valid",
        since="5.3",
        sentence=(
            "clone3 has a field of its own for the exit signal, and refuses one in the low byte of "
            "the flags"
        ),
        remedy="give the signal as exit_signal",
    ),
    Rule(
        id="B2",
        calls=_CLONE3,
        any_of=CloneFlag.NEWTIME,
        kernel_function="clone3_args_valid",
        since="5.3",
        until="6.3",
        certain=False,
        sentence="clone3 took CLONE_NEWTIME for a part of the exit signal before Linux 6.3",
        remedy="use unshare(CLONE_NEWTIME) before the call",
    ),
    Rule(
        id="B3",
        calls=_CLONE3,
        all_of=CloneFlag.SIGHAND | CloneFlag.CLEAR_SIGHAND,
        kernel_function="clone3_args_valid",
        since="5.5",
        sentence=(
            "CLONE_CLEAR_SIGHAND cannot go with CLONE_SIGHAND, since it would clear the caller's "
            "handlers as well"
        ),
        remedy="drop one of the two",
    ),
    Rule(
        id="B4",
        calls=_CLONE3,
        all_of=CloneFlag.THREAD,
        when=exit_signal_given,
        kernel_function="clone3_args_valid",
        since="5.3",
        sentence="CLONE_THREAD takes no exit signal, since a thread's end is told to nobody",
        remedy="use exit_signal 0",
    ),
    Rule(
        id="B4",
        calls=_CLONE3,
        all_of=CloneFlag.PARENT,
        when=exit_signal_given,
        kernel_function="clone3_args_valid",
        since="5.3",
        sentence=(
            "CLONE_PARENT takes no exit signal, since the child has that of its caller's thread "
            "group leader"
        ),
        remedy="use exit_signal 0",
    ),
    Rule(
        id="C1",
        calls=_CLONE,
        all_of=CloneFlag.PIDFD | CloneFlag.PARENT_SETTID,
        kernel_function="kernel_clone",
        since="5.2",
        sentence=(
            "CLONE_PIDFD cannot go with CLONE_PARENT_SETTID in clone(), where both would be written"
            " at parent_tid"
        ),
        remedy="use clone3, which has a place for each",
    ),
    Rule(
        id="C1",
        calls=_CLONE3,
        all_of=CloneFlag.PIDFD | CloneFlag.PARENT_SETTID,
        kernel_function="kernel_clone",
        since="5.9",
        certain=False,
        sentence="CLONE_PIDFD and CLONE_PARENT_SETTID may not write at the same address",
        remedy="give pidfd and parent_tid different addresses",
    ),
    Rule(
        id="D1",
        all_of=CloneFlag.NEWNS | CloneFlag.FS,
        kernel_function="copy_process",
        since="2.4.19",
        sentence=(
            "CLONE_NEWNS cannot go with CLONE_FS, since one root directory cannot lie in two mount "
            "namespaces"
        ),
        remedy="drop CLONE_FS",
    ),
    Rule(
        id="D1",
        calls=_CLONE3,
        all_of=CloneFlag.EMPTY_MNTNS | CloneFlag.FS,
        kernel_function="copy_process",
        since="7.1",
        certain=False,
        sentence="CLONE_EMPTY_MNTNS implies CLONE_NEWNS, which cannot go with CLONE_FS",
        remedy="drop CLONE_FS",
    ),
    Rule(
        id="D2",
        all_of=CloneFlag.NEWUSER | CloneFlag.FS,
        kernel_function="copy_process",
        since="3.9",
        sentence=(
            "CLONE_NEWUSER cannot go with CLONE_FS, since its new rights would let it chroot the "
            "caller as well"
        ),
        remedy="drop CLONE_FS",
    ),
    Rule(
        id="D3",
        all_of=CloneFlag.THREAD,
        none_of=CloneFlag.SIGHAND,
        kernel_function="copy_process",
        since="2.5.35",
        sentence=(
            "CLONE_THREAD needs CLONE_SIGHAND, since a thread group has one table of signal "
            "handlers"
        ),
        remedy="add CLONE_SIGHAND, and CLONE_VM with it",
    ),
    Rule(
        id="D4",
        all_of=CloneFlag.SIGHAND,
        none_of=CloneFlag.VM,
        kernel_function="copy_process",
        since="2.6.0",
        sentence=(
            "CLONE_SIGHAND needs CLONE_VM, since a handler is an address and must lie in memory "
            "that both have"
        ),
        remedy="add CLONE_VM",
    ),
    Rule(
        id="D6",
        all_of=CloneFlag.THREAD | CloneFlag.NEWUSER,
        kernel_function="copy_process",
        since="3.8",
        sentence=(
            "CLONE_THREAD cannot go with CLONE_NEWUSER, since a thread group lives in one user "
            "namespace"
        ),
        remedy="drop one of the two",
    ),
    Rule(
        id="D6",
        all_of=CloneFlag.THREAD | CloneFlag.NEWPID,
        kernel_function="copy_process",
        since="3.8",
        sentence=(
            "CLONE_THREAD cannot go with CLONE_NEWPID, since a thread group has one pid, in one pid"
            " namespace"
        ),
        remedy="drop one of the two",
    ),
    Rule(
        id="D8",
        all_of=CloneFlag.PIDFD | CloneFlag.DETACHED,
        kernel_function="copy_process",
        since="5.2",
        sentence=(
            "CLONE_PIDFD cannot go with CLONE_DETACHED, to have the old flag's bit free for "
            "something else"
        ),
        remedy="drop CLONE_DETACHED, which does nothing",
    ),
    Rule(
        id="D8",
        all_of=CloneFlag.PIDFD | CloneFlag.THREAD,
        kernel_function="copy_process",
        since="5.2",
        until="6.9",
        certain=False,
        sentence=(
            "CLONE_PIDFD could not go with CLONE_THREAD before Linux 6.9, when a pidfd was for a "
            "process only"
        ),
        remedy="drop CLONE_PIDFD",
    ),
    Rule(
        id="D9",
        calls=_CLONE3,
        all_of=CloneFlag.AUTOREAP,
        any_of=CloneFlag.THREAD | CloneFlag.PARENT,
        kernel_function="copy_process",
        since="7.1",
        certain=False,
        sentence=(
            "CLONE_AUTOREAP is for children of the caller, and cannot go with CLONE_THREAD or "
            "CLONE_PARENT"
        ),
        remedy="drop CLONE_AUTOREAP, or the other",
    ),
    Rule(
        id="D9",
        calls=_CLONE3,
        all_of=CloneFlag.AUTOREAP,
        when=exit_signal_given,
        kernel_function="copy_process",
        since="7.1",
        certain=False,
        sentence="CLONE_AUTOREAP takes no exit signal, since such a child's end is told to nobody",
        remedy="use exit_signal 0",
    ),
    Rule(
        id="D11",
        calls=_CLONE3,
        all_of=CloneFlag.NNP | CloneFlag.THREAD,
        kernel_function="copy_process",
        since="7.1",
        certain=False,
        sentence="CLONE_NNP cannot go with CLONE_THREAD, it is for whole processes",
        remedy="let the thread set no_new_privs for itself",
    ),
    Rule(
        id="D12",
        calls=_CLONE3,
        all_of=CloneFlag.PIDFD_AUTOKILL,
        none_of=CloneFlag.PIDFD,
        kernel_function="copy_process",
        since="7.1",
        certain=False,
        sentence=(
            "CLONE_PIDFD_AUTOKILL needs CLONE_PIDFD, whose descriptor it is that kills when closed"
        ),
        remedy="add CLONE_PIDFD",
    ),
    Rule(
        id="D12",
        calls=_CLONE3,
        all_of=CloneFlag.PIDFD_AUTOKILL,
        none_of=CloneFlag.AUTOREAP,
        kernel_function="copy_process",
        since="7.1",
        certain=False,
        sentence=(
            "CLONE_PIDFD_AUTOKILL needs CLONE_AUTOREAP, since whoever closed the pidfd will hardly "
            "wait"
        ),
        remedy="add CLONE_AUTOREAP",
    ),
    Rule(
        id="D12",
        calls=_CLONE3,
        all_of=CloneFlag.PIDFD_AUTOKILL | CloneFlag.THREAD,
        kernel_function="copy_process",
        since="7.1",
        certain=False,
        sentence="CLONE_PIDFD_AUTOKILL cannot go with CLONE_THREAD, it kills whole processes",
        remedy="drop one of the two",
    ),
    # Without CAP_SYS_ADMIN the kernel says EPERM first, unless a user namespace is asked for too.
    Rule(
        id="J2",
        all_of=CloneFlag.NEWIPC | CloneFlag.SYSVSEM,
        kernel_function="copy_namespaces",
        since="2.6.26",
        sentence=(
            "CLONE_NEWIPC cannot go with CLONE_SYSVSEM, since the undo list names semaphores of the"
            " old namespace"
        ),
        remedy="drop CLONE_SYSVSEM",
    ),
)

RULES: tuple[Rule, ...] = _LIBRARY_RULES + _KERNEL_RULES
