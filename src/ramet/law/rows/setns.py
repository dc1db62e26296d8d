"""setns(2), by which a task enters an existing namespace."""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import SETNS, Rule
from .namespaces import NEWPID, NEWUSER, PRIVILEGED

_KINDS = (PRIVILEGED | NEWUSER) & ~CloneFlag.EMPTY_MNTNS.value
_ALL = (1 << 64) - 1
_PROXY = "kernel/nsproxy.c"


def _row(**more: object) -> Rule:
    facts: dict[str, object] = {
        "calls": SETNS,
        "kernel_function": "validate_nsset",
        "since": "3.0",
        "source": _PROXY,
        "unseen": True,
    }
    return Rule(**(facts | more))  # type: ignore[arg-type]


# fmt: off
ROWS = (
    _row(
        id="V0", kernel_function="none", since="2.6.11", until="3.0", errno="ENOSYS",
        verified=False, unseen=False,
        sentence="setns() came with Linux 3.0",
        remedy="make the child in a new namespace",
    ),
    _row(
        id="V1", kernel_function="setns", errno="EBADF",
        when=ask.fd_not_open,
        sentence="the descriptor is not open",
        remedy="open /proc/PID/ns/NAME, or make a pidfd",
    ),
    _row(
        id="V2", kernel_function="check_setns_flags", unseen=False, raw=True,
        any_of=_ALL & ~_KINDS,
        sentence="nstype names kinds of namespaces and nothing else",
        remedy="use the NEW flags of clone()",
    ),
    _row(
        id="V3", kernel_function="check_setns_flags", since="5.8",
        when=ask.nothing_named,
        sentence="a pidfd has a namespace of each kind, so nstype must name the kinds to enter",
        remedy="name them in nstype",
    ),
    _row(
        id="V3", kernel_function="setns",
        when=ask.is_of_other_kind,
        sentence="the namespace behind the descriptor is of another kind than nstype says",
        remedy="pass its kind, or 0 for any",
    ),
    _row(
        id="V4", kernel_function="userns_install", source="kernel/user_namespace.c", since="3.8",
        all_of=NEWUSER, when=ask.is_own,
        sentence="a process cannot enter the user namespace that it is in, which would give it "
                 "new capabilities",
        remedy="none is needed: it is in it already",
    ),
    _row(
        id="V5", kernel_function="userns_install", source="kernel/user_namespace.c", since="3.8",
        all_of=NEWUSER, when=ask.has_other_threads,
        sentence="only a process with one thread enters a user namespace",
        remedy="enter it before a thread is started",
    ),
    _row(
        id="V6", kernel_function="userns_install", source="kernel/user_namespace.c", since="3.8",
        all_of=NEWUSER, when=ask.fs_has_sharers,
        sentence="only a task that shares its directories with no other enters a user namespace",
        remedy="unshare(CLONE_FS) first",
    ),
    _row(
        id="V7", kernel_function="timens_install", source="kernel/time/namespace.c", since="5.6",
        errno="EUSERS",
        all_of=CloneFlag.NEWTIME.value, when=ask.has_other_threads,
        sentence="only a process with one thread enters a time namespace",
        remedy="enter it before a thread is started",
    ),
    _row(
        id="V8", kernel_function="ns_capable", errno="EPERM",
        any_of=_KINDS, when=ask.may_not_enter,
        sentence="entering a namespace needs CAP_SYS_ADMIN, in the caller's user namespace and "
                 "in the one that owns it",
        remedy="enter the user namespace that owns it first",
    ),
    _row(
        id="V9", kernel_function="mntns_install", source="fs/namespace.c", since="3.8",
        all_of=CloneFlag.NEWNS.value, when=ask.fs_has_sharers,
        sentence="only a task that shares its directories with no other enters a mount namespace",
        remedy="unshare(CLONE_FS) first",
    ),
    _row(
        id="V10", kernel_function="pidns_install", source="kernel/pid_namespace.c", since="3.8",
        verified=False,
        all_of=NEWPID, when=ask.is_not_below,
        sentence="a pid namespace to enter must be the caller's own or below it",
        remedy="enter it from a process in a namespace above it",
    ),
)
# fmt: on
