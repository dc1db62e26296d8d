"""What crashes, hangs or exits does so in an interpreter of its own."""

import contextlib
import inspect
import os
import random
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from .. import constants

TREE = str(Path(__file__).parents[2])

# A hang shows where every thread is, and ends: the deadline thread needs no GIL. Nobody wants the cores.
PRELUDE = f"""\
import faulthandler, resource, sys
from collections.abc import Callable
faulthandler.dump_traceback_later({{seconds}}, exit=True)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.path.append({TREE!r})
"""


def deadline_seconds() -> int:
    """Asked when a test runs: this file is read before --slower is."""
    return 60 * constants.SLOWER


class NewPython:
    """A function of a test file that runs in an interpreter of its own; its arguments are simple.

    The function may use nothing of its file: it imports what it needs, of tests/ too. options: the
    interpreter's; env: variables beside ours.
    """

    def __init__(
        self,
        fn: Callable[..., object],
        *args: Any,
        options: Sequence[str] = (),
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        source = textwrap.dedent(inspect.getsource(fn))
        call = f"{fn.__name__}({', '.join(map(repr, args))})"
        prelude = PRELUDE.format(seconds=deadline_seconds())
        self.process = subprocess.Popen(
            [sys.executable, *options, "-X", "faulthandler", "-c", f"{prelude}{source}\n{call}\n"],
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._pidfds: list[int] = []

    def watch(self) -> None:
        """Read a line of pids and open each, so that its end can be seen for certain."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self._errors()
        self._pidfds += [os.pidfd_open(int(pid)) for pid in line.split()]

    def still_running(self) -> int:
        """How many of those watched have not ended."""
        return sum(not _has_ended(pidfd, 0) for pidfd in self._pidfds)

    def go_on(self) -> None:
        """Give the function a line of input to wait for."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go on\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """End it as it stands."""
        self.process.kill()
        self.process.wait()

    def finish(self, code: int = 0, seconds: float | None = None) -> str:
        """Wait for its end, which is to be this one; what it printed."""
        seconds = deadline_seconds() + 30 if seconds is None else seconds
        output, errors = self.process.communicate(timeout=seconds)
        assert self.process.returncode == code, errors.decode()
        return output.decode()

    def all_gone(self, seconds: float = 20.0) -> bool:
        """Whether all that were watched end within that time, on a machine of today."""
        deadline = time.monotonic() + seconds * constants.SLOWER
        return all(_has_ended(pidfd, deadline - time.monotonic()) for pidfd in self._pidfds)

    def close(self) -> None:
        """End what is left."""
        self.kill()
        for pidfd in self._pidfds:
            if not _has_ended(pidfd, 0):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # with PARENT it is ours to wait for
                os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
            os.close(pidfd)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


def _has_ended(pidfd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


@pytest.fixture
def in_new_python() -> Iterator[Callable[..., NewPython]]:
    """Starts functions in interpreters of their own, and ends them with the test."""
    started: list[NewPython] = []

    def start(fn: Callable[..., object], *args: Any, **how: Any) -> NewPython:
        started.append(NewPython(fn, *args, **how))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture
def seed() -> int:
    """For what is to happen at random moments; a test that fails shows it."""
    number = random.randrange(1 << 30)
    print(f"seed {number}")
    return number
