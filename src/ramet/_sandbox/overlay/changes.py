"""Changes: what a child has done to the files that it might write, to be taken over or thrown away."""

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Self, overload

from ...errors import ChangeError
from ..description import Path
from ..untrusted_files import ONLY_A_PLACE, open_to_read, place_below
from .change_diff import LARGEST_TEXT, Diff
from .change_finding import Change, find_changes
from .change_taking import Taking, destinations
from .layer import Layer, Part

__all__ = ["Change", "Changes"]

_MOST_BYTES_READ = 64 << 20
_MOST_LINES_SHOWN = 1000
_MOST_LETTERS_SHOWN = 1 << 20


class Changes(Sequence[Change]):
    """What a child has changed below the paths that it may write, with ``overlay``: a sequence of Change.

    The files of this machine are as they were, until ``take()``. The layer is kept until ``discard()``, the
    end of a ``with`` block, or until nobody has this object any more. It is read at the first use: what
    others do to the files after that is not compared. Use it when the child and all that it has started
    have ended, as they have in a result.

    Raises OSError, E2BIG or ELOOP, at the first use when the child has made more, or deeper, than is read
    (500,000 names, 128 directories in each other); ValueError when the layer was discarded before it. As
    text it says so instead.
    """

    def __init__(self, layer: Layer) -> None:
        self._layer = layer

    @cached_property
    def _by_part(self) -> list[list[Change]]:
        self._refuse_discarded()
        return find_changes(self._layer)

    @cached_property
    def _all(self) -> tuple[Change, ...]:
        return tuple(change for changes in self._by_part for change in changes)

    @cached_property
    def _by_path(self) -> dict[str, tuple[Part, Change]]:
        pairs = zip(self._layer.parts, self._by_part, strict=True)
        return {change.path: (part, change) for part, changes in pairs for change in changes}

    def __len__(self) -> int:
        return len(self._all)

    @overload
    def __getitem__(self, place: int) -> Change: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Change, ...]: ...

    def __getitem__(self, place: int | slice) -> Change | tuple[Change, ...]:
        return self._all[place]

    def __str__(self) -> str:
        """A line for each, the first thousand of them, or the first million letters."""
        if why := self._why_unread():
            return f"changes cannot be read: {why}"
        lines, left = [], _MOST_LETTERS_SHOWN
        for change in self._all[:_MOST_LINES_SHOWN]:
            if left <= 0:
                break
            lines.append(str(change))
            left -= len(lines[-1])
        if (more := len(self) - len(lines)) > 0:
            lines.append(f"and {more} more")
        return "\n".join(lines) or "nothing changed"

    def __repr__(self) -> str:
        if self.discarded and "_by_part" not in vars(self):
            return "<Changes, discarded>"
        if why := self._why_unread():
            return f"<Changes, which cannot be read: {why}>"
        counts = Counter(change.kind for change in self._all)
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "none"
        return f"<Changes: {told}{', discarded' if self.discarded else ''}>"

    # ---- what is in them

    def read(self, path: Path, limit: int = _MOST_BYTES_READ) -> bytes:
        """The new content of a file that was added or modified.

        ``path``: that of the change. ``limit``: bytes, as the child may have made it as large as it likes.

        Raises ValueError for a path of no such file; OSError, EFBIG, when it is larger than ``limit``.
        """
        part, change = self._change_of(path)
        if change.what != "file" or change.kind == "deleted":
            raise ValueError(f"invalid path: expected that of a new file, got {str(change)!r}")
        if change.size > limit:
            raise OSError(
                errno.EFBIG,
                f"invalid limit: expected {change.size} bytes or more for this file, got {limit}",
                change.path,
            )
        return self._content(part, change, limit)

    def diff(self) -> str:
        """A unified diff of the text files, paths as ``patch -p1 -d /`` takes them.

        Of other files, and of text of more than 256 KiB or 5000 lines, a line says that they differ.
        It ends after 16 million characters, or sooner where many long texts are compared, with a line that
        says how many changes are not shown. It has what the child has written, also what moves a terminal's
        cursor.
        """
        diff = Diff()
        added = 0
        for part, change in self._by_path.values():
            if diff.is_full:
                break
            diff.add(change, self._old_content(part, change), self._new_content(part, change))
            added += 1
        return diff.text(len(self) - added)

    # ---- what becomes of them

    def take(self, to: Path | Mapping[str, Path] | None = None) -> None:
        """Make the files of this machine as the child has left its own.

        ``to``: another directory that stands for the path that the sandbox writes; a mapping of path to
        directory where there are several, and only those in it are taken. What is missing in it is made.

        Each file is replaced in one step, and a deletion takes what is there by now. Nothing is done
        through a symbolic link, whoever has made it: where a directory has become one, or the written path
        has become another directory since the child began, that is an error; ``to`` may name that one.
        New files are the caller's, replaced ones keep their owner where the caller is root. Set-user-ID and
        set-group-ID bits, other attributes, and owners are not taken over; names of one file stay that. A
        symbolic link is taken over as it is: it may point anywhere.

        Raises ChangeError at the first change that fails, with what was done so far, and, before anything
        is done, for a device; ValueError for a ``to`` that does not fit, and when the layer was discarded.
        """
        places = destinations(self._layer, to)
        self._refuse_discarded()
        chosen = [
            (part, changes, places[part.path])
            for part, changes in zip(self._layer.parts, self._by_part, strict=True)
            if part.path in places
        ]
        count = sum(len(changes) for _, changes, _ in chosen)
        _refuse_devices([change for _, changes, _ in chosen for change in changes], count)
        done = 0
        for part, changes, place in chosen:
            self._take_part(part, changes, place, (done, count))
            done += len(changes)

    def _take_part(
        self, part: Part, changes: list[Change], place: str | None, so_far: tuple[int, int]
    ) -> None:
        done, count = so_far
        if not changes:
            return
        change = changes[0]
        try:
            taking = Taking(self._layer, part, place)
            with contextlib.closing(taking), taking.modes_at_the_end():
                for change in changes:
                    taking.take(change)
                    done += 1
        except OSError as error:
            raise ChangeError(
                error.errno or errno.EIO, error.strerror or str(error), str(change), done, count
            ) from error

    def discard(self) -> None:
        """Throw the layer away; nothing when that was done. Raises OSError when it cannot be removed."""
        self._layer.close()

    @property
    def discarded(self) -> bool:
        """Whether the layer is gone."""
        return self._layer.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    # ---- reading

    def _change_of(self, path: Path) -> tuple[Part, Change]:
        wanted = os.path.abspath(os.fspath(path))
        try:
            return self._by_path[wanted]
        except KeyError:
            raise ValueError(
                f"invalid path: expected that of a change, got {wanted!r}, which was not changed"
            ) from None

    def _why_unread(self) -> str:
        """Why they cannot be told; empty where they can."""
        try:
            len(self)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.filename is None:
                return str(error.strerror)
            return str(error)
        return ""

    def _refuse_discarded(self) -> None:
        if self.discarded:
            raise ValueError(
                "invalid use of changes: they were discarded, and their files are gone"
            )

    def _content(self, part: Part, change: Change, limit: int) -> bytes:
        self._refuse_discarded()
        top = os.open(f"{self._layer.directory}/{part.upper}", ONLY_A_PLACE | os.O_DIRECTORY)
        return _read(top, part, change, limit, own=True)

    def _new_content(self, part: Part, change: Change) -> bytes | None:
        if change.what != "file" or change.kind in ("deleted", "attributes"):
            return None
        return self._content(part, change, LARGEST_TEXT + 1)

    def _old_content(self, part: Part, change: Change) -> bytes | None:
        # Of attributes a line tells; they may be those of the directory itself, which has no name below it.
        if change.kind in ("added", "attributes"):
            return None
        try:
            return _read(part.place_of_root(), part, change, LARGEST_TEXT + 1, own=False)
        except OSError:  # it was no file, or is gone by now
            return None


def _read(top: int, part: Part, change: Change, limit: int, *, own: bool) -> bytes:
    """The content below a directory, whose descriptor is closed."""
    names = part.names_of(change.path)
    with contextlib.ExitStack() as closing:
        closing.callback(os.close, top)
        place = place_below(names[:-1], top)
        closing.callback(os.close, place)
        file = open_to_read(names[-1], place, own=own)
        with open(file, "rb", 0) as opened:
            return opened.read(min(limit, os.fstat(file).st_size))


def _refuse_devices(changes: list[Change], count: int) -> None:
    for change in changes:
        if change.what == "device" and change.kind != "deleted":
            raise ChangeError(errno.EPERM, "a device is not taken over", str(change), 0, count)
