"""Between a confined program and its caller: what a terminal sends, and output that is counted."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from .._kernel.descriptors import is_standard
from .run_watch import OF_TERMINALS, Watch, is_by_terminal

_CHUNK_BYTES = 1 << 16
_NAMES = {1: "stdout", 2: "stderr"}
_WORDS = {1: "standard output", 2: "standard error"}


class SessionWatch(Watch):
    """Follows a child that leads a session of its own, to which the terminal sends nothing.

    What it sends to this process goes to the whole group of the child, as it would without a sandbox. A
    stop by the terminal stops both: that group is orphaned, so that only SIGSTOP does it
    (kernel/signal.c, get_signal).
    """

    def pass_on(self, told: signal.struct_siginfo) -> None:
        """Send it a signal that has come."""
        if is_by_terminal(told) and told.si_signo in OF_TERMINALS:
            self._send_to_group(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
        elif is_by_terminal(told) or told.si_signo == signal.SIGCONT:
            self._send_to_group(told.si_signo)
        else:
            self.child.send_signal(told.si_signo)

    def _send_to_group(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, number)


class CountedOutput:
    """Pipes for the standard output and error of a child, which are copied to those of this process.

    A thread for each copies what is written, and tells how much it was. One that is closed here is closed
    in the child. failure: why some of it could not be written, as to a full disk. A pipe that nobody reads
    is none: the child is told of that as it would be without a copy.
    """

    failure: OSError | None = None

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = threading.Lock()
        standard = [number for number in (1, 2) if is_standard(number)]
        self._pipes = {number: os.pipe() for number in standard}
        self._threads: list[threading.Thread] = []

    @property
    def given(self) -> dict[str, int]:
        """The options of the child."""
        return {_NAMES[number]: writer for number, (_, writer) in self._pipes.items()}

    def copy(self, may_write_more: Callable[[int], bool]) -> None:
        """The child is there: copy from now on; the function is told of so many bytes more."""
        for number, (reader, writer) in self._pipes.items():
            os.close(writer)
            thread = threading.Thread(
                target=self._copy, args=(reader, number, may_write_more), daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def _copy(self, reader: int, to: int, may_write_more: Callable[[int], bool]) -> None:
        """Until its end or that of what may be written; SIGPIPE to the child when it is read no more."""
        try:
            goes_on = True
            while goes_on and (text := os.read(reader, _CHUNK_BYTES)):
                goes_on = may_write_more(len(text))
                text = self._within(text)
                while text:
                    text = text[os.write(to, text) :]
        except BrokenPipeError:
            pass
        except OSError as error:
            self.failure = OSError(error.errno, error.strerror, _WORDS[to])
        finally:
            os.close(reader)

    def _within(self, text: bytes) -> bytes:
        """As much of it as may be written."""
        with self._lock:
            kept = text[: self._left]
            self._left -= len(kept)
        return kept

    def close(self) -> None:
        """Wait for the rest of what was written; a child that was never made has none."""
        for thread in self._threads:
            thread.join()
        if not self._threads:
            for descriptor in (end for pipe in self._pipes.values() for end in pipe):
                os.close(descriptor)


@contextmanager
def counted_output(most: int | None) -> Iterator[CountedOutput | None]:
    """One, which is closed at the end, or None."""
    output = None if most is None else CountedOutput(most)
    try:
        yield output
    finally:
        if output is not None:
            output.close()
