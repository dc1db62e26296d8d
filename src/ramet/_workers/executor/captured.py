"""What a call writes to its standard output and error, in memory, for its future."""

import os
import threading
from typing import TYPE_CHECKING, Any

from ..._core import Held
from ..._kernel.descriptors import above_standard
from ..._kernel.memory_file import memory_file
from ..template.watching import kill_tree

if TYPE_CHECKING:
    from ..template.called_child import CalledChild

_NAMES = ("ramet-stdout", "ramet-stderr")
_BLOCK = 512  # bytes in one of st_blocks


class Captured:
    """The files of one call. most_bytes: of both together; None: as many as it writes.

    The call may set their sizes: what lies there takes memory, holes do not, and do not count.
    """

    def __init__(self, most_bytes: int | None) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self.descriptors: list[int] = []
        try:
            for name in _NAMES:
                self.descriptors.append(above_standard(memory_file(name)))
        except BaseException:
            self.close()
            raise

    @property
    def is_too_much(self) -> bool:
        """Whether the call has written more than it may; False when they are closed."""
        return self.most_bytes is not None and sum(self._written()) > self.most_bytes

    def look(self, child: "CalledChild[Any]") -> bool:
        """Kill the call if it has written too much. Returns whether it need not be looked at any more."""
        if self.is_too_much:
            kill_tree(child)
            return True
        return not self.descriptors

    def memory(self) -> int:
        """The bytes of memory that they take; 0 when they are closed."""
        return sum(status.st_blocks * _BLOCK for status in self._statuses())

    def texts(self) -> list[str]:
        """What the call has written to each. OSError or MemoryError: it cannot be read."""
        found = [
            os.pread(each, written, 0)
            for each, written in zip(self.descriptors, self._written(), strict=True)
        ]
        return [text[: self.most_bytes].decode(errors="replace") for text in found]

    def close(self) -> None:
        """Let go of what was written."""
        with Held(self._lock) as take:
            take()
            self._close_all()

    def _close_all(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())

    def _written(self) -> list[int]:
        return [min(found.st_size, found.st_blocks * _BLOCK) for found in self._statuses()]

    def _statuses(self) -> list[os.stat_result]:
        """None when they are closed, be it in another thread."""
        with Held(self._lock) as take:
            take()
            return [os.fstat(each) for each in self.descriptors]
