"""Every exception that this library raises on its own account."""

import errno as errno_numbers
import os
import subprocess
from collections.abc import Iterable
from typing import Protocol

from .exit_status import ExitStatus
from .flags import UnknownFlagError

__all__ = [
    "BrokenRule",
    "ChildDied",
    "CloneError",
    "ResultError",
    "SpawnError",
    "SpawnFileNotFoundError",
    "SpawnNotADirectoryError",
    "SpawnPermissionError",
    "TimeoutExpired",
    "UnknownFlagError",
    "spawn_error",
]


class BrokenRule(Protocol):
    """What an error tells of a rule; the rules themselves are in ``ramet.law``."""

    @property
    def id(self) -> str:
        """The rule's name, such as D3."""

    @property
    def errno(self) -> str:
        """The name of the errno that the kernel gives for it."""

    @property
    def sentence(self) -> str:
        """What the rule says, and why it is there."""

    @property
    def remedy(self) -> str:
        """What to do about it."""


class CloneError(OSError):
    """No task was made: the request breaks a rule, or the kernel refused it.

    ``rules`` holds the broken rules, first the one that the kernel reports. It is empty when no
    known rule explains the errno. ``asked`` is the request in words. The class stays CloneError for
    every errno: an EPERM of clone() is no trouble with a file, which is what PermissionError means
    to those who catch it.
    """

    def __init__(
        self, errno: int, sentence: str = "", *, rules: Iterable[BrokenRule] = (), asked: str = ""
    ) -> None:
        self.rules = tuple(rules)
        self.asked = asked
        broken = "; ".join(f"rule {rule.id}: {rule.sentence}" for rule in self.rules)
        super().__init__(errno, sentence or broken or os.strerror(errno))

    def __str__(self) -> str:
        asked = f" ({self.asked})" if self.asked else ""
        return f"{_errno_name(self.errno)}: {self.strerror}{asked}"


class SpawnError(OSError):
    """The child was made, but a step on its way to the program failed, and it is gone again.

    ``step`` is the name of that step. Made by ``spawn_error``, which picks the class that
    subprocess would raise.
    """

    def __init__(
        self,
        errno: int,
        strerror: str,
        filename: str | bytes | None = None,
        *,
        step: str = "",
        reason: str = "",
    ) -> None:
        super().__init__(errno, strerror, filename)
        self.step = step
        self.reason = reason

    def __str__(self) -> str:
        target = "" if self.filename is None else f" on {self.filename!r}"
        reason = f": {self.reason}" if self.reason else ""
        cause = f"{_errno_name(self.errno)}, {self.strerror}{reason}"
        return f"step {self.step!r} failed{target}: {cause}"


class SpawnFileNotFoundError(SpawnError, FileNotFoundError):
    """ENOENT in the child, for those who catch FileNotFoundError."""


class SpawnPermissionError(SpawnError, PermissionError):
    """EACCES or EPERM in the child, for those who catch PermissionError."""


class SpawnNotADirectoryError(SpawnError, NotADirectoryError):
    """ENOTDIR in the child, for those who catch NotADirectoryError."""


# OSError picks a subclass by errno only when OSError itself is called: so this is ours to do.
_SPAWN_ERRORS: dict[int, type[SpawnError]] = {
    errno_numbers.ENOENT: SpawnFileNotFoundError,
    errno_numbers.EACCES: SpawnPermissionError,
    errno_numbers.EPERM: SpawnPermissionError,
    errno_numbers.ENOTDIR: SpawnNotADirectoryError,
}


def spawn_error(
    step: str, errno: int, filename: str | bytes | None = None, reason: str = ""
) -> SpawnError:
    """The error for a step that failed in the child, of the class that subprocess would raise.

    >>> print(spawn_error("exec", errno_numbers.ENOENT, "/no/such"))
    step 'exec' failed on '/no/such': ENOENT, No such file or directory
    """
    kind = _SPAWN_ERRORS.get(errno, SpawnError)
    return kind(errno, os.strerror(errno), filename, step=step, reason=reason)


class ChildDied(Exception):  # noqa: N818 - a name that tells what happened
    """A child ended that still owed a result; ``status`` says how, ``pid`` which."""

    def __init__(self, status: ExitStatus, pid: int) -> None:
        super().__init__(status, pid)
        self.status = status
        self.pid = pid

    def __str__(self) -> str:
        return f"child {self.pid} gave no result: {self.status}"


class ResultError(Exception):
    """The function came to its end, but its outcome cannot be brought over to the caller."""


class TimeoutExpired(subprocess.TimeoutExpired, TimeoutError):  # noqa: N818 - its base's
    """The time given to a wait is over, and the child still runs."""

    def __init__(
        self,
        cmd: object,
        timeout: float,
        output: str | bytes | None = None,
        stderr: str | bytes | None = None,
    ) -> None:
        # OSError, a base by way of TimeoutError, leaves args to __init__, and subprocess leaves
        # them to Exception: without args a copy or a pickle has no parameters to be made with.
        self.args = (cmd, timeout)
        super().__init__(cmd, timeout, output, stderr)  # type: ignore[arg-type]


def _errno_name(number: int | None) -> str:
    return errno_numbers.errorcode.get(number or 0, f"errno {number}")
