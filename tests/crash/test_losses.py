from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]


def lose_frames(depth: int) -> None:
    import os
    import signal

    import ramet
    from ramet import CloneFlag as F

    def descend(left: int, then: Callable[[], object]) -> object:
        return descend(left - 1, then) if left else then()

    def pause(begun: list[int]) -> None:
        begun.append(1)
        signal.pause()

    begun: list[int] = []
    child = ramet.clone(descend, depth, lambda: pause(begun), flags=F.VM)
    while not begun:
        os.sched_yield()
    assert child.losses is None
    child.kill()
    child.wait()
    # descend() depth + 1 times, the lambda, and pause().
    assert child.losses is not None
    assert child.losses.frames == depth + 3
    # left, then and the cell of descend for each; the cells of begun, pause and signal; begun.
    assert child.losses.references == 3 * (depth + 1) + 4
    assert child.losses.locks == child.losses.released == ()


@pytest.mark.parametrize("depth", [0, 7, 800])
def test_frames_and_references_are_counted(in_new_python: Start, depth: int) -> None:
    """A child that is killed in so many functions has lost so many frames, and what they referred to."""
    in_new_python(lose_frames, depth).finish()


def end_in_other_ways() -> None:
    import ctypes
    import itertools
    import os
    import signal

    import ramet
    from ramet import CloneFlag as F

    def deep(left: int, then: Callable[[], object]) -> object:
        return deep(left - 1, then) if left else then()

    ends: dict[str, Callable[[], object]] = {
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "exit": lambda: os._exit(3),
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "fault": lambda: ctypes.string_at(8),
    }
    for name, end in ends.items():
        for flags, timeout in itertools.product((F.VM, F.VM | F.VFORK), (None, 10_000)):
            child = ramet.clone(deep, 4, end, flags=flags)
            child.wait(timeout)
            assert child.losses is not None, name
            # ctypes.string_at() is a function of Python's own.
            assert child.losses.frames == 6 + (name == "fault"), (name, flags)
    for flags in (F.VM, F.VM | F.VFORK, F(0)):
        child = ramet.clone(deep, 4, os.getpid, flags=flags)
        child.result()
        assert child.losses is None
    copy = ramet.clone(deep, 4, ends["kill"])
    copy.wait()
    assert copy.losses is None


def test_whatever_ends_a_function_loses_its_frames(in_new_python: Start) -> None:
    """Exec, exit and a fault leave frames as a kill does; a return leaves none, nor does a copy."""
    in_new_python(end_in_other_ways).finish()


def hold_a_lock(kind: str) -> None:  # noqa: PLR0915 - a program of its own
    import os
    import signal
    import threading
    import warnings

    import ramet
    from ramet import CloneFlag as F

    class Owner:
        def __init__(self) -> None:
            self.lock = threading.RLock()

    owner, begun = Owner(), list[int]()
    condition = threading.Condition()
    plain = threading.Lock()

    def pause() -> None:
        begun.append(1)
        signal.pause()

    def with_plain() -> None:
        with plain:
            pause()

    def with_condition() -> None:
        with condition:
            pause()

    def called(owner: Owner) -> None:
        owner.lock.acquire()
        try:
            pause()
        finally:
            owner.lock.release()

    ways: dict[str, tuple[Callable[[], None], Any]] = {
        "with": (with_plain, plain),
        "condition": (with_condition, condition._lock),  # type: ignore[attr-defined]
        "attribute": (lambda: called(owner), owner.lock),
    }
    fn, lock = ways[kind]
    child = ramet.clone(fn, flags=F.VM)
    while not begun:
        os.sched_yield()
    child.kill()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        child.wait()
    assert child.losses is not None
    (described,) = child.losses.locks
    assert repr(lock) in described
    (warning,) = warned
    assert warning.category is RuntimeWarning
    assert repr(lock) in str(warning.message)
    try:
        child.result()
    except ramet.ChildDied as error:
        assert f"still locked: {lock!r}" in str(error)
    # Nobody gets it: not even a thread that gets the stack and the block of a dead one.
    got: list[bool] = []
    for _ in range(30):
        thread = threading.Thread(target=lambda: got.append(lock.acquire(blocking=False)))
        thread.start()
        thread.join()
        got.append(ramet.clone(lock.acquire, False, flags=F.VM).result())
    assert got == [False] * 60


@pytest.mark.parametrize("kind", ["with", "condition", "attribute"])
def test_a_lock_that_stays_locked_is_named(in_new_python: Start, kind: str) -> None:
    """It is described and warned of, and stays locked for everybody."""
    in_new_python(hold_a_lock, kind).finish()


def exit_with_a_lock(timeout: float | None) -> None:
    import os
    import threading
    import warnings

    import ramet
    from ramet import CloneFlag as F

    lock = threading.Lock()

    def leave() -> None:
        with lock:
            os._exit(3)

    child = ramet.clone(leave, flags=F.VM)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert child.wait(timeout).code == 3
    assert child.losses is not None
    (described,) = child.losses.locks
    (warning,) = warned
    assert repr(lock) in described
    assert repr(lock) in str(warning.message)


@pytest.mark.parametrize("timeout", [None, 10_000])
def test_who_exits_has_its_losses_told_by_any_wait(
    in_new_python: Start, timeout: float | None
) -> None:
    """Its code alone is known before them, and a wait goes on until they are."""
    in_new_python(exit_with_a_lock, timeout).finish()


def die_in_vfork_with_locks() -> None:
    import os
    import signal
    import threading

    import ramet

    lock, recursive, of_the_caller = threading.Lock(), threading.RLock(), threading.RLock()

    def die() -> None:
        with lock, recursive:
            os.kill(os.getpid(), signal.SIGKILL)

    with of_the_caller:
        child = ramet.vfork(die)
        child.wait()
    assert child.losses is not None
    assert [words.partition(" (")[0] for words in child.losses.locks] == [
        repr(lock),
        repr(recursive),
    ]


def test_a_child_of_vfork_has_the_identity_of_its_caller(in_new_python: Start) -> None:
    """What it held is named, and what its caller holds is not taken for its own."""
    in_new_python(die_in_vfork_with_locks).finish()


def die_in_an_import(number_of_waiters: int) -> None:
    import builtins
    import contextlib
    import os
    import sys
    import tempfile
    import threading
    from pathlib import Path

    import ramet
    from ramet import CloneFlag as F

    begun: list[int] = []
    vars(builtins).update(begun=begun)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "outer_module.py").write_text(
            "import inner_module\nvalue = inner_module.value\n"
        )
        Path(folder, "inner_module.py").write_text(
            "import signal\nvalue = 7\nif not begun:\n    begun.append(1)\n    signal.pause()\n"
        )
        sys.path.insert(0, folder)

        def import_it() -> int:
            import outer_module  # type: ignore[import-not-found]

            return int(outer_module.value)

        child = ramet.clone(import_it, flags=F.VM)
        while not begun:
            os.sched_yield()

        def wait_for_it() -> None:
            with contextlib.suppress(AttributeError):  # what waits already gets what there is
                import_it()

        waiters = [threading.Thread(target=wait_for_it) for _ in range(number_of_waiters)]
        for waiter in waiters:
            waiter.start()
        child.kill()
        child.wait()
        assert child.losses is not None
        assert set(child.losses.released) >= {
            "the import lock of 'outer_module'",
            "the import lock of 'inner_module'",
        }
        for waiter in waiters:
            waiter.join(30)
            assert not waiter.is_alive()
        assert import_it() == 7
        assert ramet.clone(import_it, flags=F.VM).result() == 7


@pytest.mark.parametrize("number_of_waiters", [0, 3])
def test_an_import_is_given_up_as_one_that_fails(
    in_new_python: Start, number_of_waiters: int
) -> None:
    """A module half imported is forgotten: nobody waits for it any more, and who comes imports it anew."""
    in_new_python(die_in_an_import, number_of_waiters).finish()


def die_waiting_for_an_import() -> None:
    import builtins
    import os
    import sys
    import tempfile
    import threading
    from pathlib import Path

    import ramet
    from ramet import CloneFlag as F
    from tests.looking import state_of

    going_on, begun = threading.Event(), list[int]()
    vars(builtins).update(going_on=going_on, begun=begun)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "slow_module.py").write_text("begun.append(1)\ngoing_on.wait()\n")
        sys.path.insert(0, folder)

        def import_it(about: list[int]) -> None:
            about.append(threading.get_ident())
            import slow_module  # type: ignore[import-not-found] # noqa: F401

        importer = threading.Thread(target=import_it, args=([],))
        importer.start()
        while not begun:
            os.sched_yield()
        about: list[int] = []
        child = ramet.clone(import_it, about, flags=F.VM)
        while not about or state_of(child.pid) != "S":
            os.sched_yield()
        child.kill()
        child.wait()
        from importlib import _bootstrap

        assert not vars(_bootstrap)["_blocking_on"].get(about[0])
        going_on.set()
        importer.join(30)
        assert not importer.is_alive()
        ramet.clone(import_it, [], flags=F.VM).result()


def test_who_waits_for_an_import_can_die(in_new_python: Start) -> None:
    """A child that dies waiting for another's import is no part of any circle of imports after."""
    in_new_python(die_waiting_for_an_import).finish()


def die_writing(way: str) -> None:
    import fcntl
    import logging
    import os
    import sys
    import threading
    from pathlib import Path

    import ramet
    from ramet import CloneFlag as F
    from tests.constants import SYSTEM_CALLS

    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    file = open(writing, "w", buffering=1)  # noqa: SIM115 - it is the standard output
    real, sys.stdout = sys.stdout, file
    logger = logging.getLogger()
    logger.addHandler(logging.StreamHandler(file))

    def write(begun: list[int]) -> None:
        begun.append(1)
        while True:
            if way == "print":
                print("x" * 100)
            else:
                logger.error("x" * 100)

    begun: list[int] = []
    child = ramet.clone(write, begun, flags=F.VM)
    syscall = Path(f"/proc/{child.pid}/syscall")
    while not begun or not syscall.read_text().startswith(
        f"{SYSTEM_CALLS['write']} 0x{writing:x} "
    ):
        os.sched_yield()
    child.kill()
    child.wait()
    sys.stdout = real
    assert child.losses is not None
    assert child.losses.locks == ()
    assert f"the lock of {file.buffer!r}" in child.losses.released
    assert ("the lock of a logging.StreamHandler" in child.losses.released) == (way == "log")
    # The caller writes, and all of it arrives; the pipe takes no more before it is read.
    received: list[bytes] = []

    def read() -> None:
        while data := os.read(reading, size):
            received.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    if way == "print":
        print("the caller's", file=file)
    else:
        logger.error("the caller's")
    file.close()
    logger.handlers.clear()
    reader.join(30)
    assert b"".join(received).endswith(b"the caller's\n")


@pytest.mark.parametrize("way", ["print", "log"])
def test_who_writes_can_die(in_new_python: Start, way: str) -> None:
    """A child killed in the midst of a write leaves a file, and a logger, to which its caller can write."""
    in_new_python(die_writing, way).finish()


def die_in_a_file(kind: str, way: str) -> None:  # noqa: C901 - a program of its own
    import gc
    import io
    import os
    import signal
    from collections.abc import Callable
    from operator import methodcaller
    from pathlib import Path
    from typing import Any

    import ramet
    from ramet import CloneFlag as F
    from tests.constants import SYSTEM_CALLS

    class Slow(io.RawIOBase):
        """A file with a place, whose first reader waits."""

        begun = False

        def readable(self) -> bool:
            return True

        writable = seekable = readable

        def seek(self, offset: int, _: int = 0, /) -> int:
            return offset

        def readinto(self, buffer: Any, /) -> int:
            if not self.begun:
                self.begun = True
                signal.pause()
            buffer[:1] = b"x"
            return 1

    class Writer(io.BufferedWriter):
        pass

    class Owner:
        def __init__(self, file: Any) -> None:
            self.file = file

    reading, writing = os.pipe()
    slow = Slow()
    kinds: dict[str, Callable[[], Any]] = {
        "writer": lambda: io.BufferedWriter(io.FileIO(writing, "w"), 100),
        "subclass": lambda: Writer(io.FileIO(writing, "w"), 100),
        "text": lambda: open(writing, "w", buffering=1),  # noqa: SIM115 - it lives as long as this
        "reader": lambda: io.BufferedReader(io.FileIO(reading)),
        "random": lambda: io.BufferedRandom(slow),
        "pair": lambda: io.BufferedRWPair(io.FileIO(reading), io.FileIO(writing, "w")),
    }
    file = kinds[kind]()
    owner = Owner(file)
    globals()["the_file"] = file
    ways: dict[str, Callable[[], Any]] = {
        "global": lambda: globals()["the_file"],
        "closure": lambda: file,
        "attribute": lambda: owner.file,
        "frozen": lambda: file,
    }
    reach = ways[way]
    data = "x" * 101 + "\n"
    use = methodcaller("read", 1)
    if kind in {"writer", "subclass", "text"}:
        use = methodcaller("write", data if kind == "text" else data.encode())
    if way == "frozen":
        gc.freeze()

    def use_for_ever() -> None:
        while True:  # the file is in no variable
            use(reach())

    child = ramet.clone(use_for_ever, flags=F.VM)
    syscall = Path(f"/proc/{child.pid}/syscall")
    calls = SYSTEM_CALLS["read"], SYSTEM_CALLS["write"]
    blocked = (f"{calls[0]} 0x{reading:x} ", f"{calls[1]} 0x{writing:x} ")
    while not slow.begun and not syscall.read_text().startswith(blocked):
        os.sched_yield()
    child.kill()
    child.wait()
    assert child.losses is not None
    assert child.losses.locks == ()
    (released,) = child.losses.released
    assert released.startswith("the lock of ")
    # Now it is anybody's: the caller's, and a child's that has the identity of the dead.
    if kind in {"reader", "pair"}:
        os.write(writing, b"ab")
    elif kind != "random":
        os.read(reading, 1 << 20)
    use(file)
    ramet.clone(use, file, flags=F.VM).result()


KINDS = ["writer", "subclass", "text", "reader", "random", "pair"]


@pytest.mark.parametrize(
    ("kind", "way"),
    [(kind, "global") for kind in KINDS]
    + [(kind, way) for kind in ("writer", "reader") for way in ("closure", "attribute", "frozen")],
)
def test_who_uses_a_file_can_die(in_new_python: Start, kind: str, way: str) -> None:
    """The lock of a buffered file is given back, however the child had reached the file."""
    in_new_python(die_in_a_file, kind, way).finish()


def die_with_a_thread_in_a_file(daemon: bool) -> None:
    import os
    import threading
    from pathlib import Path

    import ramet
    from ramet import CloneFlag as F
    from tests.constants import SYSTEM_CALLS

    reading, writing = os.pipe()
    file = open(reading, "rb")  # noqa: SIM115 - it lives as long as this
    tids: list[int] = []

    def read() -> None:
        tids.append(threading.get_native_id())
        file.read(1)

    def start() -> None:
        thread = threading.Thread(target=read, daemon=daemon)
        thread.start()
        thread.join()

    child = ramet.clone(start, flags=F.VM)
    while not tids:
        os.sched_yield()
    syscall = Path(f"/proc/{child.pid}/task/{tids[0]}/syscall")
    while not syscall.read_text().startswith(f"{SYSTEM_CALLS['read']} 0x{reading:x} "):
        os.sched_yield()
    child.kill()
    child.wait()
    os.write(writing, b"ab")
    assert file.read(1) == b"a"
    assert ramet.clone(file.read, 1, flags=F.VM).result() == b"b"


@pytest.mark.parametrize("daemon", [False, True])
def test_a_thread_of_the_dead_can_be_in_a_file(in_new_python: Start, daemon: bool) -> None:
    """A thread that ends with the child that started it gives back the lock of its file, too."""
    in_new_python(die_with_a_thread_in_a_file, daemon).finish()


def die_in_logging_and_threading() -> None:
    import logging
    import os
    import signal
    import threading

    import ramet
    from ramet import CloneFlag as F

    begun: list[int] = []

    def hold() -> None:
        for lock in (logging._lock, threading._active_limbo_lock):  # type: ignore[attr-defined]
            lock.acquire()
            lock.acquire()
        begun.append(1)
        signal.pause()

    child = ramet.clone(hold, flags=F.VM)
    while not begun:
        os.sched_yield()
    child.kill()
    child.wait()
    assert child.losses is not None
    assert child.losses.released == ("the lock of logging", "the lock of threading")
    thread = threading.Thread(target=logging.basicConfig, kwargs={"force": True})
    thread.start()
    thread.join(30)
    assert threading.enumerate() == [threading.main_thread()]


def test_locks_of_the_standard_library_are_given_back(in_new_python: Start) -> None:
    """Who logs or makes threads after such a death finds no lock held."""
    in_new_python(die_in_logging_and_threading).finish()


def die_in_a_lock_of_this_library(recursive: bool) -> None:
    import os
    import signal
    import threading
    from typing import Any

    import ramet
    from ramet import CloneFlag as F
    from ramet._core import Held

    lock: Any = threading.RLock() if recursive else threading.Lock()
    begun: list[int] = []

    def hold() -> None:
        with Held(lock) as take, Held(lock) as not_taken:
            take()
            assert not not_taken.is_taken
            begun.append(1)
            signal.pause()

    child = ramet.clone(hold, flags=F.VM)
    while not begun:
        os.sched_yield()
    child.kill()
    child.wait()
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.append(lock.acquire(timeout=30)))
    thread.start()
    thread.join()
    assert taken == [True]
    assert child.losses is not None
    assert [name.split(" ")[:3] for name in child.losses.released] == [["a", "lock", "of"]]
    assert child.losses.locks == ()


@pytest.mark.parametrize("recursive", [False, True])
def test_a_lock_of_this_library_is_given_back(recursive: bool, in_new_python: Start) -> None:
    """Else nobody could make a sandbox after the death of a function that was making one."""
    in_new_python(die_in_a_lock_of_this_library, recursive).finish()


def die_in_tempfile(someone_waits: bool) -> None:
    import os
    import signal
    import sys
    import tempfile
    import threading

    import ramet
    from ramet import CloneFlag as F

    looking = threading.Event()
    waiting = threading.Event()
    found: list[str] = []
    caller = os.getpid()

    def hold_up(event: str, _: object) -> None:
        if event == "open" and os.getpid() != caller:  # a trial, whether files can be made there
            looking.set()
            signal.pause()

    def look(_: object, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__name__", "") == "acquire":
            waiting.set()

    def find() -> None:
        sys.setprofile(look)
        found.append(tempfile.gettempdir())

    sys.addaudithook(hold_up)
    child = ramet.clone(tempfile.gettempdir, flags=F.VM)
    looking.wait()
    thread = threading.Thread(target=find)
    if someone_waits:
        thread.start()
        waiting.wait()
    child.kill()
    child.wait()
    if not someone_waits:
        thread.start()
    thread.join(30)
    assert found == [tempfile.gettempdir()]
    assert child.losses is not None
    assert child.losses.released == ("the lock of tempfile",)
    assert child.losses.locks == ()


@pytest.mark.parametrize("someone_waits", [False, True], ids=["later", "already"])
def test_who_looks_for_the_temporary_directory_can_die(
    in_new_python: Start, someone_waits: bool
) -> None:
    """The lock of tempfile, which that takes without a with block, is given back for the next to take."""
    in_new_python(die_in_tempfile, someone_waits).finish()


def die_in_a_fork(way: str) -> None:
    import logging
    import os
    from concurrent.futures import thread
    from typing import Any

    import ramet
    from ramet import CloneFlag as F
    from tests.waiting import exit_code, until

    lock_of_logging: Any = getattr(logging, "_lock", None)
    lock_of_pools: Any = getattr(thread, "_global_shutdown_lock", None)

    def fork() -> None:
        if way == "os.fork":
            if (pid := os.fork()) == 0:
                os._exit(0)
            exit_code(pid)
        else:
            ramet.clone(os.getpid).result()

    with lock_of_logging:  # for which the fork waits, and has the other one
        child = ramet.clone(fork, flags=F.VM)
        until(lock_of_pools.locked)
        child.kill()
        child.wait()
    if lock_of_pools.locked():
        os._exit(1)  # at its end the interpreter would wait for it
    assert child.losses is not None
    assert child.losses.released == ("the lock of concurrent.futures.thread",)
    assert child.losses.locks == ()
    fork()


@pytest.mark.parametrize("way", ["os.fork", "ramet.clone"])
def test_who_forks_can_die(in_new_python: Start, way: str) -> None:
    """The lock of thread pools, which every fork takes and gives back, is free for the next."""
    in_new_python(die_in_a_fork, way).finish()


def kill_at_work() -> None:
    import hashlib
    import os
    import sys

    import ramet
    from ramet import CloneFlag as F
    from tests.crash.killers import processor_time, warning_at_the_end

    begun: list[int] = []

    def compute() -> None:
        begun.append(1)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 1 << 30)  # without the interpreter's lock

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # it keeps the lock until it is there
    child = ramet.clone(compute, flags=F.VM)
    while not begun:
        os.sched_yield()
    sys.setswitchinterval(usual)
    started = processor_time(child.pid)
    while processor_time(child.pid) < started + 0.1:  # it has left the lock, and computes
        os.sched_yield()
    assert "native code held in which it was killed" in warning_at_the_end(child)
    assert child.losses is not None
    assert len(child.losses.locks) == 1
    print("all")


def test_a_kill_in_the_midst_of_native_code_is_told(in_new_python: Start) -> None:
    """It may hold a lock that nobody knows of: after a second it is killed all the same."""
    assert in_new_python(kill_at_work).finish() == "all\n"


def keep_a_frame() -> None:
    import gc
    import os
    import signal
    import sys
    import traceback

    import ramet
    from ramet import CloneFlag as F

    kept = []

    def inner(number: int) -> int:
        kept.append(sys._getframe())
        signal.pause()
        return number

    def outer() -> None:
        sorted([3], key=inner)

    child = ramet.clone(outer, flags=F.VM)
    while not kept:
        os.sched_yield()
    child.kill()
    child.wait()
    for _ in range(20):  # on the memory that was the child's, were it free
        ramet.clone(sum, range(1000), flags=F.VM).result()
    gc.collect()
    assert [line.name for line in traceback.extract_stack(kept[0])] == ["outer", "inner"]
    assert kept[0].f_locals["number"] == 3


def test_a_frame_of_the_dead_can_be_read(in_new_python: Start) -> None:
    """Who has got hold of a frame of a child can go through it and those that called it, afterwards."""
    in_new_python(keep_a_frame).finish()


def die_as_it_enters() -> None:
    import ctypes
    import io
    import os
    import sys
    from typing import Any

    import ramet
    from ramet import CloneFlag as F
    from ramet import _core
    from ramet._function import recovery
    from tests.constants import SYSTEM_CALLS

    futex = str(SYSTEM_CALLS["futex"])
    parked = 2  # _Py_HAS_PARKED in CPython's Include/cpython/pylock.h

    libc = ctypes.PyDLL(None)  # which keeps the interpreter lock
    children: list[Any] = []
    places: list[str] = []

    def futex_of(pid: int) -> str:
        """The word on which it sleeps, or nothing."""
        text = ctypes.create_string_buffer(200)
        descriptor = libc.open(f"/proc/{pid}/syscall".encode(), os.O_RDONLY)
        libc.read(descriptor, text, 199)
        libc.close(descriptor)
        number, _, operands = text.value.decode().partition(" ")
        return operands.split()[0] if number == futex else ""

    def place_of_who_waits(pid: int) -> str:
        """The word on which it sleeps until it has the file's lock; nothing as long as it does not."""
        word = futex_of(pid)
        if sys.version_info < (3, 15):
            return word if word == lock else ""
        # The lock is one byte, and who waits for it sleeps on a word of its own stack.
        return word if ctypes.c_uint8.from_address(int(lock, 16)).value & parked else ""

    class Raw(io.RawIOBase):
        """A file in the midst of whose first write another comes to it."""

        def writable(self) -> bool:
            return True

        def write(self, data: Any, /) -> int:
            if not children:
                children.append(ramet.clone(lambda: file.write(b"y" * 100), flags=F.VM))
                while not (place := place_of_who_waits(children[0].pid)):
                    os.sched_yield()
                places.append(place)
                sys.setswitchinterval(1000)
            return len(data)

    file = io.BufferedWriter(Raw(), 10)
    owner: Any = recovery._OWNER
    lock = hex(_core.words_of(file)[owner - 1])
    file.write(b"x" * 100)
    # The lock is free, so the child takes it; but the interpreter lock is ours all the time.
    child = children[0]
    while futex_of(child.pid) in {"", *places}:
        libc.sched_yield()
    assert _core.is_locked(file)
    assert _core.words_of(file)[owner] == 0
    child.kill()
    sys.setswitchinterval(0.005)
    child.wait()
    assert child.losses.released == ("the lock of a BufferedWriter",)
    file.write(b"z" * 100)


def test_who_comes_to_a_file_after_another_can_die(in_new_python: Start) -> None:
    """Killed when it has the lock of the file, and waits for the interpreter lock to say so."""
    in_new_python(die_as_it_enters).finish()


def die_beside_an_open_write(way: str) -> None:
    import io
    import os
    import signal
    from typing import Any

    import ramet

    ways = {
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "exec": lambda: os.execv("/bin/true", ["true"]),
    }

    class Raw(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any, /) -> int:
            child = ramet.vfork(ways[way])
            child.wait()
            assert child.losses is not None
            assert child.losses.released == ()
            try:
                file.write(b"y")
            except RuntimeError as error:
                assert "reentrant" in str(error)
                return len(data)
            raise AssertionError("the caller's lock was given away")

    file = io.BufferedWriter(Raw(), 10)
    file.write(b"x" * 100)
    file.detach()


@pytest.mark.parametrize("way", ["kill", "exec"])
def test_the_file_of_a_vforks_caller_stays_its_own(in_new_python: Start, way: str) -> None:
    """The dead had its caller's identity, but not the lock that its caller holds."""
    in_new_python(die_beside_an_open_write, way).finish()
