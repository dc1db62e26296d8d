import ctypes
import errno
import gc
import gzip
import os
import pickle
import resource
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, suppress
from functools import reduce
from itertools import combinations
from operator import or_
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import pytest

import ramet
from ramet import ChildDied, CloneError, ExitStatus, ResultError, lowlevel
from ramet import CloneFlag as F

from ...constants import NOBODY, PATIENT_SECONDS, SECONDS, STACK_BYTES, SYSTEM_CALLS, WALL
from ...kernels import HANDLERS_WITHOUT_FORK
from ...waiting import exit_code, until

T = TypeVar("T")

LIBC = ctypes.CDLL(None, use_errno=True)
KCMP_KINDS = {"vm": 1, "files": 2, "fs": 3, "sighand": 4, "io": 5, "sysvsem": 6}
BEST_EFFORT_4 = 2 << 13 | 4
THREAD = F.VM | F.SIGHAND | F.THREAD

KINDS = ("mnt", "uts", "ipc", "user", "pid", "net", "cgroup", "time")
NAMESPACES = {kind: F["NEWNS" if kind == "mnt" else f"NEW{kind.upper()}"] for kind in KINDS}

MEMORIES = pytest.mark.parametrize("memory", [F(0), F.VM, F.VM | F.VFORK], ids=str)


def with_rights(flags: F) -> F:
    """As a plain user, a namespace needs a user namespace around it."""
    return flags if os.geteuid() == 0 else flags | F.NEWUSER


def union(flags: Iterable[F]) -> F:
    return reduce(or_, flags, F(0))


def raise_it(error: BaseException) -> NoReturn:
    raise error


# ---- every flag


@pytest.fixture(scope="module")
def something_to_share() -> None:
    """An io context and a list of semaphore undos: without them there is nothing to compare."""
    assert LIBC.syscall(SYSTEM_CALLS["ioprio_set"], 1, 0, BEST_EFFORT_4) == 0
    with ramet.clone(int, flags=F.SYSVSEM) as child:
        child.wait(SECONDS)


def shared_with(caller: int) -> set[str]:
    """What this task has in common with the caller, as the kernel sees it."""
    me = threading.get_native_id()
    return {
        name
        for name, kind in KCMP_KINDS.items()
        if LIBC.syscall(SYSTEM_CALLS["kcmp"], me, caller, kind, 0, 0) == 0
    }


@pytest.mark.parametrize(
    ("flags", "shared"),
    [
        (F(0), set()),
        (F.FS, {"fs"}),
        (F.FILES, {"files"}),
        (F.IO, {"io"}),
        (F.SYSVSEM, {"sysvsem"}),
        (F.FS | F.FILES | F.IO | F.SYSVSEM, {"fs", "files", "io", "sysvsem"}),
        (F.VM, {"vm"}),
        (F.VM | F.VFORK, {"vm"}),
        (F.VM | F.FS, {"vm", "fs"}),
        (F.VM | F.FILES, {"vm", "files"}),
        (F.VM | F.IO, {"vm", "io"}),
        (F.VM | F.SYSVSEM, {"vm", "sysvsem"}),
        (F.VM | F.SIGHAND, {"vm", "sighand"}),
        (F.VM | F.VFORK | F.SIGHAND | F.FILES, {"vm", "sighand", "files"}),
        (THREAD, {"vm", "sighand"}),
        (
            THREAD | F.FS | F.FILES | F.IO | F.SYSVSEM,
            {"vm", "sighand", "fs", "files", "io", "sysvsem"},
        ),
    ],
    ids=lambda part: "+".join(sorted(part)) if isinstance(part, set) else str(part),
)
def test_exactly_what_is_named_is_shared(
    flags: F, shared: set[str], something_to_share: None, nothing_left: object
) -> None:
    """A child has in common with its caller what its flags say, and nothing else."""
    assert ramet.clone(shared_with, os.getpid(), flags=flags).result(SECONDS) == shared


@pytest.mark.parametrize("memory", [F(0), F.VM], ids=str)
@pytest.mark.parametrize(
    "flag",
    [F.PTRACE, F.UNTRACED, F.VFORK, F.DETACHED, F.PIDFD, F.CLEAR_SIGHAND, F.FS | F.DETACHED],
    ids=str,
)
def test_the_flags_that_share_nothing_are_taken(memory: F, flag: F, nothing_left: object) -> None:
    """The other flags go with a copy and with shared memory, and the result comes back."""
    child = ramet.clone(os.getpid, flags=memory | flag)
    assert child.result(SECONDS) == child.pid
    assert child.flags == memory | flag
    assert child.exit_status == ExitStatus(code=0, reason="exited")


@pytest.mark.parametrize("memory", [F(0), F.VM], ids=str)
@pytest.mark.parametrize("flag", [F.AUTOREAP, F.NNP, F.PIDFD_AUTOKILL, F.EMPTY_MNTNS], ids=str)
def test_younger_flags_work_or_say_since_when(memory: F, flag: F, nothing_left: object) -> None:
    """What a kernel is too old for is an error that names the flag's age, and nothing is made."""
    quiet = 0 if flag in {F.AUTOREAP, F.PIDFD_AUTOKILL} else signal.SIGCHLD
    more = F.AUTOREAP | F.NNP if flag is F.PIDFD_AUTOKILL else F(0)
    try:
        child = ramet.clone(int, flags=memory | flag | more, exit_signal=quiet)
    except ramet.CloneError as error:
        if error.errno != errno.EPERM:
            assert error.errno == errno.EINVAL
            assert "7.1" in str(error)
        return
    assert child.result(SECONDS) == 0


@MEMORIES
@pytest.mark.parametrize("name", list(NAMESPACES))
def test_each_namespace_is_new(memory: F, name: str, nothing_left: object) -> None:
    """A NEW flag gives the child a namespace of that kind, and of no other kind."""
    flags = with_rights(NAMESPACES[name])

    def links() -> dict[str, str]:
        # The time namespace is entered at once by a copy only: else at the next exec.
        return {
            kind: os.readlink(
                f"/proc/thread-self/ns/{kind if kind != 'time' else 'time_for_children'}"
            )
            for kind in NAMESPACES
        }

    mine, childs = links(), ramet.clone(links, flags=memory | flags).result(SECONDS)
    new = {kind for kind in NAMESPACES if mine[kind] != childs[kind]}
    assert new == {kind for kind, flag in NAMESPACES.items() if flags & flag}


@pytest.mark.parametrize("memory", [F(0), F.VM], ids=str)
def test_all_namespaces_at_once(memory: F, nothing_left: object) -> None:
    """All NEW flags go together."""
    flags = F(0)
    for flag in NAMESPACES.values():
        flags |= flag
    assert ramet.clone(lambda: (os.getpid(), os.getppid()), flags=memory | flags).result(
        SECONDS
    ) == (1, 0)


def test_a_thread_may_have_namespaces(root: None, nothing_left: object) -> None:
    """A thread of the process may have its own host name."""
    mine = os.readlink("/proc/thread-self/ns/uts")

    def read() -> str:
        return os.readlink("/proc/thread-self/ns/uts")

    assert ramet.clone(read, flags=THREAD | F.NEWUTS).result(SECONDS) != mine
    assert read() == mine


@MEMORIES
def test_a_working_directory_is_shared_by_fs(memory: F, tmp_path: Path) -> None:
    """Chdir in a child is seen by the caller with FS, and is not without."""
    before = os.getcwd()
    ramet.clone(os.chdir, tmp_path, flags=memory).result(SECONDS)
    assert os.getcwd() == before
    ramet.clone(os.chdir, tmp_path, flags=memory | F.FS).result(SECONDS)
    assert os.getcwd() == str(tmp_path)
    os.chdir(before)


@MEMORIES
def test_descriptors_are_shared_by_files(memory: F, nothing_left: object) -> None:
    """close() in a child closes the caller's descriptor with FILES, and does not without."""
    descriptor = os.open("/dev/null", os.O_RDONLY)
    ramet.clone(os.close, descriptor, flags=memory).result(SECONDS)
    os.fstat(descriptor)
    ramet.clone(os.close, descriptor, flags=memory | F.FILES).result(SECONDS)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_child_that_closes_everything_brings_its_result() -> None:
    """The result needs no descriptor, so the function may close all of them."""

    def fn() -> str:
        os.closerange(0, 1000)
        return "closed"

    assert ramet.clone(fn).result(SECONDS) == "closed"


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """A handler of Python's for SIGUSR1, and whom it ran for."""
    pids: list[int] = []
    old = signal.signal(signal.SIGUSR1, lambda number, frame: pids.append(os.getpid()))
    yield pids
    signal.signal(signal.SIGUSR1, old)


def test_the_callers_handlers_do_not_run_in_shared_memory(handled: list[int]) -> None:
    """In shared memory, without SIGHAND, a signal has its default action."""
    end, ended = os.pipe()
    child = ramet.clone(os.read, end, 1, flags=F.VM)
    child.send_signal(signal.SIGUSR1)
    assert child.wait(SECONDS).signal == signal.SIGUSR1
    assert handled == []
    os.close(end)
    os.close(ended)


@MEMORIES
def test_the_signal_mask_is_the_callers(memory: F) -> None:
    """What the caller has blocked the child has blocked, and both get it back as it was."""
    old = signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR2})
    try:
        masks = ramet.clone(signal.pthread_sigmask, signal.SIG_BLOCK, (), flags=memory)
        assert masks.result(SECONDS) == {signal.SIGUSR2}
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == {signal.SIGUSR2}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def dispositions() -> list[str]:
    """The signals that this process ignores, and those that it handles."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return [line for line in lines if line.startswith(("SigIgn", "SigCgt"))]


def test_an_init_that_shares_handlers_leaves_sigchld_ignored(root: None) -> None:
    """The kernel has the first task of a pid namespace ignore SIGCHLD at its end, for all sharers.

    Source: kernel/pid_namespace.c zap_pid_ns_processes().
    """

    def ignores_sigchld() -> bool:
        (line,) = [line for line in dispositions() if line.startswith("SigIgn")]
        return bool(int(line.split()[1], 16) >> (signal.SIGCHLD - 1) & 1)

    def fn() -> list[bool]:
        seen = [ignores_sigchld()]
        for shared in F(0), F.SIGHAND:
            stack = lowlevel.Stack(STACK_BYTES)
            lowlevel.clone(lambda _: 0, None, F.VM | F.NEWPID | shared | signal.SIGCHLD, stack)
            with suppress(ChildProcessError):  # the kernel reaps the one whose end is ignored
                os.waitpid(-1, WALL)
            seen.append(ignores_sigchld())
        return seen

    assert ramet.clone(fn).result(SECONDS) == [False, False, True]


@pytest.mark.parametrize(
    "call",
    [
        lambda flags: ramet.clone(int, flags=flags),
        lambda flags: ramet.clone(int, flags=flags | F.PARENT | F.FILES),
        lambda flags: ramet.clone(int, flags=flags, timeout=SECONDS),
        lambda flags: ramet.vfork(int, flags=flags),
        lambda flags: ramet.Command(["true"], flags=flags),
        lambda flags: ramet.Popen(["true"], flags=flags),
    ],
    ids=["clone", "sibling", "timeout", "vfork", "Command", "Popen"],
)
def test_an_init_that_shares_handlers_is_refused(
    call: Callable[[F], object], nothing_left: object
) -> None:
    """Its caller would have SIGCHLD ignored for good, and lose the statuses of all its children."""
    with pytest.raises(CloneError, match="sets SIGCHLD to be ignored") as caught:
        call(with_rights(F.VM | F.SIGHAND | F.NEWPID))
    assert caught.value.errno == errno.EINVAL
    assert [rule.id for rule in caught.value.rules] == ["ramet-init-handlers"]


# They decide about the handlers of a child, about its end and who is told of it.
OF_HANDLERS_AND_END = [
    *(F.VM, F.SIGHAND, F.CLEAR_SIGHAND, F.VFORK, F.PARENT, F.THREAD, F.NEWPID, F.DETACHED),
]


def test_no_child_changes_what_its_caller_does_with_signals(nothing_left: object) -> None:
    """Whatever is shared: the caller ignores and handles the same signals before a child and after it."""
    wanted = [
        with_rights(union(chosen)) if F.NEWPID in chosen else union(chosen)
        for count in range(len(OF_HANDLERS_AND_END) + 1)
        for chosen in combinations(OF_HANDLERS_AND_END, count)
    ]

    def between() -> tuple[int, list[F]]:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        before, taken, changed = dispositions(), 0, []
        for flags in wanted:
            try:
                child = ramet.clone(int, flags=flags)
            except CloneError as error:
                if error.errno != errno.EINVAL:
                    raise
                continue
            taken += 1
            assert child.result(SECONDS) == 0
            if dispositions() != before:
                changed.append(flags)
                signal.signal(signal.SIGCHLD, lambda *_: None)
        return taken, changed

    def parent() -> tuple[int, list[F]]:
        seen = ramet.clone(between).result(PATIENT_SECONDS)
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-1, WALL)
        return seen

    taken, changed = ramet.clone(parent).result(PATIENT_SECONDS)
    assert changed == []
    assert taken >= 64


# ---- threads, and other people's children


def test_a_thread_is_one_of_the_process(nothing_left: object) -> None:
    """With THREAD the child has the caller's pid and parent and a tid of its own."""
    child = ramet.clone(
        lambda: (os.getpid(), os.getppid(), threading.get_native_id()), flags=THREAD
    )
    assert child.result(SECONDS) == (os.getpid(), os.getppid(), child.pid)
    assert child.exit_status == ExitStatus.unknown()
    assert child.pid != os.getpid()


def test_a_thread_keeps_the_ids_that_it_was_made_with(root: None, nothing_left: object) -> None:
    """The setuid() of libc does not know of it: who gives up rights beside one has to do so in both."""

    def ids() -> list[str]:
        lines = Path("/proc/thread-self/status").read_text().splitlines()
        return next(line.split() for line in lines if line.startswith("Uid:"))[1:]

    def give_up() -> tuple[list[str], list[str]]:
        reading, writing = os.pipe()

        def wait() -> list[str]:
            os.read(reading, 1)
            return ids()

        child = ramet.clone(wait, flags=THREAD | F.FILES)
        os.setuid(NOBODY)
        os.write(writing, b"x")
        return child.result(SECONDS), ids()

    assert ramet.clone(give_up).result(SECONDS) == (["0"] * 4, [str(NOBODY)] * 4)


def test_a_thread_that_raises_ends_alone(nothing_left: object) -> None:
    """An exception in a thread is raised where its result is asked for, and nowhere else."""
    with pytest.raises(LookupError, match="here"):
        ramet.clone(raise_it, LookupError("here"), flags=THREAD).result(SECONDS)


def test_a_thread_that_exits_ends_alone(nothing_left: object) -> None:
    """sys.exit() in a thread ends that thread."""
    with pytest.raises(ChildDied):
        ramet.clone(sys.exit, 3, flags=THREAD).result(SECONDS)


def test_a_block_waits_for_its_thread(nothing_left: object) -> None:
    """A thread cannot be killed, so with waits for it."""
    lock = threading.Lock()
    lock.acquire()

    def fn() -> bool:
        lock.release()
        return True

    with ramet.clone(fn, flags=THREAD) as child:
        pass
    assert child.result() is True


def in_a_process_between(fn: Callable[[], T]) -> T:
    """Run fn in a child of this process, so that this process is the parent of its caller."""
    return ramet.clone(fn).result(SECONDS)


@MEMORIES
def test_a_sibling_has_the_callers_parent(memory: F, nothing_left: object) -> None:
    """With PARENT the child is the parent's to wait for; how it ended is seen, and its result comes."""

    def fn() -> tuple[int, int, ExitStatus, int]:
        child = ramet.clone(os.getppid, flags=memory | F.PARENT)
        status = child.wait(SECONDS)
        return child.pid, child.result(), status, os.getpid()

    pid, ppid, status, middle = in_a_process_between(fn)
    assert ppid == os.getpid() != middle
    assert status == ExitStatus(code=0, reason="exited")
    assert exit_code(pid) == 0


@pytest.mark.parametrize("flags", [F(0), F.DETACHED], ids=str)
@pytest.mark.parametrize("memory", [F(0), F.VFORK, F.VM, F.VM | F.VFORK], ids=str)
def test_a_siblings_end_is_seen_before_its_parent_reaps_it(
    memory: F, flags: F, nothing_left: object
) -> None:
    """Neither the result nor the end waits for the parent, which may never reap it."""

    def fn() -> tuple[int, int]:
        child = ramet.clone(len, "abc", flags=memory | flags | F.PARENT)
        return child.pid, child.result(SECONDS)

    pid, result = in_a_process_between(fn)
    assert result == 3
    assert exit_code(pid) == 0


def test_a_sibling_can_be_killed(nothing_left: object) -> None:
    """A block that is left kills a child of another parent as well, and does not hang."""

    def fn() -> int:
        with ramet.clone(signal.pause, flags=F.PARENT) as child:
            return child.pid

    assert exit_code(in_a_process_between(fn)) == -signal.SIGKILL


# ---- exit signals


@pytest.fixture
def came() -> Iterator[list[int]]:
    """The exit signals, as they come."""
    numbers: list[int] = []
    old = {
        number: signal.signal(number, lambda number, frame: numbers.append(number))
        for number in (signal.SIGCHLD, signal.SIGUSR1)
    }
    yield numbers
    for number, handler in old.items():
        signal.signal(number, handler)


@MEMORIES
@pytest.mark.parametrize(
    ("flags", "exit_signal", "expected"),
    [
        (0, None, [signal.SIGCHLD]),
        (0, 0, []),
        (0, signal.SIGUSR1, [signal.SIGUSR1]),
        (signal.SIGUSR1, None, [signal.SIGUSR1]),
        (signal.SIGUSR1, signal.SIGUSR1, [signal.SIGUSR1]),
    ],
    ids=["default", "none", "keyword", "flags", "both"],
)
def test_the_exit_signal_is_sent(
    memory: F,
    flags: int,
    exit_signal: int | None,
    expected: list[int],
    came: list[int],
    nothing_left: object,
) -> None:
    """The parent gets the signal that was asked for, and the status whatever it was."""
    child = ramet.clone(lambda: 5, flags=memory | flags, exit_signal=exit_signal)
    assert child.result(SECONDS) == 5
    assert child.exit_status == ExitStatus(code=0, reason="exited")
    # Where libc's handlers cannot be run without a fork, one that ends at once comes before a copy.
    beside = set() if HANDLERS_WITHOUT_FORK else {signal.SIGCHLD} - set(expected)
    until(lambda: [number for number in came if number not in beside] == expected)


# ---- results


@MEMORIES
def test_a_child_without_a_result_returns_none(memory: F, nothing_left: object) -> None:
    """None is a result."""
    child = ramet.clone(lambda: None, flags=memory)
    assert child.result(SECONDS) is None
    assert child.exception() is None


@MEMORIES
def test_arguments_arrive(memory: F) -> None:
    """Whatever can be called with arguments runs with them."""
    assert ramet.clone("-".join, ["a", "b"], flags=memory).result(SECONDS) == "a-b"


@pytest.mark.parametrize("memory", [F.VM, F.VM | F.VFORK, THREAD], ids=str)
def test_a_shared_result_is_the_object(memory: F, nothing_left: object) -> None:
    """In shared memory nothing is copied: an object that no pickle would take is returned."""
    lock = threading.Lock()
    assert ramet.clone(lambda: lock, flags=memory).result(SECONDS) is lock


@pytest.mark.parametrize("memory", [F.VM, F.VM | F.VFORK], ids=str)
def test_a_shared_exception_is_the_object(memory: F, nothing_left: object) -> None:
    """What the function raised is raised with the frames it came through."""
    error = LookupError("in the child")
    child = ramet.clone(raise_it, error, flags=memory)
    with pytest.raises(LookupError) as caught:
        child.result(SECONDS)
    assert caught.value is error is child.exception()
    assert "raise_it" in {entry.name for entry in caught.traceback}
    assert child.exit_status is not None
    assert child.exit_status.code == 1


def test_a_copied_exception_has_its_traceback_for_a_cause(nothing_left: object) -> None:
    """An exception out of another memory shows where in the child it was raised."""
    child = ramet.clone(raise_it, LookupError("in the child"))
    with pytest.raises(LookupError, match="in the child") as caught:
        child.result(SECONDS)
    assert "raise_it" in str(caught.value.__cause__)


@MEMORIES
@pytest.mark.parametrize(
    ("argument", "code"), [(None, 0), (0, 0), (3, 3), (256 + 4, 4), ("words", 1)]
)
def test_sys_exit_gives_a_code_and_no_result(
    memory: F, argument: Any, code: int, nothing_left: object
) -> None:
    """sys.exit() is the child's exit code, text goes to standard error, and a result is owed."""
    # Not capfd, which opens other files when the test is over: they would count as left behind.
    with open(os.memfd_create("errors"), "w+", buffering=1) as errors, redirect_stderr(errors):
        child = ramet.clone(sys.exit, argument, flags=memory)
        with pytest.raises(ChildDied) as caught:
            child.result(SECONDS)
        errors.seek(0)
        assert errors.read() == ("words\n" if argument == "words" else "")
    assert caught.value.status == ExitStatus(code=code, reason="exited")


@MEMORIES
def test_a_hard_exit_gives_no_result(memory: F, nothing_left: object) -> None:
    """os._exit() ends the child on the spot, and the error names it."""
    with pytest.raises(ChildDied, match=r"^_exit\(\) in child \d+ ended .*: exited with 6"):
        ramet.clone(os._exit, 6, flags=memory).result(SECONDS)


@MEMORIES
def test_a_program_takes_the_functions_place(memory: F, nothing_left: object) -> None:
    """Exec in the function is the end of the function, not of the child."""
    child = ramet.clone(os.execv, "/bin/sh", ["sh", "-c", "exit 7"], flags=memory)
    with pytest.raises(ChildDied):
        child.result(SECONDS)
    assert child.exit_status == ExitStatus(code=7, reason="exited")


@MEMORIES
def test_an_exec_that_fails_raises(memory: F, nothing_left: object) -> None:
    """A program that is not there raises in the function, and from there in the caller."""
    with pytest.raises(FileNotFoundError):
        ramet.clone(os.execv, "/no/such", ["such"], flags=memory).result(SECONDS)


@pytest.mark.parametrize("memory", [F(0), F.VM], ids=str)
def test_a_large_result_arrives(memory: F, nothing_left: object) -> None:
    """100 MB of bytes come back whole."""
    size = 100_000_000
    result = ramet.clone(lambda: b"\x5a" * size, flags=memory).result(60)
    assert len(result) == size
    assert result.count(b"\x5a") == size


def test_a_large_array_arrives(nothing_left: "LeakCheck") -> None:
    """An array of numpy comes back whole, and can be written."""
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    nothing_left.start_again()  # its libraries stay mapped
    result = ramet.clone(lambda: numpy.arange(10_000_000)).result(SECONDS)
    assert int(result.sum()) == 49_999_995_000_000
    result[0] = 7
    assert result[0] == 7


# Since 3.15 tempfile says so of a file that nobody has closed.
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
@pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK])
def test_a_file_of_another_table_is_no_result(
    flags: F, tmp_path: Path, nothing_left: object
) -> None:
    """A file, a socket that has a number of the child's table is refused, with the reason.

    So is what wraps one, and a container of these.
    """
    path = tmp_path / "file"
    path.touch()
    for make in (
        lambda: path.open("w"),
        lambda: path.open("rb", buffering=0),
        lambda: socket.socket(socket.AF_UNIX),
        lambda: tempfile.NamedTemporaryFile(dir=tmp_path),  # noqa: SIM115 - it is to be left open
        lambda: gzip.open(path),  # noqa: SIM115 - the same
        lambda: [1, path.open()],
        lambda: {"files": [(path.open("rb"),)]},
        lambda: {"wrapped": gzip.open(path)},  # noqa: SIM115 - the same
    ):
        child: ramet.Child[object] = ramet.clone(make, flags=flags)
        with path.open() as ours:  # perhaps under the same number
            with pytest.raises(ResultError, match="of the child's own table") as caught:
                child.result()
            assert "CloneFlag.FILES" in str(caught.value)
            assert isinstance(child.exception(), ResultError)
            del child
            gc.collect()
            assert ours.read() == ""


def test_a_file_of_the_same_table_is_a_result(tmp_path: Path, nothing_left: object) -> None:
    """Where the number is the caller's as well, and where there is none, the object comes."""
    path = tmp_path / "file"
    shared = ramet.clone(path.open, "w", flags=F.VM | F.FILES).result()
    with shared, path.open() as ours:
        assert shared.write("text") == 4
        assert ramet.clone(lambda: ours, flags=F.VM).result() is ours
        assert ours.closed is False

    kept: list[object] = []

    def closed() -> object:
        kept.append(path.open())
        with path.open() as file:
            return file

    assert ramet.clone(closed, flags=F.VM).result() is not None


def test_what_holds_no_file_of_the_child_is_a_result(tmp_path: Path, nothing_left: object) -> None:
    """Whatever it has left open besides; a container that holds itself is looked at as well."""
    kept: list[object] = []

    def fn() -> list[Any]:
        kept.append((tmp_path / "file").open("w"))
        result: list[Any] = [{"text": "text"}, (1, {2, 3})]
        result.append(result)
        return result

    result = ramet.clone(fn, flags=F.VM).result()
    assert result[:2] == [{"text": "text"}, (1, {2, 3})]
    assert result[2] is result


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK, F.VM | F.SIGHAND | F.THREAD], ids=str)
def test_what_a_child_closes_stays_open_in_its_callers_table(
    flags: F, nothing_left: object
) -> None:
    """The object says that it is closed, and the number is the caller's to close."""
    ours, theirs = socket.socketpair()
    number = ours.fileno()
    ramet.clone(ours.close, flags=flags).result()
    assert ours.fileno() == -1
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):  # the other end is open
        theirs.recv(1)
    os.close(number)
    assert theirs.recv(1) == b""
    theirs.close()


def test_what_a_child_closes_of_a_shared_table_is_closed(nothing_left: object) -> None:
    """With FILES it is closed for both."""
    ours, theirs = socket.socketpair()
    ramet.clone(ours.close, flags=F.VM | F.FILES).result()
    assert theirs.recv(1) == b""
    theirs.close()


@pytest.mark.parametrize("flags", [F(0), F.FS, F.VM])
def test_an_exception_that_is_elsewhere_than_it_says_arrives(
    flags: F, nothing_left: object
) -> None:
    """pytest.skip raises a class that says it lives in builtins: in the caller, too, it is a skip."""
    with pytest.raises(pytest.skip.Exception, match="not today") as caught:
        ramet.clone(pytest.skip, "not today", flags=flags).result()
    assert type(caught.value) is pytest.skip.Exception
    assert caught.value.allow_module_level is False


def test_a_result_that_cannot_be_copied_says_so(nothing_left: object) -> None:
    """Across two memories an object without a pickle is an error that says what it was."""
    child = ramet.clone(threading.Lock)
    with pytest.raises(ResultError, match="lock"):
        child.result(SECONDS)
    assert isinstance(child.exception(), ResultError)


class Unreadable:
    """Can be pickled, but not unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


def test_a_result_that_cannot_be_read_says_so(nothing_left: object) -> None:
    """A pickle that fails in the caller is a ResultError with the reason."""
    with pytest.raises(ResultError, match="no number"):
        ramet.clone(Unreadable).result(SECONDS)


class ExitingError(Exception):
    """Its pickle ends the interpreter that loads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, (3,)


def test_what_exits_when_it_is_read_does_not_end_the_caller(nothing_left: object) -> None:
    """A SystemExit of its pickle is no more than one that cannot be read."""

    def fail() -> None:
        raise ExitingError("why it failed")

    with pytest.raises(ResultError, match="SystemExit: 3"):
        ramet.clone(ExitingError).result(SECONDS)
    with pytest.raises(ramet.RemoteError, match=r"why it failed.*SystemExit: 3"):
        ramet.clone(fail).result(SECONDS)


class LeakCheck(Protocol):
    """What the fixture nothing_left gives."""

    def start_again(self) -> None: ...


class Held:
    """Its bytes travel beside the pickle."""

    def __init__(self, data: Any) -> None:
        self.data = memoryview(data)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Held, (pickle.PickleBuffer(self.data),)


def test_a_buffer_outlives_its_child(nothing_left: object) -> None:
    """A large buffer is used where the child wrote it, and stays after the handle has gone."""
    child = ramet.clone(lambda: Held(bytearray(b"ab") * 1_000_000))
    held = child.result(SECONDS)
    del child
    assert bytes(held.data[:4]) == b"abab"
    assert held.data.nbytes == 2_000_000


@pytest.mark.parametrize("room_megabytes", [120, 200, 370, 500, 1000, 1480])
def test_results_arrive_under_a_limit_of_address_space(room_megabytes: int) -> None:
    """Where RLIMIT_AS leaves little room, a result of an eighth of that still comes back."""

    def fn() -> int:
        kilobytes = next(
            int(line.split()[1])
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("VmSize")
        )
        limit = kilobytes * 1024 + room_megabytes * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        return len(ramet.clone(bytes, room_megabytes * 125_000).result(SECONDS))

    assert ramet.clone(fn).result(60) == room_megabytes * 125_000


def test_children_under_a_limit_of_address_space_go_side_by_side() -> None:
    """Ten children at once find room for their results under RLIMIT_AS."""

    def fn() -> list[int]:
        limit = 100 * 1024**3
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        children = [ramet.clone(int, number) for number in range(10)]
        return [child.result(SECONDS) for child in children]

    assert ramet.clone(fn).result(60) == list(range(10))


# ---- what is given to the child


@pytest.mark.parametrize("memory", [F(0), F.VM], ids=str)
def test_a_pid_can_be_chosen(memory: F, root: None, nothing_left: object) -> None:
    """set_tid is the child's pid."""
    with ramet.clone(int) as gone:
        gone.wait(SECONDS)
    child = ramet.clone(os.getpid, flags=memory, set_tid=[gone.pid])
    assert child.result(SECONDS) == child.pid == gone.pid


@pytest.mark.parametrize("memory", [F(0), F.VM], ids=str)
def test_a_child_is_made_in_its_cgroup(memory: F, cgroup: Path, nothing_left: object) -> None:
    """Cgroup is a directory, by path or by descriptor, and the child is in it from the first."""

    def mine() -> str:
        return Path("/proc/self/cgroup").read_text()

    descriptor = os.open(cgroup, os.O_PATH)
    for given in (cgroup, str(cgroup), descriptor):
        child = ramet.clone(mine, flags=memory, cgroup=given)
        assert f"/{cgroup.name}\n" in child.result(SECONDS)
        assert child.flags == memory | F.INTO_CGROUP
    os.close(descriptor)


@pytest.mark.parametrize("memory", [F(0), F.VM], ids=str)
def test_a_refused_cgroup_is_among_what_was_asked(memory: F, nothing_left: object) -> None:
    """The error of a directory that is no cgroup shows the flag that cgroup= stands for."""
    with pytest.raises(ramet.CloneError) as caught:
        ramet.clone(int, flags=memory, cgroup="/tmp")
    assert "CLONE_INTO_CGROUP" in str(caught.value)


def stack_bytes_below() -> int:
    """The size of the calling task's stack in libc's view; all of it is mapped, and in use."""
    attributes, base, size = (ctypes.c_char * 64)(), ctypes.c_size_t(), ctypes.c_size_t()
    LIBC.pthread_self.restype = ctypes.c_void_p
    assert LIBC.pthread_getattr_np(ctypes.c_void_p(LIBC.pthread_self()), attributes) == 0
    LIBC.pthread_attr_getstack(attributes, ctypes.byref(base), ctypes.byref(size))
    LIBC.pthread_attr_destroy(attributes)
    low, high = base.value, base.value + size.value
    pointer = int(Path("/proc/thread-self/syscall").read_text().split()[-2], 16)
    assert low < pointer < high
    lines = Path("/proc/self/maps").read_text().splitlines()
    mappings = [[int(end, 16) for end in line.split()[0].split("-")] for line in lines]
    # One mapping may hold several stacks: glibc's guards are pages of it since 2.42.
    assert any(start <= low and high <= end for start, end in mappings)
    return size.value


@pytest.mark.parametrize("megabytes", [8, 64])
def test_a_stack_has_the_size_asked_for(megabytes: int, nothing_left: object) -> None:
    """stack_size is what a child in shared memory has at least: a waiting thread may have more."""
    child = ramet.clone(stack_bytes_below, flags=F.VM, stack_size=megabytes << 20)
    assert megabytes << 20 <= child.result(SECONDS) < (max(megabytes, 16) + 2) << 20


def test_recursion_without_end_is_an_exception(nothing_left: object) -> None:
    """A function in shared memory that recurses without end gets RecursionError."""

    def recurse(depth: int) -> int:
        return recurse(depth + 1)

    for memory in (F.VM, F.VM | F.VFORK):
        with pytest.raises(RecursionError):
            ramet.clone(recurse, 0, flags=memory).result(SECONDS)


# ---- what goes on inside


def test_children_in_shared_memory_go_side_by_side(nothing_left: LeakCheck) -> None:
    """Fifty children run at once in one memory, each with a pid and a thread identity of its own."""
    barrier = threading.Barrier(51)

    def fn() -> tuple[int, int]:
        barrier.wait(SECONDS)
        return os.getpid(), threading.get_ident()

    for _ in range(2):
        nothing_left.start_again()  # libc keeps some stacks and arenas of the first fifty threads
        children = [ramet.clone(fn, flags=F.VM) for _ in range(50)]
        barrier.wait(SECONDS)
        pids, idents = zip(*(child.result(SECONDS) for child in children), strict=True)
        assert list(pids) == [child.pid for child in children]
        assert len(set(idents)) == 50


@pytest.mark.parametrize("outer", [F(0), F.VM, F.VM | F.VFORK, THREAD], ids=str)
@pytest.mark.parametrize("inner", [F(0), F.FS, F.VM, F.VM | F.VFORK], ids=str)
def test_a_child_may_have_children(outer: F, inner: F, nothing_left: object) -> None:
    """Every kind of child can make every kind of child and wait for it."""

    def fn() -> tuple[int, int, int]:
        child = ramet.clone(os.getppid, flags=inner)
        return os.getpid(), child.result(SECONDS), child.pid

    me, parent_of_inner, _ = ramet.clone(fn, flags=outer).result(SECONDS)
    assert parent_of_inner == me


def test_what_is_printed_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    """What the caller has buffered is not written a second time by the child."""
    with capfd.disabled():
        read_end, write_end = os.pipe()
        stdout, sys.stdout = sys.stdout, os.fdopen(write_end, "w")
        sys.stdout.write("before ")
        ramet.clone(print, "child", flags=F.FS).result(SECONDS)
        sys.stdout.write("after")
        sys.stdout.close()
        sys.stdout = stdout
        assert os.read(read_end, 100) == b"before child\nafter"
        os.close(read_end)


def test_a_child_does_not_run_the_callers_exit_handlers(tmp_path: Path) -> None:
    """Atexit handlers are the caller's alone."""
    import atexit

    mark = tmp_path / "ran"
    atexit.register(mark.touch)
    for memory in (F(0), F.FS, F.VM):
        ramet.clone(int, flags=memory).result(SECONDS)
    atexit.unregister(mark.touch)
    assert not mark.exists()


@pytest.mark.parametrize("flags", [F(0), F.FS], ids=str)
def test_a_copy_is_alone_and_in_order(flags: F, nothing_left: object) -> None:
    """In a copy the forking thread is the main thread, locks work, and new threads start."""

    def fn() -> tuple[bool, int, list[int]]:
        ran: list[int] = []
        thread = threading.Thread(target=ran.append, args=(1,))
        thread.start()
        thread.join(SECONDS)
        main = threading.main_thread() is threading.current_thread()
        return main, threading.active_count(), ran

    stop = threading.Event()
    others = [threading.Thread(target=stop.wait) for _ in range(3)]
    for other in others:
        other.start()
    outcome: list[Any] = []
    maker = threading.Thread(
        target=lambda: outcome.append(ramet.clone(fn, flags=flags).result(SECONDS))
    )
    maker.start()
    maker.join()
    stop.set()
    for other in others:
        other.join()
    assert outcome == [(True, 1, [1])]


@pytest.mark.parametrize("flags", [F(0), F.FS], ids=str)
def test_a_copy_runs_the_fork_handlers(flags: F) -> None:
    """os.register_at_fork handlers run round every copy, with flags and without."""
    log: list[str] = []
    os.register_at_fork(
        before=lambda: log.append("before"),
        after_in_parent=lambda: log.append("parent"),
        after_in_child=lambda: log.append("child"),
    )
    assert ramet.clone(lambda: list(log), flags=flags).result(SECONDS) == ["before", "child"]
    assert log == ["before", "parent"]


@pytest.mark.parametrize("memory", [F.VM, F.VM | F.VFORK], ids=str)
def test_shared_memory_runs_no_fork_handlers(memory: F) -> None:
    """Where no copy is made, the handlers for one are not called."""
    log: list[str] = []
    os.register_at_fork(before=lambda: log.append("before"))
    ramet.clone(int, flags=memory).result(SECONDS)
    assert log == []
