import ctypes
import os
import signal
from collections.abc import Callable
from typing import NamedTuple, Protocol

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import lowlevel
from ramet.lowlevel import CloneArgs, Stack, TidWord

from ...constants import STACK_BYTES, WALL, repeated
from ...looking import resident_bytes

# RAMET_LONG=1 makes ten thousand children of each kind; else it is as many as take a second.
LONG = os.environ.get("RAMET_LONG") == "1"
LONG_COUNT = 10_000

# What the allocators may have taken for good after the first tenth. A long run shows a leak of
# some hundred bytes for each child, a short one of some thousand.
GROWTH_BYTES = 3 * 1024 * 1024

# A copy of the whole test run takes long to make, and leaves the allocators of its maker alone.
COPIES = 150
COPIES_GROWTH_BYTES = 1024 * 1024

# An exec in the midst of Python's frames never comes back to let go of what they hold.
FRAMES_BYTES = 1500

STACK = Stack(STACK_BYTES)
CODE = ctypes.CDLL(None).abs


class LeakCheck(Protocol):
    """What the fixture nothing_left gives."""

    def start_again(self) -> None: ...


class Kind(NamedTuple):
    """One way to make a child, how many a second there are of it, and what each takes along."""

    make: Callable[[], None]
    children: int
    lost_bytes: int = 0


def finished(pid: int) -> None:
    assert os.waitpid(pid, WALL)[1] == 0


def forked(flags: F) -> None:
    pid = ramet.fork(flags)
    if pid == 0:
        os._exit(0)
    finished(pid)


def cloned(flags: F) -> None:
    assert ramet.clone(int, 5, flags=flags).result(60) == 5


def raised(flags: F) -> None:
    assert isinstance(ramet.clone(int, "x", flags=flags).exception(60), ValueError)


def killed(flags: F) -> None:
    with ramet.clone(signal.pause, flags=flags):
        pass


def executed(flags: F) -> None:
    assert ramet.clone(os.execv, "/bin/true", ["true"], flags=flags).wait(60).code == 0


def vforked() -> None:
    assert ramet.vfork(int, 5).result(60) == 5


def vfork_executed() -> None:
    assert ramet.vfork(os.execv, "/bin/true", ["true"]).wait(60).code == 0


def stopped() -> None:
    child = ramet.clone(int, 5, flags=F.VM | F.STOPPED)
    child.resume()
    assert child.result(60) == 5


def classic() -> None:
    finished(lowlevel.clone(lambda arg: 0, None, F.VM | signal.SIGCHLD, STACK))


def classic_on_a_new_stack() -> None:
    word = TidWord(1)
    flags = F.VM | F.CHILD_CLEARTID | signal.SIGCHLD
    finished(lowlevel.clone(lambda arg: 0, None, flags, Stack(STACK_BYTES), ctid=word))
    assert word.wait(60)


def native() -> None:
    finished(lowlevel.clone(CODE, 0, F.VM | signal.SIGCHLD, STACK))


def twice() -> None:
    args = CloneArgs(flags=F.PIDFD, exit_signal=signal.SIGCHLD)
    pid = lowlevel.clone3(args)
    if pid == 0:
        os._exit(0)
    finished(pid)
    assert isinstance(args.pidfd, TidWord)
    os.close(args.pidfd.value)


def program() -> None:
    assert ramet.Popen(["/bin/true"]).wait(60) == 0


def captured(size: int, *, text: bool) -> None:
    data = "x" * size if text else bytes(size)
    done = ramet.run(["cat"], input=data, capture_output=True, text=text)
    assert done.stdout == data


def captured_in_part() -> None:
    with pytest.raises(ramet.TimeoutExpired):
        ramet.run(["sleep", "1000"], input=bytes(1 << 20), capture_output=True, timeout=0.001)


def no_program() -> None:
    with pytest.raises(FileNotFoundError):
        ramet.run(["/no/such"], input=b"", capture_output=True)


THREAD = F.VM | F.SIGHAND | F.THREAD
KINDS = {
    "fork": Kind(lambda: forked(F(0)), COPIES),
    "fork-flags": Kind(lambda: forked(F.FS), COPIES),
    "copy": Kind(lambda: cloned(F(0)), COPIES),
    "copy-flags": Kind(lambda: cloned(F.FILES), COPIES),
    "copy-raised": Kind(lambda: raised(F(0)), COPIES),
    "copy-killed": Kind(lambda: killed(F(0)), COPIES),
    "vm": Kind(lambda: cloned(F.VM), 2000),
    "vm-raised": Kind(lambda: raised(F.VM), 2000),
    "vm-executed": Kind(lambda: executed(F.VM), 500, FRAMES_BYTES),
    "vm-stopped": Kind(stopped, 1000),
    "thread": Kind(lambda: cloned(THREAD), 2000),
    "vfork": Kind(vforked, 3000),
    "vfork-executed": Kind(vfork_executed, 500, FRAMES_BYTES),
    "lowlevel": Kind(classic, 2000),
    "lowlevel-stacks": Kind(classic_on_a_new_stack, 1000),
    "lowlevel-native": Kind(native, 2000),
    "clone3-twice": Kind(twice, COPIES),
    "program": Kind(program, 500),
    "program-captured": Kind(lambda: captured(100_000, text=False), 200),
    "program-captured-text": Kind(lambda: captured(3_000_000, text=True), 50),
    "program-timeout": Kind(captured_in_part, 200),
    "program-missing": Kind(no_program, 1000),
}


@pytest.mark.timeout(600 if LONG else 60)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_children_leave_nothing(kind: Kind, nothing_left: LeakCheck) -> None:
    """However many children there were, no zombie, descriptor, thread, mapping or memory stays."""
    count = LONG_COUNT if LONG else repeated(kind.children)
    for _ in range(count // 10):
        kind.make()
    nothing_left.start_again()
    before = resident_bytes()
    for _ in range(count):
        kind.make()
    allowed = COPIES_GROWTH_BYTES if kind.children == COPIES else GROWTH_BYTES
    assert resident_bytes() - before < allowed + count * kind.lost_bytes


def test_killed_children_in_shared_memory_leave_no_task(nothing_left: object) -> None:
    """What a killed child held is lost, but no thread, zombie, descriptor or mapping is."""
    for _ in range(LONG_COUNT if LONG else repeated(300)):
        killed(F.VM)
