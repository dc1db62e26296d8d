"""Landlock's rules of a sandbox, as the step takes them.

Source: landlock(7), include/uapi/linux/landlock.h.
"""

import os
import struct
from collections.abc import Iterable, Iterator, Sequence

from ..description import Sandbox, is_below
from ..own_places import TERMINALS, devices
from ..view import TMP, View, has_own_tmp
from .landlock_rights import (
    ATTR_SIZES,
    IOCTL_DEV,
    NETWORK_SINCE,
    OF_FILES,
    READ,
    READ_DIR,
    READ_FILE,
    TRUNCATE,
    WRITE_FILE,
    Rules,
    rights_to_files,
)

_BIND_TCP, _CONNECT_TCP = 1, 2
_ABSTRACT_UNIX_SOCKET, _SIGNAL = 1, 2


def rules(sandbox: Sandbox, view: View, abi: int, *, has_own_root: bool) -> Rules:
    """What a version of Landlock keeps of a sandbox.

    has_own_root: whether its root directory shows nothing but the view.
    """
    handled = rights_to_files(abi)
    allowed: dict[str, int] = {}
    if has_own_root:
        allowed |= _of_own_root(sandbox, view, handled)
    elif sandbox.root == "/":
        allowed |= _readable("/", view)
    for one in view.shown:
        if one.part_of:  # the rule of that counts for it
            continue
        if one.writable:
            allowed[one.path] = handled if one.is_directory else handled & OF_FILES
        elif not has_own_root:
            allowed |= _readable(one.path, view)
    for name in devices():
        device = f"/dev/{name}" if has_own_root else os.path.realpath(f"/dev/{name}")
        allowed[device] = READ_FILE | WRITE_FILE | (IOCTL_DEV if name == "tty" else 0)
    ports = _ports(sandbox) if abi >= NETWORK_SINCE else ()
    return Rules(
        _attr(sandbox, abi, handled),
        tuple(path.encode(errors="surrogateescape") for path in allowed),
        bytearray(struct.pack(f"={len(allowed)}Q", *(bits & handled for bits in allowed.values()))),
        bytearray(b"".join(struct.pack("=2Q", *rule) for rule in ports)),
        len(ports),
        # In a root of its own a link leads to nothing but what it sees; here to all files of the caller's.
        not has_own_root,
    )


def rules_of_writes(sandbox: Sandbox, view: View, abi: int, paths: Iterable[str]) -> Rules:
    """A further layer, for one of several children: it may write below these paths, and to what is its own.

    Its /tmp and /dev/shm are not, where they hold what all may write: that would be allowed with them.
    """
    handled = rights_to_files(abi) & ~READ
    found = dict.fromkeys(map(os.path.realpath, paths))
    allowed = {one: handled if os.path.isdir(one) else handled & OF_FILES for one in found}
    own = [] if sandbox.tmp is None else ["/dev/shm"]
    own += [TMP] if has_own_tmp(sandbox, view) else []
    written = [one.path for one in view.shown if one.writable]
    allowed |= {path: handled for path in own if not any(is_below(one, path) for one in written)}
    allowed |= {f"/dev/{name}": handled & (WRITE_FILE | IOCTL_DEV) for name in devices()}
    return Rules(
        bytearray(struct.pack("=2Q", ATTR_SIZES[1], handled)),
        tuple(os.fsencode(path) for path in allowed),
        bytearray(struct.pack(f"={len(allowed)}Q", *allowed.values())),
        bytearray(),
        0,
        False,
    )


def _of_own_root(sandbox: Sandbox, view: View, handled: int) -> dict[str, int]:
    """The rights to its root, and to what is its own there."""
    allowed = {"/": READ}
    if sandbox.tmp is not None:
        allowed["/dev/shm"] = handled
    if has_own_tmp(sandbox, view):
        allowed[TMP] = handled
    allowed[TERMINALS] = READ_DIR | READ_FILE | WRITE_FILE | IOCTL_DEV
    if sandbox.proc:
        allowed["/proc"] = READ | WRITE_FILE | TRUNCATE  # as "> /proc/self/comm" opens it
    return allowed


def _readable(path: str, view: View) -> dict[str, int]:
    """The rights by path with which it is read, but for what is hidden there."""
    found = _but_hidden(path, view)
    return {one: READ if os.path.isdir(one) else READ & OF_FILES for one in found}


def _but_hidden(path: str, view: View) -> Iterator[str]:
    """The path, or where something below it is hidden all that stands beside the way to that.

    A rule counts for all that is below its path, so that there can be none for the directories on the way,
    and they cannot be listed. A symbolic link has no rule: it would count for what the link leads to.
    """
    if any(is_below(path, one.path) for one in view.hidden):
        return
    if not any(is_below(one.path, path) for one in view.hidden):
        yield path
        return
    with os.scandir(path) as found:
        beside = sorted(entry.path for entry in found if not entry.is_symlink())
    for entry in beside:
        yield from _but_hidden(entry, view)


def _attr(sandbox: Sandbox, abi: int, handled: int) -> bytearray:
    size = max(size for since, size in ATTR_SIZES.items() if since <= abi)
    network = _BIND_TCP | _CONNECT_TCP if handles_ports(sandbox) else 0
    scoped = _ABSTRACT_UNIX_SOCKET | _SIGNAL
    fields = struct.pack("=3Q", handled, network, scoped)[:size]
    return bytearray(struct.pack("=Q", size) + fields)


def handles_ports(sandbox: Sandbox) -> bool:
    """Whether TCP is to be refused but for the ports that are named."""
    return sandbox.network == "none" or not isinstance(sandbox.network, str)


def _ports(sandbox: Sandbox) -> Sequence[tuple[int, int]]:
    if isinstance(sandbox.network, str):
        return ()
    found: dict[int, int] = {}
    for direction, right in (("connect", _CONNECT_TCP), ("bind", _BIND_TCP)):
        for port in sandbox.network.get(direction, ()):
            found[port] = found.get(port, 0) | right
    return [(rights, port) for port, rights in found.items()]
