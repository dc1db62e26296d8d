"""The caller's state at the moment of a call: what its function finds as the caller has it.

Directory, environment, sys.argv, sys.path and standard output were the caller's when the template was
made. What the caller has changed since is sent with the call, or once to the template, for all calls that
follow.
"""

import os
import sys
import time
from collections.abc import Sequence
from copy import copy
from typing import Any, Self

from ..._core import is_as_before, process_place
from ..._kernel.descriptors import is_standard

_STANDARD = (1, 2)
_NO_FILE = (0, 0)
_UNKNOWN_FILE = (-1, -1)
_UNKNOWN = "\0"  # no directory, variable or path has it
_TIME_ZONE = b"TZ"
_MULTIPROCESSING = "multiprocessing.process"


class CallerState:
    """Of a process at one moment."""

    __slots__ = ("argv", "cwd", "env", "files", "path", "place")

    def __init__(self) -> None:
        self.place = process_place()  # the directory and the files, compared at once
        self.cwd = _cwd()
        self.env: dict[bytes, bytes] = _env().copy()
        self.argv = list(_argv())
        self.path = _path()
        self.files = _files()

    def changes(self) -> tuple[dict[str, Any], Sequence[int]]:
        """What differs from these by now, for apply(), and the descriptors that go with it."""
        env = os.environ._data  # type: ignore[attr-defined]
        argv = getattr(sys, "argv", [])
        if is_as_before(self.place, env, self.env, argv, self.argv, sys.path, self.path):
            return {}, ()
        changes, files = self.changes_to(now := self.now())
        if not changes:  # equal objects, or none of what it is told
            self._take(now)
        return changes, files

    def changes_to(self, now: "CallerState") -> tuple[dict[str, Any], Sequence[int]]:
        """What differs from these in another state, as changes() gives it."""
        found: dict[str, Any] = {}
        if now.cwd != self.cwd:
            # One that was removed has no other name.
            found["cwd"] = now.cwd or f"/proc/{os.getpid()}/cwd"
        if now.env != self.env:
            found["env"] = {
                name: now.env.get(name)
                for name in now.env.keys() | self.env.keys()
                if now.env.get(name) != self.env.get(name)
            }
        if now.argv != self.argv:
            found["argv"] = now.argv
        if now.path != self.path:
            found["path"] = now.path
        if now.files == self.files:
            return found, ()
        moved = [n for n, a, b in zip(_STANDARD, now.files, self.files, strict=True) if a != b]
        found["closed"] = [n for n in moved if now.files[n - 1] == _NO_FILE]
        found["files"] = [n for n in moved if now.files[n - 1] != _NO_FILE]
        return found, found["files"]

    def _take(self, other: "CallerState") -> None:
        for name in CallerState.__slots__:
            setattr(self, name, getattr(other, name))

    def now(self) -> Self:
        """Of the same process, as it is by now."""
        made = copy(self)
        CallerState.__init__(made)
        return made

    def or_else(self, other: "CallerState") -> Self:
        """Of a process that has this state or the other: all of what it is by now differs from it."""
        made = copy(self)
        made.place, made.cwd = b"", _UNKNOWN
        made.env = dict.fromkeys(self.env | other.env, os.fsencode(_UNKNOWN))
        made.argv, made.path = [_UNKNOWN], [_UNKNOWN]
        made.files = [_UNKNOWN_FILE for _ in _STANDARD]
        return made


class ConfinedState(CallerState):
    """For a template in a sandbox, which has a directory of its own and the variables that are named."""

    __slots__ = ("_names",)

    def __init__(self, begun: CallerState, names: frozenset[bytes]) -> None:
        """begun: what the process was started with, which the caller may have changed since."""
        self._take(begun)
        self._names = names

    def changes_to(self, now: CallerState) -> tuple[dict[str, Any], Sequence[int]]:
        """See CallerState."""
        found, descriptors = super().changes_to(now)
        found.pop("cwd", None)
        named = {name: text for name, text in found.pop("env", {}).items() if name in self._names}
        return (found | {"env": named} if named else found), descriptors


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return None


def _argv() -> list[str]:
    return getattr(sys, "argv", [])  # an embedding may have none, and anybody may delete it


def _path() -> list[str]:
    """Without what is no text, such as a Path, which Python's imports pass over."""
    found: list[object] = [*sys.path]
    return [str(one) for one in found if isinstance(one, str)]


def _env() -> dict[bytes, bytes]:
    return os.environ._data  # type: ignore[attr-defined,no-any-return] # as bytes: no decoding at each call


def _files() -> list[tuple[int, int]]:
    """What standard output and error are."""
    return [_file(number) if is_standard(number) else _NO_FILE for number in _STANDARD]


def _file(number: int) -> tuple[int, int]:
    status = os.fstat(number)
    return status.st_dev, status.st_ino


def _open_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nothing, number)
    os.close(nothing)


def authkey() -> dict[str, Any]:
    """What goes with a call that refers to multiprocessing, whose proxies prove who they are."""
    if _MULTIPROCESSING not in sys.modules:
        return {}
    return {"authkey": bytes(sys.modules[_MULTIPROCESSING].current_process().authkey)}


def apply(changes: dict[str, Any], descriptors: Sequence[int]) -> None:
    """In the child: become as the caller is. descriptors: are closed."""
    for number in changes.get("closed", ()):  # left open, so that nothing else gets its number
        _open_nothing(number)
    for number, descriptor in zip(changes.get("files", ()), descriptors, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    cwd = changes.get("cwd")
    if cwd is not None:
        os.chdir(cwd)
    for name, value in changes.get("env", {}).items():
        if value is None:
            os.environb.pop(name, None)
        else:
            os.environb[name] = value
    if _TIME_ZONE in changes.get("env", {}):
        time.tzset()  # libc has read it once, in the template
    if "authkey" in changes:
        from multiprocessing.process import current_process

        current_process().authkey = changes["authkey"]
    if "argv" in changes:
        sys.argv[:] = changes["argv"]
    if "path" in changes:
        sys.path[:] = changes["path"]
