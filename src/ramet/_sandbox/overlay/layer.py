"""Layer: directories beside the paths that a sandbox writes, which take what is written there."""

import contextlib
import os
import stat
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from ..description import Path, is_below
from ..untrusted_files import ONLY_A_PLACE, copy_content, open_to_read, place_below
from .layer_directory import LayerDirectory, remove_in, this_process
from .mounts import mounts

__all__ = ["Layer", "Part", "parts_of"]

Option: TypeAlias = tuple[str, str | None]

# Of a directory: without set-group-ID, which would give a child's files a group.
MODE_OF_ROOT = 0o1777
_MODE_OF_FILE = 0o777
_CALLERS_OWN = 0o700

# What the kernel may do beyond the plain form is off, so that a layer has no redirects, no files without
# content and no index, whatever the module's parameters say. The child's fsync() need not wait for a disk:
# the layer does not outlive the machine. "userxattr" is what a mounter without rights outside of its user
# namespace needs (Linux 5.11). Source: Documentation/filesystems/overlayfs.rst.
_FIXED: tuple[Option, ...] = (
    ("redirect_dir", "nofollow"),
    ("metacopy", "off"),
    ("index", "off"),
    ("nfs_export", "off"),
    ("userxattr", None),
    ("volatile", None),
)


@dataclass(frozen=True, slots=True)
class Part:
    """What takes the writes to one path.

    ``path``: as it was given, and as the child sees it. ``target``: the same without symbolic links, on
    this machine. ``directory``: whether it is one. ``root``: the directory over which the layer lies: the
    target, or that which holds the target when it is a file. ``upper``, ``work``: directories below that
    of the layer, as relative paths. ``identity``: device and inode of the root. A file has no overlay, as
    overlayfs knows directories only: ``upper`` holds a copy of it by the same name.
    """

    path: str
    target: str
    directory: bool
    upper: str
    work: str
    identity: tuple[int, int]

    @property
    def root(self) -> str:
        """The directory whose entries those in ``upper`` stand for."""
        return _root_of(self.target, is_directory=self.directory)

    def place_of_root(self) -> int:
        """A descriptor of it, to start from; NotADirectoryError where a link is on the way by now.

        Who owns a directory above it may have moved it away and made such a link since the layer was made.
        """
        names = [name for name in self.root.split("/") if name]
        top = os.open("/", ONLY_A_PLACE | os.O_DIRECTORY)
        try:
            return place_below(names, top)
        finally:
            os.close(top)

    @property
    def source(self) -> str:
        """For a file: where the copy is that takes its place in the child, below the layer's directory."""
        return f"{self.upper}/{os.path.basename(self.target)}"

    def names_of(self, path: str) -> tuple[str, ...]:
        """The names from ``root`` down to what the child knows by a path; none for the root."""
        if not self.directory:
            return (os.path.basename(self.target),)
        below = path[len(self.path) :].strip("/")
        return tuple(below.split("/")) if below else ()

    def options(self, lower: str, directory: str) -> tuple[Option, ...]:
        """What to give fsconfig(2) for this part, in this order: a key, and a string or None for a flag.

        ``lower`` and ``directory``: where the target and the layer's directory are attached in the mount
        namespace of the one that mounts. They must be attached there: the kernel refuses layers of other
        namespaces with EINVAL or EPERM. And the ids of the one that mounts must be among those that an
        idmapped layer maps: the kernel mounts it read-only otherwise, and says nothing.
        """
        return (
            ("lowerdir", _escaped(lower)),
            ("upperdir", _escaped(f"{directory}/{self.upper}")),
            ("workdir", _escaped(f"{directory}/{self.work}")),
            *_FIXED,
        )

    def data(self, lower: str, directory: str) -> bytes:
        """The options as mount(2) takes them: a comma in a path has a backslash before it."""
        options = self.options(lower, directory)
        written = (
            key if value is None else f"{key}={_without_commas(value)}" for key, value in options
        )
        return os.fsencode(",".join(written))


class Layer:
    """A layer over paths of this machine; it holds a directory until it is closed or collected.

    ``paths``: what a child may write, directories or files. ``where``: as for LayerDirectory.

    Raises ValueError for a path that is not there or cannot have a layer, and for a place that cannot hold
    one, with what to do; OSError when the directories cannot be made.

    Needs: Linux 5.11; what LayerDirectory needs; /proc.
    Source: Documentation/filesystems/overlayfs.rst.
    """

    def __init__(self, paths: Iterable[Path], where: Path | None = None) -> None:
        parts = parts_of(paths)
        directory = LayerDirectory([part.target for part in parts], where)
        self._make(parts, directory.new(), directory)

    @classmethod
    def below(cls, directory: LayerDirectory, parts: Sequence[Part], keeps: object) -> Self:
        """One of these parts, in a directory that was made for their targets.

        ``keeps``: what is to live as long as it does, with that directory. Raises OSError.
        """
        made = cls.__new__(cls)
        made._make(parts, directory.new(), keeps)
        return made

    def _make(self, parts: Sequence[Part], directory: str, keeps: object) -> None:
        self.directory = directory
        """The layer's directory, which the caller alone may enter."""
        self.parts = tuple(parts)
        """One for each path, without those that are below another one."""
        self._maker = this_process()
        self._remove = weakref.finalize(self, remove_in, self._maker, directory, keeps)
        try:
            for part in parts:
                _make_part(part, directory)
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether the directory has been removed."""
        return not self._remove.alive

    def close(self) -> None:
        """Remove the directory with all that was written; nothing when that was done.

        Raises OSError when it cannot be removed: it is not closed then, and this can be called again.
        """
        if self._remove.alive:
            remove_in(self._maker, self.directory)
            self._remove.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        over = ", ".join(repr(part.path) for part in self.parts)
        return f"<Layer over {over}{', closed' if self.closed else ''}>"


# ---- the paths


def parts_of(paths: Iterable[Path]) -> tuple[Part, ...]:
    """The parts of a layer over these paths, outermost first, none below another.

    Raises ValueError for a path that is not there or cannot have a layer.
    """
    return tuple(
        _part(number, path, target) for number, (target, path) in enumerate(_targets(paths).items())
    )


def _part(number: int, path: str, target: str) -> Part:
    is_directory = os.path.isdir(target)
    root = os.stat(_root_of(target, is_directory=is_directory))
    identity = root.st_dev, root.st_ino
    return Part(path, target, is_directory, f"upper{number}", f"work{number}", identity)


def _root_of(target: str, *, is_directory: bool) -> str:
    return target if is_directory else os.path.dirname(target)


def _targets(paths: Iterable[Path]) -> dict[str, str]:
    """The paths as given by what they are without links, outermost first, none below another."""
    given = {os.path.realpath(path): os.fspath(path) for path in reversed(list(paths))}
    kept: dict[str, str] = {}
    for target in sorted(given):
        _refuse_unfit(given[target], target)
        if not any(is_below(target, cover) for cover in kept):
            kept[target] = given[target]
    _refuse_mounts_below(kept)
    return kept


def _refuse_unfit(path: str, target: str) -> None:
    try:
        mode = os.stat(target).st_mode
    except OSError as error:
        raise ValueError(
            f"invalid write with overlay: expected a directory or a file that is there, got {path!r}: "
            f"{error.strerror}; make it first, or name the directory in which it is to be"
        ) from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise ValueError(
            f"invalid write with overlay: expected a directory or a regular file, got {path!r}; "
            "a device, a fifo or a socket has no layer: leave it out, or give it without overlay"
        )


def _refuse_mounts_below(targets: dict[str, str]) -> None:
    """Refuse what the child would not see: an overlay shows none of the mounts below its directory.

    For a mounter without rights outside of its user namespace the kernel refuses it, with EINVAL.
    """
    for mount in mounts():
        for target, path in targets.items():
            if mount.place != target and is_below(mount.place, target) and os.path.isdir(target):
                raise ValueError(
                    "invalid write with overlay: expected a directory without mounts below it, got "
                    f"{path!r}, where {mount.place!r} is one; name the directories beside it instead"
                )


# ---- the directories of the layer


def _make_part(part: Part, base: str) -> None:
    """Make its directories."""
    mode = os.stat(part.target).st_mode
    # The kernel makes its own directory in that of work, and mounts read-only, without an error, where it
    # cannot.
    for made in (part.upper, part.work):
        os.mkdir(f"{base}/{made}", _CALLERS_OWN)
        os.chmod(f"{base}/{made}", _CALLERS_OWN)  # a umask may have taken the owner's rights
    if part.directory:
        os.chmod(f"{base}/{part.upper}", mode & MODE_OF_ROOT)
    else:
        _copy_file(part, base)


def _copy_file(part: Part, base: str) -> None:
    with contextlib.ExitStack() as closing:
        root = part.place_of_root()
        closing.callback(os.close, root)
        source = open_to_read(os.path.basename(part.target), root, own=False)
        closing.callback(os.close, source)
        copy = os.open(f"{base}/{part.source}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
        closing.callback(os.close, copy)
        copy_content(source, copy)
        found = os.fstat(source)
        os.fchmod(copy, found.st_mode & _MODE_OF_FILE)
        os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))


def _escaped(path: str) -> str:
    """As overlayfs reads a path in an option: a backslash before each colon and backslash."""
    return path.replace("\\", "\\\\").replace(":", "\\:")


def _without_commas(value: str) -> str:
    return value.replace(",", "\\,")
