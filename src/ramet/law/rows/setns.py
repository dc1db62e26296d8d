"""setns(2), by which a task enters an existing namespace."""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import SETNS, Rule
from .namespaces import NEWPID, NEWUSER, PRIVILEGED

_KINDS = (PRIVILEGED | NEWUSER) & ~CloneFlag.EMPTY_MNTNS.value
_ALL = (1 << 64) - 1
_PROXY = "kernel/nsproxy.c"


def _row(id_: str, sentence: str, remedy: str, **more: object) -> Rule:
    facts: dict[str, object] = {
        "calls": SETNS,
        "kernel_function": "validate_nsset",
        "since": "3.0",
        "source": _PROXY,
        "unseen": True,
    }
    return Rule(id=id_, sentence=sentence, remedy=remedy, **(facts | more))  # type: ignore[arg-type]


ROWS = (
    _row(
        "V0",
        "setns() came with Linux 3.0",
        "make the child in a new namespace",
        errno="ENOSYS",
        kernel_function="none",
        since="2.6.11",
        until="3.0",
        verified=False,
        unseen=False,
    ),
    _row(
        "V1",
        "the descriptor is not open",
        "open /proc/PID/ns/NAME, or make a pidfd",
        when=ask.fd_not_open,
        errno="EBADF",
        kernel_function="setns",
    ),
    _row(
        "V2",
        "nstype names kinds of namespaces and nothing else",
        "use the NEW flags of clone()",
        any_of=_ALL & ~_KINDS,
        raw=True,
        kernel_function="check_setns_flags",
        unseen=False,
    ),
    _row(
        "V3",
        "a pidfd has a namespace of each kind, so nstype must name the kinds to enter",
        "name them in nstype",
        when=ask.nothing_named,
        kernel_function="check_setns_flags",
        since="5.8",
    ),
    _row(
        "V3",
        "the namespace behind the descriptor is of another kind than nstype says",
        "pass its kind, or 0 for any",
        when=ask.is_of_other_kind,
        kernel_function="setns",
    ),
    _row(
        "V4",
        "a process cannot enter the user namespace that it is in, which would give it new capabilities",
        "none is needed: it is in it already",
        all_of=NEWUSER,
        when=ask.is_own,
        kernel_function="userns_install",
        since="3.8",
        source="kernel/user_namespace.c",
    ),
    _row(
        "V5",
        "only a process with one thread enters a user namespace",
        "enter it before a thread is started",
        all_of=NEWUSER,
        when=ask.has_other_threads,
        kernel_function="userns_install",
        since="3.8",
        source="kernel/user_namespace.c",
    ),
    _row(
        "V6",
        "only a task that shares its directories with no other enters a user namespace",
        "unshare(CLONE_FS) first",
        all_of=NEWUSER,
        when=ask.fs_has_sharers,
        kernel_function="userns_install",
        since="3.8",
        source="kernel/user_namespace.c",
    ),
    _row(
        "V7",
        "only a process with one thread enters a time namespace",
        "enter it before a thread is started",
        all_of=CloneFlag.NEWTIME.value,
        when=ask.has_other_threads,
        errno="EUSERS",
        kernel_function="timens_install",
        since="5.6",
        source="kernel/time/namespace.c",
    ),
    _row(
        "V8",
        "entering a namespace needs CAP_SYS_ADMIN, in the caller's user namespace and in the one "
        "that owns it",
        "enter the user namespace that owns it first",
        any_of=_KINDS,
        when=ask.may_not_enter,
        errno="EPERM",
        kernel_function="ns_capable",
    ),
    _row(
        "V9",
        "only a task that shares its directories with no other enters a mount namespace",
        "unshare(CLONE_FS) first",
        all_of=CloneFlag.NEWNS.value,
        when=ask.fs_has_sharers,
        kernel_function="mntns_install",
        since="3.8",
        source="fs/namespace.c",
    ),
    _row(
        "V10",
        "a pid namespace to enter must be the caller's own or below it",
        "enter it from a process in a namespace above it",
        all_of=NEWPID,
        when=ask.is_not_below,
        kernel_function="pidns_install",
        since="3.8",
        source="kernel/pid_namespace.c",
        verified=False,
    ),
)
