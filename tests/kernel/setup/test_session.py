import fcntl
import os
import pty
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

Told: TypeAlias = Callable[..., str]
Status: TypeAlias = Callable[..., dict[str, str]]

NESTED = """
import os, sys
from ramet import Command
show = "import os; print(os.tcgetpgrp(0) == os.getpgrp() == os.getpid())"
child = Command([sys.executable, "-I", "-S", "-c", show], process_group=0, foreground=0).spawn()
sys.exit(child.wait(60).code)
"""


def test_a_session_of_its_own(python_told: Told, nothing_left: object) -> None:
    """start_new_session makes the child lead a session and a group."""
    code = "import os; print(os.getsid(0) == os.getpgrp() == os.getpid())"
    assert python_told(code, start_new_session=True) == "True"
    assert python_told(code) == "False"


def test_a_process_group(python_told: Told, told: Told, nothing_left: object) -> None:
    """process_group 0 is the child's own, and another number that of an existing group."""
    code = "import os; print(os.getpgrp() == os.getpid(), os.getsid(0))"
    assert python_told(code, process_group=0) == f"True {os.getsid(0)}"
    code = "import os; print(os.getpgrp())"
    assert python_told(code, process_group=os.getpgrp()) == str(os.getpgrp())


@pytest.fixture
def terminal() -> Iterator[int]:
    """A terminal that controls nobody yet."""
    master, slave = pty.openpty()
    yield slave
    os.close(slave)
    os.close(master)


def test_a_controlling_terminal(python_told: Told, terminal: int, nothing_left: object) -> None:
    """The terminal becomes the one of the child's new session, with the child in its foreground."""
    code = """
import os
tty = os.open("/dev/tty", os.O_RDWR)
print(os.getsid(0) == os.getpid() == os.tcgetpgrp(tty), os.ttyname(0))
"""
    seen = python_told(code, controlling_terminal=terminal, foreground=terminal, stdin=terminal)
    assert seen == f"True {os.ttyname(terminal)}"


def test_the_terminal_need_not_stay_open(
    python_told: Told, terminal: int, nothing_left: object
) -> None:
    """The descriptor of the terminal is the caller's; /dev/tty is there without it."""
    high = fcntl.fcntl(terminal, fcntl.F_DUPFD_CLOEXEC, 100)
    code = f"""
import os
print(os.path.exists("/proc/self/fd/{high}"), os.isatty(os.open("/dev/tty", os.O_RDWR)))
"""
    try:
        assert python_told(code, controlling_terminal=high) == "False True"
    finally:
        os.close(high)


def test_the_foreground_of_a_terminal(told: Told, terminal: int, nothing_left: object) -> None:
    """A job of a session with a terminal takes the foreground, without a stop by SIGTTOU."""
    program = [sys.executable, "-c", NESTED]
    assert told(program, controlling_terminal=terminal, stdin=terminal) == "True"


def mask_of(*signals: int) -> int:
    return sum(1 << number - 1 for number in signals)


def test_the_mask_of_signals(status: Status, nothing_left: object) -> None:
    """The program begins with the mask that was said, by numbers or names, or with the caller's."""
    said = status(signal_mask=["USR1", "SIGTERM", signal.SIGRTMAX])
    assert int(said["SigBlk"], 16) == mask_of(10, 15, 64)
    assert int(status(signal_mask=[])["SigBlk"], 16) == 0
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        assert int(status()["SigBlk"], 16) == mask_of(*before, 12)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_ignored_and_default_signals(status: Status, nothing_left: object) -> None:
    """Signals are ignored or at their default as said; no handler of the caller's is left."""
    said = status(ignored_signals=["HUP", 12])
    assert int(said["SigIgn"], 16) & mask_of(1, 12) == mask_of(1, 12)
    assert int(said["SigCgt"], 16) == 0
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert int(status()["SigIgn"], 16) & mask_of(1)
        assert not int(status(default_signals=["HUP"])["SigIgn"], 16) & mask_of(1)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_restored_signals(status: Status, nothing_left: object) -> None:
    """SIGPIPE and SIGXFSZ, which Python ignores, are at their default unless that is not wanted."""
    assert not int(status()["SigIgn"], 16) & mask_of(13, 25)
    assert int(status(restore_signals=False)["SigIgn"], 16) & mask_of(13, 25) == mask_of(13, 25)


def test_a_handler_of_the_caller_never_runs_in_the_child(nothing_left: object, told: Told) -> None:
    """A signal that waits for the child when it lets signals in ends it, or is ignored by it."""
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(os.getpid()))
    try:
        assert told(["sh", "-c", "kill -USR1 $$; echo no"], ignored_signals=["USR1"]) == "no"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == []
