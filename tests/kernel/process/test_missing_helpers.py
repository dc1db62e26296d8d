"""A clone call that fails for want of a thread, or of a process beside it, says so and blames no flag."""

import ctypes
import errno
import os
import resource
import signal
from collections.abc import Callable
from typing import Any

import pytest

import ramet
import ramet._preflight.refusal  # a child with other rights may be unable to read it
from ramet import CloneError, lowlevel
from ramet import CloneFlag as F

from ...constants import NOBODY, SECONDS

LIBC = ctypes.CDLL(None)

Call = Callable[[], Any]


def by_stack() -> object:
    stack = lowlevel.Stack(256 * 1024)
    return lowlevel.clone(lambda _: 0, None, F.VM | signal.SIGCHLD, stack)


# What needs a thread of this process, and the name that the error gives it.
NEEDY: dict[str, tuple[str, Call]] = {
    "clone": ("host thread", lambda: ramet.clone(int, flags=F.VM)),
    "a thread": ("host thread", lambda: ramet.clone(int, flags=F.VM | F.SIGHAND | F.THREAD)),
    "a stack": ("host thread", by_stack),
    "another namespace": ("host thread", lambda: ramet.in_namespace(int, uts="/proc/self/ns/uts")),
    "a deadline": ("deadline thread", lambda: ramet.clone(int, timeout=SECONDS)),
}


def refused(call: Call) -> CloneError:
    with pytest.raises(CloneError) as caught:
        call()
    return caught.value


def in_a_namespace_to_be(fn: Callable[[], None]) -> None:
    """Call fn where children, but no threads, go into another pid namespace, whose init lives."""

    def inside() -> None:
        assert LIBC.unshare(int(F.NEWPID)) == 0
        with ramet.Popen(["sleep", "1000"]) as init:
            try:
                fn()
            finally:
                init.kill()

    ramet.clone(inside, flags=F.NEWUSER).result(SECONDS)


@pytest.mark.parametrize("needy", NEEDY)
def test_threads_stay_in_their_namespace(nothing_left: object, needy: str) -> None:
    """After unshare(NEWPID) no thread can be made: the error names what needs one, and the rule."""
    helper, call = NEEDY[needy]

    def fn() -> None:
        error = refused(call)
        assert error.errno == errno.EINVAL
        assert helper in str(error)
        assert [rule.id for rule in error.rules] == ["D6"]
        assert not error.unexpected

    in_a_namespace_to_be(fn)


def test_what_needs_no_thread_does_without(nothing_left: object) -> None:
    """vfork, copies and programs are made there as ever."""

    def fn() -> None:
        assert ramet.vfork(os.getpid).result(SECONDS) > 1
        assert ramet.clone(os.getpid).result(SECONDS) > 1
        assert ramet.run(["true"]).returncode == 0
        assert ramet.run(["true"], die_with_parent=True).returncode == 0
        with ramet.Popen(["true"], start=False) as waiting:
            waiting.start()
            assert waiting.wait(SECONDS) == 0

    in_a_namespace_to_be(fn)


@pytest.mark.parametrize("needy", NEEDY)
def test_too_many_tasks(nothing_left: object, needy: str) -> None:
    """Where the user may have no more tasks, the thread and the limit are named, and flags are not.

    Nothing is advised that would be one more task as well.
    """
    helper, call = NEEDY[needy]

    def fn() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        error = refused(call)
        assert error.errno == errno.EAGAIN
        assert f"needs a {helper}" in str(error)
        assert os.strerror(errno.EAGAIN) in str(error)
        assert {"G1", "G2"} <= {rule.id for rule in error.possible_rules}
        assert "RLIMIT_NPROC" in str(error)
        assert "threads-max" in str(error)
        assert "pids.max" in str(error)
        assert "vfork" not in str(error)
        assert "without timeout" not in str(error)

    ramet.clone(fn).result(SECONDS)
