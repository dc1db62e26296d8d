"""What a confined child sees of the files: which paths, from where, and with which rights."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .description import Sandbox, is_below

# Programs and libraries, and of /etc what programs need to run at all and that tells nothing of
# this machine's users.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SYSTEM_FILES = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
    "/etc/ca-certificates",
    "/etc/pki",
    "/etc/mime.types",
    "/etc/protocols",
    "/etc/services",
    "/etc/terminfo",
)
TMP = "/tmp"
# Where the services of a machine have their sockets, which can be connected to on a read-only
# mount as well.
_SOCKETS = "/run"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
TERMINALS = "/dev/pts"
DEVICE_LINKS = (
    ("pts/ptmx", "ptmx"),
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
)


class Shown(NamedTuple):
    """A path of the caller's that the child sees at the same place.

    named: the description names it, and the child has the caller's own rights to it. layered: what
    it writes goes to a layer.
    """

    path: str
    is_directory: bool
    writable: bool
    named: bool = True
    layered: bool = False

    @property
    def is_written(self) -> bool:
        """Whether the caller's own files are written."""
        return self.writable and not self.layered


class View(NamedTuple):
    """All that it sees: paths, each before those below it, and symbolic links at the root."""

    shown: Sequence[Shown]
    links: Sequence[tuple[str, str]]  # path, target
    hidden: Sequence[Shown]
    layers: Shown | None = None  # the directory in which those of the children are

    def directories(self) -> list[str]:
        """Those that an empty root needs beside what is shown, each after its parent."""
        needed: dict[str, None] = {}
        for path in [one.path for one in self.shown] + [path for path, _ in self.links]:
            for parent in _parents(path):
                if not any(is_below(parent, one.path) for one in self.shown if one.is_directory):
                    needed[parent] = None
        return list(needed)


def view_of(sandbox: Sandbox, layers: str | None = None) -> View:
    """What a sandbox shows, as the files are now; layers: the directory of its children's layers.

    Raises FileNotFoundError for a path of the description that does not exist, and PermissionError
    and the like for one that cannot be looked at.
    """
    shown: dict[str, Shown] = {}
    links: dict[str, str] = {}
    if sandbox.root is None and sandbox.system:
        for path in system_paths():
            if os.path.islink(path):
                links[path] = os.readlink(path)
            elif os.path.exists(path):
                shown[path] = _looked_at("system", path, writable=False)
    for path in sandbox.read:
        shown[os.path.realpath(path)] = _looked_at("read", path, writable=False)
    for path in sandbox.write:
        looked_at = _looked_at("write", path, writable=True)
        shown[looked_at.path] = looked_at._replace(layered=sandbox.overlay)
    for path in (*sandbox.read, *sandbox.write):
        if os.path.realpath(path) != path:
            links |= {one: target for one, target in _links_on_the_way(path) if one not in links}
    hidden = [_looked_at("hidden", path, writable=False) for path in sandbox.hidden]
    if sandbox.root == "/" and os.path.isdir(_SOCKETS):
        hidden.append(Shown(os.path.realpath(_SOCKETS), True, False, False))
    return View(
        _without_needless([shown[path] for path in sorted(shown, key=_depth)]),
        [(path, target) for path, target in links.items() if not _is_covered(path, shown.values())],
        hidden,
        None if layers is None else Shown(layers, True, True),
    )


def has_own_tmp(sandbox: Sandbox, view: View) -> bool:
    """Whether the child's /tmp is its own: not where the description names the caller's."""
    return sandbox.tmp is not None and all(one.path != TMP for one in view.shown)


def system_paths() -> Iterator[str]:
    """The programs and libraries of this machine, and this Python's."""
    yield from _SYSTEM
    yield from _SYSTEM_FILES
    for prefix in dict.fromkeys(
        (sys.base_prefix, sys.base_exec_prefix, sys.prefix, sys.exec_prefix)
    ):
        if os.path.isdir(prefix) and prefix != "/":
            yield os.path.realpath(prefix)
            if os.path.realpath(prefix) != prefix:
                yield from (path for path, _ in _links_on_the_way(prefix))


def _looked_at(wish: str, path: str, *, writable: bool) -> Shown:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise type(error)(error.errno, f"invalid {wish}: {error.strerror}", path) from None
    return Shown(os.path.realpath(path), stat.S_ISDIR(mode), writable, wish != "system")


def _links_on_the_way(path: str) -> Iterator[tuple[str, str]]:
    """The symbolic links between the root and what the path leads to."""
    way, left, seen = "/", [part for part in path.split("/") if part], 0
    while left and seen < _MOST_LINKS:
        way = os.path.join(way, left.pop(0))
        if os.path.islink(way):
            seen += 1
            target = os.readlink(way)
            yield way, target
            joined = os.path.normpath(os.path.join(os.path.dirname(way), target))
            way, left = "/", [part for part in joined.split("/") if part] + left


_MOST_LINKS = 40  # as the kernel follows: path_resolution(7)


def _without_needless(shown: Sequence[Shown]) -> list[Shown]:
    """Without those that are below another with the same rights."""
    kept: list[Shown] = []
    for one in shown:
        covers = [other for other in kept if other.is_directory and is_below(one.path, other.path)]
        if not covers or covers[-1][2:] != one[2:]:
            kept.append(one)
    return kept


def _is_covered(path: str, shown: Iterable[Shown]) -> bool:
    return any(one.is_directory and is_below(path, one.path) for one in shown)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: i + 1]) for i in range(len(parts))]


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path
