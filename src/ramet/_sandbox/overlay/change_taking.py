"""Take changes of a layer over: make a directory's files as they are in the layer.

The files are a child's that is not trusted, and others may change the directory meanwhile: neither is
walked through a symbolic link. Each file is written beside its place and renamed to it, belongs to the
caller or to whom the replaced one belonged, and has no set-user-ID, no set-group-ID, no attributes and no
lists of access rights of the child's choice.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping

from ..untrusted_files import (
    ONLY_A_PLACE,
    change_mode,
    close_all,
    copy_content,
    look,
    open_to_read,
    place_below,
    place_of,
)
from .change_finding import Change
from .layer import Layer, Part
from .tree_removal import remove_tree

__all__ = ["Taking"]

_MODE_OF_FILE = 0o777
_MODE_OF_DIRECTORY = 0o1777
_OF_OWNER = stat.S_IRWXU
_SPECIAL = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK}


class _Stack:
    """Open directories from a root down to where the last name was, so that each is opened once.

    root: its descriptor, which is closed with the others.
    """

    def __init__(self, root: int) -> None:
        self.names: list[str] = []
        self.places = [root]

    def go(self, names: tuple[str, ...], *, make: bool = False) -> int:
        """The directory some names below the root; ``make``: make those that are missing."""
        pairs = enumerate(zip(self.names, names, strict=False))
        common = next(
            (at for at, (old, new) in pairs if old != new), min(len(self.names), len(names))
        )
        close_all(self.places[common + 1 :])
        del self.places[common + 1 :], self.names[common:]
        for name in names[common:]:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=self.places[-1])
            self.places.append(place_of(name, self.places[-1]))
            self.names.append(name)
        return self.places[-1]

    def close(self) -> None:
        close_all(self.places)


class Taking:
    """One take over of the changes of one part, in the order in which they were found."""

    def __init__(self, layer: Layer, part: Part, to: str | None) -> None:
        self.part = part
        self.elsewhere = to is not None
        self.source = _Stack(_opened(f"{layer.directory}/{part.upper}"))
        try:
            self.target = _Stack(_root_of(part) if to is None else _opened(to))
        except BaseException:
            self.source.close()
            raise
        # Paths are held as the changes hold them: their names would take many times as much.
        # Names of one file, by its number: the path and the number of the file that was made of it.
        self.linked: dict[int, tuple[str, int]] = {}
        self.modes: dict[str, int] = {}

    def close(self) -> None:
        """Close its directories."""
        self.source.close()
        self.target.close()

    def take(self, change: Change) -> None:
        """Do what one change says."""
        names = self.part.names_of(change.path)
        if not names:
            self._directory_itself(change)
            return
        parent = self.target.go(names[:-1], make=self.elsewhere and change.kind != "deleted")
        if change.kind == "deleted":
            self._delete(names[-1], parent, change)
        elif change.what == "directory":
            self._directory(names, parent, change)
        elif change.kind == "attributes" and change.what != "file" and not self.elsewhere:
            self._attributes(names, parent, change)
        else:
            self._file(names, parent, change)

    @contextlib.contextmanager
    def modes_at_the_end(self) -> Iterator[None]:
        """Give directories their permissions, which may forbid to write to them, when the rest is done."""
        try:
            yield
        except OSError:
            with contextlib.suppress(OSError):
                self._set_modes()
            raise
        self._set_modes()

    def _set_modes(self) -> None:
        """The deepest first: those above may forbid to come there."""
        for path, mode in reversed(self.modes.items()):
            change_mode(self.target.go(self.part.names_of(path)), mode & _MODE_OF_DIRECTORY)

    # ---- directories

    def _directory_itself(self, change: Change) -> None:
        change_mode(self.target.go(()), (change.mode & _MODE_OF_DIRECTORY) | _OF_OWNER)
        self.modes[change.path] = change.mode

    def _directory(self, names: tuple[str, ...], parent: int, change: Change) -> None:
        there = look(names[-1], parent)
        if there is not None and not stat.S_ISDIR(there.st_mode) and change.kind == "type changed":
            os.unlink(names[-1], dir_fd=parent)
            there = None
        if there is None:
            os.mkdir(names[-1], _OF_OWNER, dir_fd=parent)
        # A symbolic link that somebody has put there by now is refused in here.
        change_mode(self.target.go(names), (change.mode & _MODE_OF_DIRECTORY) | _OF_OWNER)
        self.modes[change.path] = change.mode

    # ---- deletions

    def _delete(self, name: str, parent: int, change: Change) -> None:
        there = look(name, parent)
        if there is None:
            return
        if not stat.S_ISDIR(there.st_mode):
            os.unlink(name, dir_fd=parent)
        elif change.what == "directory":
            remove_tree(name, parent, ours=False)
        else:
            raise OSError(errno.EISDIR, f"expected a {change.what}, got a directory by now", name)

    # ---- files

    def _attributes(self, names: tuple[str, ...], parent: int, change: Change) -> None:
        """Set the mode of a fifo or a socket, which may be in use; there is nothing to do to a link.

        One with other names is made anew for it, as each file is: they may be outside of what is written,
        or others may have linked one that matters by that name meanwhile, whose mode is not to be changed.
        """
        if change.points_to is not None:
            return
        place = _place_of_special(names[-1], parent, change)
        try:
            found, mode = os.fstat(place), change.mode & _MODE_OF_FILE
            if found.st_nlink == 1:
                change_mode(place, mode)
        finally:
            os.close(place)
        if found.st_nlink != 1 and stat.S_IMODE(found.st_mode) != mode:
            self._file(names, parent, change)

    def _file(self, names: tuple[str, ...], parent: int, change: Change) -> None:
        name, beside = names[-1], f".ramet-{os.urandom(8).hex()}"
        upper = self.source.go(names[:-1])
        there = look(name, parent)
        try:
            if change.what == "file":
                self._make_file(names, upper, beside, parent, (change, there))
            else:
                self._make_other(beside, parent, change, there)
            if there is not None and stat.S_ISDIR(there.st_mode) and change.kind == "type changed":
                remove_tree(name, parent, ours=False)
            os.rename(beside, name, src_dir_fd=parent, dst_dir_fd=parent)
        finally:
            # Also when it was renamed: two names of one file stay two.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=parent)

    def _make_other(
        self, beside: str, parent: int, change: Change, replaced: os.stat_result | None
    ) -> None:
        if change.points_to is not None:
            os.symlink(change.points_to, beside, dir_fd=parent)
        elif change.what in _SPECIAL:
            os.mknod(beside, _SPECIAL[change.what] | 0o600, dir_fd=parent)
            place = _place_of_special(beside, parent, change)
            try:
                if os.fstat(place).st_nlink != 1:  # nor is that of others to be changed
                    raise OSError(errno.ESTALE, f"the new {change.what} was replaced meanwhile")
                if replaced is not None and stat.S_IFMT(replaced.st_mode) == _SPECIAL[change.what]:
                    _keep_owner(place, replaced)
                change_mode(place, change.mode & _MODE_OF_FILE)
            finally:
                os.close(place)
        else:
            raise OSError(errno.EPERM, "a device is not taken over")

    def _make_file(
        self,
        names: tuple[str, ...],
        upper: int,
        beside: str,
        parent: int,
        about: tuple[Change, os.stat_result | None],
    ) -> None:
        change, replaced = about
        with contextlib.ExitStack() as closing:
            source = open_to_read(names[-1], upper, own=True)
            closing.callback(os.close, source)
            found = os.fstat(source)
            if found.st_nlink > 1 and self._link(found.st_ino, beside, parent):
                return
            written = _new_file(beside, parent)
            closing.callback(os.close, written)
            copy_content(source, written)
            if replaced is not None and stat.S_ISREG(replaced.st_mode):
                _keep_owner(written, replaced)
            os.fchmod(written, change.mode & _MODE_OF_FILE)
            os.utime(written, ns=(found.st_atime_ns, found.st_mtime_ns))
            if found.st_nlink > 1:
                self.linked[found.st_ino] = change.path, os.fstat(written).st_ino

    def _link(self, number: int, beside: str, parent: int) -> bool:
        """Make another name of a file that was taken over already; a copy for each would fill a disk."""
        if number not in self.linked:
            return False
        path, taken = self.linked[number]
        names = self.part.names_of(path)
        place = place_below(names[:-1], self.target.places[0])
        try:
            os.link(names[-1], beside, src_dir_fd=place, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(place)
        if (found := look(beside, parent)) is None or found.st_ino != taken:
            raise OSError(errno.ESTALE, "another name of the same file was replaced meanwhile")
        return True


def _opened(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _root_of(part: Part) -> int:
    """The directory that the child saw; it belongs to others, who may have put another thing there."""
    try:
        root = part.place_of_root()
    except NotADirectoryError:
        why = "a symbolic link, or no directory, is on the way by now"
        raise _not_the_same(errno.ENOTDIR, why, part) from None
    found = os.fstat(root)
    if (found.st_dev, found.st_ino) != part.identity:
        os.close(root)
        raise _not_the_same(errno.ESTALE, "another is there by now", part)
    return root


def _not_the_same(number: int, why: str, part: Part) -> OSError:
    expected = f"expected {part.root!r} to be the directory that the child saw: {why}"
    return OSError(number, f"{expected}; take(to=) takes the changes to a directory that you name")


def _place_of_special(name: str, directory: int, change: Change) -> int:
    """A descriptor of O_PATH of a fifo or a socket, which the caller closes."""
    place = os.open(name, ONLY_A_PLACE, dir_fd=directory)
    if stat.S_IFMT(os.fstat(place).st_mode) != _SPECIAL[change.what]:
        os.close(place)
        raise OSError(errno.EINVAL, f"expected a {change.what}, got another thing by now")
    return place


def _new_file(name: str, directory: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, 0o600, dir_fd=directory)


def _keep_owner(written: int, replaced: os.stat_result) -> None:
    """Give a file that replaces another one its owner and its group, as writing to it would have left them.

    Only root can; a plain user's file is his own, and the group is his where he is not in the other.
    """
    new = os.fstat(written)
    if (new.st_uid, new.st_gid) != (replaced.st_uid, replaced.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(f"/proc/self/fd/{written}", replaced.st_uid, replaced.st_gid)


def destinations(layer: Layer, to: object) -> Mapping[str, str | None]:
    """Where the changes of each part go: None for the paths themselves."""
    if to is None:
        return dict.fromkeys((part.path for part in layer.parts), None)
    paths = [part.path for part in layer.parts]
    if isinstance(to, Mapping):
        return _directories(layer, _mapped(paths, to))
    if not isinstance(to, str | os.PathLike):
        raise TypeError(f"invalid to: expected a path, a mapping or None, got {to!r}")
    if len(paths) > 1:
        raise ValueError(
            f"invalid to: expected a directory for each of {', '.join(map(repr, paths))} as a mapping, "
            f"got one, {os.fspath(to)!r}"
        )
    return _directories(layer, {paths[0]: str(os.fspath(to))})


def _directories(layer: Layer, given: Mapping[str, str]) -> Mapping[str, str | None]:
    for part in layer.parts:
        place = given.get(part.path)
        if part.directory and place is not None and not os.path.isdir(place):
            raise ValueError(
                f"invalid to: expected a directory for what was written to {part.path!r}, got {place!r}, "
                "which is none; make it first"
            )
    return dict(given)


def _mapped(paths: list[str], to: Mapping[object, object]) -> Mapping[str, str]:
    given = {os.path.abspath(str(path)): str(place) for path, place in to.items()}
    if unknown := given.keys() - set(paths):
        raise ValueError(
            f"invalid to: expected paths that the sandbox writes, got {', '.join(sorted(unknown))}"
        )
    return given
