"""A running program under asyncio or trio."""

from types import TracebackType
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
from .spawning import IN_LOOP, abandon, launch

if TYPE_CHECKING:
    from typing import Unpack

    from .._program import popen_types as types
    from .._program.popen_types import Argv

_FOR_TEXT = ("text", "encoding", "errors", "universal_newlines")
_UNFIT = frozenset({"bufsize", *_FOR_TEXT})


async def open_process(args: "Argv", **options: "Unpack[types.PopenInBytes]") -> "Process":
    """Start a program without blocking the loop: clone(2) with VM|VFORK and execve(2).

    args, options: as ramet.Popen takes them, all of them but those for text, since the streams
    carry bytes, and bufsize. stdin, stdout, stderr: PIPE makes a stream of them; None, which is
    the default, leaves them as they are here.

    Returns a Process, which is the caller's: use it as a context manager.

    The calling thread makes the child, which has all that this thread has and lacks what it has
    given up. A cancellation kills and reaps the child, also on its way to the program.

    Raises as Popen does.
    Needs: what the options need.
    Source: clone(2), execve(2), pidfd_open(2).
    """
    if not _UNFIT.isdisjoint(options):
        unfit = [name for name in _FOR_TEXT if options.get(name)]
        if unfit or options.get("bufsize", 0) > 0:
            raise ValueError(
                f"the streams carry bytes, unbuffered: leave out {unfit or ['bufsize']}"
            )
    options["bufsize"] = 0
    popen = _Expecting.__new__(_Expecting)
    try:
        popen.__init__(args, **options)  # type: ignore[misc] # so whatever is raised, it is at hand
        await popen.deliver()
        return Process(popen)
    except BaseException:
        await popen.abandon()
        raise


class _Expecting(Popen[bytes]):
    """One whose child is made in the loop, when all else is ready."""

    _command: Command | None = None
    _ends: tuple[int, ...] = ()

    async def deliver(self) -> None:
        """Make the child."""
        assert self._command is not None
        child = self._child = self._command.new_child()
        await launch(self._command, child)
        self.pid = child.pid
        self._child_created = True
        self._let_go()

    def _let_go(self) -> None:
        """Close the child's ends of the pipes."""
        if self._ends and not self._closed_child_pipe_fds:
            super()._close_pipe_fds(*self._ends)  # type: ignore[misc] # subprocess's

    async def abandon(self) -> None:
        """Nobody will ever have it: nothing is left of it, nor of its pipes."""
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()
        self._let_go()
        await abandon(self._child)
        self._child_created = False

    def _execute_child(self, argv: list[Any], options: dict[str, Any]) -> None:
        self._command = self._asked_for(argv, options)

    def _close_pipe_fds(self, *ends: int) -> None:
        if self._command is None:  # it will have no child
            super()._close_pipe_fds(*ends)  # type: ignore[misc] # subprocess's
        else:
            self._ends = ends


class Process(AnyioProcess):
    """A running program, as open_process() gives it: an anyio.abc.Process.

    ``stdin`` is a ByteSendStream, ``stdout`` and ``stderr`` are ByteReceiveStreams, or None where
    no PIPE was asked for; ``args`` is what it was asked to run. As an asynchronous context manager
    it kills and reaps on leaving what still runs. No thread and no child watcher is there for it:
    the loop watches the pidfd while somebody waits.

    Source: clone(2), pidfd_open(2).
    """

    def __init__(self, popen: Popen[bytes]) -> None:
        self._popen = popen
        self._child = _child(popen)
        self._stdin = None if popen.stdin is None else SendingEnd(popen.stdin)
        self._stdout = None if popen.stdout is None else ReceivingEnd(popen.stdout)
        self._stderr = None if popen.stderr is None else ReceivingEnd(popen.stderr)

    if not TYPE_CHECKING:  # which would take any name for an attribute then

        def __getattr__(self, name: str) -> object:
            raise no_attribute_of_aio(self, name)

    @property
    def args(self) -> Any:
        """What it was asked to run."""
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
        """The exit code or the negative signal, None while it runs; never waits."""
        return self._popen.poll()

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, with its rusage; None while it runs. Never waits."""
        return self._child.poll()

    @property
    def stdin(self) -> SendingEnd | None:
        """What the child reads, None where no PIPE was asked for."""
        return self._stdin

    @property
    def stdout(self) -> ReceivingEnd | None:
        """What the child writes, None where no PIPE was asked for."""
        return self._stdout

    @property
    def stderr(self) -> ReceivingEnd | None:
        """What the child writes as errors, None where no PIPE was asked for."""
        return self._stderr

    def fileno(self) -> int:
        """The pidfd, readable when the child has ended. Source: pidfd_open(2)."""
        return self._child.fileno()

    async def start(self) -> None:
        """Let one made with start=False go on to its program: Child.start(), the loop not blocked.

        Raises ValueError when it does not wait for its start, and SpawnError when its program
        cannot be.
        Source: futex(2), execve(2).
        """
        await self._child.started(IN_LOOP)

    async def wait(self) -> int:
        """Wait until it has ended, and reap it. Source: pidfd_open(2), waitid(2).

        Any number of tasks may wait. A cancellation leaves the child as it is.
        Returns the exit code, or the negative signal.
        Raises ValueError for one made with start=False that was not started.
        """
        if self._popen.returncode is None:
            self._child.refuse_endless_wait(otherwise="")
            self._popen._note(await awaiting.conclude(self._child))
        else:
            await checkpoint()
        return cast(int, self._popen.returncode)

    def send_signal(self, signal: int) -> None:
        """Send it a signal; without effect when it has ended. Source: pidfd_send_signal(2)."""
        self._child.send_signal(signal)

    def terminate(self) -> None:
        """Ask it to end: SIGTERM. Source: pidfd_send_signal(2)."""
        self._child.terminate()

    def kill(self) -> None:
        """End it at once: SIGKILL. Source: pidfd_send_signal(2)."""
        self._child.kill()

    async def kill_tree(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - Child.kill_tree's own
        *,
        orphans: Subreaper | None = None,
    ) -> None:
        """Kill it and all that it started, as Child.kill_tree() says, in a thread apart.

        Source: pidfd_send_signal(2), Documentation/admin-guide/cgroup-v2.rst.
        """
        await awaiting.in_new_thread(lambda: self._child.kill_tree(timeout, orphans=orphans))

    async def aclose(self) -> None:
        """Close the streams; kill and reap what still runs, whatever is cancelled meanwhile."""
        for end in (self._stdin, self._stdout, self._stderr):
            if end is not None:
                end.close()
        await awaiting.end(self._child)
        self._popen.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<ramet.aio.Process {self.pid}: {self._popen.args!r}>"


def _child(popen: Popen[bytes]) -> Child[None]:
    return cast("Child[None]", popen._child)  # the handle that both are faces of
