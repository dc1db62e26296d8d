"""A template that its caller does not trust: what it and its clones send is neither loaded nor waited for.

What is hostile here has all of a clone's memory and its channel, and does with them what it likes.
"""

import asyncio
import errno
import fcntl
import json
import os
import pickle
import resource
import select
import socket
import stat
import struct
import termios
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

import ramet
from ramet._process import result_layout
from ramet._process.result_layout import DATA, PLAIN, RAISED, UNPREPARED, VALUE
from ramet._workers.crossing.messages import channels, close_received
from ramet._workers.crossing.template_messages import LOADED, MADE, REFUSED
from ramet._workers.executor import worker
from ramet._workers.in_call import serving
from ramet._workers.template import called_child, link
from ramet._workers.template.checks import checked_loading
from ramet._workers.template.starting import Fresh
from ramet.errors import ChildDied, RemoteError, ResultError

from ...constants import NOBODY, PATIENT_SECONDS
from ...looking import is_open
from ...waiting import nothing_unreaped, until

pytestmark = pytest.mark.usefixtures("nothing_left")

SOON = 0.3  # seconds
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
FUTURE_WRITE = 0x10


def untrusted(
    setup: Callable[[], object] | None = None, *, spares: int = 0, warm: Any = None
) -> ramet.Template:
    """A template as the one of a sandbox."""
    loading = checked_loading(["cloudpickle"], setup, warm, ())._replace(trusted=False)
    return ramet.Template._started_by(Fresh(loading, {}), spares, None, None)


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hostile here stays until it is killed."""
    monkeypatch.setattr(called_child, "_END_OF_UNTRUSTED_SECONDS", SOON)


@pytest.fixture(scope="module")
def template() -> Iterator[ramet.Template]:
    """One for all tests that do not harm it; the caller has numpy, whose threads stay."""
    pytest.importorskip("numpy")
    with untrusted() as made:
        yield made


class Payload:
    """Makes a directory in whatever process loads its pickle."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.place,)


def answer(template: ramet.Template, fn: Any, *args: Any, **options: Any) -> Any:
    with template.clone(fn, *args, **options) as child:
        return child.result(PATIENT_SECONDS)


# ---- in the child


def own_end() -> socket.socket:
    """Its end of the channel."""
    return socket.socket(fileno=os.dup(serving.served_channels[0].fileno()))


def message(kind: int, *parts: bytes) -> bytes:
    lengths = struct.pack(f"={len(parts)}Q", *map(len, parts))
    return struct.pack("=BBHI", kind, 0, 0, len(parts)) + lengths + b"".join(parts)


def says(data: bytes, *descriptors: int) -> None:
    with own_end() as end:
        socket.send_fds(end, [data], descriptors)


def stays() -> NoReturn:
    """Until it is killed, without a word, and nothing of it ends."""
    threading.Event().wait()
    raise AssertionError


# ---- what it sends is data


def test_a_call_sends_data(template: ramet.Template) -> None:
    """Also one that another process may serve, and one of a template that is derived from it."""
    value = {"a": [1, (2, {3})], "b": b"x" * 100, 4: 1 << 3000}
    assert answer(template, lambda: value) == value
    with template.derive() as derived:
        assert answer(derived, lambda: value) == value
        assert_untrusted(derived)
    with ramet.Executor(max_workers=1, template=template) as executor:
        assert executor.submit(lambda: value).result(PATIENT_SECONDS) == value
        with pytest.raises(ResultError, match="not data"):
            executor.submit(Path, "x").result(PATIENT_SECONDS)


def assert_untrusted(template: ramet.Template) -> None:
    with pytest.raises(
        ResultError, match=r"pathlib.*Path is not data.*numpy, and what exceptions tell$"
    ):
        answer(template, Path, "x")


@pytest.mark.parametrize("spares", [0, 1])
def test_what_is_no_data_says_so(spares: int) -> None:
    """No word of a call makes it trusted."""
    with untrusted(spares=spares) as template:
        assert_untrusted(template)
        with pytest.raises(ResultError, match="not data"):
            answer(template, Path, "x", trusted=False)
        with pytest.raises(ValueError, match=r"invalid trusted.*the template is not trusted"):
            template.clone(Path, "x", trusted=True)


def test_a_large_array_comes_in_a_memfd(template: ramet.Template) -> None:
    """It is the caller's own, who may write to it."""
    import numpy as np

    def big() -> Any:
        import numpy as np

        return [np.arange(1 << 20), b"x" * 100_000]

    array, text = answer(template, big)
    assert np.array_equal(array, np.arange(1 << 20))
    assert text == b"x" * 100_000
    array[0] = 7


def test_an_exception_is_told_of(template: ramet.Template) -> None:
    """Its class is not looked for; a text that has no end is shortened in its middle."""

    def fails() -> NoReturn:
        raise KeyError("it \x1b[2J" + "x" * (1 << 20) + "end")

    with pytest.raises(RemoteError) as caught:
        answer(template, fails)
    error = caught.value
    assert error.type_name == "KeyError"
    assert error.message.startswith(r"'it \x1b[2Jxxx")
    assert error.message.endswith("end'")
    assert (1 << 18) < len(error.message) < (1 << 18) + 100
    assert error.why == ""
    assert "letters are left out" in str(error.__cause__)


def test_no_pickle_of_it_is_loaded(template: ramet.Template, tmp_path: Path) -> None:
    """Neither as a value nor as an exception, small or large."""
    head = b'["KeyError", "message", "traceback"]'

    def forges(kind: int, size: int) -> None:
        pickled = pickle.dumps(Payload(tmp_path / "ran")) + b"x" * size
        parts = (pickled,) if kind == VALUE else (head, pickled)
        from ramet._workers.crossing.messages import send

        send(serving.served_channels[0], kind, parts)
        stays()

    for size in (0, 1 << 17):
        with pytest.raises(ResultError, match=r"pickle.*: its template is not trusted$"):
            answer(template, forges, VALUE, size)
        with pytest.raises(RemoteError, match="KeyError"):
            answer(template, forges, RAISED, size)
    assert not (tmp_path / "ran").exists()


# ---- what is no outcome

GARBAGE = {
    "zeros": bytes(100),
    "ones": b"\xff" * 100,
    "an unknown kind": message(200, b"x"),
    "no parts": message(DATA),
    "too many parts": struct.pack("=BBHI", DATA, 0, 0, (1 << 20) + 1),
    "too large a part": struct.pack("=BBHIQ", DATA, 0, 0, 1, 1 << 62),
    "no memfd": struct.pack("=BBHIQ", DATA, 1, 0, 1, 100),
    "hundreds of descriptors": struct.pack("=BBHIQ", DATA, 0, 250, 1, 0),
    "other text": message(DATA, b"{"),
    "a text that is too deep": message(DATA, b"[" * 60_000),
    "no exception": message(RAISED, b"[1, 2, 3]"),
    "no plain value": message(PLAIN, b"(" + b"\xff" * 4),
    "a plain value that is too large": message(
        PLAIN, b"(" + struct.pack("=I", 50_000) + b"n" * 50_000
    ),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_a_result_error(template: ramet.Template, data: bytes) -> None:
    """At once, and the child is ended, though it stays."""

    def hostile() -> None:
        says(data)
        stays()

    with template.clone(hostile) as child, pytest.raises(ResultError, match="cannot be read"):
        child.result(PATIENT_SECONDS)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOENT, errno.EPERM, errno.EIO])
def test_a_step_that_it_says_has_failed_is_a_result_error(
    template: ramet.Template, number: int
) -> None:
    """Its caller cannot tell whether it is so: no errno makes it an error that was not promised."""

    def lies() -> NoReturn:
        says(message(UNPREPARED, json.dumps(["clone", number, "/etc/passwd"]).encode()))
        os._exit(0)

    with pytest.raises(ResultError, match="step 'clone' failed") as told:
        answer(template, lies)
    assert isinstance(told.value, ramet.SpawnError)
    assert told.value.errno == number
    assert not isinstance(told.value, BlockingIOError | FileNotFoundError | PermissionError)


def test_a_step_that_has_failed_is_a_result_error(template: ramet.Template) -> None:
    """As one that it lies of."""
    with pytest.raises(ResultError, match="'chdir' failed on '/missing'") as told:
        answer(template, abs, -1, cwd="/missing")
    assert isinstance(told.value, ramet.SpawnError)


SILENT: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "half a head": lambda: says(b"\6\0"),
    "half a message": lambda: says(message(DATA, b"x" * 1000)[:500]),
    "a descriptor": lambda: says(b"\6", memory(10, SEALS)),
    "the end of its channel": lambda: serving.leave_channel(),
}


@pytest.mark.parametrize("act", SILENT.values(), ids=SILENT)
def test_what_does_not_come_is_not_waited_for(
    template: ramet.Template, act: Callable[[], object]
) -> None:
    """The timeout of result() holds, and at the deadline of the call it is killed."""

    def hostile() -> None:
        act()
        stays()

    with template.clone(hostile, timeout=4 * SOON) as child:
        with pytest.raises(TimeoutError):
            child.result(SOON)
        with pytest.raises(ChildDied, match="deadline"):
            child.result(PATIENT_SECONDS)


def test_a_message_that_drips_is_not_waited_for(template: ramet.Template) -> None:
    """A timeout is that of the whole message, not of each of its bytes."""

    def drips() -> None:
        with own_end() as end:
            for byte in message(DATA, b"[" * 60_000):
                end.send(bytes([byte]))
                threading.Event().wait(SOON / 10)

    with template.clone(drips) as child:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            child.result(SOON)
        assert time.monotonic() - began < 10 * SOON


def test_descriptors_do_not_fill_the_callers_table(template: ramet.Template) -> None:
    """More than a message has are no message, and are closed."""

    def floods() -> None:
        says(b"\6", *[1] * 250)
        for _ in range(8):
            says(b"\0", *[1] * 250)
        stays()

    before = len(os.listdir("/proc/self/fd"))
    children = [template.clone(floods) for _ in range(4)]
    try:
        for child in children:
            with pytest.raises(ResultError):
                child.result(PATIENT_SECONDS)
        until(lambda: len(os.listdir("/proc/self/fd")) - before < 50)
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_texts_of_an_exception_are_short(template: ramet.Template) -> None:
    """Also of one that did not shorten them itself."""

    def raises_much() -> None:
        result_layout.shortened = lambda text, most=0: text
        raise ValueError("\x7f" * 600_000)

    with template.clone(raises_much) as child, pytest.raises(RemoteError) as caught:
        child.result(PATIENT_SECONDS)
    assert 1_000_000 < len(str(caught.value)) < 1_200_000


def test_an_await_ends_with_its_child(
    template: ramet.Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though another process has the child's end of the channel, and half a message is there."""
    pytest.importorskip("anyio")
    looked, free = tmp_path / "looked", tmp_path / "free"
    for path in (looked, free):
        os.mkfifo(path)

    def leaves_its_end() -> None:
        with own_end() as copy:
            if os.fork() == 0:
                free.read_text()
                os._exit(copy.fileno())
        says(b"\0")
        looked.read_text()
        os._exit(3)

    take_outcome = called_child.CalledChild._take_outcome

    def looks(child: called_child.CalledChild[Any], timeout: float | None) -> bool:
        found = take_outcome(child, timeout)
        if not found and looked.exists():
            looked.write_text("")
            looked.unlink()
        return found

    async def awaits() -> None:
        monkeypatch.setattr(called_child.CalledChild, "_take_outcome", looks)
        with template.clone(leaves_its_end) as child, pytest.raises(ChildDied):
            await asyncio.wait_for(_outcome(child), PATIENT_SECONDS)

    asyncio.run(awaits())
    free.write_text("")


async def _outcome(child: ramet.Child[None]) -> None:
    await child


def send_lingering(data: bytes, count: int, how: int, sent: Path) -> None:
    """With so many descriptors, the last one a TCP socket whose close() waits: its peer reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server, own_end() as end:
        lingering = socket.create_connection(server.getsockname())
        lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
        with suppress(BlockingIOError):
            lingering.setblocking(False)
            while True:
                lingering.send(b"x" * 65536)
        rights = array("i", [0] * (count - 1) + [lingering.fileno()])
        end.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], how)
        lingering.close()
        sent.touch()
        stays()


def assert_is_not_waited_for(
    template: ramet.Template, sent: Path, data: bytes, count: int, how: int
) -> None:
    with template.clone(send_lingering, data, count, how, sent) as child:
        until(sent.exists)  # it has closed its own
        began = time.monotonic()
        with suppress(ResultError, TimeoutError):
            child.result(SOON)
        assert time.monotonic() - began < 10


def can_send_out_of_band() -> bool:
    """Whether a Unix socket can, which came with Linux 5.15."""
    one, other = socket.socketpair()
    with one, other, suppress(OSError):
        return one.send(b"x", socket.MSG_OOB) == 1
    return False


OUT_OF_BAND = pytest.param(
    socket.MSG_OOB,
    id="out of band",
    marks=pytest.mark.skipif(
        not can_send_out_of_band(), reason="Unix sockets send out of band since Linux 5.15"
    ),
)


@pytest.mark.parametrize("how", [pytest.param(0, id="in line"), OUT_OF_BAND])
@pytest.mark.parametrize("count", [1, 250])
@pytest.mark.parametrize(
    "data", [b"\6", b"\xff" * 8, message(DATA, b"5")], ids=["half", "bad", "good"]
)
def test_descriptors_whose_close_waits_are_not_waited_for(
    template: ramet.Template, data: bytes, count: int, how: int, tmp_path: Path
) -> None:
    """Also where the kernel would drop them, with their byte, in the next receive."""
    assert_is_not_waited_for(template, tmp_path / "sent", data, count, how)


# ---- files of others


def is_locked(path: Path) -> bool:
    """Whether this process has a POSIX lock on it, as another one sees it."""

    def tries() -> bool:
        with open(path, "r+b") as other:
            try:
                fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    return ramet.clone(tries).result()


@pytest.mark.parametrize("place", ["on a disk", "in memory"])
@pytest.mark.parametrize("count", [1, 9, 250])
@pytest.mark.parametrize("data", [b"\6", message(DATA, b"5")], ids=["half", "good"])
def test_the_callers_locks_stay(
    template: ramet.Template, data: bytes, count: int, place: str, tmp_path: Path
) -> None:
    """They go with any descriptor of the file that this process closes: so it gets none from a call."""
    path = Path(f"/dev/shm/ramet-{os.getpid()}") if place == "in memory" else tmp_path / "file"

    def sends() -> None:
        says(data, *[os.open(path, os.O_RDWR)] * count)
        stays()

    try:
        with open(path, "w+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            with template.clone(sends) as child, pytest.raises(ResultError, match="cannot be read"):
                child.result(PATIENT_SECONDS)
            assert is_locked(path)
        assert not is_locked(path)
    finally:
        path.unlink()


def send_waiting(data: bytes, last: Path, count: int) -> NoReturn:
    """With a socket whose close() waits for the one behind it, and then files in memory and one more."""
    with socket.create_server(("127.0.0.1", 0)) as server, own_end() as end:
        lingering = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1 << 20))
        lingering.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                lingering.send(b"x" * 65536)
        others = [memory(LARGE, SEALS)] * count + [os.open(last, os.O_WRONLY)]
        socket.send_fds(end, [data], [lingering.fileno(), peer.fileno(), *others])
    os._exit(0)


@pytest.mark.parametrize("count", [0, 1, 200])
@pytest.mark.parametrize("data", [b"\6", message(DATA, b"5")], ids=["half", "good"])
def test_files_that_wait_for_each_other_are_closed(
    template: ramet.Template, data: bytes, count: int, tmp_path: Path
) -> None:
    """No thread, no descriptor and no memory stay behind for them; a pipe tells when the last is gone."""
    last = tmp_path / "last"
    os.mkfifo(last)
    end = os.open(last, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with template.clone(send_waiting, data, last, count) as child, pytest.raises(ResultError):
            child.result(PATIENT_SECONDS)
        told = select.poll()
        told.register(end, 0)
        assert told.poll(1000 * PATIENT_SECONDS) == [(end, select.POLLHUP)]
    finally:
        os.close(end)


def test_what_no_thread_can_look_at_is_refused() -> None:
    """Who sends it may have used up the processes of its user; it is not received then."""

    def receives() -> tuple[str, bool]:
        if os.geteuid() == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)
        ours, theirs = channels()
        ours.distrust()
        with socket.socket(fileno=theirs.copied()) as end:
            socket.send_fds(end, [message(DATA, b"5")], [memory(10, SEALS)])
        before = os.listdir("/proc/self/fd")
        limits = resource.getrlimit(resource.RLIMIT_NPROC)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, limits[1]))
        with pytest.raises(OSError, match="no thread could look at the descriptors") as told:
            ours.receive(PATIENT_SECONDS)
        after = os.listdir("/proc/self/fd")
        resource.setrlimit(resource.RLIMIT_NPROC, limits)
        return str(told.value), before == after

    text, is_same = ramet.clone(receives).result()
    assert os.strerror(errno.EAGAIN) in text
    assert is_same


# ---- no room


def filled_table() -> list[int]:
    """Copies of descriptor 0 in all numbers that this process may still open."""
    taken = []
    with suppress(OSError):
        while True:
            taken.append(os.dup(0))
    return taken


@pytest.fixture
def nearly_full_table() -> Iterator[None]:
    """This process may open some more descriptors."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 30, limits[1]))
    taken = filled_table()
    for _ in range(20):
        os.close(taken.pop())
    yield
    for descriptor in taken:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("nearly_full_table")
@pytest.mark.parametrize("count", [1, 250])
def test_descriptors_without_room_are_not_waited_for(
    template: ramet.Template, count: int, tmp_path: Path
) -> None:
    """Those for which a table has no room are closed by the kernel, in the receive: nothing is received."""
    assert_is_not_waited_for(template, tmp_path / "sent", b"\6", count, 0)


@pytest.mark.usefixtures("nearly_full_table")
def test_a_result_without_room_is_told(template: ramet.Template) -> None:
    """A large one comes with a descriptor."""
    with template.clone(bytes, 1 << 20) as child:
        taken = filled_table()
        try:
            with pytest.raises(ResultError, match="Too many open files"):
                child.result(PATIENT_SECONDS)
        finally:
            for descriptor in taken:
                os.close(descriptor)


# ---- memory that is not as it must be


def test_what_no_thread_can_close_is_closed_later() -> None:
    """Who sends a descriptor may have used up the processes of its user; nobody waits for the close."""

    def closes() -> tuple[bool, bool]:
        if os.geteuid() == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)
        most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        first, second, _, _ = *os.pipe(), *os.pipe()
        resource.setrlimit(resource.RLIMIT_NPROC, (0, most))
        close_received(first)
        was_open = is_open(first)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        close_received(second)
        until(lambda: not is_open(first) and not is_open(second))
        return was_open, is_open(first)

    assert ramet.clone(closes).result() == (True, False)


def memory(size: int, seals: int, *, filled: bool = True) -> int:
    made = os.memfd_create("hostile", os.MFD_ALLOW_SEALING)
    os.truncate(made, size)
    if filled:
        os.write(made, b"x" * size)
    fcntl.fcntl(made, fcntl.F_ADD_SEALS, seals)
    return made


def fifo() -> int:
    path = f"/tmp/ramet-fifo-{os.getpid()}"
    os.mkfifo(path)
    try:
        return os.open(path, os.O_RDWR)
    finally:
        os.unlink(path)


def sparse() -> int:
    made = os.open("/tmp", os.O_TMPFILE | os.O_RDWR)
    os.truncate(made, 1 << 40)
    return made


LARGE = 100_000
FILES: dict[str, tuple[Callable[[], int], int]] = {
    "no seals": (lambda: memory(LARGE, 0), LARGE),
    "future write": (lambda: memory(LARGE, FUTURE_WRITE | fcntl.F_SEAL_SHRINK | 0x4), LARGE),
    "no write seal": (lambda: memory(LARGE, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW), LARGE),
    "no shrink seal": (lambda: memory(LARGE, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW), LARGE),
    "no grow seal": (lambda: memory(LARGE, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK), LARGE),
    "too small": (lambda: memory(LARGE, SEALS), LARGE + 64),
    "no pages": (lambda: memory(1 << 29, SEALS, filled=False), 1 << 29),
    "too large": (lambda: memory(LARGE, SEALS), 1 << 31),
    "without end": (lambda: memory(LARGE, SEALS), (1 << 64) - 64),
    "a fifo": (fifo, LARGE),
    "a sparse file": (sparse, 1 << 40),
    "a pidfd": (lambda: os.pidfd_open(os.getpid()), LARGE),
    "a socket": (lambda: own_end().detach(), LARGE),
    "a directory": (lambda: os.open("/", os.O_RDONLY), LARGE),
    "no more than a path": (lambda: os.open("/", os.O_PATH), LARGE),
}


@pytest.mark.parametrize(("make", "size"), FILES.values(), ids=FILES)
def test_other_files_are_refused(
    template: ramet.Template, make: Callable[[], int], size: int
) -> None:
    """What is not sealed memory of its size, all of it there, is not mapped."""

    def hostile() -> None:
        says(struct.pack("=BBHI2Q", DATA, 1, 1, 2, 0, size), make())
        stays()

    with template.clone(hostile) as child, pytest.raises(ResultError, match="cannot be read"):
        child.result(PATIENT_SECONDS)


# ---- who stays


def test_who_stays_after_its_outcome_is_ended() -> None:
    """The end of a child that is not trusted is not left to it."""

    def hostile() -> None:
        says(message(DATA, b"5"))
        stays()

    with untrusted() as template:
        child = template.clone(hostile)
        assert child.result(PATIENT_SECONDS) == 5
    assert child.wait().signal == 9


def test_a_process_that_reads_no_other_call_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """With reuse= it can answer for the calls after it; it cannot stop the pool's thread, nor its end."""

    def answers_unread() -> NoReturn:
        seen, unread = 0, array("i", [0])
        with own_end() as end:
            end.send(message(DATA, b"5"))
            while True:
                fcntl.ioctl(end.fileno(), termios.FIONREAD, unread)
                if unread[0] > seen:
                    seen = unread[0]
                    end.send(message(DATA, b"5"))
                os.sched_yield()

    monkeypatch.setattr(worker, "_READING_SECONDS", SOON)
    with untrusted() as template, ramet.Executor(1, template=template, reuse=1000) as executor:
        assert executor.submit(answers_unread).result(PATIENT_SECONDS) == 5
        until(lambda: executor._pool._processes.idle)
        deaf = executor._pool._processes.idle[0].child
        until(lambda: executor.submit(len, bytes(50_000)).result(PATIENT_SECONDS) == 50_000)
    assert deaf.wait().signal == 9


# ---- the template itself


def lying(kind: int, part: bytes, *files: str) -> Callable[[], None]:
    """A setup after which it answers each request with that message."""

    def lies() -> None:
        from ramet._workers.in_template import template_process

        def make(self: Any, *_: object) -> None:
            descriptors = [os.open(file, os.O_RDONLY) for file in files]
            with socket.socket(fileno=os.dup(self._control.fileno())) as end:
                head = struct.pack("=BBHIQ", kind, 0, len(files), 1, len(part))
                socket.send_fds(end, [head + part], descriptors)
            for descriptor in descriptors:
                os.close(descriptor)

        template_process._Template._make = make  # type: ignore[method-assign,assignment]

    return lies


PIDS = struct.Struct("=ii")
LIES = {
    "an unknown kind": lying(200, b""),
    "no clone": lying(MADE, b"x"),
    "no descriptors": lying(MADE, PIDS.pack(1, 0)),
    "files for descriptors": lying(MADE, PIDS.pack(1, 0), "/", "/dev/null"),
    "no refusal": lying(REFUSED, b'{"a": 1}'),
    "a refusal of another kind": lying(REFUSED, b'["x", 1, null]'),
    "an init that is none": lying(REFUSED, b'[1, "x", 1]', "/"),
    "a head that is none": lying(MADE, b"x" * 70_000),
}


@pytest.mark.parametrize("setup", LIES.values(), ids=LIES)
def test_a_template_that_lies_is_an_error(setup: Callable[[], None]) -> None:
    """Nothing is killed, trusted or waited for by its word."""
    with untrusted(setup) as template, pytest.raises(ramet.TemplateError, match="invalid answer"):
        template.clone(abs, -1)


def test_a_template_that_is_silent_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end."""
    monkeypatch.setattr(link, "_ANSWER_SECONDS", SOON)

    def falls_silent() -> None:
        from ramet._workers.in_template import template_process

        template_process._Template._make = lambda *_: stays()  # type: ignore[method-assign]

    answers = pytest.raises(ramet.TemplateError, match="has not answered in")
    with untrusted(falls_silent) as template, answers:
        template.clone(abs, -1)


def test_a_template_that_reads_no_request_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks it for spares does not wait for it without end."""
    monkeypatch.setattr(link, "_ANSWER_SECONDS", SOON)

    def falls_silent() -> None:
        from ramet._workers.in_template import template_process

        template_process._Template._make = lambda *_: stays()  # type: ignore[method-assign]

    def asks(template: ramet.Template) -> None:
        while True:
            template._link.ask_for_spare()

    with untrusted(falls_silent) as template:
        with pytest.raises(ramet.TemplateError, match="the template has not read in"):
            asks(template)
        assert template._link.process.wait(PATIENT_SECONDS).signal == 9


def test_a_template_whose_clones_have_full_sockets_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call of one that is not trusted is not sent without end."""
    monkeypatch.setattr(link, "_ANSWER_SECONDS", SOON)

    def fills() -> None:
        from ramet._workers.in_template import template_process

        module: Any = template_process
        make = module.channels

        def full() -> Any:
            theirs, ours = make()
            with socket.socket(fileno=os.dup(theirs.fileno())) as end, suppress(BlockingIOError):
                while True:
                    end.send(bytes(4096), socket.MSG_DONTWAIT)
            return theirs, ours

        module.channels = full
        module._Template._run_first = lambda *_: stays()

    unread = pytest.raises(ramet.TemplateError, match="a clone of the template has not read in")
    with untrusted(fills) as template, unread:
        template.clone(abs, -1)
    until(nothing_unreaped)


def is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:  # of the listing itself
        return False


@pytest.mark.parametrize("head", [b"", b"[]", b"[1]", b'["sshd"]', b'["ramet:x"]', b"[" * 1000])
def test_a_template_that_loads_nothing_is_an_error(head: bytes) -> None:
    """What it says of itself is read as data, and its name cannot be that of another process."""

    def setup() -> NoReturn:
        held = [int(name) for name in os.listdir("/proc/self/fd")]
        (control,) = [n for n in held if is_socket(n)]
        with socket.socket(fileno=os.dup(control)) as end:
            end.send(message(LOADED, head))
        stays()

    with pytest.raises(ramet.TemplateError, match="invalid answer"):
        untrusted(setup)
