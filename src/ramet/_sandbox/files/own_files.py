"""What each child of a sandbox mounts for itself: /tmp, /dev/shm, /dev/pts, /proc, its layer."""

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..._kernel import mounts
from ..._kernel.names import AT_FDCWD
from ..._setup.order import Steps
from ..description import is_below
from ..own_places import LAYERS, TERMINALS
from ..view import Shown, View
from .in_a_call import add_bind

if TYPE_CHECKING:
    from ..overlay.layer import Part

_FLAGS = mounts.MS_NOSUID | mounts.MS_NODEV
_OF_TERMINALS = mounts.MS_NOSUID | mounts.MS_NOEXEC
# Other file systems of this kind have none of them. All together have a limit that is the machine's.
TERMINALS_DATA = b"newinstance,ptmxmode=0666,mode=0620,max=256"
_STAGE = "/dev/shm"  # a directory of the sandbox's own, where /tmp is made ready
_EMPTY_FILE = 0o100644
_KEYS = b"/proc/keys"


def add_mount(steps: Steps, kind: bytes, where: bytes, flags: int, data: bytes) -> None:
    """Mount a new file system of that kind."""
    steps.add(f"mount({kind.decode()})", "MOUNT", kind, where, kind, flags, data, file=where)


def add_temporary(steps: Steps, view: View, size: int) -> None:
    """/tmp and /dev/shm, of so many bytes each. What the view shows below /tmp stays there.

    A path of the view that is /tmp itself stays as it is.
    """
    data = b"mode=1777,size=%d,nr_inodes=%d" % (size, max(1024, size >> 12))
    if not any(one.path == "/tmp" for one in view.shown):
        _add_tmp(steps, view, data)
    add_mount(steps, b"tmpfs", _STAGE.encode(), _FLAGS | mounts.MS_NOEXEC, data)


def add_terminals(steps: Steps) -> None:
    """/dev/pts, with terminals of the child's own: pts(4)."""
    add_mount(steps, b"devpts", TERMINALS.encode(), _OF_TERMINALS, TERMINALS_DATA)


def add_proc(steps: Steps) -> None:
    """The /proc of the pid namespace in which the task is."""
    add_mount(steps, b"proc", b"/proc", _FLAGS | mounts.MS_NOEXEC, b"hidepid=ptraceable")


def hide_keys(steps: Steps) -> None:
    """Show none in /proc/keys: it lists those of the user's, of whatever session, and their names."""
    if os.path.exists(_KEYS):
        steps.add(
            "mount(/proc/keys)", "MOUNT", b"/dev/null", _KEYS, 0, mounts.MS_BIND, 0, file=_KEYS
        )


def add_layer(steps: Steps, parts: "Iterable[Part]", directory: str) -> None:
    """A layer, as the user whose files it is to hold; all directories of layers are out of sight then."""
    for part in parts:
        target = os.fsencode(part.target)
        if part.directory:
            data = part.data(part.target, directory)
            steps.add(
                "mount(overlay)", "MOUNT", b"overlay", target, b"overlay", _FLAGS, data, file=target
            )
        else:
            add_bind(steps, os.fsencode(f"{directory}/{part.source}"), target)
    # It is covered, since a mount that came with a namespace of others cannot be taken away.
    flags = _FLAGS | mounts.MS_NOEXEC | mounts.MS_RDONLY
    add_mount(steps, b"tmpfs", LAYERS.encode(), flags, b"mode=0,size=4k")


def _add_tmp(steps: Steps, view: View, data: bytes) -> None:
    below = list(_below_tmp(view))
    hidden = [one.path for one in view.hidden]
    links = [(path, to) for path, to in view.links if _is_of_tmp(path, but_below=hidden)]
    if not below and not links:
        add_mount(steps, b"tmpfs", b"/tmp", _FLAGS, data)
        return
    # They would be covered: the new /tmp is made elsewhere, gets them, and is moved.
    add_mount(steps, b"tmpfs", _STAGE.encode(), _FLAGS, data)
    for directory in view.directories():
        if directory != "/tmp" and is_below(directory, "/tmp"):
            _add_directory(steps, directory)
    for one in below:
        _add_place(steps, one)
        source, target = os.fsencode(one.path), _staged(one.path)
        flags = mounts.MS_BIND | mounts.MS_REC
        steps.add("mount(MS_BIND)", "MOUNT", source, target, 0, flags, 0, file=source)
    for path, to in links:
        target = _staged(path)
        steps.add("symlink", "SYMLINKAT", os.fsencode(to), AT_FDCWD, target, file=target)
    steps.add("mount(MS_MOVE)", "MOUNT", _STAGE.encode(), b"/tmp", 0, mounts.MS_MOVE, 0)


def _below_tmp(view: View) -> Iterator[Shown]:
    """What is shown there, but for what comes with another, or is covered by what is hidden."""
    hidden = [one.path for one in view.hidden]
    for one in view.shown:
        above = [other.path for other in view.shown if other.is_directory and other != one]
        if _is_of_tmp(one.path, but_below=above + hidden):
            yield one


def _is_of_tmp(path: str, *, but_below: Iterable[str]) -> bool:
    return is_below(path, "/tmp") and not any(is_below(path, other) for other in but_below)


def _add_place(steps: Steps, one: Shown) -> None:
    if one.is_directory:
        _add_directory(steps, one.path)
    else:
        path = _staged(one.path)
        steps.add("mknod", "MKNODAT", AT_FDCWD, path, _EMPTY_FILE, 0, file=path)


def _add_directory(steps: Steps, path: str) -> None:
    staged = _staged(path)
    steps.add("mkdir", "MKDIRAT", AT_FDCWD, staged, 0o755, file=staged)
    # The child keeps its umask, which is the caller's, and that may have let nobody search it.
    steps.add("chmod", "FCHMODAT", AT_FDCWD, staged, 0o755, file=staged)


def _staged(path: str) -> bytes:
    return os.fsencode(_STAGE + path.removeprefix("/tmp"))
