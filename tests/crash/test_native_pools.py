"""Thread pools of native libraries, which know of libc's fork() only: numpy's OpenBLAS has one."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]

pytest.importorskip("numpy", reason="numpy is not installed")
THREADS = pytest.mark.parametrize("threads", [1, 2], ids=["one thread", "two threads"])
# Whether libc's fork can be made to take flags, or is had as it is, as on an older kernel or another cpu.
WAYS = pytest.mark.parametrize("as_it_is", [False, True], ids=["with flags", "as it is"])


HELPERS = str(Path(__file__).parent)


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
    threads: int, as_it_is: bool, cgroup: str | None, helpers: str
) -> None:
    import os
    import signal
    import sys
    from typing import Any

    os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    import numpy as np

    import ramet
    from ramet import CloneFlag as F
    from ramet import lowlevel

    if as_it_is:
        sys.path.insert(0, helpers)
        import seccomp_filters  # type: ignore[import-not-found]

        seccomp_filters.refuse_dispatch()
    numbers = np.random.default_rng(1).random((200, 200))
    right = numbers @ numbers  # and the pool is there

    def multiply() -> bool:
        return bool(np.allclose(numbers @ numbers, right))

    def multiply_twice_over() -> bool:
        return multiply() and ramet.clone(multiply, flags=F.FS).result(30) and multiply()

    def ended_well(pid: int) -> bool:
        _, status = os.waitpid(pid, 0x40000000)
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
        return bool(child.result(30))

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
    assert ramet.clone(multiply_twice_over, flags=F.FS).result(30)
    assert in_copy(0)
    assert in_fork(0)
    for _ in range(30):  # killed at any moment of a product
        child = ramet.clone(lambda: [multiply() for _ in range(1000)], flags=F.FS)
        child.kill()
        assert child.wait(30).signal == signal.SIGKILL
        assert multiply()
    # The parent of a sibling is this one's, which is to be none of ours.
    middle = os.fork()
    if middle == 0:
        os._exit(0 if in_copy(F.PARENT) and multiply() else 1)
    for _ in range(2):
        os.waitpid(-1, 0x40000000)
    print("all")


@WAYS
@THREADS
def test_a_copy_computes_whatever_it_shares(
    apart: Start, threads: int, as_it_is: bool, cgroup: str | None
) -> None:
    """A pool that has been used stops no copy, with any flag, nor its caller afterwards."""
    assert apart(make_copies, threads, as_it_is, cgroup, HELPERS).finish() == "all\n"
