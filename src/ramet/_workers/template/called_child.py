"""The handle of a child that runs one call for its caller, cloned from a template."""

import math
import os
import signal
import time
from _thread import TIMEOUT_MAX, RLock
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..._core import Channel, Held, PlainLink
from ..._kernel import procfs
from ..._kernel.signal_handlers import is_from_handler
from ..._kernel.timeouts import checked_timeout, deadline_after, seconds_until
from ..._process.child import Child
from ..._process.result_channel import NOTHING, RAISED, VALUE
from ..._process.result_layout import PLAIN
from ..._process.tree.end import End
from ..._process.tree.own_tree import END_SIGNAL, ends_own_tree, is_ending_own_tree
from ..._process.tree.subreaper import Subreaper
from ..._sandbox.files.replaced import ON_NOTHING, MountPoints
from ...errors import ChildDied, ResultError, TimeoutExpired, still_running
from ...exit_status import ExitStatus
from ..crossing.messages import Message, close_received, receive
from ..crossing.outcome import Reader
from ..in_call.binding import wait_until_bound
from .owned_clone import Clone

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .call_memory import CallMemory

T_co = TypeVar("T_co", covariant=True)

# How long a child that was let go may take to end before it is killed.
_END_SECONDS = 5.0
_END_OF_UNTRUSTED_SECONDS = 1.0  # SECONDS_TO_END in native/python/plain_link.c
_TREE_PATIENCE_SECONDS = 0.1  # for a process that is to end with what it has started
_FOR_EVER = -1.0  # of a lock's acquire()


class CalledChild(Child[T_co]):
    """A child that a template was cloned for: the caller's own, with all that a Child can do.

    result() returns as soon as the outcome is there. The child then ends by itself; wait() waits for that.
    """

    _channel: Channel
    _reader: Reader
    _ended_call: "Callable[[CalledChild[Any]], None] | None"  # None: its template may go before it
    _is_over = False
    _link: PlainLink | None = None  # of its template, which may read its outcome
    _reading: RLock
    _memory: "CallMemory | None" = None
    _has_exceeded_memory = False
    _leaves_namespace = False  # to be reaped later; a wait for this child still waits for it
    _was_served_in_python = False  # what it returned was not plain
    _points: MountPoints = ON_NOTHING  # see Link
    _must_end_by = math.inf  # in seconds of time.monotonic(), for one that is not trusted to end

    def _connect(
        self, clone: Clone, reader: Reader, ended_call: "Callable[[CalledChild[Any]], None]"
    ) -> None:
        """Stand for the clone, whose channel and namespace this owns from here on."""
        self._channel = clone.channel
        if reader.is_of_untrusted:
            self._channel.distrust()
        self._points = clone.points
        self._reader = reader
        self._ended_call = ended_call
        self._reading = RLock()
        clone.holder = self
        # Last: whoever ends what is held needs all of the above.
        self._hold(clone.pid, clone.pidfd, clone.init, clone.pidfd_of_init)
        clone.owns = False

    def _limit_memory(self, memory: "CallMemory") -> None:
        """It has so much memory, until it has ended."""
        self._memory = memory
        memory.begin(self)

    def _count_beside(self, bytes_beside: "Callable[[], int]") -> None:
        """What else counts as its memory, from now on."""
        if self._memory is not None:
            self._memory.bytes_beside = bytes_beside

    @property
    def _open_channel(self) -> Channel | None:
        """Readable when there is an outcome; None when the call is over."""
        return None if self._is_over else self._channel

    def _take_outcome(self, timeout: float | None) -> bool:
        """Read the outcome, if it comes in time. Returns whether the call is over."""
        if self._is_over:
            return True
        if self._maker != os.getpid():
            return False
        deadline = deadline_after(timeout)
        with Held(self._reading) as take:
            # A signal handler may come here while its own thread reads; another thread may, for ever.
            if take(timeout=_FOR_EVER if timeout is None else min(timeout, TIMEOUT_MAX)):
                if not self._is_over:
                    self._read(seconds_until(deadline))
                return self._is_over
            return False

    def _read(self, timeout: float | None) -> None:
        try:
            most_bytes = self._reader.most_bytes
            message = receive(self._channel, timeout, self.pidfd, most_bytes=most_bytes)
        except (ValueError, OSError) as error:
            if is_from_handler(error):
                raise
            if isinstance(error, TimeoutError) or self._is_over:
                return
            why = ResultError(f"what the child wrote cannot be read: {error}")
            self._taken = (RAISED, why)
            self.kill()
        else:
            if self._is_over:  # a signal handler has read it meanwhile
                return
            try:
                self._taken = self._understood(message)
            except BaseException as error:  # it passes, and the message is not there again
                kind = type(error).__qualname__
                why = ResultError(f"the outcome is lost: {kind} interrupted its reading")
                self._taken = (RAISED, why)
                self._is_now_over()
                raise
        self._is_now_over()

    def _next_outcome(self) -> tuple[int, Any] | None:
        """The outcome of one call of several, NOTHING at the end; None while there is none.

        The child may not end yet.
        """
        try:
            most_bytes = self._reader.most_bytes
            message = receive(self._channel, 0.0, self.pidfd, most_bytes=most_bytes)
        except (ValueError, OSError) as error:
            if is_from_handler(error):
                raise
            if isinstance(error, TimeoutError):
                return None
            self.kill()  # nothing that follows can be read
            return RAISED, ResultError(f"what the child wrote cannot be read: {error}")
        return self._understood(message)

    def _understood(self, message: Message | None) -> tuple[int, Any]:
        if message is None:
            return NOTHING, None
        for descriptor in message[2]:
            close_received(descriptor)
        raised, value = self._reader.read(message, self.pid, self.pidfd)
        self._was_served_in_python = not raised and message[0] != PLAIN
        return (RAISED if raised else VALUE), value

    def _is_now_over(self) -> None:
        """The outcome has been read, or will not be. The child ends in a moment, or when it is let go."""
        if not self._is_over:
            self._is_over = True
            if self._reader.is_of_untrusted:
                self._must_end_by = time.monotonic() + _END_OF_UNTRUSTED_SECONDS
            ended_call, self._ended_call = self._ended_call, None
            if ended_call is not None:
                ended_call(self)

    def _tell_if_not_begun(self, error: ChildDied) -> None:
        """Of its call, whose process has ended before it had read it."""
        if self._channel.left_unread:
            error.add_note(
                "the call had not begun: its process ended before, in warm= of the template if it has one"
            )

    def _let_end(self) -> None:
        """The call is over, and the child may end now."""
        self._is_now_over()
        self._channel.end()

    def _reap_if_ended(self) -> bool:
        """Reap it, whose call is over, if it has ended; whether it has.

        What is left in its namespace has been killed then, and takes a moment to end, for which
        _finish_namespace() and wait() wait.
        """
        self._channel.end()
        if time.monotonic() > self._must_end_by:
            self._kill_all()
        ended = self._reap_plain()
        if ended is not None:
            return ended
        # Whether nothing is told of it or given to another call that all in its namespace must be dead for.
        if (
            not self._has_namespace
            or self._memory is not None
            or self._belongings.supervision is not None
        ):
            return self.poll() is not None
        if self._reap_exited():  # most do, and then there is nothing to add to their status
            self._kill_namespace()
            return True
        self._leaves_namespace = True
        try:
            return self.poll() is not None
        finally:
            self._leaves_namespace = False

    def _finish_namespace(self) -> None:
        """Wait until all in its namespace are dead, of one that has been reaped."""
        if self._maker == os.getpid() and self._has_namespace and not self._end_init():
            namespace = self._own_namespace()
            if namespace is not None:
                namespace.end()

    def _end_in_time(self) -> None:
        """Wait for the end of one whose call is over, and bring it about if it must."""
        self._channel.end()
        if self._must_end_by < math.inf and not super()._has_ended(self._grace()):
            self._kill_all()
        self.wait()

    def _grace(self) -> float:
        return min(_END_SECONDS, max(0.0, self._must_end_by - time.monotonic()))

    # ---- as Child has them

    def wait(self, timeout: float | None = None) -> ExitStatus:
        status = super().wait(timeout)
        self._finish_namespace()  # for which _reap_if_ended() does not wait
        return status

    def _outcome_within(self, timeout: float | None) -> tuple[bool, Any]:
        deadline = deadline_after(checked_timeout(timeout))
        if self._take_outcome(timeout):
            kind, value = self._taken or (NOTHING, None)
            if kind != NOTHING:
                return kind == RAISED, value
        try:
            return super()._outcome_within(seconds_until(deadline))
        except TimeoutExpired:  # of what was left of it
            raise still_running(self._what, cast(float, timeout), self.pid) from None
        except ChildDied as error:
            self._tell_if_not_begun(error)
            raise

    def _delivered(self) -> Any:
        plain = NotImplemented if self._link is None else self._link._plain_outcome(self)
        if plain is not NotImplemented:
            return plain
        self._take_outcome(None)
        kind, value = self._taken or (NOTHING, None)
        return value if kind == VALUE else NotImplemented

    def __await__(self) -> "Generator[Any, Any, T_co]":
        """result() under asyncio or trio: what is waited for is the outcome, not the end of the child."""
        from ..._process import awaiting  # which needs anyio

        if self._is_over or self._maker != os.getpid():
            return self._result_after(awaiting.conclude(self, awaiting.end)).__await__()
        return self._awaited().__await__()

    async def _awaited(self) -> T_co:
        from ..._process import awaiting

        copies: list[int | None] = []
        try:
            # Of a child that has died another process, or this one, may have the other end of the channel.
            copies.append(self._channel.copied())
            copies.append(self._copied_pidfd())
            if copies[0] is not None:  # else another thread was faster
                opened = [copy for copy in copies if copy is not None]
                await awaiting.until(lambda: self._take_outcome(0.0), opened)
            if copies[0] is None or self._taken is None or self._taken[0] == NOTHING:
                await awaiting.conclude(self)
        except BaseException:
            await awaiting.end(self)
            raise
        finally:
            for copy in copies:
                if copy is not None:
                    os.close(copy)
        return self.result()

    def _has_ended(self, timeout: float | None) -> bool:
        deadline = deadline_after(timeout)
        if self._maker != os.getpid():  # what there is to read is its maker's, who ends the channel
            return super()._has_ended(timeout)
        if not self._take_outcome(timeout):
            return super()._has_ended(0.0)
        self._end_channel()
        return super()._has_ended(seconds_until(deadline))

    def _exited(self) -> ExitStatus | None:
        self._take_outcome(None)
        self._end_channel()
        return super()._exited()

    def _end_channel(self) -> None:
        if self._maker == os.getpid():
            self._channel.end()

    def _kill_cgroup(self) -> bool:
        """Kill all that is in the cgroup of its budget, if that is possible; returns whether it was."""
        if self._memory is None or not self._memory.kill():
            return False
        self._killed = True
        return True

    def _has_children(self) -> bool:
        """Whether a process that it has started is there, or may be."""
        try:
            return bool(procfs.children_for_certain(self.pid))
        except OSError:  # no descriptor is free to look
            return True

    def _end_tree(self, seconds: float) -> None:
        """Kill it and what it has started: it does so itself, or its tree is walked.

        By itself it is quicker, and is not stopped first: who dies meanwhile leaves nothing stopped.
        """
        if ends_own_tree(self.pid):
            self._killed = True
            super().send_signal(END_SIGNAL)
            deadline = deadline_after(seconds)
            while not self._poll(_TREE_PATIENCE_SECONDS):
                if not is_ending_own_tree(self.pid) or seconds_until(deadline) == 0:
                    break
            else:
                return
        self.kill_tree(seconds)

    def send_signal(self, number: int) -> None:
        if number == signal.SIGSTOP:
            self._wait_until_bound()
        super().send_signal(number)

    def _end_of_tree(self, orphans: Subreaper | None = None) -> End:
        self._wait_until_bound()  # it stops the child before it kills it
        return super()._end_of_tree(orphans)

    def _wait_until_bound(self) -> None:
        if self.pidfd is not None:
            wait_until_bound(self.pid)

    def _kill_all(self) -> None:
        """Kill it and what it started, without waiting: by its namespace, or itself."""
        self._killed = True
        self._kill_namespace()
        super().kill()

    def _kill_namespace(self) -> None:
        if self._namespace is not None:
            self._namespace.kill()
        else:
            self._kill_init()

    def _concluded(self, status: ExitStatus) -> ExitStatus:
        # Two threads may come here: the watch of its memory, and who waits for it.
        with Held(self._reading) as take:
            take()
            self._let_end()
            self._end_memory()
        if status.code is None and self._has_exceeded_memory:
            status = status.because("out of memory")
        return super()._concluded(status)

    def _reap_others(self) -> None:
        if not self._leaves_namespace:
            super()._reap_others()
        elif (namespace := self._own_namespace()) is not None:
            namespace.leave()  # the template reaps others, once for some calls

    def _end_memory(self) -> None:
        memory = self._memory
        if memory is not None:
            self._has_exceeded_memory = memory.was_exceeded()
            self._memory = None  # its end may not be repeated: another call has the budget then
            memory.end()

    def __exit__(self, *what: object) -> None:
        if self._is_over and self._maker == os.getpid():
            self._channel.end()
            super()._has_ended(self._grace())  # it is about to end by itself
        super().__exit__(*what)

    def _tell_forgotten(self) -> None:
        if not self._is_over:  # else it is about to end by itself
            super()._tell_forgotten()

    def _forget(self) -> None:
        try:
            super()._forget()
        finally:
            self._let_end()
