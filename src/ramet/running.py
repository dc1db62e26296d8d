"""run, call, check_call, check_output and their kin: a program from its beginning to its end."""

import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast, overload

from .errors import TimeoutExpired
from .popen import Popen

if TYPE_CHECKING:
    from subprocess import CompletedProcess
    from typing import Unpack

    from . import popen_types as types
    from .popen_types import Argv


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
    **options: Any,
) -> "subprocess.CompletedProcess[Any]":
    """Run a program in a new task and wait for its end, with its output if wanted: subprocess.run.

    All parameters of subprocess.run, and those of Popen. input: any object with a
    buffer, or a str in text mode. timeout: in seconds; when it is over the child is killed and
    reaped, and TimeoutExpired has its output so far.

    Returns a subprocess.CompletedProcess.
    Raises as Popen does, and CalledProcessError with check.
    Needs: what the options need.
    Source: clone(2), execve(2), waitid(2).
    """
    refuse_start(options)
    if input is not None:
        if options.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        options["stdin"] = subprocess.PIPE
    if capture_output:
        if options.get("stdout") is not None or options.get("stderr") is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        options["stdout"] = options["stderr"] = subprocess.PIPE
    with Popen(args, *more, **options) as process:
        try:
            stdout, stderr = process.communicate(input, timeout)
        except TimeoutExpired:
            process.kill()
            process.wait()
            raise
        except BaseException:
            process.kill()  # and leaving the block waits, unless it was a ^C
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    if check:
        done.check_returncode()
    return done


def call(
    args: "Argv",
    *more: Any,
    timeout: float | None = None,
    **options: "Unpack[types.PopenInEither]",
) -> int:
    """Run a program and wait for its end: subprocess.call.

    The parameters are Popen's. timeout: in seconds; when it is over the child is killed and reaped.
    Returns the returncode.
    Raises as Popen does, and TimeoutExpired.
    Needs: what the options need.
    Source: clone(2), execve(2), waitid(2).
    """
    refuse_start(options)
    with Popen(args, *more, **options) as process:
        try:
            return process.wait(timeout)
        except BaseException:
            process.kill()
            raise


def check_call(
    args: "Argv",
    *more: Any,
    timeout: float | None = None,
    **options: "Unpack[types.PopenInEither]",
) -> int:
    """Run a program, which is to succeed: subprocess.check_call.

    As call(), and returns 0.
    Raises as call() does, and CalledProcessError when the returncode is not 0.
    Needs: what the options need.
    Source: clone(2), execve(2), waitid(2).
    """
    returncode = call(args, *more, timeout=timeout, **options)
    if returncode:
        raise subprocess.CalledProcessError(returncode, args)
    return 0


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
    """Run a program, which is to succeed, for its standard output: subprocess.check_output.

    The parameters are run()'s, without stdout and check.
    Returns bytes, or a str in text mode.
    Raises as run() does, and CalledProcessError, which has the output, when the returncode is not 0.
    Needs: what the options need.
    Source: clone(2), execve(2), waitid(2).
    """
    for taken in ("stdout", "check"):
        if taken in options:
            raise ValueError(f"{taken} argument not allowed, it will be overridden.")
    if "input" in options and options["input"] is None:  # given like this it means: nothing
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
    """What a command of the shell gives, stdout and stderr together: subprocess.getstatusoutput.

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


def refuse_start(options: Mapping[str, Any]) -> None:
    """ValueError for start=False, where nobody could call start(); the library's own."""
    start = options.get("start")
    if start is not None and not start:
        raise ValueError(
            "start=False is for Popen and Command: here the program is waited for, "
            "and nobody could call its start()"
        )
