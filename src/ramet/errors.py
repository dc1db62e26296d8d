"""Every exception that this library raises on its own account."""

import errno as errno_numbers
import os
import signal
import subprocess
from collections.abc import Iterable
from typing import Protocol

from .exit_status import ExitStatus
from .flags import UnknownFlagError
from .losses import Losses

__all__ = [
    "BrokenRule",
    "ChildDied",
    "CloneError",
    "DeadlineExceeded",
    "Interrupted",
    "KeptGroupsWarning",
    "PreexecWarning",
    "RemoteError",
    "ResultError",
    "SpawnBlockingIOError",
    "SpawnError",
    "SpawnFileNotFoundError",
    "SpawnNotADirectoryError",
    "SpawnPermissionError",
    "SpawnProcessLookupError",
    "TimeoutExpired",
    "UnknownFlagError",
    "UnknownNameError",
    "died",
    "spawn_error",
    "still_running",
]


class BrokenRule(Protocol):
    """What an error tells of a rule; the rules themselves are in ``ramet.law``."""

    @property
    def id(self) -> str:
        """The rule's name, such as D3."""

    @property
    def errno(self) -> str | None:
        """The name of the errno that the kernel gives for it, None when it gives none."""

    @property
    def sentence(self) -> str:
        """What the rule says, and why it is there."""

    @property
    def remedy(self) -> str:
        """What to do about it."""


class CloneError(OSError):
    """No task was made: the request breaks a rule, or the kernel refused it.

    ``rules`` holds the broken rules, first the one that the kernel reports. ``unexpected`` is true
    when the law did not foresee the refusal: then ``rules`` is empty, and ``possible_rules`` holds
    those that may be behind it, since what decides them cannot be seen from here. ``asked`` is the
    request in words. The class stays CloneError for every errno: an EPERM of clone() is no trouble
    with a file, which is what PermissionError means to those who catch it.
    """

    def __init__(
        self,
        errno: int,
        sentence: str = "",
        *,
        rules: Iterable[BrokenRule] = (),
        possible_rules: Iterable[BrokenRule] = (),
        unexpected: bool = False,
        asked: str = "",
    ) -> None:
        self.rules = tuple(rules)
        self.possible_rules = tuple(possible_rules)
        self.unexpected = unexpected
        self.asked = asked
        words = sentence or _told(self.rules) or os.strerror(errno)
        if unexpected:
            maybe = _told(self.possible_rules)
            words += "; not foreseen: " + (f"perhaps {maybe}" if maybe else "no known rule says so")
        super().__init__(errno, words)

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


class SpawnProcessLookupError(SpawnError, ProcessLookupError):
    """ESRCH in the child, for those who catch ProcessLookupError."""


class SpawnBlockingIOError(SpawnError, BlockingIOError):
    """EAGAIN in the child, a limit on processes, for those who catch BlockingIOError."""


# OSError picks a subclass by errno only when OSError itself is called: so this is ours to do.
_SPAWN_ERRORS: dict[int, type[SpawnError]] = {
    errno_numbers.ENOENT: SpawnFileNotFoundError,
    errno_numbers.EACCES: SpawnPermissionError,
    errno_numbers.EPERM: SpawnPermissionError,
    errno_numbers.ENOTDIR: SpawnNotADirectoryError,
    errno_numbers.ESRCH: SpawnProcessLookupError,
    errno_numbers.EAGAIN: SpawnBlockingIOError,
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


class UnknownNameError(ValueError, KeyError):
    """A name that nothing has; ``nearest`` is the known one that it is likely to mean, or None.

    ``known``: all that there are, where they are few and none is like it.

    It is a KeyError too, since that is what subprocess raises for a user that is not there.
    """

    def __init__(
        self, what: str, name: str, nearest: str | None = None, known: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, name, nearest, known)
        self.what = what
        self.name = name
        self.nearest = nearest
        self.known = known

    def __str__(self) -> str:
        hint = ""
        if self.nearest:
            hint = f"; did you mean {self.nearest!r}?"
        elif self.known:
            hint = f"; it is one of {', '.join(self.known)}"
        return f"there is no {self.what} {self.name!r}{hint}"


class ChildDied(Exception):  # noqa: N818 - a name that tells what happened
    """A child ended that still owed a result; ``status`` says how, ``pid`` which.

    ``losses``: what was lost with it, if it shared the memory and was in its function; else None.
    """

    def __init__(self, status: ExitStatus, pid: int, losses: Losses | None = None) -> None:
        super().__init__(status, pid, losses)
        self.status = status
        self.pid = pid
        self.losses = losses

    def __str__(self) -> str:
        losses = "" if self.losses is None else f"; {self.losses}"
        return f"child {self.pid} gave no result: {self.status}{losses}"


class DeadlineExceeded(ChildDied, TimeoutError):  # noqa: N818 - its base's
    """A child was killed at its own deadline, ``timeout=`` of clone(), and gives no result."""

    def __init__(self, status: ExitStatus, pid: int, losses: Losses | None = None) -> None:
        self.args = (status, pid, losses)  # see TimeoutExpired
        super().__init__(status, pid, losses)


def died(status: ExitStatus, pid: int, losses: Losses | None) -> ChildDied:
    """The error for a child that ended and owed a result."""
    kind = DeadlineExceeded if status.reason == "deadline" else ChildDied
    return kind(status, pid, losses)


class Interrupted(SystemExit):
    """Raised in a function in shared memory by ``Child.interrupt()`` and ``terminate()``.

    No ``except Exception`` stops it, and ``finally`` runs. A function that it ends has no result,
    and its exit code is that of a shell for SIGTERM, 143.
    """

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class PreexecWarning(RuntimeWarning):
    """Popen or run was given a preexec_fn, which costs a copy of the process.

    ``warnings.simplefilter("ignore", ramet.PreexecWarning)`` silences it.
    """


class KeptGroupsWarning(RuntimeWarning):
    """A child of root becomes another user and stays in root's groups.

    ``warnings.simplefilter("ignore", ramet.KeptGroupsWarning)`` silences it.
    """


class ResultError(Exception):
    """The function came to its end, but its outcome cannot be brought over to the caller."""


class RemoteError(ResultError):
    """The function raised an exception that is told of, and not brought over itself.

    That is so when the child is less trusted than its caller: no class is looked up by a name that it
    sent. ``type_name`` is that of the exception's class (with its module, but for Python's own),
    ``message`` its text, ``why`` empty, or why a trusted child's exception cannot be brought over.
    The traceback, as text, is this error's cause.
    """

    def __init__(self, type_name: str, message: str, why: str = "") -> None:
        super().__init__(type_name, message, why)
        self.type_name = type_name
        self.message = message
        self.why = why

    def __str__(self) -> str:
        told = f"{self.type_name}: {self.message}" if self.message else self.type_name
        return f"{told} ({self.why})" if self.why else told


class TimeoutExpired(subprocess.TimeoutExpired, TimeoutError):  # noqa: N818 - its base's
    """The time given to a wait is over; ``pid``: of the child, where that still runs, else None.

    Through TimeoutError it is an OSError: where both are caught, this one comes first.
    """

    pid: int | None = None

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

    def __str__(self) -> str:
        if self.pid is None:
            return super().__str__()
        what = getattr(self.cmd, "__qualname__", None)
        name = repr(self.cmd) if what is None else f"{what}()"
        return f"{name} has not ended after {self.timeout} seconds: child {self.pid} still runs"


def still_running(what: object, timeout: float, pid: int) -> TimeoutExpired:
    """The error for a wait whose time is over while the child goes on."""
    error = TimeoutExpired(what, timeout)
    error.pid = pid
    return error


def _told(rules: Iterable[BrokenRule]) -> str:
    """With what to do about each, where anything can be done."""
    return "; ".join(
        f"rule {rule.id}: {rule.sentence}"
        + ("" if rule.remedy.startswith("nothing ") else f"; remedy: {rule.remedy}")
        for rule in rules
    )


def _errno_name(number: int | None) -> str:
    return errno_numbers.errorcode.get(number or 0, f"errno {number}")
