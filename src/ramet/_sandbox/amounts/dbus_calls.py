"""Calls of a few methods over D-Bus, each with a deadline; the library jeepney writes and reads messages.

Not jeepney's own connection: it waits for ever for a bus that accepts it and does not answer its first
call, and leaves the socket open when that call is refused.
"""

import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

import jeepney
from jeepney.auth import BEGIN, Authenticator
from jeepney.bus import get_bus

if TYPE_CHECKING:
    from jeepney.low_level import Message

_READ_BYTES = 4096


class BusConnection:
    """A connection to a bus, which has greeted us. All that it does takes no longer than ``seconds``.

    OSError (TimeoutError when the time is over), ValueError or RuntimeError when the bus is not reached
    or speaks otherwise; jeepney.DBusErrorResponse when it, or who is called, refuses.
    Source: the D-Bus specification, Authentication Protocol, Message Protocol.
    """

    def __init__(self, address: str, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._parser = jeepney.Parser()
        self._serial = 0
        self._signals: deque[Message] = deque()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._hurry()
            self._socket.connect(get_bus(address))
            self._authenticate()
            self.call(jeepney.message_bus.Hello())
        except BaseException:
            self.close()
            raise

    def _authenticate(self) -> None:
        self._send(b"\0")
        authenticator = Authenticator(inc_null_byte=False)
        for line in authenticator:
            self._send(line)
            authenticator.feed(self._receive())
        self._send(BEGIN)

    def call(self, message: "Message") -> tuple[Any, ...]:
        """Call a method; what it returns. Signals that come meanwhile are kept for signal()."""
        self._serial += 1
        self._send(message.serialise(self._serial))
        while True:
            answer = self._next()
            fields = answer.header.fields
            if fields.get(jeepney.HeaderFields.reply_serial) == self._serial:
                break
            if answer.header.message_type is jeepney.MessageType.signal:
                self._signals.append(answer)
        if answer.header.message_type is jeepney.MessageType.error:
            raise jeepney.DBusErrorResponse(answer)
        body: tuple[Any, ...] = answer.body
        return body

    def signal(self, member: str) -> tuple[Any, ...]:
        """Wait for the next signal of that name; what it says."""
        while True:
            message = self._signals.popleft() if self._signals else self._next()
            header = message.header
            if (
                header.message_type is jeepney.MessageType.signal
                and header.fields.get(jeepney.HeaderFields.member) == member
            ):
                body: tuple[Any, ...] = message.body
                return body

    def _next(self) -> "Message":
        while (message := self._parser.get_next_message()) is None:
            self._parser.add_data(self._receive())
        return message

    def _send(self, data: bytes) -> None:
        self._hurry()
        self._socket.sendall(data)

    def _receive(self) -> bytes:
        self._hurry()
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("the bus has closed the connection")
        return data

    def _hurry(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the bus does not answer")
        self._socket.settimeout(left)

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
