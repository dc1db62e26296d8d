"""The root directory that the children of a sandbox see: the steps of the child that makes it."""

import os
from collections.abc import Iterable, Mapping

from ..._kernel import mounts
from ..._kernel.clone_bits import NEWNS
from ..._kernel.names import AT_FDCWD, PR_SET_DUMPABLE
from ..._setup.order import Steps
from ..description import Sandbox
from ..own_places import LAYERS, TERMINALS, devices
from ..view import Shown, View, directories_of, nearest, parent_of
from .own_files import add_mount

_STAGE = b"/proc"  # where the root is built: it is there, or nothing of this works
_OF_STAGE, _DATA_OF_STAGE = mounts.MS_NOSUID | mounts.MS_NODEV, b"mode=755,size=1m"
_LEAST = 3  # descriptors from here on are free in a task that makes a root
_FILE = 0o100644  # an empty regular file, to be mounted over
_SAFE = mounts.ATTR_NOSUID | mounts.ATTR_NODEV
_DEVICE_LINKS = (
    ("pts/ptmx", "ptmx"),
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
)


def add_root(
    steps: Steps,
    sandbox: Sandbox,
    view: View,
    mapped: Mapping[str, int],
    *,
    bare: int | None = None,
    owner: tuple[int, int] | None = None,
) -> None:
    """Build the root in a mount namespace of the calling task's own, and make it that task's root.

    mapped: by path, a descriptor of the user namespace that maps the ids of its files. bare: a descriptor
    of a namespace made by add_bare(), a copy of which the task enters when it has opened what it is to
    show; without it the task is in a copy of the caller's namespace. owner: user and group of what is made,
    where the task's own are not mapped in its user namespace; what is the caller's is opened before.
    """
    sources = [*([] if view.root is None else [view.root]), *view.shown]
    own_devices = dict(enumerate(devices(), len(sources)))
    caller_proc = len(sources) + len(own_devices)
    layers = caller_proc + 1
    _take_own_umask(steps)
    if bare is None:
        _make_private(steps)
    open_shown(steps, enumerate(sources), mapped)
    _open_devices(steps, own_devices)
    if sandbox.proc:
        _open_tree(steps, caller_proc, "/proc", mounts.AT_RECURSIVE, 0)
    if view.layers is not None:
        open_shown(steps, [(layers, view.layers)], mapped)
    if bare is not None:
        steps.add("setns(mnt)", "SETNS", bare, NEWNS)
        steps.add("unshare(NEWNS)", "UNSHARE", NEWNS)
    if owner is not None:
        _become(steps, *owner)
    if view.root is None:
        _add_empty_root(steps, view)
        _move(steps, enumerate(sources))
    else:
        move_mount(steps, 0, _STAGE)
        steps.add("chdir", "CHDIR", _STAGE, file=_STAGE)
        _move(steps, list(enumerate(sources))[1:])
    if sandbox.proc:
        # In a user namespace proc(5) may be mounted only where one is seen already: the child's is
        # mounted over it.
        move_mount(steps, caller_proc, b"proc")
    _add_devices(steps, own_devices)
    _hide(steps, view.hidden)
    if view.layers is not None:
        _mkdir(steps, LAYERS)
        move_mount(steps, layers, _inside(LAYERS))
    _set(steps, b"dev", mounts.ATTR_RDONLY | mounts.ATTR_NOSUID | mounts.ATTR_NOEXEC)
    _make_root(steps)
    if view.root is None:
        _set(steps, b"/", mounts.ATTR_RDONLY | _SAFE)


def add_bare(steps: Steps) -> None:
    """Leave nothing in the calling task's own mount namespace but a directory to build a root in."""
    _take_own_umask(steps)
    _make_private(steps)
    _mount_stage(steps)
    _mkdir(steps, os.fsdecode(_STAGE))
    _make_root(steps)


def add_bare_in_empty(steps: Steps) -> None:
    """Make the bare root in a mount namespace that was made with nothing in it: see EMPTY_MNTNS.

    Its root directory takes no files, and is covered by one that does.
    """
    _take_own_umask(steps)
    add_mount(steps, b"tmpfs", b"/", _OF_STAGE, _DATA_OF_STAGE)
    # The path "/" is the root below; ".." of it leads to what is mounted there: path_resolution(7).
    steps.add("chdir", "CHDIR", b"/..", file=b"/..")
    steps.add("chroot", "CHROOT", b".", file=b".")
    _mkdir(steps, os.fsdecode(_STAGE))


def _take_own_umask(steps: Steps) -> None:
    """Let what is made have the modes that are given: with the caller's umask others might not search it.

    The calling task makes namespaces and then ends, so that nobody else has this umask.
    """
    steps.add("umask", "UMASK", 0)


def _become(steps: Steps, uid: int, gid: int) -> None:
    steps.add("setgroups", "SETGROUPS", 0, 0)
    steps.add("setresgid", "SETGID", gid, gid, gid)
    steps.add("setresuid", "SETUID", uid, uid, uid)
    # The change of ids has taken this memory from its owner, who could not look into /proc/PID/ns.
    steps.add("prctl(PR_SET_DUMPABLE)", "PRCTL", PR_SET_DUMPABLE, 1, 0, 0, 0)


def _make_private(steps: Steps) -> None:
    flags = mounts.MS_REC | mounts.MS_PRIVATE
    steps.add("mount(MS_PRIVATE)", "MOUNT", 0, b"/", 0, flags, 0, file=b"/")


def _make_root(steps: Steps) -> None:
    """Make the working directory, which is a mount, the root, without what was the root before."""
    steps.add("pivot_root", "PIVOT_ROOT", b".", b".")
    steps.add("umount", "UMOUNT", b".", mounts.MNT_DETACH)
    steps.add("chdir", "CHDIR", b"/", file=b"/")


def open_shown(
    steps: Steps,
    shown: Iterable[tuple[int, Shown]],
    mapped: Mapping[str, int],
    least: int = _LEAST,
) -> None:
    """A copy of what is mounted there, for each slot. mapped: see add_root(). least: for its descriptor."""
    for slot, one in shown:
        attributes = _SAFE | (0 if one.is_written else mounts.ATTR_RDONLY)
        kind = os.O_DIRECTORY if one.is_directory else 0
        _open_tree(steps, slot, one.path, mounts.AT_RECURSIVE, attributes, (True, kind), least)
        if one.path in mapped:
            attribute = mounts.mount_attr(mounts.ATTR_IDMAP, mapped[one.path])
            _set_tree(steps, slot, one.path, attribute, 0)


def _open_devices(steps: Steps, by_slot: Mapping[int, str]) -> None:
    attributes = mounts.ATTR_RDONLY | mounts.ATTR_NOSUID | mounts.ATTR_NOEXEC
    for slot, name in by_slot.items():
        _open_tree(steps, slot, f"/dev/{name}", 0, attributes)


def _open_tree(
    steps: Steps,
    slot: int,
    path: str,
    flags: int,
    attributes: int,
    without_links: tuple[bool, int] = (False, 0),
    least: int = _LEAST,
) -> None:
    """A copy of what is mounted there, which takes and gives no mounts: the caller's may be shared.

    without_links: whether a link in the path is refused, and what is to be there: O_DIRECTORY or 0.
    """
    named, flags_of_tree = os.fsencode(path), mounts.OPEN_TREE_CLONE | flags
    operands = named, flags_of_tree, slot, least, *without_links
    steps.add("open_tree", "OPEN_TREE", *operands, file=named)
    private = mounts.mount_attr(attributes, propagation=mounts.MS_PRIVATE)
    _set_tree(steps, slot, path, private, flags)


def _set_tree(steps: Steps, slot: int, path: str, attributes: bytearray, flags: int) -> None:
    steps.add(
        *("mount_setattr", "SET_TREE", slot, flags, attributes, mounts.MOUNT_ATTR_SIZE),
        file=os.fsencode(path),
    )


def _set(steps: Steps, path: bytes, attributes: int) -> None:
    value = mounts.mount_attr(attributes)
    steps.add(
        *("mount_setattr", "MOUNT_SETATTR", AT_FDCWD, path, 0, value, mounts.MOUNT_ATTR_SIZE),
        file=path,
    )


def move_mount(steps: Steps, slot: int, to: bytes) -> None:
    """Mount there what is in the slot."""
    steps.add("move_mount", "MOVE_MOUNT", slot, to, file=to)


def _move(steps: Steps, shown: Iterable[tuple[int, Shown]]) -> None:
    for slot, one in shown:
        move_mount(steps, slot, _inside(one.path))


def _inside(path: str) -> bytes:
    """A path below the working directory, which is to be the root."""
    return os.fsencode(path.lstrip("/"))


def _mount_stage(steps: Steps) -> None:
    add_mount(steps, b"tmpfs", _STAGE, _OF_STAGE, _DATA_OF_STAGE)
    steps.add("chdir", "CHDIR", _STAGE, file=_STAGE)


def _add_empty_root(steps: Steps, view: View) -> None:
    _mount_stage(steps)
    shown = directories_of(view.shown)
    places = [one.path for one in view.places if one.is_directory]
    made = dict.fromkeys(("/tmp", "/proc", "/dev", *view.directories(), *shown, *places))
    for path in sorted(made, key=lambda path: path.count("/")):
        if nearest(parent_of(path), shown) is None:
            _mkdir(steps, path)
    for one in view.shown:
        if not one.is_directory and nearest(one.path, shown) is None:
            _mkfile(steps, one.path)
    for place in view.places:
        if not place.is_directory:
            _mkfile(steps, place.path)
    for path, text in view.made.items():
        _mkfile(steps, path)
        where = _inside(path)
        steps.add("write", "WRITE", AT_FDCWD, where, text, len(text), file=where)
    for path, target in view.links:
        _symlink(steps, path, target)


def _mkdir(steps: Steps, path: str) -> None:
    where = _inside(path)
    steps.add("mkdir", "MKDIRAT", AT_FDCWD, where, 0o755, file=where)


def _mkfile(steps: Steps, path: str) -> None:
    where = _inside(path)
    steps.add("mknod", "MKNODAT", AT_FDCWD, where, _FILE, 0, file=where)


def _symlink(steps: Steps, path: str, target: str) -> None:
    where = _inside(path)
    steps.add("symlink", "SYMLINKAT", os.fsencode(target), AT_FDCWD, where, file=where)


def _hide(steps: Steps, hidden: Iterable[Shown]) -> None:
    """An empty directory, or an empty file, in its place."""
    flags = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC | mounts.MS_RDONLY
    for one in hidden:
        if one.is_directory:
            add_mount(steps, b"tmpfs", _inside(one.path), flags, b"mode=555,size=4k")
        else:
            steps.add(
                *("mount(MS_BIND)", "MOUNT", b"dev/null", _inside(one.path), 0, 1 << 12, 0),
                file=_inside(one.path),
            )


def _add_devices(steps: Steps, by_slot: Mapping[int, str]) -> None:
    add_mount(steps, b"tmpfs", b"dev", mounts.MS_NOSUID | mounts.MS_NOEXEC, b"mode=755,size=64k")
    for slot, name in by_slot.items():
        path = os.fsencode(f"dev/{name}")
        steps.add("mknod", "MKNODAT", AT_FDCWD, path, _FILE, 0, file=path)
        move_mount(steps, slot, path)
    for target, name in _DEVICE_LINKS:
        path = os.fsencode(f"dev/{name}")
        steps.add("symlink", "SYMLINKAT", os.fsencode(target), AT_FDCWD, path, file=path)
    _mkdir(steps, "dev/shm")
    _mkdir(steps, TERMINALS)
