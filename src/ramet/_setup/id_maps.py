"""The id maps of a new user namespace: written by the child where it may, else by its parent.

Source: user_namespaces(7), newuidmap(1).
"""

import errno
import os
from collections.abc import Awaitable, Callable, Sequence

from .._kernel import procfs
from .._kernel.signal_handlers import is_from_handler
from ..errors import spawn_error
from .step_reasons import likely_reason
from .validate import ValidatedOptions

_Lines = Sequence[tuple[int, int, int]]


def asked(validated: ValidatedOptions) -> bool:
    """Whether any map is to be written."""
    return "uid_map" in validated or "gid_map" in validated


def by_child(validated: ValidatedOptions) -> list[tuple[str, bytes]]:
    """What the child writes in /proc/self; empty when that is not enough.

    Without privileges it may map one id, its own, and such a gid_map only after it has denied
    setgroups(2) for good. For a caller that may do more the parent writes the maps, and setgroups stays.
    """
    uid_map, gid_map = validated.get("uid_map"), validated.get("gid_map")
    privileged = os.geteuid() == 0
    if privileged or not _is_own(uid_map, os.geteuid()) or not _is_own(gid_map, os.getegid()):
        return []
    files = []
    if gid_map is not None:
        files += [("setgroups", b"deny"), ("gid_map", _text(gid_map))]
    if uid_map is not None:
        files.append(("uid_map", _text(uid_map)))
    return files


async def write(
    pid: int, validated: ValidatedOptions, succeeds: Callable[[list[str]], Awaitable[bool]]
) -> None:
    """Write the maps of a child that waits for them; `succeeds` runs a program and says so.

    Raises SpawnError for a map that this process may not write, nor newuidmap and newgidmap for it, and
    where /proc does not have the child by its pid.
    """
    for name, program in (("gid_map", "newgidmap"), ("uid_map", "newuidmap")):
        lines = validated.get(name)
        if lines is None:
            continue
        procfs.require_own_pids(f"write {name}")
        refused = _refusal(pid, name, lines)
        if refused == 0:
            continue
        why = likely_reason(f"write {name}", refused)
        if refused == errno.EPERM:  # to a set-user-ID program /etc/subuid may allow it
            words = [program, str(pid), *(str(number) for line in lines for number in line)]
            try:
                if await succeeds(words):
                    continue
                why = f"this process may not write it, and {program} refuses it"
            except FileNotFoundError:
                why = f"this process may not write it, and {program} is not there"
            except OSError as error:
                if is_from_handler(error):
                    raise
                why = (
                    f"this process may not write it, and {program} cannot be run: {error.strerror}"
                )
        raise spawn_error(f"write {name}", refused, f"/proc/{pid}/{name}", why)


def _refusal(pid: int, name: str, lines: _Lines) -> int:
    """The errno with which the kernel refuses it, 0 when it has taken it.

    Not the exception: that knows the frames of its callers, one of which would know it.
    """
    try:
        try:
            _write(pid, name, _text(lines))
        except PermissionError:
            if name != "gid_map" or not _is_own(lines, os.getegid()):
                raise
            _write(pid, "setgroups", b"deny")
            _write(pid, name, _text(lines))
    except OSError as error:
        if is_from_handler(error):
            raise
        return error.errno or errno.EIO
    return 0


def _is_own(lines: _Lines | None, own: int) -> bool:
    return lines is None or (len(lines) == 1 and lines[0][1:] == (own, 1))


def _text(lines: _Lines) -> bytes:
    return b"".join(b"%d %d %d\n" % line for line in lines)


def _write(pid: int, name: str, text: bytes) -> None:
    with open(f"/proc/{pid}/{name}", "wb", buffering=0) as file:
        file.write(text)
