"""What a confined child sees of the files: which paths, from where, and with which rights."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ..errors import SandboxError
from .description import Sandbox, is_below
from .system_files import SystemFiles, pythons_own, system_files
from .ways import Way, way_of, why_unsafe, written_directories

TMP = "/tmp"
# Where the services of a machine have their sockets, which can be connected to on a read-only
# mount as well.
_SOCKETS = "/run"


class Shown(NamedTuple):
    """A path of the caller's that the child sees at the same place.

    path: has no symbolic link. named: the description names it, and the child has the caller's own
    rights to it. layered: what it writes goes to a layer. part_of: a path of ``write`` above it, of which
    it is a part like any other, shown by itself only to stay where it is.
    """

    path: str
    is_directory: bool
    writable: bool
    named: bool = True
    layered: bool = False
    part_of: str = ""

    @property
    def is_written(self) -> bool:
        """Whether the caller's own files are written."""
        return self.writable and not self.layered


class Place(NamedTuple):
    """An empty directory, or an empty file, at which each child mounts something of its own."""

    path: str
    is_directory: bool


class View(NamedTuple):
    """All that it sees: paths, each before those below it, and symbolic links at the root.

    made: files that are in the root itself, by path, with their text. places: in the root, for what is not
    shown in it.
    """

    shown: Sequence[Shown]
    links: Sequence[tuple[str, str]]  # path, target
    hidden: Sequence[Shown]
    root: Shown | None = None  # the directory that is the root, for an empty one
    layers: Shown | None = None  # the directory in which those of the children are
    made: Mapping[str, bytes] = MappingProxyType({})
    places: Iterable[Place] = ()

    def directories(self) -> list[str]:
        """Those that an empty root needs beside what is shown, each after its parent."""
        paths = [*(one.path for one in self.shown), *(path for path, _ in self.links), *self.made]
        needed = dict.fromkeys(parent for path in paths for parent in parents(path))
        shown = directories_of(self.shown)
        return [parent for parent in needed if nearest(parent, shown) is None]


def view_of(sandbox: Sandbox, layers: str | None = None) -> View:
    """What a sandbox shows, as the files are now; layers: the directory of its children's layers.

    Raises FileNotFoundError for a path of the description that does not exist, PermissionError
    and the like for one that cannot be looked at, and SandboxError for one that leads through a link that
    a child may have made.
    """
    looking = _Looking(written_directories(sandbox.write))
    shown: dict[str, Shown] = {}
    links: dict[str, str] = {}
    if sandbox.root is None and sandbox.system:
        system = looking.at_system()
        for file in system.files:
            shown[file.path] = Shown(file.way.real, file.is_directory, False, False)
        links |= system.links
        links |= dict(pythons_own()[1])
    shown |= looking.at_named(sandbox)
    links = looking.links | links
    root = None if sandbox.root is None else looking.at("root", sandbox.root)._replace(named=False)
    kept = _without_needless([shown[path] for path in sorted(shown, key=_depth)])
    directories = directories_of(kept)
    seen_links = [(path, to) for path, to in links.items() if nearest(path, directories) is None]
    seen = [*(one.path for one in kept), *(path for path, _ in seen_links)]
    hidden = [looking.at("hidden", path) for path in sandbox.hidden]
    hidden = [one for one in hidden if _is_seen(one.path, seen, root)]
    if sandbox.root == "/" and os.path.isdir(_SOCKETS):
        hidden.append(Shown(os.path.realpath(_SOCKETS), True, False, False))
    held = {one.path: one for one in _held([*kept, *hidden], directories)}
    return View(
        sorted([*kept, *held.values()], key=path_order),
        seen_links,
        hidden,
        root,
        None if layers is None else Shown(layers, True, True),
    )


def named_paths(sandbox: Sandbox) -> tuple[list[Shown], Mapping[str, str]]:
    """What the description names, and the links that lead there. Raises as view_of() does."""
    looking = _Looking(written_directories(sandbox.write))
    if sandbox.root is None and sandbox.system:
        looking.at_system()
    return list(looking.at_named(sandbox).values()), looking.links


def path_order(one: Shown) -> tuple[int, str]:
    """By which a path comes before those below it."""
    return _depth(one.path)


def directories_of(shown: Iterable[Shown]) -> dict[str, Shown]:
    """The directories among what is shown, by their paths."""
    return {one.path: one for one in shown if one.is_directory}


def nearest(path: str, directories: Mapping[str, Shown]) -> Shown | None:
    """The deepest of the directories that the path is in, or is."""
    while path not in directories:
        if path == "/":
            return None
        path = parent_of(path)
    return directories[path]


def parent_of(path: str) -> str:
    """The directory in which something is whose path has no links; that of the root is the root."""
    return path.rpartition("/")[0] or "/"


def parents(path: str) -> list[str]:
    """The directories on the way to a path, but for the root, the first one first."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: i + 1]) for i in range(len(parts))]


def has_own_tmp(sandbox: Sandbox, view: View) -> bool:
    """Whether the child's /tmp is its own: not where the description names the caller's."""
    return sandbox.tmp is not None and all(one.path != TMP for one in view.shown)


def home_of(sandbox: Sandbox, view: View, *, has_own_root: bool) -> str:
    """The directory in which the child begins."""
    directories = [one.path for one in view.shown if one.writable and one.is_directory]
    if directories:
        return directories[0]
    return TMP if sandbox.tmp is not None and has_own_root else "/"


class _Looking:
    """Looks at the paths of a description. links: those that it has followed for ``read`` and ``write``."""

    def __init__(self, written: Sequence[str]) -> None:
        self._written = written
        self._targets: dict[str, str | None] = {}
        self.links: dict[str, str] = {}

    def at(self, wish: str, path: str) -> Shown:
        """What is there, as it is read."""
        way = way_of(path, self._targets)
        self.refuse_unsafe(wish, path, way)
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            raise type(error)(error.errno, f"invalid {wish}: {error.strerror}", path) from None
        if wish in ("read", "write"):
            self.links |= dict(way.links)
        return Shown(way.real, stat.S_ISDIR(mode), False)

    def at_named(self, sandbox: Sandbox) -> dict[str, Shown]:
        """What the description names, by path."""
        found = {one.path: one for one in (self.at("read", path) for path in sandbox.read)}
        for path in sandbox.write:
            one = self.at("write", path)
            found[one.path] = one._replace(writable=True, layered=sandbox.overlay)
        return found

    def at_system(self) -> SystemFiles:
        """The programs and libraries of this machine."""
        system = system_files()
        for file in system.files:
            self.refuse_unsafe("system", file.path, file.way)
        return system

    def refuse_unsafe(self, wish: str, path: str, way: Way) -> None:
        """A child that is to write below such a link may have made it."""
        unsafe = why_unsafe(path, way, self._written)
        if unsafe is not None:
            raise SandboxError(errno.ELOOP, unsafe.reason, path, wish=wish, remedy=unsafe.remedy)


def _without_needless(shown: Sequence[Shown]) -> list[Shown]:
    """Without those that are below another with the same rights, or come with a layer.

    A child may put a link in the place of one that it writes anyway, and gains nothing: no link there is
    followed.
    """
    kept: list[Shown] = []
    directories: dict[str, Shown] = {}
    for one in shown:
        cover = nearest(one.path, directories)
        if cover is None or not (cover.layered or cover[2:] == one[2:]):
            kept.append(one)
            directories |= directories_of([one])
    return kept


def _held(within: Iterable[Shown], directories: Mapping[str, Shown]) -> Iterator[Shown]:
    """The directories on the way down from one that is written to what is in it with other rights.

    A child could move such a directory away, with what is hidden in it, and make another in its place.
    What is mounted it cannot move.
    """
    written = [path for path, one in directories.items() if one.is_written]
    for one in within:
        if not any(is_below(one.path, path) for path in written):
            continue
        for path in parents(one.path):
            above = nearest(path, directories)
            if above is not None and above.is_written and above.path != path:
                yield above._replace(path=path, part_of=above.path)


def _is_seen(path: str, seen: Iterable[str], root: Shown | None) -> bool:
    """Whether there is something at the path, or below it, that would have to be hidden."""
    if root is not None and os.path.lexists(root.path + path):
        return True
    return any(is_below(path, one) or is_below(one, path) for one in seen)


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path
