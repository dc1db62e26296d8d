"""The exceptions and warnings of this library."""

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
    "ChangeError",
    "ChildDied",
    "CloneError",
    "DeadlineExceeded",
    "Interrupted",
    "KeptGroupsWarning",
    "PreexecWarning",
    "RemoteError",
    "ResultError",
    "SandboxError",
    "SpawnBlockingIOError",
    "SpawnError",
    "SpawnFileNotFoundError",
    "SpawnNotADirectoryError",
    "SpawnPermissionError",
    "SpawnProcessLookupError",
    "TemplateError",
    "TemplateRestarted",
    "TimeoutExpired",
    "UnknownFlagError",
    "UnknownNameError",
    "UnpreparedError",
    "died",
    "spawn_error",
    "still_running",
    "untrusted",
]


class BrokenRule(Protocol):
    """What an error says about a rule of ``ramet.law``."""

    @property
    def id(self) -> str:
        """The rule's name, such as D3."""

    @property
    def errno(self) -> str | None:
        """The name of the errno with which the kernel refuses; None when it does not refuse."""

    @property
    def sentence(self) -> str:
        """The rule and its reason."""

    @property
    def remedy(self) -> str:
        """How to change the request."""


# What the flags have nothing to do with.
_OF_NO_RULE = {
    errno_numbers.EMFILE: "this process has as many open as RLIMIT_NOFILE lets it; raise that (ulimit -n), "
    "or have fewer children at once",
    errno_numbers.ETOOMANYREFS: "processes of the same user have sent more through sockets than were "
    "received, see unix(7)",
}


class CloneError(OSError):
    """No task was made: the request breaks a rule, or the kernel refused it.

    ``rules``: the broken rules, first the one whose errno the kernel reports. ``unexpected``: whether the
    law did not predict the refusal; then ``rules`` is empty, and ``possible_rules`` holds rules that may be
    the reason, on conditions that this process cannot see. ``asked``: the request as text. The class
    is CloneError for every errno: code that catches PermissionError expects an error with a file, which
    EPERM of clone() is not.
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
        words = sentence or _sentences_of(self.rules) or os.strerror(errno)
        maybe = _sentences_of(self.possible_rules)
        if unexpected and maybe:
            words += f"; not predicted: perhaps {maybe}"
        elif errno in _OF_NO_RULE:
            words += f": {_OF_NO_RULE[errno]}"
        elif unexpected:
            words += "; not predicted: no known rule applies"
        super().__init__(errno, words)

    def __str__(self) -> str:
        asked = f" ({self.asked})" if self.asked else ""
        return f"{_errno_name(self.errno)}: {self.strerror}{asked}"


class SandboxError(OSError):
    """No sandbox was made: this machine does not meet a wish, or a path that it names is none.

    ``wish``: the field of the Sandbox, or what is always wished, such as "no user of the host".
    ``mechanism``: by what it would be met in part, empty where nothing meets it. ``remedy``: what the
    administrator or the caller changes. ``rules``: those of ``ramet.law`` behind a clone call that the
    kernel refused. ``others``: what else is not met, by its wish or its path. ``filename``: the path,
    if it is one. The class is SandboxError for every errno, as that of CloneError; where no call was
    refused it is EOPNOTSUPP.
    """

    def __init__(
        self,
        errno: int,
        strerror: str,
        filename: str | None = None,
        *,
        wish: str = "",
        mechanism: str = "",
        remedy: str = "",
        rules: Iterable[BrokenRule] = (),
        others: Iterable[str] = (),
    ) -> None:
        super().__init__(errno, strerror, filename)
        self.wish = wish
        self.mechanism = mechanism
        self.remedy = remedy
        self.rules = tuple(rules)
        self.others = tuple(others)

    def __str__(self) -> str:
        rules = "".join(f"; rule {rule.id}: {rule.sentence}" for rule in self.rules)
        remedy = f"; remedy: {self.remedy}" if self.remedy else ""
        others = f"; not met either: {', '.join(self.others)}" if self.others else ""
        return f"{_errno_name(self.errno)}: {self.wish}: {self.strerror}{rules}{remedy}{others}"


class SpawnError(OSError):
    """The child was made, but a step before its program failed; the child has been reaped.

    ``step``: the name of that step. ``reason``: the likely cause, or empty. spawn_error() makes it,
    of the class that subprocess would raise.
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


# OSError chooses a subclass by errno only when OSError itself is called, not for subclasses.
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
    """An unknown name; ``nearest`` is the most similar known name, or None.

    ``known``: all names, when they are few and none is similar. ``option``: the option that has it, or "".

    It is a KeyError as well, which subprocess raises for an unknown user.
    """

    def __init__(
        self, what: str, name: str, nearest: str | None = None, known: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, name, nearest, known)
        self.what = what
        self.name = name
        self.nearest = nearest
        self.known = known
        self.option = ""

    def __str__(self) -> str:
        hint = ""
        if self.what in {"user", "group"} and self.name.isdecimal():
            given = f"[{self.name}]" if self.option == "extra_groups" else self.name
            hint = f"; an id is a number: {self.option or self.what}={given}"
        elif self.nearest:
            hint = f"; did you mean {self.nearest!r}?"
        elif self.known:
            hint = f"; expected one of {', '.join(self.known)}"
        option = f"invalid {self.option}: " if self.option else ""
        return f"{option}there is no {self.what} {self.name!r}{hint}"


class ChildDied(Exception):  # noqa: N818 - it says what happened
    """A child ended without a result; ``status``: how, ``pid``: which child.

    ``losses``: what was lost with a child in shared memory that ran its function; else None.
    ``call``: the function that was called, of an executor's call with its arguments; empty where it has no
    name. ``stack``: of an executor's call that was killed at its deadline, the Python stack of its threads
    down to that function, as far as they told; else empty.
    """

    call = ""
    stack = ""

    def __init__(self, status: ExitStatus, pid: int, losses: Losses | None = None) -> None:
        super().__init__(status, pid, losses)
        self.status = status
        self.pid = pid
        self.losses = losses

    def __str__(self) -> str:
        losses = "" if self.losses is None else f"; {self.losses}"
        child = f"{self.call} in child {self.pid}" if self.call else f"child {self.pid}"
        stack = f"\nwhere it was:\n{self.stack}" if self.stack else ""
        return f"{child} ended without a result: {self.status}{losses}{stack}"


class DeadlineExceeded(ChildDied, TimeoutError):  # noqa: N818 - its base's
    """A child was killed at its deadline, ``timeout=`` of clone(), and has no result."""

    def __init__(self, status: ExitStatus, pid: int, losses: Losses | None = None) -> None:
        self.args = (status, pid, losses)  # see TimeoutExpired
        super().__init__(status, pid, losses)


def died(status: ExitStatus, pid: int, losses: Losses | None, call: str) -> ChildDied:
    """The error for a child that ended without a result."""
    kind = DeadlineExceeded if status.reason == "deadline" else ChildDied
    error = kind(status, pid, losses)
    error.call = call
    return error


def called(what: object) -> str:
    """What a child runs, as a call; empty for what has no name."""
    name = getattr(what, "__qualname__", None)
    return f"{name}()" if isinstance(name, str) else ""


class Interrupted(SystemExit):
    """Raised in a function in shared memory by ``Child.interrupt()`` and ``terminate()``.

    ``except Exception`` does not catch it, and ``finally`` runs. A child whose function it ends has no
    result, and the exit code 143, as in a shell after SIGTERM.
    """

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class PreexecWarning(RuntimeWarning):
    """Popen or run() was given a preexec_fn, for which it has to copy the process.

    ``warnings.simplefilter("ignore", ramet.PreexecWarning)`` silences it.
    """


class KeptGroupsWarning(RuntimeWarning):
    """A child of root changes its user and keeps root's groups.

    ``warnings.simplefilter("ignore", ramet.KeptGroupsWarning)`` silences it.
    """


class ResultError(Exception):
    """The function ended, but its result or exception cannot be sent to the caller, or not be read."""


class RemoteError(ResultError):
    """The function raised an exception that is described here, instead of being raised itself.

    An exception that the function returns is described so as well, also within a list and the like.

    So it is when the child is less trusted than its caller: no class is looked up by a name that such a
    child sent. ``type_name``: of the exception's class, with its module unless it is a builtin one.
    ``message``: its text. ``why``: empty, or why a trusted child's exception cannot be pickled or read.
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


class ChangeError(OSError):
    """What a sandbox has changed could not be taken over; ``errno`` and the cause say why.

    ``change``: the change at which it ended, as text. ``done``: how many were taken over before it, in
    the order of the changes; ``count``: of how many. What was done stays done.
    """

    def __init__(self, errno: int, strerror: str, change: str, done: int, count: int) -> None:
        super().__init__(errno, strerror)
        self.args = (errno, strerror, change, done, count)  # for copy and pickle
        self.change = change
        self.done = done
        self.count = count

    def __str__(self) -> str:
        return (
            f"{_errno_name(self.errno)}: {self.strerror}: could not take over: {self.change}; "
            f"{self.done} of {self.count} changes were taken over before it, and stay so"
        )


class TemplateError(RuntimeError):
    """A template cannot be made, or not be cloned as it is; the text says why and what to do."""


class TemplateRestarted(RuntimeWarning):
    """A template's process had ended, and another was started: what its setup made there was made again.

    ``warnings.simplefilter("ignore", ramet.TemplateRestarted)`` silences it.
    """


class TimeoutExpired(subprocess.TimeoutExpired, TimeoutError):  # noqa: N818 - its base's
    """The timeout of a wait is over; ``pid``: of the child if it still runs, else None.

    As a TimeoutError it is an OSError: catch it before OSError.
    """

    pid: int | None = None

    def __init__(
        self,
        cmd: object,
        timeout: float,
        output: str | bytes | None = None,
        stderr: str | bytes | None = None,
    ) -> None:
        # OSError, a base class of TimeoutError, leaves args to __init__, and subprocess leaves them to
        # Exception. copy and pickle need them.
        self.args = (cmd, timeout)
        super().__init__(cmd, timeout, output, stderr)  # type: ignore[arg-type]

    def __str__(self) -> str:
        if self.pid is None:
            return super().__str__()
        name = called(self.cmd) or repr(self.cmd)
        return f"{name} has not ended after {self.timeout} seconds: child {self.pid} still runs"


def still_running(what: object, timeout: float, pid: int) -> TimeoutExpired:
    """The error for a wait whose timeout is over while the child still runs."""
    error = TimeoutExpired(what, timeout)
    error.pid = pid
    return error


def _sentences_of(rules: Iterable[BrokenRule]) -> str:
    """What they say, with the remedy of each that has one."""
    return "; ".join(
        f"rule {rule.id}: {rule.sentence}"
        + ("" if rule.remedy.startswith("nothing ") else f"; remedy: {rule.remedy}")
        for rule in rules
    )


def _errno_name(number: int | None) -> str:
    return errno_numbers.errorcode.get(number or 0, f"errno {number}")


class UnpreparedError(SpawnError, ResultError):
    """A child that is less trusted than its caller says that a step of its setup failed.

    It is a ResultError as well, since the function may have said so: what such a child says is never an
    error of another kind, whatever its errno.
    """


def untrusted(error: SpawnError) -> UnpreparedError:
    """The same step, as a child has told it that is less trusted."""
    of_step = {"step": error.step, "reason": error.reason}
    return UnpreparedError(error.errno or 0, error.strerror or "", error.filename, **of_step)
