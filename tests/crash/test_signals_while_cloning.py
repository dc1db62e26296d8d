"""A signal's handler that raises, wherever a clone call stands."""

from collections.abc import Callable
from typing import Any

import pytest

from ramet import CloneFlag as F

Start = Callable[..., Any]


def raise_in_an_import(call: str, module: str) -> None:
    import signal
    import sys

    import ramet
    from ramet import CloneFlag as F

    class Heard(BaseException):
        pass

    def handler(*_: object) -> None:
        raise Heard

    class Signaller:
        """A finder of modules that finds none."""

        def find_spec(self, name: str, *_: object) -> None:
            if name == module:
                signal.raise_signal(signal.SIGUSR1)

    calls: dict[str, Callable[[Callable[..., Any]], Any]] = {
        "VM": lambda fn: ramet.clone(fn, flags=F.VM),
        "vfork": ramet.vfork,
        "options": lambda fn: ramet.clone(fn, flags=F.VM, nice=19),
        "lowlevel": lambda fn: ramet.lowlevel.clone(
            lambda _: fn(), None, F.VM | F.VFORK | signal.SIGCHLD
        ),
    }
    signal.signal(signal.SIGUSR1, handler)
    sys.meta_path.insert(0, Signaller())
    called: list[int] = []
    try:
        calls[call](lambda: called.append(1))
    except Heard:
        pass
    else:
        raise AssertionError("it was swallowed")
    assert not called
    del sys.meta_path[0]
    assert ramet.clone(int, flags=F.VM).result() == ramet.vfork(int).result() == 0


@pytest.mark.parametrize("call", ["VM", "vfork", "options", "lowlevel"])
@pytest.mark.parametrize("module", ["ramet._function.recovery", "ramet._function.left_threads"])
def test_the_first_clone_call_imports_what_it_needs(
    in_new_python: Start, call: str, module: str
) -> None:
    """What is raised meanwhile is raised, no child is made, and the next clone call is as any other."""
    in_new_python(raise_in_an_import, call, module).finish()


def raise_during_a_recovery() -> None:
    import os
    import signal
    import warnings

    import ramet

    class Heard(BaseException):
        pass

    def handler(*_: object) -> None:
        raise Heard

    def die() -> None:
        os.kill(os.getppid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGKILL)

    warnings.simplefilter("ignore", ResourceWarning)
    signal.signal(signal.SIGUSR1, handler)
    for _ in range(20):
        try:
            ramet.vfork(die)
            signal.sigpending()  # it comes with the next line, at the latest
        except Heard:
            continue
        raise AssertionError("it was swallowed")


def test_a_signal_during_a_recovery_is_handled_after_it(in_new_python: Start) -> None:
    """The main thread recovers its vfork's dead, and no handler of the caller's runs meanwhile."""
    in_new_python(raise_during_a_recovery).finish()


def raise_in_a_flush(flags: int, error: str) -> None:
    import builtins
    import fcntl
    import os
    import signal
    import sys
    import threading
    from pathlib import Path

    import pytest

    import ramet
    from tests.constants import SYSTEM_CALLS

    raised = getattr(builtins, error)("too late")
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)

    def handler(*_: object) -> None:
        raise raised

    def interrupt() -> None:
        syscall = Path(f"/proc/self/task/{os.getpid()}/syscall")
        while not syscall.read_text().startswith(f"{SYSTEM_CALLS['write']} 0x{writing:x} "):
            os.sched_yield()
        os.kill(os.getpid(), signal.SIGALRM)

    signal.signal(signal.SIGALRM, handler)
    full = open(writing, "w", buffering=1 << 20)  # noqa: SIM115 - it stays for good
    os.write(writing, bytes(size))
    full.write("what is buffered")
    stdout, sys.stdout = sys.stdout, full
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(type(raised)) as caught:
        ramet.clone(int, flags=flags)
    assert caught.value is raised
    sys.stdout = stdout
    thread.join()
    os.read(reading, 1 << 20)
    assert ramet.clone(int, flags=flags).result() == 0


def raise_in_the_flush_of_a_stream(flags: int, error: str) -> None:
    import builtins
    import signal
    import sys
    from typing import Any

    import pytest

    import ramet

    raised = getattr(builtins, error)("too late")
    stream: Any = type("Stream", (), {})()

    def handler(*_: object) -> None:
        raise raised

    def flush(_: object) -> None:
        signal.raise_signal(signal.SIGALRM)

    type(stream).flush = flush
    signal.signal(signal.SIGALRM, handler)
    stdout, sys.stdout = sys.stdout, stream
    with pytest.raises(type(raised)) as caught:
        ramet.clone(int, flags=flags)
    assert caught.value is raised
    sys.stdout = stdout
    assert ramet.clone(int, flags=flags).result() == 0


@pytest.mark.parametrize("error", ["TimeoutError", "ValueError", "AttributeError"])
@pytest.mark.parametrize(
    "interrupt", [raise_in_a_flush, raise_in_the_flush_of_a_stream], ids=["pipe", "python"]
)
@pytest.mark.parametrize("flags", [0, F.FS.value], ids=["plain", "flags"])
def test_an_exception_during_the_flush_before_a_copy_is_heard(
    in_new_python: Start, flags: int, interrupt: Callable[[int, str], None], error: str
) -> None:
    """Whatever its class: it is the handler's, and not that of a stream that cannot be flushed."""
    in_new_python(interrupt, flags, error).finish()


def flush_what_cannot_be_flushed(flags: int, kind: str) -> None:
    import io
    import os
    import sys
    from typing import Any

    import ramet

    class Broken(io.StringIO):
        def flush(self) -> None:
            raise OSError("no such place")

    full = open("/dev/full", "w")  # noqa: SIM115 - it stays
    full.write("what is buffered")
    closed = io.StringIO()
    closed.close()
    streams: dict[str, Any] = {
        "full": full,
        "closed": closed,
        "python": Broken(),
        "none": None,
        "missing": object(),
    }
    stdout, sys.stdout = sys.stdout, streams[kind]
    child: Any = ramet.clone(os.getpid, flags=flags)
    sys.stdout = stdout
    assert child.result() == child.pid
    assert child.exit_status.code == 0
    os._exit(0)  # without that flush


@pytest.mark.parametrize("kind", ["full", "closed", "python", "none", "missing"])
@pytest.mark.parametrize("flags", [0, F.FS.value], ids=["plain", "flags"])
def test_a_stream_that_cannot_be_flushed_is_passed_by(
    in_new_python: Start, flags: int, kind: str
) -> None:
    """A copy is made although what is buffered can be written nowhere."""
    in_new_python(flush_what_cannot_be_flushed, flags, kind).finish()
