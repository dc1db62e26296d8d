"""A running program under asyncio or trio."""

from typing import TYPE_CHECKING, Any, Self, cast

from anyio.abc import Process as AnyioProcess
from anyio.lowlevel import checkpoint

from .._preflight.hints import no_attribute_of_aio
from .._process import awaiting
from .._process.child import Child
from .._process.tree.subreaper import Subreaper
from .._program.command import Command
from .._program.popen import Popen
from ..exit_status import ExitStatus
from .pipes import ReceivingEnd, SendingEnd
from .spawning import IN_LOOP, discard, launch

if TYPE_CHECKING:
    from typing import Unpack

    from .._program import popen_types as types
    from .._program.popen_types import Argv

_FOR_TEXT = ("text", "encoding", "errors", "universal_newlines")
_UNFIT = frozenset({"bufsize", *_FOR_TEXT})


async def open_process(args: "Argv", **options: "Unpack[types.PopenInBytes]") -> "Process":
    """Start a program without blocking the loop: clone(2) with VM|VFORK and execve(2).

    args, options: as for ramet.Popen, without bufsize and those for text, since the streams carry bytes.
    stdin, stdout, stderr: PIPE makes a stream; with None, the default, the child has those of the caller.

    Returns a Process, which the caller ends: use it as a context manager.

    The calling thread makes the child, which has the rights and namespaces of this thread. A cancellation
    kills and reaps the child, also before its program runs.

    Raises as Popen does.
    Needs: what the options need.
    Source: clone(2), execve(2), pidfd_open(2).
    """
    return await opened(args, False, **options)


async def opened(args: "Argv", kill_tree: bool, /, **options: Any) -> "Process":
    """open_process(). With kill_tree all that the child has started is killed with it if this fails."""
    if not _UNFIT.isdisjoint(options):
        unfit = [name for name in _FOR_TEXT if options.get(name)]
        if unfit or options.get("bufsize", 0) > 0:
            raise ValueError(
                f"the streams of ramet.aio carry bytes, unbuffered: leave out {unfit or ['bufsize']}"
            )
    options["bufsize"] = 0
    popen = _PopenInLoop.__new__(_PopenInLoop)
    try:
        popen.__init__(args, **options)  # type: ignore[misc] # an exception finds it in the handler below
        await popen.make_child()
        return Process(popen)
    except BaseException:
        await popen.discard(kill_tree)
        raise


class _PopenInLoop(Popen[bytes]):
    """A Popen whose child is made after __init__(), without blocking the loop."""

    _command: Command | None = None
    _ends: tuple[int, ...] = ()

    async def make_child(self) -> None:
        """Make the child."""
        assert self._command is not None
        child = self._child = self._command._new_child()
        await launch(self._command, child)
        self.pid = child.pid
        self._child_created = True
        self._close_childs_pipe_ends()

    def _close_childs_pipe_ends(self) -> None:
        """Close the child's ends of the pipes."""
        if self._ends:
            super()._close_childs_ends(self._ends)

    async def discard(self, kill_tree: bool) -> None:
        """Kill and reap the child, if it was made, and close its pipes."""
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()
        self._close_childs_pipe_ends()
        try:
            # Its program may have begun: of a launch that takes long the loop is told a little later.
            if kill_tree and self._child is not None and self._child.pid != 0:
                await awaiting.in_new_thread(self._child.kill_tree)
        finally:
            await discard(self._child)
            self._child_created = False

    def _execute_child(self, argv: list[Any], options: dict[str, Any]) -> None:
        self._command = self._command_for(argv, options)

    def _close_childs_ends(self, ends: tuple[int, ...]) -> None:
        if self._command is None:  # no child will be made
            super()._close_childs_ends(ends)
        else:
            self._ends = ends


class Process(AnyioProcess):
    """A running program, made by open_process(): an anyio.abc.Process.

    ``stdin`` is a ByteSendStream, ``stdout`` and ``stderr`` are ByteReceiveStreams, or None without PIPE;
    ``args`` are those of open_process(). As an asynchronous context manager it kills and reaps a program
    that still runs at the end of the block. It needs no thread and no child watcher: the loop watches the
    pidfd while a task waits.

    Source: clone(2), pidfd_open(2).
    """

    def __init__(self, popen: Popen[bytes]) -> None:
        self._popen = popen
        self._child = _child(popen)
        self._stdin = None if popen.stdin is None else SendingEnd(popen.stdin)
        self._stdout = None if popen.stdout is None else ReceivingEnd(popen.stdout)
        self._stderr = None if popen.stderr is None else ReceivingEnd(popen.stderr)

    if not TYPE_CHECKING:  # with it, a type checker would accept any attribute

        def __getattr__(self, name: str) -> object:
            raise no_attribute_of_aio(self, name)

    @property
    def args(self) -> Any:
        """The args of open_process()."""
        return self._popen.args

    @property
    def pid(self) -> int:
        """The pid."""
        return self._popen.pid

    @property
    def pidfd(self) -> int | None:
        """The child's pidfd, None once it has been waited for."""
        return self._child.pidfd

    @property
    def returncode(self) -> int | None:
        """The exit code or the negative signal, None while it runs; does not wait."""
        return self._popen.poll()

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, with its rusage; None while it runs. Does not wait."""
        return self._child.poll()

    @property
    def stdin(self) -> SendingEnd | None:
        """A stream to the child's stdin, None without PIPE."""
        return self._stdin

    @property
    def stdout(self) -> ReceivingEnd | None:
        """A stream from the child's stdout, None without PIPE."""
        return self._stdout

    @property
    def stderr(self) -> ReceivingEnd | None:
        """A stream from the child's stderr, None without PIPE."""
        return self._stderr

    def fileno(self) -> int:
        """The pidfd, which becomes readable when the child has ended. Source: pidfd_open(2)."""
        return self._child.fileno()

    async def start(self) -> None:
        """Let a child made with start=False go on to its program: Child.start() without blocking the loop.

        Raises ValueError when it does not wait for start(), SpawnError when the program cannot be executed.
        Source: futex(2), execve(2).
        """
        await self._child._start(IN_LOOP)

    async def wait(self) -> int:
        """Wait until it has ended, and reap it. Source: pidfd_open(2), waitid(2).

        Any number of tasks may wait. After a cancellation the child runs on.
        Returns the exit code, or the negative signal.
        Raises ValueError for a child made with start=False that was not started.
        """
        if self._popen.returncode is None:
            self._child._refuse_endless_wait(otherwise="")
            self._popen._note(await awaiting.conclude(self._child))
        else:
            await checkpoint()
        return cast(int, self._popen.returncode)

    def send_signal(self, signal: int) -> None:
        """Send it a signal; does nothing when it has ended. Source: pidfd_send_signal(2)."""
        self._child.send_signal(signal)

    def terminate(self) -> None:
        """Ask it to end: SIGTERM. Source: pidfd_send_signal(2)."""
        self._child.terminate()

    def kill(self) -> None:
        """Kill it: SIGKILL. Source: pidfd_send_signal(2)."""
        self._child.kill()

    async def kill_tree(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - Child.kill_tree's own
        *,
        orphans: Subreaper | None = None,
    ) -> None:
        """Kill it and all processes that it started: Child.kill_tree(), in a thread.

        Source: pidfd_send_signal(2), Documentation/admin-guide/cgroup-v2.rst.
        """
        await awaiting.in_new_thread(lambda: self._child.kill_tree(timeout, orphans=orphans))

    async def aclose(self) -> None:
        """Close the streams; kill and reap the program if it still runs, also when this is cancelled."""
        for end in (self._stdin, self._stdout, self._stderr):
            if end is not None:
                end.close()
        try:
            await awaiting.end(self._child)
        finally:
            self._popen.poll()  # a further cancellation of asyncio's own comes after the child was reaped

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<ramet.aio.Process {self.pid}: {self._popen.args!r}>"


def _child(popen: Popen[bytes]) -> Child[None]:
    return cast("Child[None]", popen._child)  # made by open_process()
