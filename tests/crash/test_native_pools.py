"""Thread pools of native libraries, which know of libc's fork() only: numpy's OpenBLAS has one."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..constants import SLOWER, repeated

Start = Callable[..., Any]

pytest.importorskip("numpy", reason="numpy is not installed")
THREADS = pytest.mark.parametrize("threads", [1, 2], ids=["one thread", "two threads"])
# Whether libc's fork can be made to take flags, or is had as it is, as on an older kernel or another cpu.
WAYS = pytest.mark.parametrize("as_it_is", [False, True], ids=["with flags", "as it is"])


@pytest.fixture
def cgroup() -> Iterator[str | None]:
    """A new directory of cgroup v2; None where none can be had."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, root, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            try:
                made = tempfile.mkdtemp(prefix="ramet-test-", dir=root)
            except OSError:
                continue
            yield made
            Path(made).rmdir()
            return
    yield None


def make_copies(  # noqa: C901, PLR0915 - a program of its own
    threads: int, as_it_is: bool, cgroup: str | None
) -> None:
    import os
    import signal
    from typing import Any

    os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    import numpy as np

    import ramet
    from ramet import CloneFlag as F
    from ramet import lowlevel
    from tests.constants import WALL

    if as_it_is:
        from tests import seccomp

        seccomp.refuse_dispatch()
    numbers = np.random.default_rng(1).random((200, 200))
    right = numbers @ numbers  # and the pool is there

    def multiply() -> bool:
        return bool(np.allclose(numbers @ numbers, right))

    def multiply_twice_over() -> bool:
        return multiply() and ramet.clone(multiply, flags=F.FS).result() and multiply()

    def ended_well(pid: int) -> bool:
        _, status = os.waitpid(pid, WALL)
        return os.waitstatus_to_exitcode(status) == 0

    def in_fork(flags: int) -> bool:
        pid = ramet.fork(flags)
        if pid == 0:
            os._exit(0 if multiply() else 1)
        if flags & F.STOPPED:
            os.kill(pid, signal.SIGCONT)
        return ended_well(pid)

    def in_stack(flags: int) -> bool:
        stack = lowlevel.Stack(8 << 20)
        flags |= signal.SIGCHLD
        return ended_well(lowlevel.clone(lambda _: int(not multiply()), None, flags, stack))

    def in_copy(flags: int, **more: Any) -> bool:
        child = ramet.clone(multiply, flags=flags, **more)
        if flags & F.STOPPED:
            child.resume()
        return bool(child.result())

    flags = [F.FS, F.FILES, F.SYSVSEM, F.IO, F.UNTRACED, F.CLEAR_SIGHAND, F.DETACHED, F.VFORK]
    flags += [F.STOPPED, F.FS | F.FILES | F.SYSVSEM | F.IO]
    around = F.NEWUSER if os.geteuid() else F(0)
    flags += [F.NEWUSER, F.NEWNS | around, F.NEWUTS | around, F.NEWIPC | around]
    flags += [F.NEWPID | around, F.NEWNET | around, F.NEWCGROUP | around, F.NEWTIME | around]
    for wanted in flags:
        for way in (in_copy, in_fork, in_stack):
            if way is in_stack and wanted & (F.STOPPED | F.CLEAR_SIGHAND | F.NEWTIME):
                continue  # clone() has none of these
            assert way(wanted), f"{way.__name__} {wanted}"
            assert multiply(), f"after {way.__name__} {wanted}"
    signal.signal(signal.SIGUSR2, lambda number, frame: None)
    assert in_copy(0, exit_signal=signal.SIGUSR2)
    if cgroup is not None:
        assert in_copy(0, cgroup=cgroup)
    if not os.geteuid():
        assert in_copy(0, set_tid=[30303])
    assert ramet.clone(multiply_twice_over, flags=F.FS).result()
    assert in_copy(0)
    assert in_fork(0)
    for _ in range(30):  # killed at any moment of a product
        child = ramet.clone(lambda: [multiply() for _ in range(1000)], flags=F.FS)
        child.kill()
        assert child.wait().signal == signal.SIGKILL
        assert multiply()
    # The parent of a sibling is this one's, which is to be none of ours.
    middle = os.fork()
    if middle == 0:
        os._exit(0 if in_copy(F.PARENT) and multiply() else 1)
    for _ in range(2):
        os.waitpid(-1, WALL)
    print("all")


@WAYS
@THREADS
def test_a_copy_computes_whatever_it_shares(
    in_new_python: Start, threads: int, as_it_is: bool, cgroup: str | None
) -> None:
    """A pool that has been used stops no copy, with any flag, nor its caller afterwards."""
    assert in_new_python(make_copies, threads, as_it_is, cgroup).finish() == "all\n"


def share_memory(threads: int, as_it_is: bool, imported_by: str) -> None:
    import os
    from typing import Any

    os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    import ramet
    from ramet import CloneFlag as F

    if as_it_is:
        from tests import seccomp

        seccomp.refuse_dispatch()

    def multiply() -> bool:
        import numpy as np

        numbers = np.random.default_rng(1).random((200, 200))
        return bool(np.allclose(numbers @ numbers @ np.linalg.inv(numbers), numbers))

    def in_memory(flags: int = F.VM) -> Any:
        return ramet.clone(multiply, flags=flags).result()

    def nested() -> bool:
        return multiply() and in_memory() and multiply()

    if imported_by == "caller":
        assert multiply()
    for _ in range(2):  # what a round leaves is met by the next
        # A fork has taken the pool down, so the first to compute has it.
        ramet.clone(int).result()
        assert in_memory()
        assert multiply()
        ramet.clone(int).result()
        assert ramet.vfork(multiply).result()
        assert multiply()
        ramet.clone(int).result()
        assert in_memory(F.VM | F.SIGHAND)
        assert in_memory(F.VM | F.FS | F.FILES)
        assert multiply()
        ramet.clone(int).result()
        assert ramet.clone(nested, flags=F.VM).result()
        assert ramet.clone(multiply, flags=F.FS).result()
        # Several at a time, each the first, perhaps.
        ramet.clone(int).result()
        children = [ramet.clone(multiply, flags=F.VM) for _ in range(3)]
        assert all(child.result() for child in children)
        assert multiply()
    print("all")


@WAYS
@THREADS
@pytest.mark.parametrize("imported_by", ["caller", "child"])
def test_a_function_in_shared_memory_gives_its_pool_back(
    in_new_python: Start, threads: int, as_it_is: bool, imported_by: str
) -> None:
    """Whichever thread starts it, in whichever process, the others compute, and the program ends."""
    assert in_new_python(share_memory, threads, as_it_is, imported_by).finish() == "all\n"


def leave_threads() -> None:
    import ctypes
    import os
    import warnings

    import ramet
    from ramet import CloneFlag as F

    libc = ctypes.CDLL(None)

    def begin() -> None:
        assert libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.pause, None) == 0

    for _ in range(2):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            ramet.clone(begin, flags=F.VM).result()
        assert [each.category for each in told] == [RuntimeWarning], told
        assert "native threads end with the function" in str(told[0].message)
    begin()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ramet.clone(os.getpid, flags=F.VM).result()
    print("all")


def test_a_pool_that_knows_of_no_forks_is_told(in_new_python: Start) -> None:
    """Native threads end with the function that started them; a warning says so."""
    assert in_new_python(leave_threads).finish() == "all\n"


def kill_owners(how: str, kills: int) -> None:
    import os
    import warnings

    import ramet
    from tests.activities import is_done_by_everybody
    from tests.crash.killers import killed_by
    from tests.crash.products import multiplying

    warnings.simplefilter("error")
    # Where it gets no processor for a second, it is killed wherever it is.
    warnings.filterwarnings(
        "ignore", "child .* died holding locks .* the native code held in which"
    )
    multiply = multiplying(150)
    never, _ = os.pipe()

    def be_idle(begun: list[bool]) -> None:
        begun.append(multiply())
        os.read(never, 1)

    def compute(begun: list[bool]) -> None:
        while multiply():
            begun.append(True)

    for number in range(kills):
        ramet.clone(int).result()  # the pool is down, and the next to compute has it
        killed_by(how, be_idle if number % 2 else compute, 0.5, 1 / 10)
        assert is_done_by_everybody(multiply)
    print("all")


@pytest.mark.parametrize("how", ["kill", "timeout"])
def test_a_killed_function_takes_no_pool_along(in_new_python: Start, how: str) -> None:
    """Its pool is put in order at its recovery: caller, copies and functions compute after it, and fork."""
    assert in_new_python(kill_owners, how, repeated(10)).finish() == "all\n"


def interrupt_owners(count: int) -> None:
    import random

    import ramet
    from ramet import CloneFlag as F
    from tests.activities import is_done_by_everybody
    from tests.crash.products import multiplying
    from tests.waiting import a_random_moment

    multiply = multiplying(150)
    numbers = random.Random()
    for _ in range(count):
        ramet.clone(int).result()  # the pool is down, and the next to compute has it
        child = ramet.clone(multiply, flags=F.VM)
        a_random_moment(numbers, 1 / 50)
        child.terminate(600)
        assert child.wait().code is not None
        assert is_done_by_everybody(multiply)
    print("all")


def test_a_terminated_function_takes_no_pool_along(in_new_python: Start) -> None:
    """It may have returned by then: its pool is taken down all the same, and the caller computes on."""
    assert in_new_python(interrupt_owners, repeated(60)).finish() == "all\n"


def kill_users(how: str, kills: int, size: int) -> None:
    import os
    import random
    import warnings

    os.environ["OPENBLAS_NUM_THREADS"] = "2"
    import numpy as np

    from tests.crash.killers import killed_by

    warnings.simplefilter("error")
    numbers = np.random.default_rng(1).random((size, size))
    numbers @ numbers  # the pool is the caller's

    def compute(begun: list[bool]) -> None:
        while True:
            begun.append(True)
            numbers @ numbers

    for _ in range(kills):
        killed_by(how, compute, random.random() / 5, 1 / 5)
        numbers @ numbers
    print("all")


@pytest.mark.parametrize("how", ["kill", "timeout"])
def test_a_function_is_not_killed_in_the_midst_of_a_product(in_new_python: Start, how: str) -> None:
    """Not of one that ends within a second: it holds locks of the library's, whosever the pool is."""
    size = round(1000 / SLOWER**0.5)
    assert in_new_python(kill_users, how, repeated(6), size).finish() == "all\n"


def die_with_a_pool(how: str, verb: str) -> None:
    import os
    import signal
    import warnings

    import ramet
    from ramet import CloneFlag as F
    from tests.activities import is_done_by_everybody
    from tests.constants import SYSTEM_CALLS
    from tests.crash.products import multiplying

    warnings.simplefilter("error")
    multiply = multiplying(150)

    def asleep() -> bool:
        """Whether the pool's threads wait for a futex word, all of them."""
        me, futex = str(os.getpid()), f"{SYSTEM_CALLS['futex']} "
        others = [tid for tid in os.listdir("/proc/self/task") if tid != me]
        for tid in others:
            with open(f"/proc/self/task/{tid}/syscall") as syscall:
                if not syscall.read().startswith(futex):
                    return False
        return len(others) > 0

    def die(rests: bool) -> None:
        assert multiply()
        while rests and not asleep():
            pass
        if how == "exits":
            os._exit(1)
        if how == "execs":
            os.execv("/bin/true", ["true"])
        os.kill(os.getpid(), signal.SIGSEGV if how == "faults" else signal.SIGKILL)

    for rests in [False, True] * 3:
        ramet.clone(int).result()  # the pool is down, and the next to compute has it
        child = ramet.vfork(die, rests) if verb == "vfork" else ramet.clone(die, rests, flags=F.VM)
        child.wait()
        assert is_done_by_everybody(multiply)
    print("all")


@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) == 1, reason="OpenBLAS has no threads with one processor"
)
@pytest.mark.parametrize("verb", ["clone", "vfork"])
@pytest.mark.parametrize("how", ["exits", "execs", "faults", "killed"])
def test_a_function_that_dies_by_itself_takes_no_pool_along(
    in_new_python: Start, how: str, verb: str
) -> None:
    """By os._exit(), an exec, a fault, a signal of another's: its pool's threads die, asleep or not."""
    assert in_new_python(die_with_a_pool, how, verb).finish() == "all\n"


def hang_in_handlers() -> None:
    import ctypes
    import os

    import ramet
    from ramet import CloneFlag as F
    from tests.activities import native_thread
    from tests.crash.killers import warning_at_the_end

    libc = ctypes.CDLL(None)
    never, _ = os.pipe()
    begun: list[int] = []

    def leave_a_thread() -> None:
        native_thread()
        begun.append(1)
        os.read(never, 1)

    child = ramet.clone(leave_a_thread, flags=F.VM)
    while not begun:
        os.sched_yield()
    libc.__register_atfork(libc.pause, None, None, None)
    assert "the next fork, may wait for ever" in warning_at_the_end(child)
    assert ramet.clone(os.getpid, flags=F.VM).result()
    print("all")


def test_a_pool_that_cannot_be_put_in_order_is_told(in_new_python: Start) -> None:
    """Handlers that do not come to their end keep nobody, and a warning says what that means."""
    assert in_new_python(hang_in_handlers).finish() == "all\n"


def leave_threads_of_a_library(how: str) -> None:
    import os
    import warnings

    import ramet
    from ramet import CloneFlag as F
    from tests.activities import native_thread
    from tests.crash.killers import warning_at_the_end

    never, _ = os.pipe()
    begun: list[int] = []

    def leave_a_thread() -> None:
        native_thread()
        begun.append(1)
        if how == "exit":
            os._exit(1)
        os.read(never, 1)

    for _ in range(2):
        child = ramet.clone(leave_a_thread, flags=F.VM)
        while not begun:
            os.sched_yield()
        told = warning_at_the_end(child, kill=how == "kill")
        assert "died while it had native threads" in told
        begun.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # who has none of his own is not taken for one who had
        child = ramet.clone(os._exit, 1, flags=F.VM)
        child.wait()
    print("all")


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_threads_that_no_handler_knows_of_are_told(in_new_python: Start, how: str) -> None:
    """A pool that has no handlers for a fork waits for its dead; and each death is told once."""
    assert in_new_python(leave_threads_of_a_library, how).finish() == "all\n"


def die_in_handlers() -> None:
    import ctypes
    import os
    import signal

    import ramet
    from ramet import CloneFlag as F
    from tests.activities import native_thread
    from tests.kernels import HANDLERS_WITHOUT_FORK

    libc = ctypes.PyDLL(None)  # holds the interpreter's lock
    ran: list[str] = []
    ready, tell = os.pipe()
    caller = os.getpid()

    def before_fork() -> None:
        if os.getpid() != caller:
            os.write(tell, b"%d" % os.getpid())
            libc.pause()

    killer = os.fork()
    if killer == 0:
        for _ in range(3):
            os.kill(int(os.read(ready, 20)), signal.SIGKILL)
        os._exit(0)
    kind = ctypes.CFUNCTYPE(None)
    kept = [kind(before_fork), kind(lambda: ran.append("child"))]
    libc.__register_atfork(kept[0], None, kept[1], None)
    for _ in range(3):
        child = ramet.clone(native_thread, flags=F.VM)
        assert child.wait().signal == 9
    os.waitpid(killer, 0)
    ran.clear()
    in_child = ["child"] if HANDLERS_WITHOUT_FORK else []
    assert ramet.clone(lambda: ran, flags=F.FS).result() == in_child
    print("all")


def test_who_is_killed_in_a_handler_leaves_forks_to_others(in_new_python: Start) -> None:
    """A function that dies as it gives its pool back does not keep the caller from libc's fork."""
    assert in_new_python(die_in_handlers).finish() == "all\n"


def kill_beside_a_product() -> None:
    import os
    import threading
    import time
    import warnings

    os.environ["OPENBLAS_NUM_THREADS"] = "2"
    import numpy as np

    import ramet
    from ramet import CloneFlag as F

    warnings.simplefilter("error")
    numbers = np.random.default_rng(1).random((700, 700))
    going_on = True
    products = 0

    def compute() -> None:
        nonlocal products
        while going_on:
            numbers @ numbers
            products += 1

    def start_a_thread(begun: list[bool]) -> None:
        thread = threading.Thread(target=time.sleep, args=(1000,))
        thread.start()
        begun.append(True)
        thread.join()

    other = threading.Thread(target=compute)
    other.start()
    for _ in range(10):
        begun: list[bool] = []
        child = ramet.clone(start_a_thread, begun, flags=F.VM)
        while not begun:
            os.sched_yield()
        child.kill()
        assert child.wait().signal == 9
    before = products
    while products < before + 3:
        os.sched_yield()
    going_on = False
    other.join()
    print("all")


def test_a_pool_that_computes_is_let_alone(in_new_python: Start) -> None:
    """The caller's own is not taken down because a function was killed that had threads of Python's."""
    assert in_new_python(kill_beside_a_product).finish() == "all\n"
