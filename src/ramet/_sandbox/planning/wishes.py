"""The wishes of a sandbox as rows: the ways to meet each, the best first, and what each way lacks."""

import errno
import os
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from ..._limits.byte_counts import written_bytes
from ..description import SYSCALLS, Sandbox, hostname_of, is_below
from ..identity.marks import can_mark
from . import remedies
from .machine import Machine
from .questions import GRANTED, Answer
from .subordinate_sight import is_for_caller_alone, refused_to_subordinate

Asked: TypeAlias = Callable[[Sandbox], bool]
Words: TypeAlias = Callable[[Sandbox], str]
Granted: TypeAlias = Callable[[Machine, Sandbox], Answer]
Remedy: TypeAlias = Callable[[Machine, Sandbox], str]

# What a launch may be able to do besides: newuidmap(1) for the maps of its user namespace; a filter that
# refuses all sockets but unix ones where there is no network namespace; setns() to a network namespace that
# is there; a cgroup for each child, whose processes can be killed.
Part: TypeAlias = Literal["subordinate ids", "filtered sockets", "joined networks", "own cgroups"]

_UNAVAILABLE = Answer(errno.EOPNOTSUPP)  # no call says so


class Way(NamedTuple):
    """One way to meet a wish.

    mechanism: its name, with {abi} for landlock's version. granted: the machine's answer. remedy: what
    makes it available. shortfall: what it lacks, empty where it meets the wish in full. announced: the
    description itself says that this way is taken where no better one is there, so that
    ``require="all"`` accepts it. part: of the launch, without which this way is not taken.
    """

    mechanism: str
    granted: Granted
    remedy: Remedy = lambda *_: ""
    shortfall: Callable[[Machine], str] = lambda _: ""
    announced: bool = False
    part: Part | None = None


class Wish(NamedTuple):
    """One wish. name: a field of the Sandbox, or what is always wished; text: the wish in words."""

    name: str
    text: Words
    ways: tuple[Way, ...]
    asked: Asked = lambda _: True


# ---- the answers of the machine, as the ways need them


def _always(_machine: Machine, _sandbox: Sandbox) -> Answer:
    return GRANTED


def _mounts(machine: Machine, _sandbox: Sandbox) -> Answer:
    return _first_refusal(machine.namespaces["mnt"], machine.mounts)


def _overlay(machine: Machine, sandbox: Sandbox) -> Answer:
    there = _first_refusal(_mounts(machine, sandbox), machine.overlay)
    if there.granted and remedies.without_layer(machine, sandbox) is not None:
        return _UNAVAILABLE
    return there


def _or_layered(granted: Granted) -> Granted:
    """What is to be written to a layer is not written where there can be none."""

    def answer(machine: Machine, sandbox: Sandbox) -> Answer:
        layer = _overlay(machine, sandbox) if sandbox.overlay else GRANTED
        return _first_refusal(layer, granted(machine, sandbox))

    return answer


def _proc(machine: Machine, sandbox: Sandbox) -> Answer:
    there = _first_refusal(machine.namespaces["pid"], machine.proc_of_its_own)
    return _first_refusal(_mounts(machine, sandbox), there)


def _namespace(kind: str) -> Granted:
    return lambda machine, _: machine.namespaces[kind]


def _landlock(abi: int) -> Granted:
    def granted(machine: Machine, _: Sandbox) -> Answer:
        if machine.landlock_abi >= abi:
            return GRANTED
        return _UNAVAILABLE if machine.landlock_answer.granted else machine.landlock_answer

    return granted


def _landlock_beside_hidden(machine: Machine, sandbox: Sandbox) -> Answer:
    """Not below what is written: a rule that lets files be made in a directory counts for all below it."""
    written = [os.path.realpath(path) for path in sandbox.write]
    hidden = [os.path.realpath(path) for path in sandbox.hidden]
    if any(is_below(path, directory) for path in hidden for directory in written):
        return _UNAVAILABLE
    return _landlock(1)(machine, sandbox)


def _seccomp(machine: Machine, _: Sandbox) -> Answer:
    return machine.seccomp


def _own_list(machine: Machine, sandbox: Sandbox) -> Answer:
    """A filter of ours; what one of a file refuses is not known."""
    return machine.seccomp if sandbox.syscalls in SYSCALLS else _UNAVAILABLE


def _nothing_outside_is_written(machine: Machine, sandbox: Sandbox) -> Answer:
    """A layer lies where the caller alone comes, and what is taken over from it loses these bits."""
    written = sandbox.write and not sandbox.overlay
    return _UNAVAILABLE if written else _mounts(machine, sandbox)


def _filtered_ports(machine: Machine, sandbox: Sandbox) -> Answer:
    """Landlock does not see all that makes a connection of TCP."""
    return _first_refusal(_landlock(4)(machine, sandbox), machine.seccomp)


def _filtered_namespaces(machine: Machine, sandbox: Sandbox) -> Answer:
    """Whether the filter refuses user namespaces, or the machine does so."""
    if not machine.namespaces["user"].granted:
        return GRANTED
    return _UNAVAILABLE if sandbox.syscalls is None else machine.seccomp


def _another_id(machine: Machine, _: Sandbox) -> Answer:
    return GRANTED if machine.circumstances.may_become_another else _UNAVAILABLE


def _user_for_each(machine: Machine, _: Sandbox) -> Answer:
    """In a user namespace, which is kept, all children of a sandbox are the same user."""
    return _UNAVAILABLE if machine.sandbox_has_user_namespace else machine.user_for_each


def _search(machine: Machine, _: Sandbox) -> Answer:
    return GRANTED if machine.proc and can_mark() else _UNAVAILABLE


def _subordinate_ids(machine: Machine, sandbox: Sandbox) -> Answer:
    """Where what is shown can be read by such an id, as by the caller."""
    if machine.circumstances.subordinate_ids == 0 or is_for_caller_alone(sandbox):
        return _UNAVAILABLE
    if not machine.namespaces["user"].granted:
        return machine.namespaces["user"]
    try:
        refused = refused_to_subordinate(machine, sandbox)
    except OSError:  # a path that has a row of its own
        return _UNAVAILABLE
    return GRANTED if refused is None else refused.answer


def _no_new_privs(machine: Machine, _: Sandbox) -> Answer:
    return machine.no_new_privs


def _namespace_at_path(machine: Machine, sandbox: Sandbox) -> Answer:
    return machine.joins_network(str(sandbox.network))


def _first_refusal(*answers: Answer) -> Answer:
    return next((answer for answer in answers if not answer.granted), GRANTED)


# ---- the ways that several wishes share


# What landlock does not do for files before each version: its Documentation, "Current limitations".
_FILES_BEFORE = {
    2: "no file can be moved to another directory",
    3: "files that the caller may write can be truncated",
    5: "devices take ioctl calls",
}


def _landlock_files_lack(machine: Machine) -> str:
    missing = [lack for abi, lack in _FILES_BEFORE.items() if machine.landlock_abi < abi]
    return "; ".join(["names, sizes and owners of all files can be seen", *missing])


def _of_namespace(kind: str) -> Remedy:
    return lambda machine, _: remedies.of_namespace(kind, machine)


def _of_landlock(abi: int) -> Remedy:
    return lambda machine, _: remedies.of_landlock(machine, abi)


def _of_files(machine: Machine, _: Sandbox) -> str:
    return remedies.of_mounts(machine, machine.mounts)


def _of_filtered_ports(machine: Machine, sandbox: Sandbox) -> str:
    has_landlock = _landlock(4)(machine, sandbox).granted
    return remedies.of_seccomp(machine) if has_landlock else remedies.of_landlock(machine, 4)


def _of_own_list(machine: Machine, sandbox: Sandbox) -> str:
    if sandbox.syscalls in SYSCALLS:
        return remedies.of_seccomp(machine)
    return "the list 'default' or 'strict' of system calls, or overlay=True for what is written"


def _of_layered(remedy: Remedy) -> Remedy:
    """For what is to be written: to a layer, where there can be one."""

    def answer(machine: Machine, sandbox: Sandbox) -> str:
        if sandbox.overlay and not _overlay(machine, sandbox).granted:
            return remedies.of_overlay(machine, sandbox)
        return remedy(machine, sandbox)

    return answer


def _by_machine(remedy: Callable[[Machine], str]) -> Remedy:
    return lambda machine, _: remedy(machine)


_BY_MOUNTS = Way("a mount namespace", _mounts, _of_files)
_BY_LANDLOCK = Way("landlock ABI {abi}", _landlock(1), _of_landlock(1), _landlock_files_lack)
_FILES = (_BY_MOUNTS, _BY_LANDLOCK)
_NETWORK_NAMESPACE = Way("a network namespace", _namespace("net"), _of_namespace("net"))


def _with_filter(mechanism: str, granted: Granted, remedy: Remedy, **more: Any) -> tuple[Way, ...]:
    """Ways for a network namespace, which does not hold all sockets: a filter refuses the others.

    The first is for our lists, which refuse them as well.
    """

    def filtered(machine: Machine, sandbox: Sandbox) -> Answer:
        return _first_refusal(granted(machine, sandbox), machine.seccomp)

    def listed(machine: Machine, sandbox: Sandbox) -> Answer:
        return _first_refusal(filtered(machine, sandbox), _own_list(machine, sandbox))

    def of_filtered(machine: Machine, sandbox: Sandbox) -> str:
        has_network = granted(machine, sandbox).granted
        return remedies.of_seccomp(machine) if has_network else remedy(machine, sandbox)

    def lacks(_: Machine) -> str:
        return "sockets that no network namespace holds, such as vsock, reach the host's"

    return (
        Way(mechanism, listed, lambda *_: "", **more),
        Way(f"{mechanism} with a seccomp filter", filtered, of_filtered, **more),
        Way(mechanism, granted, remedy, lacks, **more),
    )


_OWN_NETWORK = _with_filter("a network namespace", _namespace("net"), _of_namespace("net"))
_JOINED_NETWORK = _with_filter(
    "setns",
    _namespace_at_path,
    lambda *_: "call as root of the user namespace that owns it, and name a network namespace",
    part="joined networks",
)
_FILTERED_SOCKETS = Way(
    "seccomp: no sockets but unix ones",
    _seccomp,
    _by_machine(remedies.of_seccomp),
    lambda _: "unix sockets of the host can be reached by their names",
    part="filtered sockets",
)
_LANDLOCKED_TCP = Way(
    "landlock ABI {abi}",
    _landlock(4),
    _of_landlock(4),
    lambda _: "only TCP is refused: UDP, raw and unix sockets reach the host's network",
)
_FILTER = (Way("a seccomp filter", _seccomp, _by_machine(remedies.of_seccomp)),)


LEFT_WITH_CALLER = "all are left where the caller is killed"
OWN_ID_LACKS = "files and limits outside are those of the caller's user"

# ---- what is asked


def _has_no_network_of_host(sandbox: Sandbox) -> bool:
    return sandbox.network in ("none", "loopback")


def _has_ports(sandbox: Sandbox) -> bool:
    return not isinstance(sandbox.network, str)


def _names_network(sandbox: Sandbox) -> bool:
    return isinstance(sandbox.network, str) and "/" in sandbox.network


def _count(paths: tuple[str, ...]) -> str:
    return paths[0] if len(paths) == 1 else f"{len(paths)} paths"


def _visible(sandbox: Sandbox) -> str:
    given = [_count(paths) for paths in (sandbox.read, sandbox.write) if paths]
    given += ["the programs of this machine"] if sandbox.system else []
    return f"no files but {' and '.join(given) or 'an empty root'}"


WISHES: tuple[Wish, ...] = (
    Wish("read", _visible, _FILES, lambda sandbox: sandbox.root is None),
    Wish(
        "write",
        lambda s: f"writes to {_count(s.write)}",
        tuple(
            way._replace(granted=_or_layered(way.granted), remedy=_of_layered(way.remedy))
            for way in _FILES
        ),
        lambda s: bool(s.write),
    ),
    Wish("root", lambda _: "all files, read-only", _FILES, lambda s: s.root == "/"),
    Wish(
        "root",
        lambda s: f"{s.root} as the root",
        (_BY_MOUNTS,),
        lambda s: s.root not in (None, "/"),
    ),
    Wish(
        "hidden",
        lambda s: f"hides {_count(s.hidden)}",
        (
            _BY_MOUNTS,
            Way(
                "landlock ABI {abi}",
                _landlock_beside_hidden,
                _of_landlock(1),
                lambda _: (
                    "its name, size and owner can be seen; the directories on the way cannot be listed, "
                    "and what is made in them later is not shown"
                ),
            ),
        ),
        lambda s: bool(s.hidden),
    ),
    Wish(
        "overlay",
        lambda _: "writes to a layer",
        (Way("an overlay", _overlay, remedies.of_overlay),),  # else what it names is only read
        lambda s: s.overlay,
    ),
    Wish(
        "tmp",
        lambda s: f"a private /tmp of {written_bytes(s.tmp or 0)}",
        (Way("a tmpfs", _mounts, _of_files),),
        lambda s: s.tmp is not None,
    ),
    Wish(
        "proc",
        lambda _: "/proc of its own processes",
        (Way("a pid namespace with its /proc", _proc, _by_machine(remedies.of_proc)),),
        lambda s: s.proc,
    ),
    Wish(
        "network",
        lambda _: "no network",
        (*_OWN_NETWORK, _FILTERED_SOCKETS, _LANDLOCKED_TCP),
        lambda s: s.network == "none",
    ),
    Wish(
        "network",
        lambda _: "loopback of its own",
        _OWN_NETWORK,
        lambda s: s.network == "loopback",
    ),
    Wish(
        "network",
        lambda _: "the caller's network",
        (Way("the caller's network namespace", _always),),
        lambda s: s.network == "host",
    ),
    Wish(
        "network",
        lambda s: f"the network of {s.network}",
        _JOINED_NETWORK,
        _names_network,
    ),
    Wish(
        "network",
        lambda _: "TCP to and from the named ports alone",
        (
            Way("landlock ABI {abi} with a seccomp filter", _filtered_ports, _of_filtered_ports),
            Way(
                "landlock ABI {abi}",
                _landlock(4),
                shortfall=lambda _: "multipath TCP and MSG_FASTOPEN reach other ports",
            ),
        ),
        _has_ports,
    ),
    Wish(
        "syscalls",
        lambda s: (
            f"the system calls of {s.syscalls!r}"
            + (", others end the process" if s.forbidden == "kill" else "")
        ),
        _FILTER,
        lambda s: s.syscalls is not None,
    ),
    Wish(
        "environment",
        lambda s: f"the environment's {len(tuple(s.environment))} named variables alone",
        (Way("execve", _always),),
    ),
    Wish(
        "hostname",
        lambda s: f"the host name {hostname_of(s)!r}",
        (Way("a UTS namespace", _namespace("uts"), _of_namespace("uts")),),
        lambda s: hostname_of(s) is not None,
    ),
    Wish(
        "own processes only",
        lambda _: "sees, signals and traces no processes but its own",
        (
            Way("a pid namespace", _namespace("pid"), _of_namespace("pid")),
            Way(
                "landlock ABI {abi}",
                _landlock(6),
                _of_landlock(6),
                lambda _: "whether a process with a number exists can be asked",
            ),
            Way(
                "an unused user id",
                _another_id,
                shortfall=lambda _: "whether a process with a number exists can be asked",
            ),
        ),
    ),
    Wish(
        "own sockets only",
        lambda _: "reaches no abstract unix socket of the host's",
        (
            _NETWORK_NAMESPACE,
            Way("landlock ABI {abi}", _landlock(6), _of_landlock(6)),
        ),
        _has_no_network_of_host,
    ),
    Wish(
        "own sockets only",
        lambda _: "reaches no abstract unix socket of the host's",
        (Way("landlock ABI {abi}", _landlock(6), _of_landlock(6)),),
        _has_ports,
    ),
    Wish(
        "own IPC only",
        lambda _: "reaches no System V IPC and no message queue of the host's",
        (
            Way("an IPC namespace", _namespace("ipc"), _of_namespace("ipc")),
            Way(
                "a seccomp filter without calls of IPC",
                _own_list,
                _by_machine(remedies.of_seccomp),
            ),
            Way(
                "an unused user id",
                _another_id,
                shortfall=lambda _: "what is open to all users can be used",
            ),
        ),
    ),
    Wish(
        "no user of the host",
        lambda _: "has the rights of no user of the host's",
        (
            Way("an unused user id", _another_id),
            Way(
                "a subordinate id by newuidmap",
                _subordinate_ids,
                remedies.of_subordinate_ids,
                part="subordinate ids",
            ),
            Way(
                "the caller's id",
                _always,
                shortfall=lambda _: OWN_ID_LACKS,
                announced=True,
            ),
        ),
    ),
    Wish(
        "no capabilities",
        lambda _: "has no capability",
        (
            Way("capset and an empty bounding set", _filtered_namespaces),
            Way(
                "capset and an empty bounding set",
                _always,
                shortfall=lambda _: (
                    "it can make a user namespace, in which it has all; they do not count outside"
                ),
                announced=True,
            ),
        ),
    ),
    Wish(
        "no new privileges",
        lambda _: "gains no rights by programs",
        (Way("no_new_privs", _no_new_privs, lambda *_: "Linux 3.5"),),
    ),
    Wish(
        "no set-user-ID bits",
        lambda _: "leaves no program that runs with the caller's rights for others",
        (
            Way("a seccomp filter", _own_list, _of_own_list),
            Way("a mount namespace", _nothing_outside_is_written),
            Way(
                "no_new_privs",
                _no_new_privs,
                shortfall=lambda _: (
                    "inside alone: what it writes is the caller's, and may be such a program outside"
                ),
                announced=True,
            ),
        ),
    ),
    Wish("new session", lambda _: "has no terminal", (Way("setsid", _always),)),
    Wish(
        "closed descriptors",
        lambda _: "inherits no descriptor but those named",
        (Way("close_range, or each closed", _always),),
    ),
    Wish(
        "whole tree dies",
        lambda _: "nothing that it started is left",
        (
            Way("a pid namespace", _namespace("pid"), _of_namespace("pid")),
            Way(
                "a user id of its own, whose processes are killed",
                _user_for_each,
                shortfall=lambda _: LEFT_WITH_CALLER,
            ),
            Way(
                "a cgroup whose processes are killed",
                _always,
                shortfall=lambda _: LEFT_WITH_CALLER,
                part="own cgroups",
            ),
            Way(
                "a subreaper that looks for the rest",
                _search,
                lambda *_: "mount /proc",
                shortfall=lambda _: (
                    f"processes that fork faster than they are found can be left; {LEFT_WITH_CALLER}"
                ),
            ),
        ),
    ),
)
