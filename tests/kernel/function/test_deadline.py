import errno
import os
import re
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

import ramet
from ramet import ChildDied, Command, DeadlineExceeded, ExitStatus
from ramet import CloneFlag as F

from ...activities import WITHOUT_END, spin
from ...constants import PATIENT_SECONDS as SECONDS
from ...constants import repeated

DEADLINE = ExitStatus(signal=signal.SIGKILL, reason="deadline")
COPIES = [F(0), F.FS | F.FILES, F.NEWUSER | F.NEWPID]
KINDS = [F.VM, *COPIES]


@pytest.mark.parametrize("flags", KINDS, ids=str)
@pytest.mark.parametrize("activity", ["backtrack", "spin", "allocate", "lock", "sleep"])
def test_a_deadline_is_kept(activity: str, flags: F, nothing_left: object) -> None:
    """Whatever the function does, it is killed at its deadline, and its caller goes on."""
    begun = time.monotonic()
    child = ramet.clone(WITHOUT_END[activity], flags=flags, timeout=0.05)
    with pytest.raises(DeadlineExceeded, match="deadline") as caught:
        child.result(SECONDS)
    assert isinstance(caught.value, ChildDied)
    assert isinstance(caught.value, TimeoutError)
    assert child.wait() == DEADLINE
    assert time.monotonic() - begun >= 0.05
    assert ramet.clone(lambda: [1], flags=flags).result(SECONDS) == [1]


@pytest.mark.parametrize("flags", KINDS, ids=str)
def test_who_is_in_time_is_left_alone(flags: F, nothing_left: object) -> None:
    """A function that ends before its deadline has its result, and the next one no deadline."""
    for number in range(30):
        in_time = ramet.clone(int, number, flags=flags, timeout=SECONDS)
        assert in_time.result(SECONDS) == number
        assert in_time.exit_status == ExitStatus(code=0, reason="exited")
    reader, writer = os.pipe()
    child = ramet.clone(os.read, reader, 1, flags=flags)
    with pytest.raises(ramet.TimeoutExpired):
        child.wait(0.2)
    os.write(writer, b"x")
    assert child.result(SECONDS) == b"x"
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("flags", [*KINDS, F.DETACHED], ids=str)
def test_who_is_reaped_by_the_kernel_has_no_deadline_to_keep(
    flags: F, nothing_left: object
) -> None:
    """Where SIGCHLD is ignored, one may be gone before it is watched: its result is there all the same."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        for number in range(repeated(60)):
            assert ramet.clone(int, number, flags=flags, timeout=SECONDS).result(SECONDS) == number
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize("flags", KINDS, ids=str)
def test_many_deadlines(flags: F, nothing_left: object) -> None:
    """Children side by side each have their own."""
    children = [ramet.clone(spin, flags=flags, timeout=0.01 * number) for number in range(10)]
    assert [child.wait(SECONDS) for child in children] == [DEADLINE] * 10


@pytest.mark.parametrize("flags", KINDS, ids=str)
def test_a_deadline_needs_no_waiter(flags: F, nothing_left: object) -> None:
    """The child is killed whatever its caller does, and whether it keeps the handle or not."""
    reader, writer = os.pipe()

    def hold() -> None:
        os.set_inheritable(writer, True)
        time.sleep(1000)

    with pytest.warns(ResourceWarning, match="never waited for"):
        ramet.clone(hold, flags=flags & ~F.FILES, timeout=0.05)
    os.close(writer)
    assert os.read(reader, 1) == b""  # the last who had the pipe is dead
    os.close(reader)
    while ramet._process.unreaped.unreaped:
        ramet.clone(int).wait(SECONDS)


@pytest.mark.parametrize("flags", COPIES, ids=str)
def test_a_death_of_another_kind_is_no_deadline(flags: F, nothing_left: object) -> None:
    """What has ended by itself, or by another's kill, says so."""
    child = ramet.clone(signal.pause, flags=flags, timeout=SECONDS)
    child.kill()
    with pytest.raises(ChildDied) as caught:
        child.result(SECONDS)
    assert not isinstance(caught.value, TimeoutError)
    assert child.exit_status == ExitStatus(signal=signal.SIGKILL, reason="signaled")
    early = ramet.clone(os._exit, 3, flags=flags, timeout=SECONDS)
    assert early.wait(SECONDS) == ExitStatus(code=3, reason="exited")


def test_a_deadline_is_kept_for_a_stopped_copy(nothing_left: object) -> None:
    """SIGKILL ends it as it stands, also when it has become a program."""
    child = ramet.clone(os.execvp, "sleep", ["sleep", "1000"], timeout=0.3)
    child.stop()
    assert child.wait(SECONDS) == DEADLINE


def test_a_caller_that_holds_the_lock_has_its_deadlines_kept(nothing_left: object) -> None:
    """The thread that keeps the time needs no interpreter lock."""
    child = ramet.clone(spin, timeout=0.05)
    ended = time.monotonic()
    assert re.match(r"(a|a)*b", "a" * 23) is None  # holds it for longer
    assert time.monotonic() - ended > 0.05
    assert child.poll() == DEADLINE


@pytest.mark.parametrize("flags", [F.VM | F.VFORK, F.VFORK, F.VM | F.SIGHAND | F.THREAD], ids=str)
def test_who_is_not_beside_its_caller_has_no_deadline(flags: F) -> None:
    """It is refused."""
    with pytest.raises(ValueError, match="cannot be combined with VFORK or THREAD"):
        ramet.clone(int, flags=flags, timeout=1)


@pytest.mark.parametrize("flags", [F(0), F.VM], ids=str)
@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_what_is_no_time_is_refused(timeout: float, flags: F) -> None:
    """The same error as for a wait."""
    with pytest.raises(ValueError, match="timeout"):
        ramet.clone(int, flags=flags, timeout=timeout)


@contextmanager
def full_table(free: int = 0) -> Iterator[None]:
    taken = []
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(2))
        for _ in range(free):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_child_that_nobody_could_stop_is_not_left(nothing_left: object) -> None:
    """With a full table there is no descriptor to kill it by: it is an error, and the child gone."""
    ramet.clone(int, timeout=1).wait(SECONDS)
    with full_table(), pytest.raises(OSError) as caught:  # noqa: PT011 - by its errno
        ramet.clone(time.sleep, 1000, timeout=SECONDS)
    assert caught.value.errno == errno.EMFILE


@pytest.mark.parametrize("free", [1, 2])
def test_a_deadline_is_kept_where_too_few_descriptors_are_free(
    free: int, nothing_left: object
) -> None:
    """Nothing shows where the child is, but that its clock stands still: it waits, and can be killed."""

    def is_kept() -> bool:
        child: ramet.Child[Any] = ramet.clone(select.select, [], [], [], 4, flags=F.VM, timeout=0.1)
        return child.wait(SECONDS) == DEADLINE

    with full_table(free):
        assert any(
            is_kept() for _ in range(5)
        )  # where processors are busy it may have returned before
    assert ramet.clone(int, flags=F.VM).result(SECONDS) == 0


def test_a_copy_of_the_caller_leaves_deadlines_to_it(nothing_left: object) -> None:
    """Another copy, made meanwhile, has the handle and not the deadline."""
    child = ramet.clone(spin, timeout=0.2)

    def look() -> str:
        return repr(child.wait(SECONDS).signal)

    other = ramet.clone(look)
    assert child.wait(SECONDS) == DEADLINE
    other.result(SECONDS)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ramet.clone(time.sleep, 1000), r"sleep\(\) has not ended after 0.01 seconds"),
        (lambda: ramet.clone(time.sleep, 1000, flags=F.VM), r"sleep\(\) has not ended after"),
        (lambda: Command(["sleep", "1000"]).spawn(), r"\['sleep', '1000'\] has not ended after"),
    ],
    ids=["copy", "VM", "program"],
)
def test_an_error_of_a_wait_names_who_still_runs(
    make: Callable[[], ramet.Child[object]], words: str, nothing_left: object
) -> None:
    """The function or the program, the time, and that the child goes on."""
    with make() as child, pytest.raises(ramet.TimeoutExpired, match=words) as caught:
        child.result(0.01)
    assert str(caught.value).endswith(f"child {child.pid} still runs")
