"""Sandbox: the description of a confinement, which says what is wished and makes nothing."""

import functools
import math
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from operator import index
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypeVar

from .._kernel.names import LARGEST_INT, nearest
from .._limits.byte_counts import parsed_bytes, parsed_memory

if TYPE_CHECKING:
    from .planning.plan import Plan

__all__ = ["Network", "Path", "Sandbox"]

Path: TypeAlias = str | os.PathLike[str]
Network: TypeAlias = str | os.PathLike[str] | Mapping[str, Iterable[int]]
T = TypeVar("T")

_OWN_NETWORKS = ("none", "loopback")
NETWORKS = (*_OWN_NETWORKS, "host")
SYSCALLS = ("default", "strict")
FORBIDDEN = ("refuse", "kill")
REQUIRE = ("all", "best")
DIRECTIONS = ("connect", "bind")
LAST_PORT = 65535
_LARGEST = sys.float_info.max
_HOSTNAME, _LONGEST_HOSTNAME = "sandbox", 64
LEAST_OPEN_FILES = 5  # Landlock's rules have one, and each path that is added to them
_VALUES_ELSEWHERE = "values are given by env= of run() and Popen"
_LEAST = {"warm": 0, "open_files": LEAST_OPEN_FILES}

AMOUNTS = (
    *("memory", "swap", "processes", "cpu_time", "cpus"),
    *("open_files", "file_size", "output", "timeout"),
)
IN_BYTES = ("tmp", "memory", "swap", "file_size", "output")

# Where layers may lie, beside the directory for temporary files.
LAYER_PLACES = ("/var/tmp", "/dev/shm")

KEPT_ENVIRONMENT = ("LANG", "LC_ALL", "LC_CTYPE", "PATH", "TERM", "TZ")


def _by_known_keywords(described: type[T]) -> type[T]:
    """The same class, which says what was meant by what is no keyword of it."""
    made: Any = described.__init__
    known = {field.name for field in fields(described)}  # type: ignore[arg-type] # a dataclass

    @functools.wraps(made)  # whose parameters help() and inspect.signature() show
    def with_wishes(self: T, /, *by_place: object, **wishes: Any) -> None:
        if by_place:
            raise TypeError(
                "invalid wish: a Sandbox takes keywords, as Sandbox(memory='1G', network='host'), got "
                f"{by_place[0]!r} by place"
            )
        _refuse_unknown(wishes.keys() - known, known)
        made(self, **wishes)

    setattr(described, "__init__", with_wishes)  # noqa: B010 - mypy takes no method as a target
    return described


def _refuse_unknown(unknown: Collection[str], known: Collection[str]) -> None:
    if unknown:
        from .._preflight.hints import no_wish  # only a mistake needs it

        raise no_wish(sorted(unknown), known)


@_by_known_keywords
@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """What a child may see, call and use: the option ``sandbox=``. It is a value; making it does nothing.

    Files. ``read``: paths that can be read and run; ``write``: paths that can be written as well. Nothing
    else is visible but, with ``system``, the programs and libraries of this machine and of this Python, and
    an /etc/passwd and /etc/group that name the child's user and none of this machine's;
    ``root``: instead of an empty root directory, "/" (all files of this machine) or a directory that holds
    a whole system, read-only but for ``write``. ``hidden``: paths below those that are not to be seen.
    What a path leads to is found again for each program and clone, with the caller's rights, and for a
    template or executor when its process is started. A symbolic link below a path of ``write`` is refused.
    A path of ``hidden``, or of ``read`` below ``write``, that the caller replaces is covered in what starts
    later, not in what runs; a file in a directory that is named itself is covered always.
    ``overlay``: what is written below ``write`` goes to a layer beside it, of each program and each call,
    see ``changes``. ``tmp``: bytes of a private /tmp (and as many of /dev/shm), None for none. ``proc``:
    whether there is a /proc, of its own processes alone.

    Network. ``network``: "none", "loopback" (an interface of its own), "host" (the caller's), a path of a
    network namespace, or ``{"connect": [443], "bind": [8080]}``: the caller's network, but TCP to and from
    these ports alone.

    System calls. ``syscalls``: "default" (all but those that programs do not need and that attack a
    kernel), "strict" (those alone that programs usually need), or a file in the form that container engines
    use (its path as a str has a slash), or None for all. ``forbidden``: whether a forbidden call fails with
    EPERM ("refuse") or ends the process ("kill").

    ``environment``: the names of variables that the child gets from the caller; ``hostname``: that of the
    child, by default "sandbox", or the caller's where it is in no network of its own: there that is found.

    Amounts. ``memory`` and ``swap`` in bytes, of all processes together; ``processes``: how many at once,
    with threads; ``cpu_time``: seconds of processor time; ``cpus``: how many processors' time it may use,
    0.5 is half of one; ``open_files``: of each process; ``file_size``: bytes of each file; ``output``:
    bytes of its standard output and error together, where they are captured; ``timeout``: seconds.

    ``require``: "all" refuses to start where a wish cannot be met, "best" does what can be done and says in
    the result what is lost. ``warm``: how many children are confined ahead of their programs, and wait.

    Raises TypeError and ValueError for a value that is none, and for wishes that contradict each other.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    system: bool = True
    root: str | None = None
    hidden: tuple[str, ...] = ()
    overlay: bool = False
    tmp: int | None = 64 << 20
    proc: bool = True
    network: str | Mapping[str, tuple[int, ...]] = "none"
    syscalls: str | None = "default"
    forbidden: str = "refuse"
    environment: tuple[str, ...] = KEPT_ENVIRONMENT
    hostname: str | None = None
    memory: int | None = None
    swap: int | None = None
    processes: int | None = None
    cpu_time: float | None = None
    cpus: float | None = None
    open_files: int | None = None
    file_size: int | None = None
    output: int | None = None
    timeout: float | None = None
    require: str = "all"
    warm: int = 0

    if TYPE_CHECKING:  # what it takes, beside what it keeps

        def __init__(
            self,
            *,
            read: Iterable[Path] = (),
            write: Iterable[Path] = (),
            system: bool = True,
            root: Path | None = None,
            hidden: Iterable[Path] = (),
            overlay: bool = False,
            tmp: int | str | None = "64M",
            proc: bool = True,
            network: Network = "none",
            syscalls: Path | None = "default",
            forbidden: str = "refuse",
            environment: Iterable[str] = KEPT_ENVIRONMENT,
            hostname: str | None = None,
            memory: int | str | None = None,
            swap: int | str | None = None,
            processes: int | None = None,
            cpu_time: float | None = None,
            cpus: float | None = None,
            open_files: int | None = None,
            file_size: int | str | None = None,
            output: int | str | None = None,
            timeout: float | None = None,
            require: str = "all",
            warm: int = 0,
        ) -> None: ...

    is_sandbox: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            given = getattr(self, name)
            if given is not None or name not in _MAY_BE_NONE:
                object.__setattr__(self, name, check(name, given))
        if self.network not in NETWORKS and isinstance(self.network, str):
            object.__setattr__(self, "network", _namespace(self.network))
        _refuse_contradictions(self)

    def replace(self, **changes: Any) -> Self:
        """The same with other wishes: ``sandbox.replace(memory="1G")``."""
        return replace(self, **changes)

    def plan(self) -> "Plan":
        """By what each wish is met on this machine, what falls short, and what would change that.

        It makes nothing. ``print(sandbox.plan())`` shows a table; ``rows`` and ``lost`` have it as
        data. Source: what the kernel answers to trials, which leave nothing.
        """
        from .amounts.amounts import Amounts
        from .planning.machine import this_machine
        from .planning.plan import plan

        with Amounts(self, ends_trees=this_machine().ends_trees_by_cgroup) as amounts:
            return plan(self, amounts.mechanisms(), parts=amounts.parts)

    def release(self) -> None:
        """Let go of all that this process keeps for an equal description, at once.

        That is its namespaces with what is mounted in them, cgroups that no child is in, and the
        children of ``warm`` that wait for a program. What a Command refers to, or a child that runs
        needs, stays as long as that. The description can be used again, and makes them anew. A template
        or executor has its own, which its close() or shutdown() lets go of.
        """
        from .kept import release

        release(self)

    @classmethod
    def strict(cls, **wishes: Any) -> Self:
        """For a program that needs no more than to compute: no writing, few system calls, small amounts."""
        return cls(
            **{
                "syscalls": "strict",
                "memory": "512M",
                "processes": 32,
                "open_files": 128,
                "file_size": "64M",
                "output": "64M",
                **wishes,
            }
        )

    @classmethod
    def build(cls, workdir: Path, **wishes: Any) -> Self:
        """For a build: this machine's programs and /opt, writes below ``workdir``, no network."""
        return cls(
            **{
                "read": ["/opt"] if os.path.isdir("/opt") else [],
                "write": [workdir],
                "tmp": "2G",
                "processes": 4096,
                **wishes,
            }
        )

    @classmethod
    def agent(cls, workdir: Path, **wishes: Any) -> Self:
        """For the tools of an agent: ``workdir`` alone to write, no network, amounts."""
        return cls(
            **{
                "write": [workdir],
                "tmp": "1G",
                "memory": "4G",
                "processes": 512,
                "output": "64M",
                "timeout": 600,
                **wishes,
            }
        )

    @classmethod
    def judge(cls, memory: int | str, seconds: float, **wishes: Any) -> Self:
        """For one solution of a task: ``memory`` bytes, ``seconds`` of processor time."""
        seconds = _positive("seconds", seconds)
        return cls(
            **{
                "syscalls": "strict",
                "memory": memory,
                "swap": None,
                "cpu_time": seconds,
                "timeout": 2 * seconds + 1,
                "processes": 16,
                "open_files": 64,
                "file_size": "64M",
                "output": "64M",
                **wishes,
            }
        )


# ---- the checks of one field, which give it as it is kept


def _paths(name: str, given: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_path(name, path) for path in _items(name, given, "paths")))


def _items(name: str, given: Any, what: str) -> list[Any]:
    if isinstance(given, str | bytes | os.PathLike):
        raise TypeError(f"invalid {name}: expected a list of {what}, got one, {given!r}")
    if isinstance(given, Mapping):  # whose values would be dropped
        raise TypeError(f"invalid {name}: expected a list of {what}, got a mapping, {given!r}")
    try:
        return list(given)
    except TypeError:
        raise TypeError(f"invalid {name}: expected a list of {what}, got {given!r}") from None


def _path(name: str, given: Any) -> str:
    if not isinstance(given, str | os.PathLike) or not isinstance(os.fspath(given), str):
        raise TypeError(f"invalid {name}: expected a path as str or os.PathLike, got {given!r}")
    path = os.fspath(given)
    if not path or "\0" in path:
        raise ValueError(f"invalid {name}: expected a path, got {path!r}")
    return os.path.abspath(path)


def _flag(name: str, given: Any) -> bool:
    if not isinstance(given, bool):
        raise TypeError(f"invalid {name}: expected True or False, got {given!r}")
    return given


def _bytes(name: str, given: Any) -> int:
    if given == 0 and name == "swap" and not isinstance(given, bool):
        return 0
    return parsed_memory(name, given) if name == "memory" else parsed_bytes(name, given)


def _count(name: str, given: Any) -> int:
    lowest = _LEAST.get(name, 1)
    if isinstance(given, bool) or not hasattr(given, "__index__"):
        raise TypeError(f"invalid {name}: expected a whole number, got {given!r}")
    if not lowest <= index(given) <= LARGEST_INT:
        why = "; three are there, and two confine it" if name == "open_files" else ""
        raise ValueError(
            f"invalid {name}: expected {lowest} or more, {LARGEST_INT} at most, got {given!r}{why}"
        )
    return index(given)


def _positive(name: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise TypeError(f"invalid {name}: expected a number above 0, got {given!r}")
    if _LARGEST < given < math.inf:  # an int, which float() cannot take
        raise ValueError(f"invalid {name}: expected {_LARGEST} at most, got more")
    if not 0 < given < math.inf:  # NaN too
        raise ValueError(f"invalid {name}: expected a number above 0, got {given!r}")
    return float(given)


def _one_of(words: tuple[str, ...]) -> Any:
    def check(name: str, given: Any) -> str:
        if given not in words:
            raise ValueError(
                f"invalid {name}: expected {' or '.join(map(repr, words))}, got {given!r}"
            )
        return str(given)

    return check


def _syscalls(name: str, given: Any) -> str:
    if isinstance(given, str) and given not in SYSCALLS and "/" not in given:
        close = nearest(given, SYSCALLS)
        hint = f"did you mean {close!r}?" if close else f"a file of this directory is './{given}'"
        raise ValueError(
            f"invalid {name}: expected 'default', 'strict', None or a path with a slash, got {given!r}; "
            f"{hint}"
        )
    return given if given in SYSCALLS else _path(name, given)


def _network(name: str, given: Any) -> Any:
    if isinstance(given, Mapping):
        return _Ports({str(key): _ports(name, key, ports) for key, ports in given.items()})
    if not isinstance(given, str | os.PathLike):
        raise TypeError(
            f"invalid {name}: expected 'none', 'loopback', 'host', the path of a network namespace, or "
            f"{{'connect': [ports], 'bind': [ports]}}, got {given!r}"
        )
    return os.fspath(given)


def _ports(name: str, key: Any, ports: Any) -> tuple[int, ...]:
    if key not in DIRECTIONS:
        raise ValueError(f"invalid {name}: expected 'connect' or 'bind', got {key!r}")
    for port in (found := _items(name, ports, "ports")):
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= LAST_PORT:
            raise ValueError(f"invalid {name}: expected ports from 0 to {LAST_PORT}, got {port!r}")
    return tuple(found)


class _Ports(dict[str, tuple[int, ...]]):
    """A mapping that can be hashed, as all of the description."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def _namespace(given: str) -> str:
    if "/" not in given:
        raise ValueError(
            f"invalid network: expected 'none', 'loopback', 'host' or a path with a slash, got {given!r}"
        )
    return _path("network", given)


def _environment(name: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, Mapping):
        raise TypeError(
            f"invalid {name}: expected a list of names, got a mapping, {given!r}; {_VALUES_ELSEWHERE}"
        )
    for word in (names := _items(name, given, "names")):
        if not isinstance(word, str) or not word or "=" in word or "\0" in word:
            how = f"; {_VALUES_ELSEWHERE}" if isinstance(word, str) and "=" in word else ""
            raise ValueError(f"invalid {name}: expected names of variables, got {word!r}{how}")
    return tuple(names)


def _hostname(name: str, given: Any) -> str:
    if not isinstance(given, str) or not 0 < len(os.fsencode(given)) <= _LONGEST_HOSTNAME:
        raise ValueError(
            f"invalid {name}: expected a name of 1 to {_LONGEST_HOSTNAME} bytes, got {given!r}"
        )
    if "\0" in given:  # sethostname(2) takes it, and programs see the part before it
        raise ValueError(f"invalid {name}: expected a name without NUL, got {given!r}")
    return given


_CHECKS = {
    **dict.fromkeys(("read", "write", "hidden"), _paths),
    **dict.fromkeys(("system", "overlay", "proc"), _flag),
    **dict.fromkeys(IN_BYTES, _bytes),
    **dict.fromkeys(("processes", "open_files", "warm"), _count),
    **dict.fromkeys(("cpu_time", "cpus", "timeout"), _positive),
    "root": _path,
    "network": _network,
    "syscalls": _syscalls,
    "forbidden": _one_of(FORBIDDEN),
    "require": _one_of(REQUIRE),
    "environment": _environment,
    "hostname": _hostname,
}
_MAY_BE_NONE = frozenset(
    {
        "root",
        "tmp",
        "syscalls",
        "hostname",
        "memory",
        "swap",
        "processes",
        "cpu_time",
        "cpus",
        "open_files",
    }
    | {"file_size", "output", "timeout"}
)


def hostname_of(sandbox: Sandbox) -> str | None:
    """The host name that the child is given; None where it has the caller's."""
    if sandbox.hostname is None and has_own_network(sandbox):
        return _HOSTNAME
    return sandbox.hostname


def has_own_network(sandbox: Sandbox) -> bool:
    """Whether no host is reached from there but its own."""
    return sandbox.network in _OWN_NETWORKS


# ---- wishes that contradict each other


def is_below(path: str, directory: str) -> bool:
    """Whether the path is the directory, or below it; both are absolute."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


_NEVER_WRITTEN = {
    **dict.fromkeys(("/", "/sys"), "name what is below it"),
    "/proc": "leave it out: nothing below it may be written either",
    "/dev": "leave it out: a sandbox has its own",
}


def _refuse_contradictions(sandbox: Sandbox) -> None:
    _refuse_paths(sandbox.read, sandbox.write, sandbox.hidden)
    if sandbox.overlay:
        _refuse_below_layers(sandbox.read, sandbox.write, sandbox.hidden)
    if sandbox.swap is not None and sandbox.memory is None:
        raise ValueError("invalid swap without memory: it is what may be used beyond that")
    if sandbox.forbidden == "kill" and sandbox.syscalls is None:
        raise ValueError("invalid forbidden without syscalls: no call is forbidden")


def _refuse_paths(read: tuple[str, ...], write: tuple[str, ...], hidden: tuple[str, ...]) -> None:
    for path in write:
        if path in read:
            raise ValueError(
                f"invalid write with read: {path!r} is in both; what can be written can be read"
            )
        covering = next((cover for cover in hidden if is_below(path, cover)), None)
        if covering is not None:
            raise ValueError(
                f"invalid write with hidden: {path!r} is below {covering!r}, which is hidden"
            )
        if (remedy := _NEVER_WRITTEN.get(path)) is not None:
            raise ValueError(f"invalid write: {path!r} is none that a sandbox may write; {remedy}")
    if "/" in hidden:
        raise ValueError("invalid hidden: '/' is all that there is; name what is below it")
    for path in read:
        if path == "/":
            raise ValueError(
                "invalid read: '/' cannot be shown in an empty root directory; root='/' shows all files of "
                "this machine"
            )
        if path in hidden:
            raise ValueError(f"invalid read with hidden: {path!r} is in both")


def _refuse_below_layers(
    read: tuple[str, ...], write: tuple[str, ...], hidden: tuple[str, ...]
) -> None:
    if not write:
        raise ValueError("invalid overlay without write: there is nothing that is written")
    below = [path for path in (*hidden, *read) if any(is_below(path, one) for one in write)]
    if below:
        raise ValueError(
            f"invalid overlay with {'hidden' if below[0] in hidden else 'read'}: {below[0]!r} is below "
            "a path of write, and a layer shows nothing else there; leave one of them out"
        )
