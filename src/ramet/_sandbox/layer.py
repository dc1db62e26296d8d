"""Layer: directories beside the paths that a sandbox writes, which take what is written there."""

import contextlib
import os
import stat
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from .description import Path, is_below
from .mounts import file_system_of, mounts
from .tree_removal import remove_own_tree
from .untrusted_files import copy_content, open_to_read

__all__ = ["Layer", "Part", "new_directory", "parts_of", "remove_in", "this_process"]

Option: TypeAlias = tuple[str, str | None]

MODE_OF_ROOT = (
    0o1777  # of a directory: without set-group-ID, which would give a child's files a group
)
_MODE_OF_FILE = 0o777
_ELSEWHERE = ("/var/tmp", "/dev/shm")
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
    of the layer, as relative paths. A file has no overlay, as overlayfs knows directories only: ``upper``
    holds a copy of it by the same name.
    """

    path: str
    target: str
    directory: bool
    upper: str
    work: str

    @property
    def root(self) -> str:
        """The directory whose entries those in ``upper`` stand for."""
        return self.target if self.directory else os.path.dirname(self.target)

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
        """The same in the form of mount(2): with a backslash before a comma, too."""
        options = self.options(lower, directory)
        written = (
            key if value is None else f"{key}={_without_commas(value)}" for key, value in options
        )
        return os.fsencode(",".join(written))


class Layer:
    """A layer over paths of this machine; it holds a directory until it is closed or collected.

    ``paths``: what a child may write, directories or files. ``where``: the directory in which that of
    the layer is made; None for the first that fits of the one for temporary files, /var/tmp and /dev/shm.

    Raises ValueError for a path that is not there or cannot have a layer, and for a place that cannot hold
    one, with what to do; OSError when the directories cannot be made.

    Needs: Linux 5.11; below ``where`` a file system with attributes of users (ext4, xfs, btrfs, and tmpfs
    since Linux 6.6), not overlayfs; /proc.
    Source: Documentation/filesystems/overlayfs.rst.
    """

    def __init__(self, paths: Iterable[Path], where: Path | None = None) -> None:
        parts = parts_of(paths)
        self._make(parts, new_directory([part.target for part in parts], where))

    @classmethod
    def below(cls, directory: str, parts: Sequence[Part], keeps: object) -> Self:
        """One of these parts, in a directory that new_directory() has made for their targets.

        ``keeps``: what is to live as long as it does. Raises OSError.
        """
        made = cls.__new__(cls)
        made._make(parts, tempfile.mkdtemp(prefix="", dir=directory), keeps)
        return made

    def _make(self, parts: Sequence[Part], directory: str, keeps: object = None) -> None:
        self.directory = directory
        """The layer's directory, which the caller alone may enter."""
        self.parts = tuple(parts)
        """One for each path, without those that are below another one."""
        self._remove = weakref.finalize(self, remove_in, this_process(), directory, keeps)
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

    @property
    def was_writable(self) -> bool:
        """Whether the kernel has mounted all of it, and for writing: it leaves its own directory then."""
        works = (f"{self.directory}/{part.work}/work" for part in self.parts if part.directory)
        return all(map(os.path.isdir, works))

    def close(self) -> None:
        """Remove the directory with all that was written; nothing when that was done."""
        self._remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        over = ", ".join(repr(part.path) for part in self.parts)
        return f"<Layer over {over}{', closed' if self.closed else ''}>"


# ---- the end of the directory


def this_process() -> tuple[int, str]:
    """What tells this process from its copies, which must not remove its files: a pid may be the same."""
    try:
        return os.getpid(), os.readlink("/proc/self/ns/pid")
    except OSError:
        return os.getpid(), ""


def remove_in(process: tuple[int, str], directory: str, _: object = None) -> None:
    """Remove a directory with all that is in it, if this is that process."""
    if process == this_process():
        remove_own_tree(directory)


# ---- the paths


def parts_of(paths: Iterable[Path]) -> tuple[Part, ...]:
    """The parts of a layer over these paths, outermost first, none below another.

    Raises ValueError for a path that is not there or cannot have a layer.
    """
    return tuple(
        Part(path, target, os.path.isdir(target), f"upper{number}", f"work{number}")
        for number, (target, path) in enumerate(_targets(paths).items())
    )


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


# ---- the directory of the layer


def new_directory(targets: Iterable[str], where: Path | None) -> str:
    """Make a directory for a layer, or for several, beside the targets; the caller removes it.

    It is 0700, since a child's files with set-user-ID bits lie in it and belong to the caller. Parameters
    and errors as those of Layer, but that the targets are without symbolic links.
    """
    candidates = [tempfile.gettempdir(), *_ELSEWHERE] if where is None else [os.fspath(where)]
    reasons = []
    for candidate in dict.fromkeys(map(os.path.realpath, candidates)):
        reason = _why_not_in(candidate, targets)
        if reason is None:
            made = tempfile.mkdtemp(prefix="ramet-layer-", dir=candidate)
            reason = _why_not(made)
            if reason is None:
                return made
            os.rmdir(made)
        reasons.append(f"{candidate!r} {reason}")
    raise ValueError(
        "invalid overlay: expected a place for the layer on ext4, xfs, btrfs or tmpfs, beside what is "
        f"written, got {'; '.join(reasons)}; set TMPDIR to such a directory (in a container: of a volume)"
    )


def _why_not_in(candidate: str, targets: Iterable[str]) -> str | None:
    if any(is_below(candidate, target) for target in targets):
        return "is below a path that is written, where the child would see the layer"
    if not os.path.isdir(candidate):
        return "is no directory"
    if not os.access(candidate, os.W_OK | os.X_OK):
        return "cannot be written by this process"
    return None


def _why_not(directory: str) -> str | None:
    """What the kernel would refuse, or would turn to a read-only mount; None where it fits."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if (kind := file_system_of(opened)) == "overlay":
            return "is on overlayfs, as a container's files are, where no layer can be"
        try:
            os.setxattr(opened, "user.ramet", b"")
            os.removexattr(opened, "user.ramet")
        except OSError as error:
            return f"is on {kind or 'a file system'} without attributes of users ({error.strerror})"
        return _why_no_whiteout(opened)
    finally:
        os.close(opened)


def _why_no_whiteout(directory: int) -> str | None:
    """A whiteout stands for a deleted file: a character device 0:0, anybody's to make since Linux 5.8."""
    try:
        os.mknod("whiteout", stat.S_IFCHR, 0, dir_fd=directory)
    except OSError as error:
        return f"cannot hold whiteouts ({error.strerror})"
    os.unlink("whiteout", dir_fd=directory)
    return None


def _make_part(part: Part, base: str) -> None:
    """Make its directories."""
    mode = os.stat(part.target).st_mode
    os.mkdir(f"{base}/{part.upper}", _CALLERS_OWN)
    # The kernel makes its own directory in here, and mounts read-only, without an error, where it cannot.
    os.mkdir(f"{base}/{part.work}", _CALLERS_OWN)
    if part.directory:
        os.chmod(f"{base}/{part.upper}", mode & MODE_OF_ROOT)
    else:
        _copy_file(part, base)


def _copy_file(part: Part, base: str) -> None:
    with contextlib.ExitStack() as closing:
        root = os.open(part.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
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
