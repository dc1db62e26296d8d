"""A trace: a thread of this process follows the tasks, another reads what it has seen."""

import errno
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from ..._core import Tracer, trace_filter
from ..._kernel import procfs
from ..._preflight.this_thread import read_caller
from ..._program.traced import FILTER_STEP, TracedProgram
from ..._setup.checks import Text
from ..._setup.options import Options
from ...errors import SpawnError
from .attaching import seize_process, why_not_traced_here
from .events import End, Event
from .family import Family
from .records import read_records

if TYPE_CHECKING:
    from ...exit_status import ExitStatus

_ARGUMENTS, _ARGUMENT_BYTES = 32, 200
_ENOUGH_BYTES, _PATIENCE_SECONDS = 1 << 16, 0.05
_NO_TRACER = (errno.EPERM, errno.ENOSYS)


class Trace:
    """A trace that is on: iterating over it gives its events, see ramet.observe.trace().

    ``pid``: of the program, or of the process that it attached to. ``filtered``: whether the tracees stop
    at the calls that are traced alone; without that each of their calls costs two stops. ``status``: how
    the program has ended; ``error``: why it could not be executed. ``began``: in seconds since the epoch.
    """

    def __init__(
        self,
        pid: int,
        tracer: Tracer,
        attach: Callable[[], None],
        *,
        program: TracedProgram | None,
        filtered: bool,
    ) -> None:
        self.pid = pid
        self.filtered = filtered
        self.status: ExitStatus | None = None
        self.error: SpawnError | None = None
        self.began = time.time()
        self._tracer = tracer
        self._program = program
        self._family = Family(
            time.monotonic_ns(),
            None if program is None else pid,
            own_filters=int(filtered),
            own_peak=procfs.own_peak_kib() << 10,
        )
        self._attach = attach
        self._failed: OSError | None = None
        self._events = self._told()
        self._attached = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="ramet trace", daemon=True)
        self._thread.start()
        self._attached.wait()
        if self._failed is not None:
            self._thread.join()
            raise self._failed

    @property
    def is_of_program(self) -> bool:
        """Whether it has started what it follows."""
        return self._program is not None

    def _follow(self) -> None:
        """In the thread that the kernel knows as the tracer.

        It is sent SIGCHLD at each stop of each task. Where it blocks that, and nobody handles it, the
        signal waits for another thread and wakes that one; else the kernel drops it.
        """
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - {signal.SIGCHLD})
        try:
            self._attach()
        except OSError as error:
            self._failed = error
        self._attached.set()
        if self._failed is None:
            try:
                self._tracer.run()
            except OSError as error:
                self._failed = OSError(error.errno, f"the tracer cannot go on: {error.strerror}")

    def __iter__(self) -> Iterator[Event]:
        """The events up to the last, which is a Cost; another loop goes on where one has ended.

        Raises OSError where the tracer cannot go on.
        """
        return self._events

    def _told(self) -> Iterator[Event]:
        if self._program is not None and self._thread.is_alive():
            self.error = self._program.go()
        while block := self._tracer.take(_ENOUGH_BYTES, _PATIENCE_SECONDS):
            for record in read_records(block):
                for event in self._family.read(record):
                    if isinstance(event, End) and event.tid == self.pid and self.status is None:
                        self.status = event.status
                    yield event
        self._over()
        if self._failed is not None:
            raise self._failed

    def send_signal(self, number: int) -> None:
        """Send the program a signal; nothing when it has ended."""
        if self._program is not None:
            self._program.child.send_signal(number)

    def leave(self) -> None:
        """End the trace, from any thread: what it attached to goes on, what it has started is killed."""
        self._tracer.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
        self._over()

    def _over(self) -> None:
        self._thread.join()
        if self._program is not None:
            self._program.child.wait()


def trace(
    argv: Sequence[Text] | None = None,
    *,
    pid: int | None = None,
    arguments: int = _ARGUMENTS,
    argument_bytes: int = _ARGUMENT_BYTES,
    every_call: bool = False,
    **options: Unpack[Options],
) -> Trace:
    """Start a program, or attach to a process, and tell of each clone call, exec and end among its tasks.

    argv: the program and its arguments. pid: of the process, instead. arguments, argument_bytes: of each
    exec so many arguments are read, and so much of each. every_call: the program gets no filter, and stops
    at each of its calls, which is far slower; then a refusal by a filter of its own is seen as well.
    options: of the program, see ramet.Options; not sandbox.

    Returns a Trace, whose events are those of ramet.observe.tracing, in their order; the program waits
    until the first is asked for. As a context manager it ends on leaving the block: the program and all
    that it has started are killed then, a process that was attached to goes on. Where the kernel takes no
    filter, it is as with every_call. A program that cannot be executed is told as an ExecRefused, and is
    the Trace's ``error``.

    Raises PermissionError where the process may not be traced (EPERM), with the reason; ProcessLookupError
    where there is none (ESRCH); SpawnError and CloneError as Command.spawn() does.

    >>> with trace(["true"]) as events:
    ...     ends = [event.status.code for event in events if isinstance(event, End)]
    >>> ends
    [0]

    Needs: Linux 5.3. A plain user's programs run with no_new_privs.
    Source: ptrace(2), seccomp(2).
    """
    if (argv is None) == (pid is None):
        raise TypeError("invalid argv and pid: expected one of the two")
    limits = {"arguments": arguments, "argument_bytes": argument_bytes}
    if pid is not None:
        tracer = Tracer(**limits, filtered=False, owns=False)
        return Trace(pid, tracer, lambda: seize_process(tracer, pid), program=None, filtered=False)
    assert argv is not None
    return _of_program(argv, options, limits, filtered=not every_call)


def _of_program(
    argv: Sequence[Text], options: Options, limits: dict[str, int], *, filtered: bool
) -> Trace:
    if options.get("sandbox") is not None:
        raise ValueError(
            "invalid sandbox for a trace: expected None: a confined program cannot be traced from its "
            "first call; leave it out, or attach to one that runs: trace(pid=...)"
        )
    if filtered and not read_caller().may("CAP_SYS_ADMIN"):
        options = {**options, "no_new_privs": True}  # else the kernel takes no filter
    try:
        program = TracedProgram(argv, trace_filter() if filtered else None, **options)
    except SpawnError as error:
        if error.step != FILTER_STEP:
            raise
        return _of_program(argv, options, limits, filtered=False)
    tracer = Tracer(**limits, filtered=filtered, owns=True)

    def attach() -> None:
        try:
            tracer.seize(program.child.pid)
        except OSError as error:
            if error.errno not in _NO_TRACER:
                raise
            raise OSError(error.errno, why_not_traced_here()) from None

    try:
        return Trace(program.child.pid, tracer, attach, program=program, filtered=filtered)
    except (OSError, RuntimeError):  # also where no thread can be started
        program.child.kill()
        program.child.wait()
        raise
