"""The handle of a child that runs one call for its caller, cloned from a template."""

import os
from _thread import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from .._core import Channel
from .._kernel.timeouts import deadline_after, seconds_until
from .._process.child import Child
from .._process.result_channel import NOTHING, RAISED, VALUE
from ..errors import ResultError
from ..exit_status import ExitStatus
from .messages import Message, receive
from .outcome import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

T_co = TypeVar("T_co", covariant=True)

# How long a child that was let go may take to end before it is killed.
_END_SECONDS = 5.0


class CalledChild(Child[T_co]):
    """A child that a template was cloned for: the caller's own, with all that a Child can do.

    result() returns as soon as the outcome is there. The child then ends by itself; wait() waits for that.
    """

    _channel: Channel
    _reader: Reader
    _ended_call: "Callable[[CalledChild[Any]], None]"
    _is_over = False
    _reading: RLock

    def connect(
        self, channel: Channel, reader: Reader, ended_call: "Callable[[CalledChild[Any]], None]"
    ) -> None:
        """Read the outcome from that channel, which this owns from here on; the library's own."""
        self._channel = channel
        self._reader = reader
        self._ended_call = ended_call
        self._reading = RLock()

    @property
    def channel(self) -> Channel | None:
        """Readable when there is an outcome; None when the call is over. The library's own."""
        return None if self._is_over else self._channel

    def take_outcome(self, timeout: float | None) -> bool:
        """Read the outcome, if it comes in time. Returns whether the call is over; the library's own."""
        if self._is_over:
            return True
        if self._maker != os.getpid():
            return False
        with self._reading:  # a signal handler may come here while its own thread reads
            if not self._is_over:
                self._read(timeout)
            return self._is_over

    def _read(self, timeout: float | None) -> None:
        try:
            message = receive(self._channel, timeout)
        except TimeoutError:
            return
        except (ValueError, OSError) as error:
            why = ResultError(f"what the child wrote cannot be read: {error}")
            self._taken = (RAISED, why)
            self.kill()
        else:
            self._taken = self._understood(message)
        self.let_go()

    def _understood(self, message: Message | None) -> tuple[int, Any]:
        if message is None:
            return NOTHING, None
        for descriptor in message[2]:
            os.close(descriptor)
        raised, value = self._reader.read(message, self.pid, self.pidfd)
        return (RAISED if raised else VALUE), value

    def let_go(self) -> None:
        """The outcome has been read, or will not be: the child may end; the library's own."""
        if not self._is_over:
            self._is_over = True
            self._channel.end()
            self._ended_call(self)

    # ---- as Child has them

    def _outcome_within(self, timeout: float | None) -> tuple[bool, Any]:
        deadline = deadline_after(timeout)
        if self.take_outcome(timeout):
            kind, value = self._taken or (NOTHING, None)
            if kind != NOTHING:
                return kind == RAISED, value
        return super()._outcome_within(seconds_until(deadline))

    def _delivered(self) -> Any:
        return NotImplemented

    def _has_ended(self, timeout: float | None) -> bool:
        deadline = deadline_after(timeout)
        if not self.take_outcome(timeout):
            return super()._has_ended(0.0)
        return super()._has_ended(seconds_until(deadline))

    def _exited(self) -> ExitStatus | None:
        self.take_outcome(None)
        return super()._exited()

    def _concluded(self, status: ExitStatus) -> ExitStatus:
        with self._reading:
            self.let_go()
        return super()._concluded(status)

    def __exit__(self, *what: object) -> None:
        if self._is_over and self._maker == os.getpid():
            super()._has_ended(_END_SECONDS)  # it is about to end by itself
        super().__exit__(*what)

    def _forget(self) -> None:
        self.let_go()
        super()._forget()
