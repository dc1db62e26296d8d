"""run() under asyncio and trio: a program run to its end."""

import contextlib
import io
import signal
import time
from typing import TYPE_CHECKING, Any, overload

import anyio

from .._kernel.timeouts import checked_as_in_subprocess, pauses
from .._process import awaiting
from .._program.argument_checks import grace_of, no_input, truth_of
from .._program.run import add_pipes, completed, refuse_start
from ..errors import TimeoutExpired
from .pipes import SendingEnd
from .process import Process, opened

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Coroutine
    from subprocess import CompletedProcess
    from typing import Unpack

    from .._process.tree.end import End
    from .._program import popen_types as types
    from .._program.popen_types import Argv


@overload
async def run(args: "Argv", **options: "Unpack[types.RunByText]") -> "CompletedProcess[str]": ...
@overload
async def run(
    args: "Argv", **options: "Unpack[types.RunByEncoding]"
) -> "CompletedProcess[str]": ...
@overload
async def run(args: "Argv", **options: "Unpack[types.RunByErrors]") -> "CompletedProcess[str]": ...
@overload
async def run(
    args: "Argv", **options: "Unpack[types.RunByNewlines]"
) -> "CompletedProcess[str]": ...
@overload
async def run(args: "Argv", **options: "Unpack[types.RunInBytes]") -> "CompletedProcess[bytes]": ...
@overload
async def run(args: "Argv", **options: "Unpack[types.RunInEither]") -> "CompletedProcess[Any]": ...
async def run(
    args: Any,
    *,
    input: Any = None,  # noqa: A002 - subprocess.run's own name
    capture_output: bool = False,
    timeout: float | None = None,  # noqa: ASYNC109 - as in subprocess.run
    check: bool = False,
    kill_after: float | None = None,
    kill_tree: bool = False,
    text: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    universal_newlines: bool | None = None,
    **options: Any,
) -> "subprocess.CompletedProcess[Any]":
    """Run a program and wait for its end without blocking the loop: ramet.run.

    The parameters are those of ramet.run. timeout: in seconds, from the call on; when it is over the child
    is killed and reaped, and TimeoutExpired has its output so far. A cancellation kills and reaps it, too,
    at any moment and without waiting for kill_after.

    Returns a subprocess.CompletedProcess.
    Raises as Popen does, and CalledProcessError with check.
    Needs: what the options need.
    Source: clone(2), execve(2), pidfd_open(2), waitid(2).
    """
    refuse_start(options)
    seconds = checked_as_in_subprocess(timeout)
    grace = grace_of(kill_after, timeout)
    kill_tree = truth_of("kill_tree", kill_tree)
    translation = _Translation(text or universal_newlines, encoding, errors)
    add_pipes(options, has_input=input is not None, capture_output=capture_output)
    sent = translation.encoded(input)
    output = _Output()
    process: Process | None = None
    tree: End | None = None
    returncode: int | None = None
    try:
        with contextlib.nullcontext() if seconds is None else anyio.move_on_after(seconds):
            process = await opened(args, kill_tree, **options)
            if process._child._belongings.count_output is None:
                await _communicate(process, sent, output)
            else:  # in a sandbox all dies with it, and what it has given away is nobody's
                await _until_its_end(process, output, sent)
            returncode = await process.wait()
        # The scope is over: what is cancelled from here on is this task, and it waits no longer.
        if grace and returncode is None and process is not None:
            tree = process._child._end_of_tree() if kill_tree else None
            await _ask(process, output, grace, tree)
    finally:
        if process is not None:
            try:
                if returncode is None and kill_tree:
                    await _kill_tree(process, tree)
            finally:  # whatever keeps the tree from being found
                await process.aclose()
    if returncode is None:
        assert timeout is not None
        raise TimeoutExpired(args, timeout, *output.so_far())
    stdout, stderr = map(translation.decoded, output.whole())
    done = completed(args, returncode, (stdout, stderr), process._child.report)
    if check:
        done.check_returncode()
    return done


class _Output:
    """The data read from each of the two streams, None without a stream."""

    def __init__(self) -> None:
        self.stdout: bytearray | None = None
        self.stderr: bytearray | None = None

    def whole(self) -> tuple[bytes | None, bytes | None]:
        """All of both."""
        return _frozen(self.stdout), _frozen(self.stderr)

    def so_far(self) -> tuple[bytes | None, bytes | None]:
        """The data so far of both, as in subprocess after a timeout: None instead of empty."""
        return _frozen(self.stdout) or None, _frozen(self.stderr) or None


def _frozen(data: bytearray | None) -> bytes | None:
    return None if data is None else bytes(data)


async def _communicate(process: Process, sent: bytes | memoryview | None, output: _Output) -> None:
    """Write the input and read both outputs concurrently."""
    jobs: list[Callable[[], Coroutine[Any, Any, None]]] = []
    counted = process._child._belongings.count_output
    if process.stdin is not None:
        stdin = process.stdin
        jobs.append(lambda: _feed(stdin, sent or b""))
    if process.stdout is not None:
        stdout = process.stdout
        into_stdout = output.stdout = output.stdout or bytearray()
        jobs.append(lambda: stdout.receive_all(into_stdout, counted))
    if process.stderr is not None:
        stderr = process.stderr
        into_stderr = output.stderr = output.stderr or bytearray()
        jobs.append(lambda: stderr.receive_all(into_stderr, counted))
    if len(jobs) == 1:  # a task group takes longer than all the rest
        await jobs[0]()
    elif jobs:
        async with anyio.create_task_group() as group:
            for job in jobs:
                group.start_soon(job)


async def _ask(process: Process, output: _Output, grace: float, tree: "End | None") -> None:
    """Send SIGTERM to it, or to its whole tree; wait for the end, for ``grace`` seconds at most."""
    with anyio.move_on_after(grace):
        if tree is None:
            process.terminate()
            process.send_signal(signal.SIGCONT)  # a stopped child handles SIGTERM only then
        else:
            await awaiting.in_new_thread(tree.ask)
        await _until_its_end(process, output)
        if tree is not None:
            await _all_have_ended(tree)


async def _all_have_ended(tree: "End") -> None:
    """Wait for all that were asked, without a thread: a cancellation is heard at once."""
    for descriptor in tree.pidfds():
        await awaiting.readable(descriptor)
    for pause in pauses():  # some may have no pidfd: no event tells of their end
        if tree.wait(time.monotonic()):
            return
        await anyio.sleep(pause)


async def _kill_tree(process: Process, tree: "End | None") -> None:
    """Kill those that were asked and what can be found of the tree, whatever is cancelled meanwhile."""
    whole = tree or process._child._end_of_tree()
    await awaiting.in_new_thread(lambda: whole.kill(None))


async def _until_its_end(
    process: Process, output: _Output, sent: bytes | memoryview | None = None
) -> None:
    """Write the input and read its output until it has ended."""
    async with anyio.create_task_group() as group:
        group.start_soon(_communicate, process, sent, output)
        await process.wait()
        group.cancel_scope.cancel()  # other processes may keep its pipes open
    for stream, data in ((process.stdout, output.stdout), (process.stderr, output.stderr)):
        if stream is not None and data is not None:
            stream.receive_rest(data)


async def _feed(stdin: SendingEnd, data: bytes | memoryview) -> None:
    """Write the input; the child may close its end before it has read all."""
    with contextlib.suppress(anyio.BrokenResourceError):
        await stdin.send(data)
    stdin.close()


class _Translation:
    """Converts between the bytes of the pipes and the caller's str or bytes, as subprocess does."""

    def __init__(self, text: bool | None, encoding: str | None, errors: str | None) -> None:
        self._text = bool(text or encoding or errors)
        self._encoding = io.text_encoding(encoding)
        self._errors = errors

    def encoded(self, sent: Any) -> Any:
        """The input as bytes."""
        if sent is None:
            return None
        if self._text != isinstance(sent, str):
            if self._text:
                raise no_input("a str in text mode", sent)
            raise no_input("bytes", sent, "text=True takes str")
        if not self._text:
            try:
                return memoryview(sent)
            except TypeError:
                raise no_input("bytes", sent) from None
        data = io.BytesIO()
        with self._over(data) as stream:
            stream.write(sent)
            stream.flush()
            return data.getvalue()

    def decoded(self, received: bytes | None) -> str | bytes | None:
        """The output as str or bytes."""
        if received is None or not self._text:
            return received
        with self._over(io.BytesIO(received)) as stream:
            return stream.read()

    def _over(self, data: io.BytesIO) -> io.TextIOWrapper:
        return io.TextIOWrapper(data, self._encoding, self._errors)
