import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

import ramet
from ramet import CloneFlag as F
from ramet._process import waiting

from ...constants import SECONDS, repeated
from ...waiting import alarm, in_threads


@pytest.fixture
def sleeper() -> Iterator[ramet.Popen[bytes]]:
    """A program that does not end by itself."""
    with ramet.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def test_the_first_to_end_is_told(sleeper: ramet.Popen[bytes], nothing_left: object) -> None:
    """Of many, those come back that have ended, and no other."""
    with ramet.Popen(["true"]) as quick:
        assert ramet.wait([sleeper, quick], SECONDS) == [quick]
        assert quick.returncode is None, "it is not reaped"
        assert quick.wait() == 0


def test_all_that_have_ended_are_told_in_the_order_given(nothing_left: object) -> None:
    """What comes back has the order of what was given."""
    children = [ramet.clone(int) for _ in range(5)]
    for child in children:
        os.waitid(os.P_PIDFD, child.fileno(), os.WEXITED | os.WNOWAIT)
    assert ramet.wait(reversed(children)) == children[::-1]
    assert [child.result() for child in children] == [0] * 5


def test_the_time_may_be_up(sleeper: ramet.Popen[bytes], nothing_left: object) -> None:
    """When nobody ends in time the list is empty, not before that time."""
    begun = time.monotonic()
    assert ramet.wait([sleeper], 0.05) == []
    assert time.monotonic() - begun >= 0.05
    assert ramet.wait([sleeper], 0) == []


def test_nobody_to_wait_for(nothing_left: object) -> None:
    """With no children there is nothing to wait for, for ever neither."""
    assert ramet.wait([]) == []


def test_one_waited_for_already_has_ended(
    sleeper: ramet.Popen[bytes], nothing_left: object
) -> None:
    """A child that was reaped counts as ended at once, and so does another that ended with it."""
    reaped = ramet.clone(int)
    reaped.result()
    with ramet.Popen(["true"]) as zombie:
        os.waitid(os.P_PIDFD, zombie.fileno(), os.WEXITED | os.WNOWAIT)
        assert ramet.wait([sleeper, reaped, zombie]) == [reaped, zombie]


def test_children_that_all_wait_for_their_start(nothing_left: object) -> None:
    """Without a timeout that is a wait without end, unless one of them may end."""
    command = ramet.Command(["true"], start=False)
    with ramet.Popen(["true"], start=False) as process, command.spawn() as child:
        with pytest.raises(ValueError, match=r"all of these children wait for start\(\)"):
            ramet.wait([process, child])
        assert ramet.wait([process, child], 0) == []
        with ramet.Popen(["true"]) as other:
            assert ramet.wait([process, child, other]) == [other]
        child.kill()
        assert ramet.wait([process, child]) == [child]


def test_a_child_twice(nothing_left: object) -> None:
    """One that is given twice comes back twice."""
    with ramet.Popen(["true"]) as process:
        assert ramet.wait([process, process], SECONDS) == [process, process]


def test_kinds_may_be_mixed(sleeper: ramet.Popen[bytes], nothing_left: object) -> None:
    """A thread, a task in shared memory, a copy, a program and a bare pidfd can be waited for at once."""
    may_end = threading.Event()
    thread = ramet.clone(may_end.wait, SECONDS, flags=F.THREAD | F.SIGHAND | F.VM)
    sharer = ramet.clone(may_end.wait, SECONDS, flags=F.VM)
    pidfd = os.pidfd_open(sleeper.pid)
    try:
        kinds: list[ramet.Child[bool] | ramet.Popen[bytes] | int] = [thread, sharer, sleeper, pidfd]
        assert ramet.wait(kinds, 0) == []
        may_end.set()
        over = set[object]()
        while not {thread, sharer} <= over:
            over.update(ramet.wait([kind for kind in kinds if kind not in over], SECONDS))
        sleeper.kill()
        assert ramet.wait([sleeper, pidfd], SECONDS)
        assert ramet.wait([pidfd], SECONDS) == [pidfd]
    finally:
        os.close(pidfd)
        thread.wait()
        sharer.wait()


def test_children_without_a_pidfd(sleeper: ramet.Popen[bytes], nothing_left: object) -> None:
    """When no descriptor was free for one they are waited for all the same, beside those that have one."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        child = ramet.clone(signal.pause)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert child.pidfd is None
    assert ramet.wait([sleeper, child], 0.01) == []
    killer = threading.Timer(0.01, child.kill)
    killer.start()
    assert ramet.wait([sleeper, child], SECONDS) == [child]
    killer.join()
    assert child.wait().signal == signal.SIGKILL


def test_a_signal_handler_may_raise(sleeper: ramet.Popen[bytes], nothing_left: object) -> None:
    """An exception in a handler ends the wait."""
    with pytest.raises(InterruptedError), alarm(0.01):
        ramet.wait([sleeper])


def test_no_stranger_is_waited_for(nothing_left: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread reaps the child before the wait begins, and opens something under its number."""
    child = ramet.clone(int)
    number, stranger = child.fileno(), []

    def meanwhile(_: object) -> bool:
        child.wait(SECONDS)
        stranger.append(os.pidfd_open(os.getpid()))
        return False

    monkeypatch.setattr(waiting, "_waits_for_start", meanwhile)
    try:
        with alarm(SECONDS):
            assert ramet.wait([child]) == [child]
        assert stranger == [number]
    finally:
        os.close(stranger[0])


def test_a_pidfd_stays_open_while_it_is_waited_for(nothing_left: object) -> None:
    """Who reaps the child meanwhile closes no number that others look at, for a stranger to have."""
    for _ in range(repeated(50)):
        child = ramet.clone(int)
        stranger = list[int]()

        def look(child: ramet.Child[int] = child) -> None:
            assert ramet.wait([child], SECONDS) == [child]

        def reap(child: ramet.Child[int] = child, stranger: list[int] = stranger) -> None:
            child.wait(SECONDS)
            stranger.append(os.pidfd_open(os.getpid()))

        roles = [look, reap, look, reap]
        in_threads(4, lambda roles=roles: roles.pop()())  # type: ignore[misc]
        for descriptor in stranger:
            os.close(descriptor)
        assert child.pidfd is None


def test_thousands(nothing_left: object) -> None:
    """Thousands of children are waited for, each once, until the last has ended."""
    count = min(repeated(2000), resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    running = {ramet.Popen(["true"], close_fds=False) for _ in range(count)}
    ended = 0
    while running:
        first = ramet.wait(running, SECONDS)
        assert first
        assert {process.wait() for process in first} == {0}
        running.difference_update(first)
        ended += len(first)
    assert ended == count


def test_it_does_not_poll(sleeper: ramet.Popen[bytes], nothing_left: object) -> None:
    """Waiting costs no processor time, however long it is."""
    before = resource.getrusage(resource.RUSAGE_THREAD)
    assert ramet.wait([sleeper], 0.5) == []
    after = resource.getrusage(resource.RUSAGE_THREAD)
    assert after.ru_nvcsw - before.ru_nvcsw < 10


@pytest.mark.parametrize(
    ("children", "timeout", "error", "words"),
    [
        (["sleep"], None, TypeError, "got str"),
        ([None], None, TypeError, "got NoneType"),
        ([True], None, TypeError, "got bool"),
        ([1.5], None, TypeError, "got float"),
        ([-1], None, ValueError, "expected a pidfd"),
        ([1 << 30], None, ValueError, "expected a pidfd"),
        (3, None, TypeError, "list"),
        ([], -1, ValueError, "got -1"),
        ([], float("nan"), ValueError, "got nan"),
        ([], "1", TypeError, "seconds"),
    ],
)
def test_bad_input(children: object, timeout: object, error: type[Exception], words: str) -> None:
    """What cannot be waited for is refused, in words."""
    with pytest.raises(error, match=words):
        ramet.wait(children, timeout)  # type: ignore[arg-type]


def test_a_file_is_no_pidfd(nothing_left: object) -> None:
    """A descriptor that is always readable is not taken for a child that has ended."""
    with open(os.devnull, "rb") as file, pytest.raises(ValueError, match="expected a pidfd"):
        ramet.wait([file])


def test_a_single_child_is_no_collection(nothing_left: object) -> None:
    """A child without brackets, and a Popen of subprocess, are each one clear error."""
    with ramet.clone(int) as child, pytest.raises(TypeError, match="list"):
        ramet.wait(child)  # type: ignore[arg-type]
    with (
        subprocess.Popen(["true"]) as process,
        pytest.raises(TypeError, match=r"got subprocess\.Popen; os"),
    ):
        ramet.wait([process])
