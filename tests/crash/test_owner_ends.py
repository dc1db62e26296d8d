import resource
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ramet import CloneFlag as F

Start = Callable[..., Any]


def have_children(flags: int, activity: str, in_thread: str) -> None:
    """Make three children, tell their pids, and wait for ever."""
    import os
    import threading

    import ramet
    from tests.activities import WITHOUT_END

    pids: list[int] = []
    told = threading.Event()

    def exec_and_sleep() -> None:
        os.execv("/bin/sleep", ["sleep", "1000"])

    def fn() -> None:
        # With NEWPID the child does not know its pid out there.
        pids.append(int(os.readlink("/proc/self")))
        if len(pids) == 3:
            told.set()
        {"exec": exec_and_sleep, **WITHOUT_END}[activity]()

    children = []

    def make() -> None:
        children.append(ramet.clone(fn, flags=flags))

    for _ in range(3):
        if in_thread == "main":
            make()
            continue
        thread = threading.Thread(target=make)
        thread.start()
        if not flags & ramet.CloneFlag.VFORK:
            thread.join()
    told.wait()
    print(*pids, flush=True)
    if in_thread == "and gone":
        # The threads that made them have ended, and the children go on while the process lives.
        for child in children:
            assert child.poll() is None
    threading.Event().wait()


@pytest.mark.parametrize("activity", ["sleep", "spin"])
@pytest.mark.parametrize(
    "flags", [F.VM, F.VM | F.FILES | F.FS, F.VM | F.DETACHED, F.VM | F.CLEAR_SIGHAND], ids=str
)
def test_children_end_with_their_process(in_new_python: Start, flags: F, activity: str) -> None:
    """When the caller is killed, no child that shares its memory goes on."""
    caller = in_new_python(have_children, int(flags), activity, "main")
    caller.watch()
    assert caller.still_running() == 3
    caller.kill()
    assert caller.all_gone()


def test_children_of_suspended_threads_end_with_their_process(in_new_python: Start) -> None:
    """When a caller is killed that vfork() has suspended, the child ends as well."""
    caller = in_new_python(have_children, int(F.VM | F.VFORK), "sleep", "and suspended")
    caller.watch()
    caller.kill()
    assert caller.all_gone()


@pytest.mark.parametrize(
    "flags", [F.VM | F.SIGHAND, F.VM | F.PARENT, F.VM | F.NEWPID | F.NEWUSER], ids=str
)
def test_children_of_any_kind_end_with_their_process(in_new_python: Start, flags: F) -> None:
    """That holds for children that share handlers, have another parent or another view of pids."""
    caller = in_new_python(have_children, int(flags), "sleep", "main")
    caller.watch()
    caller.kill()
    assert caller.all_gone(2.0)


def test_threads_end_with_their_process(in_new_python: Start) -> None:
    """A child that is a thread of the caller ends with it, and the caller can be waited for."""
    caller = in_new_python(have_children, int(F.VM | F.SIGHAND | F.THREAD), "sleep", "main")
    caller.process.stdout.readline()
    caller.kill()


def test_children_of_a_thread_that_ended_go_on(in_new_python: Start) -> None:
    """The end of the thread that made it is not the end of a child; that of the process is."""
    caller = in_new_python(have_children, int(F.VM), "sleep", "and gone")
    caller.watch()
    assert not caller.all_gone(0.3)
    assert caller.still_running() == 3
    caller.kill()
    assert caller.all_gone()


def test_a_program_outlives_the_caller(in_new_python: Start) -> None:
    """A child that has exec'ed shares nothing any more, and its end is its own affair."""
    caller = in_new_python(have_children, int(F.VM), "exec", "main")
    caller.watch()
    caller.kill()
    assert not caller.all_gone(0.3)
    assert caller.still_running() == 3


def have_many(count: int) -> None:
    import os
    import threading

    import ramet
    from ramet import CloneFlag as F

    never = threading.Event()
    children = [ramet.clone(never.wait, flags=F.VM | F.SIGHAND) for _ in range(count)]
    print(*(child.pid for child in children), flush=True)
    os.read(0, 1)
    never.wait()


@pytest.fixture
def all_descriptors() -> Iterator[None]:
    """As many as this process may have: it has a pidfd for each child, and so has the one it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("all_descriptors")
def test_any_number_of_children_is_watched(in_new_python: Start) -> None:
    """More than a thousand children that share the caller's handlers end with it, all of them."""
    caller = in_new_python(have_many, 1100)
    caller.watch()
    assert caller.still_running() == 1100
    caller.kill()
    assert caller.all_gone()


def have_a_child_under_a_filter(flags: int, before: bool) -> None:
    import ctypes
    import signal
    import struct

    import ramet
    from tests import seccomp

    if before:
        assert ramet.clone(int, "5", flags=flags).result() == 5
    libc = ctypes.CDLL(None)
    handler = ctypes.cast(libc.getppid, ctypes.c_void_p).value  # which does no harm
    assert libc.sigaction(signal.SIGSYS, struct.pack("@P144x", handler), None) == 0
    seccomp.trap("prctl")
    for _ in range(3):
        status = ramet.clone(int, "5", flags=flags).wait()
        assert status.signal == signal.SIGSYS, status
    assert ramet.clone(int, "5").result() == 5


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK], ids=str)
@pytest.mark.parametrize("before", [False, True], ids=["first", "not the first"])
def test_a_filter_that_traps_what_they_need_ends_them_alone(
    in_new_python: Start, flags: F, before: bool
) -> None:
    """A child in shared memory has no handlers, and its prctl is answered by one: its caller goes on."""
    in_new_python(have_a_child_under_a_filter, int(flags), before).finish()
