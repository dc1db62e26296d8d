"""The paths of a sandbox: whether each is there, of a fitting kind, and of use to the sandbox's own user.

Symbolic links are followed by the caller, with its rights, when the sandbox is made: what they lead to is
shown in its real place, and the links on the way are made again. A link below a path that is written is
not followed: a child may have made it. What lies below a directory is not looked at.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeAlias

from ..._kernel.names import nearest
from ..description import SYSCALLS, Sandbox, is_below
from ..own_places import DEVICES, OWN_DIRECTORY
from ..ways import way_of, why_unsafe, written_directories
from . import remedies
from .machine import Machine
from .questions import Answer
from .row import Row

_Problem: TypeAlias = Row | None

_KINDS: dict[str, tuple[Callable[[int], bool], ...]] = {
    "root": (stat.S_ISDIR,),
    "read": (stat.S_ISDIR, stat.S_ISREG, stat.S_ISFIFO, stat.S_ISSOCK),
    "write": (stat.S_ISDIR, stat.S_ISREG),
    "hidden": (stat.S_ISDIR, stat.S_ISREG),
    "syscalls": (stat.S_ISREG,),
}
_KIND_NAMES = {
    stat.S_ISDIR: "a directory",
    stat.S_ISREG: "a file",
    stat.S_ISCHR: "a character device",
    stat.S_ISBLK: "a block device",
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
}


_OF_DEVICE = (
    "leave it out: a sandbox has null, zero, full, random, urandom and tty, and no other device"
)


_OWN_DEVICES = frozenset(f"{OWN_DIRECTORY}/{name}" for name in DEVICES)

_MOST_NAMES = 1000  # that are compared with a mistaken one


class OwnUser(NamedTuple):
    """Whether the sandbox's user is another than the caller, and where it has the caller's rights.

    mounted: what is named is mounted for it, in a mount namespace.
    """

    is_another: bool
    mounted: bool
    idmapped: frozenset[str]

    def has_callers_rights(self, path: str) -> bool:
        """Whether it may do to the path what the caller may."""
        return not self.is_another or path in self.idmapped


def path_rows(sandbox: Sandbox, machine: Machine, user: OwnUser) -> list[Row]:
    """A row for each path with which something is wrong."""
    rows = []
    written = written_directories(sandbox.write)
    for wish, path in _paths(sandbox):
        row = _unsafe(wish, path, written) or _mistake(wish, path)
        if row is None and wish == "syscalls" and not sandbox.overlay:
            row = _writable_filter(path, written)
        if row is None and wish in ("read", "write"):
            row = _covered(wish, path, user) or _unfit(wish, path, sandbox, machine, user)
        if row is not None:
            rows.append(row)
    return rows


def python_rows(sandbox: Sandbox, user: OwnUser) -> Iterator[Row]:
    """A row for this Python where it is in a directory that is closed to the sandbox's own user."""
    if sandbox.root is not None or not sandbox.system or not user.is_another or user.mounted:
        return
    python = sys.executable
    closed = closed_to_others(python) if python and os.path.exists(python) else None
    if closed is not None:
        shortfall = (
            f"the sandbox's own user may not search {closed!r}: this Python cannot run there"
        )
        remedy = f"chmod o+x {closed}, or a Python elsewhere"
        yield _row("system", sys.executable, shortfall, remedy, errno.EACCES, mistaken=False)


def _paths(sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    for wish in ("read", "write", "hidden"):
        yield from ((wish, path) for path in getattr(sandbox, wish))
    if sandbox.root is not None:
        yield "root", str(sandbox.root)
    if isinstance(sandbox.syscalls, str) and "/" in sandbox.syscalls:
        yield "syscalls", sandbox.syscalls
    if isinstance(sandbox.network, str) and "/" in sandbox.network:
        yield "network", sandbox.network


# ---- what the caller has named by mistake


def _unsafe(wish: str, path: str, written: Iterable[str]) -> _Problem:
    unsafe = why_unsafe(path, way_of(path), written)
    if unsafe is None:
        return None
    return _row(wish, path, unsafe.reason, unsafe.remedy, errno.ELOOP)


def _writable_filter(path: str, written: Iterable[str]) -> _Problem:
    """A filter that the child may change is none for the next child."""
    real = os.path.realpath(path)
    cover = next((one for one in written if is_below(real, one)), None)
    if cover is None:
        return None
    shortfall = (
        f"the filter {path!r} is below {cover!r}, a path of write: what is confined could change it"
    )
    remedy = "keep the file elsewhere, or name in write the directories beside it"
    return _row("syscalls", path, shortfall, remedy, errno.EPERM)


def _mistake(wish: str, path: str) -> _Problem:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return _not_found(wish, path, error)
    kinds = _KINDS.get(wish, ())
    if wish == "read" and os.path.realpath(path) in _OWN_DEVICES:
        return None
    if not kinds or any(is_kind(mode) for is_kind in kinds):
        return None
    expected = " or ".join(_KIND_NAMES[is_kind] for is_kind in kinds)
    shortfall = f"expected {expected}, got {path!r}, which is {_kind(mode)}"
    remedy = _OF_DEVICE if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "name another path"
    return _row(wish, path, shortfall, remedy, errno.EINVAL)


def _covered(wish: str, path: str, user: OwnUser) -> _Problem:
    """What nobody would see, as the sandbox has another directory there."""
    real = os.path.realpath(path)
    if not user.mounted or not is_below(real, OWN_DIRECTORY) or real in _OWN_DEVICES:
        return None
    shortfall = f"{path!r} is in /dev, of which the sandbox has its own, with its own /dev/shm"
    return _row(wish, path, shortfall, "name what is elsewhere, or leave it out", errno.EINVAL)


def _kind(mode: int) -> str:
    return next((name for is_kind, name in _KIND_NAMES.items() if is_kind(mode)), "something else")


def _not_found(wish: str, path: str, error: OSError) -> Row:
    number = error.errno or errno.EIO
    if number in (errno.EACCES, errno.EPERM, errno.ENOENT) and (link := _unreadable_link(path)):
        return _of_another_process(wish, path, link, number)
    if number == errno.EACCES:
        closed = _closed_directory(path)
        return _row(
            wish,
            path,
            f"{path!r} is below {closed!r}, which the caller may not search",
            f"setfacl -m u:{os.geteuid()}:x {closed}, or call as a user who may",
            number,
        )
    if number == errno.ELOOP:
        return _row(wish, path, f"{path!r} is a symbolic link in a circle", "mend the link", number)
    if number == errno.ENOENT and os.path.islink(path):
        target = os.readlink(path)
        shortfall = f"{path!r} is a symbolic link to {target!r}, which does not exist"
        return _row(wish, path, shortfall, "mend the link, or name another path", number)
    if number in (errno.ENOENT, errno.ENOTDIR):
        near, how = _near(path), _of_a_shell(path) or "make it first, or leave it out"
        if wish == "syscalls":  # one of its words, mistyped, is a path as well
            near = nearest(os.path.basename(path), SYSCALLS, cutoff=0.6) or near
            how = f"name {', '.join(map(repr, SYSCALLS))} or a file that is there"
        remedy = f"did you mean {near!r}?" if near else how
        return _row(wish, path, f"{path!r} does not exist", remedy, number)
    return _row(wish, path, f"{path!r}: {error.strerror}", "name another path", number)


def _of_a_shell(path: str) -> str:
    """What is to be given for a path that a shell would have made another one of; empty for others."""
    if any(part.startswith("~") for part in path.split("/")):
        return "give os.path.expanduser() of it: '~' is a shell's, and a name like any other here"
    if "$" in path:
        return "give os.path.expandvars() of it: '$' is a shell's, and a letter like any other here"
    if "*" in path or "?" in path:
        return (
            "name each path, or the directory that has them: '*' and '?' are a shell's, and letters like "
            "any other here"
        )
    return ""


def _unreadable_link(path: str) -> str | None:
    """The first link on the way of which it cannot be read where it leads: one of a process, in /proc."""
    for way in _ways_to(path):
        try:
            if os.path.islink(way):
                os.readlink(way)
        except OSError:
            return way
    return None


def _of_another_process(wish: str, path: str, link: str, number: int) -> Row:
    if number == errno.ENOENT:
        shortfall = (
            f"{path!r} leads nowhere: the process of {link!r} has ended, or is a kernel thread"
        )
        return _row(wish, path, shortfall, "name that of a process that runs", number)
    shortfall = f"{link!r} is of a process that the caller may not look into"
    remedy = "call as one who may trace it, such as its user" + (
        ", or name a network namespace in /run/netns" if wish == "network" else ""
    )
    return _row(wish, path, shortfall, remedy, number)


def _closed_directory(path: str) -> str:
    """The first directory on the way that the caller may not search."""
    words = path.split("/")[1:-1]
    ways = ["/" + "/".join(words[:count]) for count in range(len(words) + 1)]
    return next((way for way in ways if not os.access(way, os.X_OK)), os.path.dirname(path))


def _near(path: str) -> str | None:
    """A path that exists and differs in one word."""
    parent, missing = os.path.split(path)
    while parent != "/" and not os.path.isdir(parent):
        parent, missing = os.path.split(parent)
    try:
        with os.scandir(parent) as found:  # a child may have made a million
            names = [entry.name for entry in islice(found, _MOST_NAMES)]
    except OSError:
        return None
    name = nearest(missing, names, cutoff=0.6)
    if name is None:
        return None
    rest = os.path.relpath(path, os.path.join(parent, missing))
    near = os.path.normpath(os.path.join(parent, name, rest))
    return near if os.path.exists(near) else os.path.join(parent, name)


# ---- what the sandbox's own user cannot use


def closed_to_others(path: str, shown: Iterable[str] = ("/",)) -> str | None:
    """The first of what is on the way to a file, and of that itself, which others may not search or run.

    shown: from where on the way is that of the caller's files.
    """
    ways = dict.fromkeys(way for end in (path, os.path.realpath(path)) for way in _ways_to(end))
    asked = (way for way in ways if any(is_below(way, one) for one in shown))
    return next((way for way in asked if not os.stat(way).st_mode & stat.S_IXOTH), None)


def _ways_to(path: str) -> list[str]:
    words = os.path.abspath(path).split("/")[1:]
    return ["/", *("/" + "/".join(words[:count]) for count in range(1, len(words) + 1))]


def _unfit(wish: str, path: str, sandbox: Sandbox, machine: Machine, user: OwnUser) -> _Problem:
    writes = wish == "write" and not sandbox.overlay
    if writes and os.statvfs(path).f_flag & os.ST_RDONLY:
        return _read_only(path)
    if sandbox.root == "/" and user.is_another:
        closed = _closed_to_another(path, machine)
        if closed is not None:
            return _unreachable(wish, path, closed)
    if user.has_callers_rights(path):
        if _is_usable(path, os.W_OK if writes else os.R_OK):
            return None
        return _unwritable(path) if writes else _unreadable(wish, path)
    return (
        _unwritable_by_another(path, machine, user)
        if writes
        else _unreadable_by_another(wish, path, machine, user)
    )


def _closed_to_another(path: str, machine: Machine) -> str | None:
    """The first directory on the way that the sandbox's own user may not search."""
    words = os.path.realpath(path).split("/")[1:-1]
    ways = ["/" + "/".join(words[:count]) for count in range(1, len(words) + 1)]
    closed = (way for way in ways if not os.stat(way).st_mode & stat.S_IXOTH)
    return next(
        (way for way in closed if not machine.as_another(way, os.X_OK, mounted=True).granted), None
    )


def _unreachable(wish: str, path: str, closed: str) -> Row:
    shortfall = f"the sandbox's own user may not search {closed!r}, on the way to {path!r}"
    remedy = f"chmod o+x {closed}, or leave out root"
    return _row(wish, path, shortfall, remedy, errno.EACCES, mistaken=False)


def _is_usable(path: str, mode: int) -> bool:
    return os.access(path, _with_search(path, mode), effective_ids=True)


def _with_search(path: str, mode: int) -> int:
    return mode | os.R_OK | (os.X_OK if os.path.isdir(path) else 0)


def _read_only(path: str) -> Row:
    point = os.path.realpath(path)
    while not os.path.ismount(point):
        point = os.path.dirname(point)
    return _row(
        "write",
        path,
        f"{path!r} is on a file system that is mounted read-only, at {point!r}",
        f"mount -o remount,rw {point}, or overlay=True",
        errno.EROFS,
        mistaken=False,
    )


def _unwritable(path: str) -> Row:
    remedy = f"setfacl -m u:{os.geteuid()}:rwx {path}, or overlay=True"
    shortfall = f"the caller may not write to {path!r}"
    return _row("write", path, shortfall, remedy, errno.EACCES, mistaken=False)


def _unreadable(wish: str, path: str) -> Row:
    remedy = f"setfacl -m u:{os.geteuid()}:rX {path}"
    return _row(
        wish, path, f"the caller may not read {path!r}", remedy, errno.EACCES, mistaken=False
    )


def _unwritable_by_another(path: str, machine: Machine, user: OwnUser) -> _Problem:
    answer = machine.as_another(path, _with_search(path, os.W_OK), mounted=user.mounted)
    remedy = (
        remedies.of_idmap(path) if user.mounted else remedies.of_mounts(machine, machine.mounts)
    )
    if answer.granted:
        shortfall = f"what is written below {path!r} belongs to a user that is nobody's"
        row = _row("write", path, shortfall, remedy, 0, mistaken=False)
        return row._replace(met="partly", mechanism="the permissions of others")
    shortfall = f"the sandbox's own user may not write to {path!r}"
    return _row("write", path, shortfall, remedy, errno.EACCES, mistaken=False)


def _unreadable_by_another(wish: str, path: str, machine: Machine, user: OwnUser) -> _Problem:
    if machine.as_another(path, _with_search(path, os.R_OK), mounted=user.mounted).granted:
        return None
    shortfall = f"the sandbox's own user may not read {path!r}, as others may not"
    on_the_way = "" if user.mounted else ", and o+x for the directories on the way"
    remedy = f"chmod o+rX {path}{on_the_way}"
    return _row(wish, path, shortfall, remedy, errno.EACCES, mistaken=False)


def _row(
    wish: str, path: str, shortfall: str, remedy: str, number: int, *, mistaken: bool = True
) -> Row:
    return Row(
        wish=wish,
        text=path,
        met="not",
        shortfall=shortfall,
        remedy=remedy,
        refused=Answer(number, "") if number else None,
        path=path,
        mistaken=mistaken,
    )
