"""What a child in shared memory opens in a table of descriptors of its own, and leaves in the memory."""

from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]

KINDS = [
    "file",
    "raw",
    "socket",
    "made",
    "epoll",
    "mapping",
    "shared",
    "popen",
    "process",
    "thread",
]


def leave_open(end: str) -> None:  # noqa: C901, PLR0915 - a program of its own
    import gc
    import io
    import mmap
    import os
    import select
    import signal
    import socket
    import subprocess
    import tempfile
    import threading
    import warnings
    from multiprocessing.shared_memory import SharedMemory
    from pathlib import Path
    from typing import Any

    import ramet
    from ramet import CloneFlag as F

    warnings.simplefilter("ignore")
    kept: list[Any] = []
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name, "file")

    def open_mapping() -> Any:
        with path.open("wb+") as file:
            file.write(b"m" * 4096)
            file.flush()
            return mmap.mmap(file.fileno(), 4096)

    def open_in_a_thread() -> Any:
        made: list[Any] = []
        thread = threading.Thread(target=lambda: made.append(path.open("w")))
        thread.start()
        thread.join()
        return made

    makers: dict[str, Callable[[], Any]] = {
        "file": lambda: path.open("w"),
        "raw": lambda: io.FileIO(path, "w"),
        "socket": lambda: socket.create_server(("127.0.0.1", 0)),
        "made": lambda: [end.makefile("rw") for end in socket.socketpair()],
        "epoll": select.epoll,
        "mapping": open_mapping,
        "shared": lambda: SharedMemory(create=True, size=4096),
        "popen": lambda: os.popen("echo hello"),
        "process": lambda: subprocess.Popen(["true"], stdout=subprocess.PIPE),
        "thread": open_in_a_thread,
    }

    def child(kind: str) -> None:
        made = makers[kind]()
        if kind in {"file", "raw"}:
            made.write("written" if kind == "file" else b"written")
        kept.append(made)
        if end == "raise":
            raise LookupError
        if end == "kill":
            signal.pause()
        if end.endswith("exec"):
            os.execv("/bin/true", ["true"])

    def run(kind: str) -> None:
        if end.startswith("vfork"):
            ramet.vfork(child, kind).wait()
            return
        flags = F.VM | F.SIGHAND | F.THREAD if end == "thread group" else F.VM
        task = ramet.clone(child, kind, flags=flags)
        if end == "kill":
            while not kept:
                os.sched_yield()
            task.kill()
        task.wait()

    def check(kind: str) -> None:
        if kind == "mapping":
            assert kept[0][:3] == b"mmm"
        elif kind == "socket":
            assert kept[0].fileno() == -1
        elif kind == "raw" or (kind == "file" and end in {"return", "raise", "vfork"}):
            assert kept[0].closed
            assert path.read_text() == "written"
        elif kind == "shared":
            kept[0].unlink()

    if end == "thread group":  # where a thread that it starts looks like one of ours
        del makers["thread"]
    for kind in makers:
        run(kind)
        # Now our own have all the numbers that it had.
        own = [os.open("/dev/null", os.O_RDONLY) for _ in range(64)]
        check(kind)
        kept.clear()
        gc.collect()
        subprocess._cleanup()  # type: ignore[attr-defined]
        gc.collect()
        null = os.stat("/dev/null").st_rdev
        for descriptor in own:
            assert os.fstat(descriptor).st_rdev == null
            os.close(descriptor)


@pytest.mark.parametrize(
    "end", ["return", "raise", "kill", "exec", "vfork", "vfork exec", "thread group"]
)
def test_it_closes_nothing_of_the_callers(in_new_python: Start, end: str) -> None:
    """However its child ends, whichever thread gives it up: our descriptors of its numbers stay open."""
    in_new_python(leave_open, end).finish()


def log_first_in_a_child(mode: str, end: str) -> None:
    import logging
    import os
    import signal
    import tempfile
    from pathlib import Path

    import ramet
    from ramet import CloneFlag as F

    with tempfile.TemporaryDirectory() as folder:
        path, other = Path(folder, "log"), Path(folder, "other")
        handler = logging.FileHandler(path, mode, delay=True)
        logger = logging.getLogger("of the test")
        logger.addHandler(handler)
        begun: list[int] = []

        def child() -> None:
            logger.error("the child's")
            begun.append(1)
            if end == "kill":
                signal.pause()

        task = ramet.clone(child, flags=F.VM)
        while not begun:
            os.sched_yield()
        if end == "kill":
            task.kill()
        task.wait()
        with open(other, "w"):  # it has the number
            logger.error("the caller's")
            assert other.read_text() == ""
        assert path.read_text() == "the child's\nthe caller's\n"
        handler.close()


@pytest.mark.parametrize("end", ["return", "kill"])
@pytest.mark.parametrize("mode", ["a", "w"])
def test_a_handler_of_logging_opens_its_file_anew(
    in_new_python: Start, mode: str, end: str
) -> None:
    """No line of the caller's goes to the file that has the number here."""
    in_new_python(log_first_in_a_child, mode, end).finish()


def keep_what_is_the_callers() -> None:
    import io
    import os
    import socket
    import threading
    from pathlib import Path
    from typing import Any

    import ramet
    from ramet import CloneFlag as F

    null = Path(os.devnull)
    kept: list[Any] = []
    reading, writing = os.pipe()

    # With FILES the numbers are ours.
    def make() -> None:
        kept.extend((null.open(), *socket.socketpair()))

    ramet.clone(make, flags=F.VM | F.FILES).result()
    ramet.vfork(make, flags=F.FILES).wait()
    assert len({each.fileno() for each in kept}) == 6
    for each in kept:
        os.fstat(each.fileno())
        each.close()
    kept.clear()
    # What it was made with it may open once more: that is ours, too.
    ramet.clone(lambda: kept.append(io.FileIO(writing, "w")), flags=F.VM).result()
    kept[0].write(b"x")
    assert os.read(reading, 10) == b"x"
    kept[0].close()
    # What others make meanwhile is theirs.
    begun, over = threading.Event(), threading.Event()

    def child() -> None:
        kept.extend(null.open() for _ in range(20))
        begun.set()
        over.wait()

    task = ramet.clone(child, flags=F.VM)
    begun.wait()
    with null.open() as ours:
        assert any(ours.fileno() == each.fileno() for each in kept[1:])
        over.set()
        task.result()
        assert all(each.closed for each in kept[1:])
        os.fstat(ours.fileno())


def test_what_the_caller_has_as_well_stays(in_new_python: Start) -> None:
    """Descriptors of a shared table, and those that a child was made with, can be used on."""
    in_new_python(keep_what_is_the_callers).finish()
