"""run, call, check_call, check_output, getoutput, getstatusoutput: a program run to its end."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ..errors import TimeoutExpired
from .argument_checks import grace_of, refuse_no_input, truth_of
from .popen import Popen

if TYPE_CHECKING:
    from subprocess import CompletedProcess
    from typing import Unpack

    from .._process.tree.end import End
    from .._sandbox.description import Sandbox
    from .._sandbox.overlay.changes import Changes
    from .._sandbox.supervision import SandboxReport
    from . import popen_types as types
    from .popen_types import Argv

T = TypeVar("T")
_TOLD_BY_RETURNCODE = ("exited", "signaled", "unknown")
_SECONDS_TO_DIE = 1.0  # of SIGKILL: longer only where it waits for a disk or the network


@overload
def run(args: "Argv", *, sandbox: "Sandbox", **options: Any) -> "SandboxedProcess": ...
@overload
def run(args: "Argv", **options: "Unpack[types.RunByText]") -> "CompletedProcess[str]": ...
@overload
def run(args: "Argv", **options: "Unpack[types.RunByEncoding]") -> "CompletedProcess[str]": ...
@overload
def run(args: "Argv", **options: "Unpack[types.RunByErrors]") -> "CompletedProcess[str]": ...
@overload
def run(args: "Argv", **options: "Unpack[types.RunByNewlines]") -> "CompletedProcess[str]": ...
@overload
def run(args: "Argv", **options: "Unpack[types.RunInBytes]") -> "CompletedProcess[bytes]": ...
@overload
def run(args: "Argv", **options: "Unpack[types.RunInEither]") -> "CompletedProcess[Any]": ...
@overload
def run(
    args: "Argv", bufsize: int, /, *more: Any, **options: "Unpack[types.RunInEither]"
) -> "CompletedProcess[Any]": ...
def run(
    args: Any,
    *more: Any,
    input: Any = None,  # noqa: A002 - subprocess.run's own name
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    kill_after: float | None = None,
    kill_tree: bool = False,
    **options: Any,
) -> "subprocess.CompletedProcess[Any]":
    """Run a program in a new task, wait for its end, and collect its output: subprocess.run.

    All parameters of subprocess.run, and those of Popen. input: an object with a buffer, or a str in
    text mode. timeout: in seconds; when it is over the child is killed and reaped, and TimeoutExpired has
    its output so far. kill_after: in seconds; with it the child gets SIGTERM when the timeout is over, and
    is killed if it has not ended so long after that. kill_tree: whether all processes that the child
    started are killed as well, see Child.kill_tree(); with kill_after they all get SIGTERM first.

    Returns a subprocess.CompletedProcess.
    Raises as Popen does, and CalledProcessError with check, which has a note of what a sandbox ended.
    Needs: what the options need.
    Source: clone(2), execve(2), waitid(2).
    """
    refuse_start(options)
    end = _End(timeout, kill_after, kill_tree)
    add_pipes(options, has_input=input is not None, capture_output=capture_output)
    if input is not None and not more:  # by place they may choose text
        refuse_no_input(input, options)
    process = Popen.__new__(Popen)
    output = end.ends(process, lambda: process.communicate(input, timeout), (args, *more), options)
    done = completed(process.args, process.returncode, output, process.report)
    if check:
        done.check_returncode()
    return done


def call(
    args: "Argv",
    *more: Any,
    timeout: float | None = None,
    kill_after: float | None = None,
    kill_tree: bool = False,
    **options: "Unpack[types.PopenInEither]",
) -> int:
    """Run a program and wait for its end: subprocess.call.

    The parameters are Popen's. timeout: in seconds; when it is over the child is killed and reaped.
    kill_after, kill_tree: as for run().
    Returns the returncode.
    Raises as Popen does, and TimeoutExpired.
    Needs: what the options need.
    Source: clone(2), execve(2), waitid(2).
    """
    ends = timeout, kill_after, kill_tree
    return _called((args, *more), *ends, **options).returncode


def check_call(args: "Argv", *more: Any, **options: "Unpack[types.CallOptions]") -> int:
    """Run a program that must succeed: subprocess.check_call.

    As call(), and returns 0.
    Raises as call() does, and CalledProcessError when the returncode is not 0.
    Needs: what the options need.
    Source: clone(2), execve(2), waitid(2).
    """
    _called((args, *more), **options).check_returncode()
    return 0


def _called(
    args: tuple[Any, ...],
    timeout: float | None = None,
    kill_after: float | None = None,
    kill_tree: bool = False,
    **options: Any,
) -> "subprocess.CompletedProcess[Any]":
    refuse_start(options)
    end = _End(timeout, kill_after, kill_tree)
    process = Popen.__new__(Popen)
    returncode = end.ends(process, lambda: process.wait(timeout), args, options)
    return completed(process.args, returncode, (None, None), process.report)


@overload
def check_output(args: "Argv", **options: "Unpack[types.RunByText]") -> "str": ...
@overload
def check_output(args: "Argv", **options: "Unpack[types.RunByEncoding]") -> "str": ...
@overload
def check_output(args: "Argv", **options: "Unpack[types.RunByErrors]") -> "str": ...
@overload
def check_output(args: "Argv", **options: "Unpack[types.RunByNewlines]") -> "str": ...
@overload
def check_output(args: "Argv", **options: "Unpack[types.RunInBytes]") -> "bytes": ...
@overload
def check_output(args: "Argv", **options: "Unpack[types.RunInEither]") -> "Any": ...
@overload
def check_output(
    args: "Argv", bufsize: int, /, *more: Any, **options: "Unpack[types.RunInEither]"
) -> "Any": ...
def check_output(args: Any, *more: Any, timeout: float | None = None, **options: Any) -> Any:
    """Run a program that must succeed, and return its standard output: subprocess.check_output.

    The parameters are run()'s, without stdout and check.
    Returns bytes, or a str in text mode.
    Raises as run() does, and CalledProcessError, which has the output, when the returncode is not 0.
    Needs: what the options need.
    Source: clone(2), execve(2), waitid(2).
    """
    for taken in ("stdout", "check"):
        if taken in options:
            raise ValueError(f"{taken} argument not allowed, it will be overridden.")
    if "input" in options and options["input"] is None:  # as in subprocess: empty input
        is_text = any(
            options.get(word) for word in ("text", "universal_newlines", "encoding", "errors")
        )
        options["input"] = "" if is_text else b""
    return run(args, *more, stdout=subprocess.PIPE, timeout=timeout, check=True, **options).stdout


def getstatusoutput(
    cmd: "Argv",
    *,
    encoding: str | None = None,
    errors: str | None = None,
    **options: "Unpack[types.RunOptions]",
) -> tuple[int, str]:
    """Run a shell command; returncode and output, stdout and stderr together: subprocess.getstatusoutput.

    Further options are Popen's. Returns the returncode, and the text without its last newline.
    Needs: what the options need.
    Source: clone(2), execve(2), waitid(2).
    """
    done = run(
        cmd,
        shell=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding=encoding,
        errors=errors,
        **cast("dict[str, Any]", options),
    )
    return done.returncode, done.stdout.removesuffix("\n")


def getoutput(
    cmd: "Argv",
    *,
    encoding: str | None = None,
    errors: str | None = None,
    **options: "Unpack[types.RunOptions]",
) -> str:
    """As getstatusoutput(), without the returncode: subprocess.getoutput.

    Needs: what the options need.
    Source: clone(2), execve(2), waitid(2).
    """
    return getstatusoutput(cmd, encoding=encoding, errors=errors, **options)[1]


def add_pipes(options: dict[str, Any], *, has_input: bool, capture_output: bool) -> None:
    """Set the streams that need a pipe; ValueError if others were given."""
    if has_input:
        if options.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        options["stdin"] = subprocess.PIPE
    if capture_output:
        if options.get("stdout") is not None or options.get("stderr") is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        options["stdout"] = options["stderr"] = subprocess.PIPE


class SandboxedProcess(subprocess.CompletedProcess[Any]):
    """A CompletedProcess of a sandbox: ``report`` has what it used, ``reason`` is what ended it."""

    report: "SandboxReport"

    @property
    def reason(self) -> str:
        """What ended it, see SandboxReport."""
        return self.report.reason

    @property
    def changes(self) -> "Changes | None":
        """With ``overlay``: what it has done to files, see SandboxReport."""
        return self.report.changes

    def check_returncode(self) -> None:
        """Raise CalledProcessError for one that is not 0, with a note where the sandbox ended it."""
        try:
            super().check_returncode()
        except subprocess.CalledProcessError as error:
            if self.reason not in _TOLD_BY_RETURNCODE:
                error.add_note(f"ended by its sandbox: {self.reason}")
            raise


def completed(
    args: Any, returncode: int, output: tuple[Any, Any], report: "SandboxReport | None"
) -> "subprocess.CompletedProcess[Any]":
    """What run() returns."""
    if report is None:
        return subprocess.CompletedProcess(args, returncode, *output)
    done = SandboxedProcess(args, returncode, *output)
    done.report = report
    return done


def refuse_start(options: Mapping[str, Any]) -> None:
    """ValueError for start=False, where start() could not be called."""
    start = options.get("start")
    if start is not None and not start:
        raise ValueError(
            "start=False is for Popen and Command: this call waits for the program's end, "
            "and start() could not be called"
        )


class _End:
    """Ends a program at its timeout: with SIGTERM first, or at once; alone, or with its tree."""

    def __init__(self, timeout: float | None, kill_after: float | None, kill_tree: bool) -> None:
        self._grace = grace_of(kill_after, timeout)
        self._whole_tree = truth_of("kill_tree", kill_tree)
        self._tree: End | None = None

    def ends(
        self,
        process: Popen[Any],
        wait: Callable[[], T],
        args: tuple[Any, ...],
        options: Mapping[str, Any],
    ) -> T:
        """Start it and return what the wait for its end gives; an exception ends it.

        process: not started, so that it exists before its child does.
        """
        with process:
            try:
                Popen.__init__(process, *args, **options)
                return wait()
            except TimeoutExpired as expired:
                self._after(expired, process)
                process.wait()
                raise
            except BaseException as error:
                self._kill(process)  # leaving the block waits for it, unless it was a ^C
                if isinstance(error, KeyboardInterrupt) and process._is_confined:
                    self._see_it_end(process)
                raise

    def _see_it_end(self, process: Popen[Any]) -> None:
        """Wait a moment for what was killed in a sandbox.

        Else it, and its layer, would go in the midst of the next Popen(), where a ^C would be lost: one
        that comes while an object is taken down is told on standard error, and the next program runs on.
        """
        with contextlib.suppress(TimeoutExpired):
            process._wait(timeout=_SECONDS_TO_DIE)

    def _after(self, expired: TimeoutExpired, process: Popen[Any]) -> None:
        """End it; the error then has its last output."""
        try:
            self._ask(process, expired)
        finally:
            self._kill(process)
            if process._exchange is not None:
                process._exchange.close()

    def _ask(self, process: Popen[Any], expired: TimeoutExpired) -> None:
        """Send SIGTERM, wait for its end or kill_after, and read its output meanwhile."""
        child = process._child
        if not self._grace or child is None:
            return
        deadline = time.monotonic() + self._grace
        if self._whole_tree:
            self._tree = child._end_of_tree()
            self._tree.ask()
        else:
            child.send_signal(signal.SIGTERM)
            child.send_signal(signal.SIGCONT)  # a stopped child handles SIGTERM only then
        exchange = process._exchange
        if exchange is not None and child.pidfd is not None:
            if not exchange.run(deadline, until=child.pidfd):
                exchange.take_what_is_there()  # its grandchildren may go on
            expired.output, expired.stderr = exchange.so_far()
        with contextlib.suppress(TimeoutExpired):
            process.wait(deadline - time.monotonic())
        if self._tree is not None:
            self._tree.wait(deadline)

    def _kill(self, process: Popen[Any]) -> None:
        """SIGKILL, for it or its whole tree."""
        try:
            if self._whole_tree and process._child is not None:
                tree = self._tree or process._child._end_of_tree()
                tree.kill(None)
        finally:  # whatever keeps the tree from being found
            process.kill()
