"""Whether the directory that is to be a sandbox's root has the places at which something is mounted there.

It is shown read-only, so that none can be made when the sandbox is.
"""

import errno
import os
from collections.abc import Iterator

from ..description import Sandbox, is_below
from .questions import Answer
from .row import Row


def image_rows(sandbox: Sandbox) -> Iterator[Row]:
    """A row for each place that is not there, or of another kind than what is mounted at it."""
    if sandbox.root is None or sandbox.root == "/" or not os.path.isdir(sandbox.root):
        return
    image = str(sandbox.root)
    needed = {"/proc": sandbox.proc, "/dev": True, "/tmp": sandbox.tmp is not None}
    for place, is_needed in needed.items():
        if is_needed and not os.path.isdir(image + place):
            yield _row("root", image, image + place, is_directory=True)
    yield from _of_paths(sandbox, image)


def _of_paths(sandbox: Sandbox, image: str) -> Iterator[Row]:
    """What lies below a directory that is shown, too, has its place there."""
    wishes = {path: wish for wish in ("read", "write") for path in getattr(sandbox, wish)}
    targets = {path: os.path.realpath(path) for path in wishes if os.path.exists(path)}
    directories = [target for target in targets.values() if os.path.isdir(target)]
    for path, target in targets.items():
        if any(is_below(target, other) and target != other for other in directories):
            continue
        is_directory, place = os.path.isdir(target), image + target
        if not os.path.exists(place) or os.path.isdir(place) != is_directory:
            yield _row(wishes[path], path, place, is_directory=is_directory)


def _row(wish: str, path: str, place: str, *, is_directory: bool) -> Row:
    kind, make = ("directory", "mkdir -p") if is_directory else ("file", "touch")
    return Row(
        wish=wish,
        text=path,
        met="not",
        shortfall=f"the root has no {kind} {place!r}, where one is to be mounted",
        remedy=f"{make} {place}",
        refused=Answer(errno.ENOENT, ""),
        path=path,
        mistaken=True,
    )
