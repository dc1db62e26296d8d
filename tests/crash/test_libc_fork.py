"""A copy with flags comes of libc's own fork(), and nobody notices how: neither handlers nor signals."""

import platform
from collections.abc import Callable
from typing import Any

import pytest

from ..constants import SLOWER, repeated

Start = Callable[..., Any]
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's own names")
pytestmark = glibc


def handlers_run() -> None:
    import ctypes
    import os

    import ramet
    from ramet import CloneFlag as F
    from tests.kernels import HANDLERS_WITHOUT_FORK

    ran: list[str] = []
    kind = ctypes.CFUNCTYPE(None)
    kept = [kind(lambda word=word: ran.append(word)) for word in ("before", "parent", "child")]
    ctypes.CDLL(None).__register_atfork(*kept, None)
    here = ["before", "parent"]
    # Else a fork that ends at once is made for them, as faulthandler has a thread; then comes the copy.
    in_child = ["before", "child"] if HANDLERS_WITHOUT_FORK else here
    assert ramet.clone(lambda: ran, flags=F.FS).result() == in_child
    assert ran == here
    ran.clear()
    pid = ramet.fork(F.FILES)
    if pid == 0:
        os._exit(0 if ran == in_child else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert ran == here


def test_handlers_of_other_libraries_run_in_caller_and_child(in_new_python: Start) -> None:
    """Those before a fork and those after it, each where it belongs, once."""
    in_new_python(handlers_run).finish()


def signals_are_kept() -> None:  # noqa: PLR0915 - a program of its own
    import ctypes
    import os
    import signal
    from typing import Any

    import ramet
    from ramet import CloneFlag as F

    heard: list[int] = []
    seen: list[set[int]] = []
    bit = 1 << (signal.SIGSYS - 1)

    def told(name: str) -> bool:
        with open("/proc/thread-self/status") as file:
            line = next(line for line in file if line.startswith(name))
        return bool(int(line.split()[1], 16) & bit)

    class Stack(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))

    def stack() -> tuple[int, int, int]:
        found = Stack()
        assert libc.sigaltstack(None, ctypes.byref(found)) == 0
        return found.base, found.flags, found.size

    def before_fork() -> None:
        seen.append({int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])})
        signal.raise_signal(signal.SIGSYS)
        os.sched_yield()

    def hears() -> list[Any]:
        pending = set(signal.sigpending())
        blocked = {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGSYS])
        heard.clear()
        signal.raise_signal(signal.SIGSYS)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return [blocked, pending, list(heard), stack(), told("SigIgn"), told("SigCgt")]

    libc = ctypes.CDLL(None)
    kept = ctypes.CFUNCTYPE(None)(before_fork)
    libc.__register_atfork(kept, None, None, None)
    signal.signal(signal.SIGSYS, lambda number, frame: heard.append(int(number)))
    for mask in ({int(signal.SIGSYS), int(signal.SIGUSR1)}, {int(signal.SIGUSR1)}, set()):
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        blocked = {signal.SIGSYS} & mask
        heard.clear()
        seen.clear()
        in_child = ramet.clone(hears, flags=F.FS).result()
        assert heard == ([] if blocked else [signal.SIGSYS])
        assert seen == [mask]
        expected = [mask, blocked, [signal.SIGSYS], stack(), False, True]
        assert hears() == expected
        assert in_child == [mask, set(), *expected[2:]]
    clear = ramet.clone(lambda: (told("SigIgn"), told("SigCgt")), flags=F.CLEAR_SIGHAND)
    assert clear.result() == (False, False)
    signal.signal(signal.SIGSYS, signal.SIG_IGN)
    for flags in (F.FS, F.CLEAR_SIGHAND):
        child = ramet.clone(lambda: (told("SigIgn"), told("SigCgt")), flags=flags)
        assert child.result() == (True, False)
        assert (told("SigIgn"), told("SigCgt")) == (True, False)
    signal.signal(signal.SIGSYS, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGSYS])
    assert ramet.clone(signal.sigpending, flags=F.FS).result() == set()
    assert signal.sigwait([signal.SIGSYS]) == signal.SIGSYS


def test_what_the_caller_has_for_sigsys_is_there_all_the_time(in_new_python: Start) -> None:
    """Its handler hears what is meant for it; mask and signal stack are as they were, on both sides."""
    in_new_python(signals_are_kept).finish()


def signals_rain(source: str, copies: int) -> None:
    import ctypes
    import os
    import signal
    import struct
    import threading

    import ramet
    from ramet import CloneFlag as F

    libc = ctypes.CDLL(None)

    def before_fork() -> None:
        for _ in range(2000):  # it takes a while, and is interrupted
            os.getppid()

    kept = ctypes.CFUNCTYPE(None)(before_fork)
    libc.__register_atfork(kept, None, None, None)
    going_on = True
    if source == "timer":
        # A handler that makes a call, and blocks all other signals meanwhile.
        handler = ctypes.cast(libc.getppid, ctypes.c_void_p).value
        action = struct.pack("@P128siP", handler, b"\xff" * 128, 0x10000000, 0)
        assert libc.sigaction(signal.SIGALRM, action, None) == 0
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    else:

        def change_user() -> None:
            while going_on:
                assert libc.setresuid(-1, -1, -1) == 0

        other = threading.Thread(target=change_user)
        other.start()
    for number in range(copies):
        assert ramet.clone(int, str(number), flags=F.FS).result() == number
    going_on = False
    signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.mark.parametrize("source", ["timer", "setuid"])
def test_signals_may_come_meanwhile(in_new_python: Start, source: str) -> None:
    """Those of the caller's wait for the clone call; those by which libc changes a user do not."""
    in_new_python(signals_rain, source, repeated(300)).finish()


def calls_are_trapped() -> None:
    import ctypes
    import os
    import signal
    import struct

    import ramet
    from ramet import CloneFlag as F
    from tests import seccomp

    libc = ctypes.CDLL(None)
    rax = 40 + 13 * 8  # in ucontext_t
    seen: list[int] = []

    def answer(_signal: int, _info: int, context: int) -> None:
        ctypes.c_long.from_address(context + rax).value = 4242

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(answer)
    siginfo = 4
    address = ctypes.cast(handler, ctypes.c_void_p).value
    action = struct.pack("@P128siP", address, bytes(128), siginfo, 0)
    assert libc.sigaction(signal.SIGSYS, action, None) == 0
    seccomp.trap("getppid")
    before_fork = ctypes.CFUNCTYPE(None)(lambda: seen.append(os.getppid()))
    libc.__register_atfork(before_fork, None, None, None)
    assert os.getppid() == 4242
    assert ramet.clone(os.getppid, flags=F.FS).result() == 4242
    assert seen == [4242]
    assert os.getppid() == 4242


@pytest.mark.skipif(platform.machine() != "x86_64", reason="changes a register of x86_64")
def test_a_filter_that_traps_has_its_handler_all_the_time(in_new_python: Start) -> None:
    """A call that a sandbox answers by a SIGSYS handler of its own is answered within libc's fork, too."""
    in_new_python(calls_are_trapped).finish()


def handler_makes_thread() -> None:
    import ctypes
    import os

    import ramet
    from ramet import CloneFlag as F

    libc = ctypes.PyDLL(None)

    def before_fork() -> None:
        thread = ctypes.c_void_p()
        assert libc.pthread_create(ctypes.byref(thread), None, libc.getppid, None) == 0
        assert libc.pthread_join(thread, None) == 0

    kept = ctypes.CFUNCTYPE(None)(before_fork)
    libc.__register_atfork(kept, None, None, None)
    for _ in range(5):
        ramet.clone(os.chdir, "/", flags=F.FS).result()
        assert os.getcwd() == "/"
        ramet.clone(os.chdir, "/tmp", flags=F.FS).result()
        assert os.getcwd() == "/tmp"
    try:
        raise AssertionError(os.waitpid(-1, os.WNOHANG))
    except ChildProcessError:
        pass


def test_a_handler_that_makes_a_thread_does_no_harm(in_new_python: Start) -> None:
    """The clone call is missed then, and made beside libc's fork; of which nothing is left."""
    in_new_python(handler_makes_thread).finish()


def others_compute(most_seconds: float) -> None:
    import hashlib
    import threading
    import time

    import ramet
    from ramet import CloneFlag as F

    going_on = True

    def compute() -> None:
        while going_on:
            hashlib.pbkdf2_hmac("sha256", b"", b"", 30_000)

    threads = [threading.Thread(target=compute) for _ in range(2)]
    for thread in threads:
        thread.start()
    taken = []
    for _ in range(40):
        begun = time.monotonic()
        child = ramet.clone(int, flags=F.FS)
        taken.append(time.monotonic() - begun)
        child.result()
    going_on = False
    assert min(taken) < most_seconds, taken


def test_nobody_waits_for_threads_that_compute(in_new_python: Start) -> None:
    """A clone call takes no longer because other threads are in native code without a pause."""
    in_new_python(others_compute, 0.015 * SLOWER).finish()


def namespaces_without_dispatch() -> None:  # noqa: PLR0915 - a program of its own
    import ctypes
    import json
    import os
    import signal
    import threading

    import ramet
    from ramet import CloneFlag as F
    from tests import seccomp

    ran: list[str] = []
    kind = ctypes.CFUNCTYPE(None)
    kept = [kind(lambda word=word: ran.append(word)) for word in ("before", "parent", "child")]
    ctypes.CDLL(None).__register_atfork(*kept, None)
    heard: list[int] = []
    signal.signal(signal.SIGCHLD, lambda number, frame: heard.append(number))
    ends = threading.Event()
    another = threading.Thread(target=ends.wait)
    another.start()
    seccomp.refuse_dispatch()
    descriptors = os.listdir("/proc/self/fd")

    kinds = {
        F.NEWNS: "mnt", F.NEWUTS: "uts", F.NEWIPC: "ipc", F.NEWNET: "net", F.NEWCGROUP: "cgroup",
    }  # fmt: skip
    around = F.NEWUSER if os.geteuid() else F(0)

    def place() -> tuple[list[str], dict[str, str]]:
        names = {name: os.readlink(f"/proc/self/ns/{name}") for name in (*kinds.values(), "user")}
        return ran, names

    def in_fork(flags: int) -> tuple[list[str], dict[str, str]]:
        read, write = os.pipe()
        pid = ramet.fork(flags)
        if pid == 0:
            os.write(write, json.dumps(place()).encode())
            os._exit(0)
        os.close(write)
        with open(read) as file:
            handlers, names = json.load(file)
        assert os.waitpid(pid, 0) == (pid, 0)
        return handlers, names

    here = place()[1]
    for flags in (*(flag | around for flag in kinds), F.NEWUSER, F.NEWNET | F.NEWUTS | F.NEWUSER):
        wanted = {name for flag, name in kinds.items() if flags & flag}
        wanted |= {"user"} if flags & F.NEWUSER else set()
        for way in (lambda flags: ramet.clone(place, flags=flags).result(), in_fork):
            ran.clear()
            heard.clear()
            handlers, there = way(flags)
            assert handlers == ["before", "child"], (flags, handlers)
            assert ran == ["before", "parent"], (flags, ran)
            assert {name for name in here if here[name] != there[name]} == wanted, flags
            assert len(heard) == 1, (flags, heard)
    child = ramet.clone(signal.pause, flags=F.NEWUTS | around)
    assert os.readlink(f"/proc/self/fd/{child.fileno()}") == "anon_inode:[pidfd]"
    child.kill()
    assert child.wait().signal == signal.SIGKILL
    ran.clear()
    assert ramet.clone(lambda: ran, umask=0).result() == ["before", "child"]
    del child
    assert os.listdir("/proc/self/fd") == descriptors
    ends.set()
    another.join()


def test_a_copy_that_can_unshare_comes_of_libcs_own_fork(in_new_python: Start) -> None:
    """Where libc's fork takes no flags its child makes the namespaces itself: all its handlers run."""
    in_new_python(namespaces_without_dispatch).finish()


def refused_without_dispatch() -> None:
    import errno
    import os

    import ramet
    from ramet import CloneFlag as F
    from tests import seccomp
    from tests.constants import NOBODY, WALL

    if os.geteuid() == 0:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    seccomp.refuse_dispatch()
    descriptors, maps = os.listdir("/proc/self/fd"), 0
    for _ in range(20):
        for make in (lambda: ramet.clone(int, flags=F.NEWNET), lambda: ramet.fork(F.NEWNET)):
            try:
                make()
            except ramet.CloneError as error:
                assert error.errno == errno.EPERM
                assert not error.unexpected
            else:
                raise AssertionError("it has no right to that")
            try:
                os.waitpid(-1, os.WNOHANG | WALL)
            except ChildProcessError:
                pass
            else:
                raise AssertionError("a child is left")
        with open("/proc/self/maps") as file:
            now = sum("/dev/zero" in line for line in file)
        assert maps in {0, now}
        maps = now
    assert os.listdir("/proc/self/fd") == descriptors


def test_a_namespace_that_is_refused_leaves_no_child(in_new_python: Start) -> None:
    """The child's unshare fails, and its caller hears of it as of a clone that fails."""
    in_new_python(refused_without_dispatch).finish()


def without_unshare() -> None:
    import os

    import ramet
    from ramet import CloneFlag as F
    from tests import seccomp

    around = F.NEWUSER if os.geteuid() else F(0)
    seccomp.refuse_dispatch()
    seccomp.hide("unshare")
    here = os.readlink("/proc/self/ns/uts")
    there = ramet.clone(os.readlink, "/proc/self/ns/uts", flags=F.NEWUTS | around).result()
    assert here != there


def test_where_unshare_is_hidden_the_clone_is_made(in_new_python: Start) -> None:
    """A sandbox may hide one call and let the other through."""
    in_new_python(without_unshare).finish()


def without_clone3() -> None:
    import errno
    import os
    import signal

    import ramet
    from ramet import CloneFlag as F
    from ramet import lowlevel
    from tests import seccomp

    around = F.NEWUSER if os.geteuid() else F(0)
    seccomp.refuse_dispatch()
    seccomp.hide("clone3")
    for flags in (F(0), F.NEWUTS | around):
        args = lowlevel.CloneArgs(flags=flags, exit_signal=signal.SIGCHLD)
        for fn in (None, lambda _: 0):
            try:
                if lowlevel.clone3(args, fn) == 0:
                    os._exit(0)
            except ramet.CloneError as error:
                assert error.errno == errno.ENOSYS
            else:
                raise AssertionError("clone3 was made by another call")
    here = os.readlink("/proc/self/ns/uts")
    there = ramet.clone(os.readlink, "/proc/self/ns/uts", flags=F.NEWUTS | around).result()
    assert here != there


def test_clone3_itself_is_made_by_no_other_call(in_new_python: Start) -> None:
    """Who asks for it in the kernel's own terms hears that it is missing; all others have their child."""
    in_new_python(without_clone3).finish()
