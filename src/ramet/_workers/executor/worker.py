"""A process that runs calls, from a pool's side."""

import errno
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..._core import wait_readable
from ..._kernel.signal_handlers import is_from_handler
from ..._limits.python_stack import StackRequest, await_answers, stack_file
from ..._process.unreaped import reap_ended
from ..._process.watch_thread import watch_thread
from ..._sandbox.files.replaced import are_mounted
from ...exit_status import ExitStatus
from ..crossing.call_messages import CALL, written_plan
from ..crossing.messages import send
from ..crossing.pickling import pickled_call
from ..template.call_request import AS_IT_IS
from ..template.called_child import CalledChild
from ..template.source_files import SourceFiles
from ..template.template import Template
from ..template.watching import watch_call
from .captured import Captured

if TYPE_CHECKING:
    from .call import Call
    from .call_future import CallFuture

_log = logging.getLogger("ramet.executor")
_STACK_SECONDS = 0.2
_TREE_SECONDS = 5.0
# How long the pool waits for a process that is to run another call and does not read it. An honest one has
# read all that came before, so that its socket has room for all but the longest lists of arrays.
_READING_SECONDS = 1.0
_NO_DESCRIPTOR = -1
# Until others have ended no process can be made: of processes, memory, descriptors or namespaces.
NO_ROOM = (
    *(errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC),
    errno.ETOOMANYREFS,  # of descriptors of the same user that are in sockets
)
# The plan of a further call, by whether it is the last and whether files for its output come with it, as
# CallRequest.plan says it.
_PLANS = {
    (False, False): written_plan({"last": False}),
    (False, True): written_plan({"last": False, "streams": (1, 2)}),
    (True, False): written_plan({}),
    (True, True): written_plan({"streams": (1, 2)}),
}
# Of a send to a process that has ended; a channel that is closed is invalid.
_GONE = (BrokenPipeError, ConnectionResetError, ValueError)


class Rules(NamedTuple):
    """What holds for each call of a pool.

    most: calls at once. timeout: in seconds, of a call. reuse: calls in one process. memory: in bytes, or
    as text. captures: whether the output of a call is kept. most_output: in bytes, which that may not
    exceed. options: of each process. initializer: called first in each, with its arguments.
    """

    most: int
    timeout: float | None = None
    reuse: int = 1
    memory: int | str | None = None
    captures: bool = False
    most_output: int | None = None
    options: dict[str, Any] | None = None
    initializer: tuple[Callable[..., object], tuple[Any, ...]] | None = None

    @property
    def ask_nothing(self) -> bool:
        """Whether the first call of a process asks for no more than a call of its template does."""
        return (
            self.reuse == 1
            and self.timeout is None
            and self.memory is None
            and not self.options
            and not self.captures
        )


class Worker:
    """A process that runs calls, one after the other."""

    def __init__(self, child: CalledChild[Any], sources: SourceFiles | None = None) -> None:
        """sources: those that its template has loaded, where that is to follow their changes."""
        channel = child._open_channel
        assert channel is not None
        self.child = child
        self._sources = sources
        self.channel = channel.fileno()
        self.pidfd = child.fileno()
        self.served = 0
        self.call: Call | None = None
        self._stack_file = _NO_DESCRIPTOR
        self._captured: Captured | None = None
        self._tree_ended_by = ""
        self.outcome: tuple[bool, Any] | None = None  # that is told when the process has ended
        self._futures: weakref.WeakSet[CallFuture[Any]] = weakref.WeakSet()
        self.sending = threading.RLock()  # until its call is noted
        self.is_over = False  # nothing is sent to it any more
        self._is_deaf = False  # it does not read what is sent to it
        self.must_end_by = 0.0  # in seconds of time.monotonic()

    @classmethod
    def begun(
        cls, template: Template, call: tuple[Any, ...], rules: Rules, fn: Callable[..., Any]
    ) -> Self:
        """A new process that begins with this call."""
        if rules.ask_nothing:
            return cls(template._begin_call(AS_IT_IS, fn, call))
        files, captured = _NO_DESCRIPTOR, _captured(rules)
        try:
            if captured is not None and captured.most_bytes is not None:
                watch_thread.have_thread()  # while the call can still begin later
            request = template._request(memory=rules.memory, options=rules.options or {})
            if rules.timeout is not None:
                files = stack_file()
                request.answer_stacks_by(files)
            if rules.reuse > 1:
                request.plan["last"] = False
            if captured is not None:
                request.write_to(*captured.descriptors)
                if request.memory is not None:
                    request.memory.bytes_beside = captured.memory
            # Asked for before: if another process is started for the call, these have changed.
            sources = template._sources
            worker = cls(template._begin_call(request, fn, call), sources)
        except BaseException:
            if captured is not None:
                captured.close()
            if files >= 0:
                os.close(files)
            raise
        worker._stack_file, worker._captured = files, captured
        return worker

    @property
    def is_outdated(self) -> bool:
        """Whether a source file that it has loaded has changed since, or what its sandbox covers."""
        has_changed = self._sources is not None and self._sources.have_changed()
        return has_changed or not are_mounted(self.child._points)

    def send(self, call: tuple[Any, ...], rules: Rules) -> bool:
        """Let it run another call. Returns whether it was there to take it, and is not outdated.

        One that does not read may have got a part of the call: it is not to be asked again, and end_tree()
        kills it.

        Nothing is reaped or closed here: the pool's thread waits for these descriptors.
        """
        if self.is_over or wait_readable(self.pidfd, 0) or self.is_outdated:
            return False
        captured = None
        try:
            captured = _captured(rules)
            outputs = () if captured is None else tuple(captured.descriptors)
            plan = _PLANS[self.served + 1 >= rules.reuse, bool(outputs)]
            send(
                *(self.child._channel, CALL, (plan, *call), outputs),
                sealed=False,
                timeout=_READING_SECONDS,
            )
        except BaseException as error:
            if captured is not None:
                captured.close()
            if is_from_handler(error):
                raise
            self._is_deaf = isinstance(error, TimeoutError)
            lacks_room = isinstance(error, OSError) and error.errno in NO_ROOM
            if self._is_deaf or isinstance(error, _GONE) or lacks_room:
                return False  # a new process waits for room
            raise
        self._captured = captured
        return True

    def watch_output(self) -> None:
        """Its call has begun, and is noted: an interrupt may come from here on."""
        captured = self._captured
        if captured is None:
            return
        self.child._count_beside(captured.memory)
        if captured.most_bytes is not None:
            with suppress(BlockingIOError):  # then it is looked at when the call is over
                watch_call(captured, self.child)

    def finish(self) -> bool:
        """Let it run a last call, of nothing. Returns whether it was there to take it.

        After that it removes what the calls before have left: trackers.py.
        """
        try:
            last = (b"", *pickled_call(int, ()))
            send(*(self.child._channel, CALL, last, ()), sealed=False, timeout=_READING_SECONDS)
        except (OSError, ValueError):
            return False
        return True

    @property
    def _ends_tree_by(self) -> str:
        return self._tree_ended_by or ("pid namespace" if self.child._has_namespace else "walk")

    @property
    def has_written_too_much(self) -> bool:
        """Whether its call has, whose outcome is there."""
        return self._captured is not None and self._captured.is_too_much

    def keep_outcome(self, raised: bool, value: Any) -> None:
        """Of its call, which is over, until its process has ended."""
        assert self.call is not None
        self.call.is_done = True
        self.outcome = raised, value

    def leave_call(self, rules: Rules) -> None:
        """The call is over; what it wrote is its future's. OSError or MemoryError: it cannot be read."""
        call, self.call = self.call, None
        assert call is not None
        call.is_done = True
        self.served += 1
        future = call.future
        self._futures.add(future)
        # With reuse it is told when the process has ended.
        if rules.reuse == 1 or self._tree_ended_by or self.is_over:
            future.tree_ended_by = self._ends_tree_by
        call.worker = None
        captured, self._captured = self._captured, None
        if captured is not None:
            try:
                future.stdout, future.stderr = captured.texts()
            finally:
                captured.close()

    def expire(self) -> StackRequest | None:
        """The deadline of its call has come. Returns the request for where it is, before it is killed."""
        assert self.call is not None
        self.call.reason = "deadline"
        pidfd = self.child.pidfd
        return None if pidfd is None else StackRequest.begun(pidfd, self._stack_file)

    def kill(self) -> None:
        """Kill it and all that it has started; not what has become another user's, as sudo does."""
        try:
            self._end_tree(kills=True)
        except PermissionError as error:
            if self.call is not None:
                _log.warning("%s runs on: %s", self.call, error)

    def signal(self, number: int) -> None:
        """Send it a signal; SIGKILL is for all that it has started, too."""
        if number == signal.SIGKILL:
            self.kill()
        else:
            with suppress(PermissionError):  # as above
                self.child.send_signal(number)

    def end_tree(self) -> None:
        """Its last call is over: end it and all that it has started."""
        self._end_tree(kills=self._is_deaf)
        self.child._let_end()

    def _end_tree(self, *, kills: bool) -> None:
        child = self.child
        if child._has_namespace:
            self._tree_ended_by = "pid namespace"
            child._kill_all()
        elif child._kill_cgroup():
            self._tree_ended_by = "cgroup"
        else:
            self._tree_ended_by = "walk"
            if kills or child._has_children():
                # Whatever keeps it from being found (no free descriptor, no /proc): others go on.
                with suppress(OSError, RuntimeError):
                    child._end_tree(_TREE_SECONDS)
                child.kill()

    def conclude(self) -> ExitStatus:
        """It has ended: reap it."""
        status = self.child.wait()
        for future in self._futures:
            future.tree_ended_by = self._ends_tree_by
        self._tell_changes()
        if self._stack_file >= 0:
            os.close(self._stack_file)
        if self.call is None and self._captured is not None:
            self._captured.close()
        reap_ended()
        return status

    def _tell_changes(self) -> None:
        """To the futures that somebody still has."""
        changes = self.child.changes
        if changes is None:
            return
        if self.call is not None:
            self._futures.add(self.call.future)
        for future in self._futures:
            future.changes = changes


def expire(workers: Iterable[Worker]) -> None:
    """The deadlines of their calls have come: note where they are, and kill them, and what they started.

    All are asked at once: one that does not answer holds up no other.
    """
    asked = [(one, one.call, one.expire()) for one in workers if one.call is not None]
    await_answers([request for *_, request in asked if request is not None], _STACK_SECONDS)
    for worker, call, request in asked:
        if request is not None:
            call.note_stack(request.answer())
        worker.kill()


def _captured(rules: Rules) -> Captured | None:
    """What takes the output of a call, where it is kept."""
    return Captured(rules.most_output) if rules.captures else None
