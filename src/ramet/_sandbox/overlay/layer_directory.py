"""The directory in which layers lie: where it can be, and how none stays of a process that was killed."""

import contextlib
import fcntl
import os
import stat
import tempfile
import weakref
from collections.abc import Iterable, Iterator

from ..description import LAYER_PLACES, Path, is_below
from ..untrusted_files import ONLY_A_PLACE, permit_owner
from .mounts import file_system_of
from .tree_removal import remove_own_tree

__all__ = ["LayerDirectory", "remove_in", "this_process"]

_PREFIX = "ramet-layers-"


class LayerDirectory:
    """A directory for layers, until it is closed or collected.

    It is 0700, since a child's files with set-user-ID bits lie in it and belong to the caller. While it is
    in use it is locked, by a descriptor. The kernel unlocks that of a process that was killed, and a later
    process removes it when it makes the first of its own beside it.

    ``targets``: what is written, without symbolic links, where it must not be. ``where``: the directory in
    which it is made; None for the first that fits of the one for temporary files, /var/tmp and /dev/shm.

    Raises ValueError for a place that cannot hold layers, with what to do; OSError when the directory
    cannot be made.

    Needs: below ``where`` a file system with attributes of users (ext4, xfs, btrfs, and tmpfs since Linux
    6.6), not overlayfs.
    Source: Documentation/filesystems/overlayfs.rst; flock(2).
    """

    def __init__(self, targets: Iterable[str], where: Path | None = None) -> None:
        candidates = [tempfile.gettempdir(), *LAYER_PLACES] if where is None else [os.fspath(where)]
        self.path, lock = _first_that_fits(
            dict.fromkeys(map(os.path.realpath, candidates)), targets
        )
        self._remove = weakref.finalize(self, _remove, this_process(), self.path, lock)

    def new(self) -> str:
        """Make a directory in it; its path."""
        made = tempfile.mkdtemp(prefix="", dir=self.path)
        _permit_owner(made)
        return made

    def close(self) -> None:
        """Remove it with all that is in it; nothing when that was done."""
        self._remove()


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


def _remove(process: tuple[int, str], directory: str, lock: int) -> None:
    if process == this_process():
        try:
            remove_own_tree(directory)
        finally:
            os.close(lock)


# ---- where it can be


def _first_that_fits(candidates: Iterable[str], targets: Iterable[str]) -> tuple[str, int]:
    """The directory that was made in one of them, and the descriptor that locks it."""
    reasons = []
    for candidate in candidates:
        reason = _why_not_in(candidate, targets)
        if reason is None:
            _remove_abandoned(candidate)
            made, lock = _made_in(candidate)
            reason = _why_not(made, lock)
            if reason is None:
                return made, lock
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


def _why_not(made: str, opened: int) -> str | None:
    """What the kernel would refuse, or would turn to a read-only mount; the directory is removed then."""
    reason: str | None = "was not asked"
    try:
        reason = _why_no_layer(opened)
    finally:
        if reason is not None:
            _remove_attempt(made, opened)
    return reason


def _remove_attempt(made: str, opened: int) -> None:
    """Where a signal handler has raised, what was to be tried is still in it."""
    try:
        remove_own_tree(made)
    finally:
        os.close(opened)


def _why_no_layer(opened: int) -> str | None:
    if (kind := file_system_of(opened)) == "overlay":
        return "is on overlayfs, as a container's files are, where no layer can be"
    try:
        os.setxattr(opened, "user.ramet", b"")
        os.removexattr(opened, "user.ramet")
    except OSError as error:
        return f"is on {kind or 'a file system'} without attributes of users ({error.strerror})"
    return _why_no_whiteout(opened)


def _why_no_whiteout(directory: int) -> str | None:
    """A whiteout stands for a deleted file: a character device 0:0, anybody's to make since Linux 5.8."""
    try:
        os.mknod("whiteout", stat.S_IFCHR, 0, dir_fd=directory)
    except OSError as error:
        return f"cannot hold whiteouts ({error.strerror})"
    os.unlink("whiteout", dir_fd=directory)
    return None


# ---- the lock


def _made_in(parent: str) -> tuple[str, int]:
    """Make one and lock it. Before it is locked another process may take it for abandoned."""
    while True:
        made = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
        try:
            _permit_owner(made)
            lock = _locked(made, fcntl.LOCK_SH)
        except BaseException:  # a signal handler's exception, too
            os.rmdir(made)
            raise
        if lock is not None:
            return made, lock


def _permit_owner(made: str) -> None:
    """Give a new directory its mode where the umask has taken the owner's own rights from it."""
    with contextlib.suppress(FileNotFoundError):  # who locks it finds out
        place = os.open(made, ONLY_A_PLACE | os.O_DIRECTORY)
        try:
            permit_owner(place)
        finally:
            os.close(place)


def _locked(directory: str, kind: int) -> int | None:
    """A descriptor that locks it; None for one that another process has locked otherwise, or removed."""
    try:
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(opened, kind | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(opened), os.stat(directory, follow_symlinks=False)):
            return opened
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(opened)
        raise
    os.close(opened)
    return None


_looked_at: set[str] = set()


def _remove_abandoned(parent: str) -> None:
    """Remove those of this user's that nobody has locked; a process looks once in each place.

    What cannot be removed stays: that is no reason not to make another.
    """
    if parent in _looked_at:
        return
    _looked_at.add(parent)
    for abandoned in _own_in(parent):
        with contextlib.suppress(OSError):
            lock = _locked(abandoned, fcntl.LOCK_EX)
            if lock is not None:
                try:
                    remove_own_tree(abandoned)
                finally:
                    os.close(lock)


def _own_in(parent: str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and _is_own(entry):
                yield entry.path


def _is_own(entry: "os.DirEntry[str]") -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
