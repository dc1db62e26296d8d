"""A function in a sandbox, in a copy of the caller: what it has, how it ends, and what is left."""

import errno
import itertools
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import Sandbox
from ramet._process.tree import pid_namespace
from ramet._sandbox import of_python
from ramet._sandbox.amounts import amounts
from ramet._sandbox.supervision import Supervision
from ramet._workers.template import called_child, confined_clone, owned_clone

from ...constants import PATIENT_SECONDS
from ...looking import state_of
from ...waiting import exit_code, in_threads, nothing_unreaped, until
from ..sandbox.taken_away import needs_all

pytestmark = needs_all

SANDBOX = Sandbox()


@pytest.fixture(autouse=True)
def _nothing_left(nothing_left: Any) -> Iterator[None]:
    """But what is kept of a sandbox for its next child, and what ends by itself."""
    with ramet.clone(os.getpid, sandbox=SANDBOX) as child:
        child.result(PATIENT_SECONDS)
    nothing_left.start_again()
    yield
    until(nothing_unreaped)


def run(fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The result of a child that is reaped."""
    with ramet.clone(fn, *args, **{"sandbox": SANDBOX, **options}) as child:
        return child.result(PATIENT_SECONDS)


def lines_of_status() -> dict[str, str]:
    """Of the process that asks."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: " ".join(value.split()) for name, value in (x.split(":", 1) for x in lines)}


# ---- what it has


def test_it_has_what_its_caller_has() -> None:
    """Its memory is a copy of the caller's: closures, modules, objects that nobody could pickle."""
    lock, kept = threading.Lock(), {"key": bytearray(8 << 20)}

    def told() -> tuple[bool, int, int]:
        return lock.acquire(), len(kept["key"]), os.getpid()

    assert run(told) == (True, 8 << 20, 2)


def test_it_has_no_right() -> None:
    """No capability in any set, its own number, and itself alone in /proc."""

    def told() -> tuple[dict[str, str], list[str]]:
        return lines_of_status(), [name for name in os.listdir("/proc") if name.isdigit()]

    status, numbers = run(told)
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert [status[name] for name in sets] == ["0" * 16] * 5
    assert (status["NoNewPrivs"], status["Seccomp"], numbers) == ("1", "2", ["2"])


def test_its_descriptors_are_those_that_are_passed(tmp_path: Path) -> None:
    """And the standard ones; all others of its caller are closed."""
    (tmp_path / "given").write_text("x")

    def told(number: int) -> tuple[bytes, list[str]]:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
        links = {n: f"/proc/self/fd/{n}" for n in numbers if n > 2}
        others = [os.readlink(link) for link in links.values() if os.path.lexists(link)]
        return os.read(number, 1), [link.partition(":")[0] for link in others]

    with open(tmp_path / "given") as given, open(tmp_path / "given") as other:
        os.set_inheritable(other.fileno(), True)
        found = run(told, given.fileno(), pass_fds=[given.fileno()])
    assert found == (b"x", [str(tmp_path / "given"), "socket"])


def test_its_files_are_those_of_the_sandbox(tmp_path: Path, nothing_left: Any) -> None:
    """It reads and writes what is named, and its variables are those that are named."""
    (tmp_path / "seen").mkdir()
    tmp_path.chmod(0o777)
    (tmp_path / "seen").chmod(0o777)

    def told() -> tuple[list[str], str | None]:
        (tmp_path / "seen/made").mkdir()
        return os.listdir(tmp_path), os.environ.get("PYTEST_CURRENT_TEST")

    assert run(told, sandbox=Sandbox(write=[tmp_path / "seen"])) == (["seen"], None)
    assert os.listdir(tmp_path / "seen") == ["made"]
    nothing_left.start_again()  # what is kept of this sandbox


def test_what_it_writes_can_go_to_a_layer(nothing_left: Any) -> None:
    """The report lists it, and the caller's files are as they were."""
    place = Path("/var/tmp") / f"ramet-test-{os.getpid()}"
    place.mkdir()
    place.chmod(0o777)
    try:
        sandbox = Sandbox(write=[place], overlay=True)
        with ramet.clone((place / "made").write_text, "text", sandbox=sandbox) as child:
            assert child.result(PATIENT_SECONDS) == 4
            child.wait(PATIENT_SECONDS)
            changes = child.report.changes
        assert [(one.kind, one.path) for one in changes] == [("added", str(place / "made"))]
        assert os.listdir(place) == []
        changes.discard()
    finally:
        place.rmdir()
    nothing_left.start_again()  # what is kept of this sandbox


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"flags": F.NEWNET}, "flags"),
        ({"set_tid": [5]}, "set_tid"),
        ({"user": 0}, "user"),
        ({"trusted": True}, "trusted"),
        ({"start": False}, "start"),
        ({"cgroup": "/sys/fs/cgroup"}, "cgroup"),
        ({"process_group": 0}, "process_group"),
        ({"close_fds": False}, "close_fds"),
        ({"no_new_privs": False}, "no_new_privs"),
    ],
)
def test_options_that_the_sandbox_decides(options: dict[str, Any], name: str) -> None:
    """Refused before anything is made."""
    with pytest.raises(ValueError, match=f"invalid {name} with sandbox"):
        ramet.clone(os.getpid, sandbox=SANDBOX, **options)


@pytest.mark.parametrize("given", [3, Sandbox, Sandbox.agent], ids=repr)
def test_what_is_no_sandbox(given: Any) -> None:
    """A TypeError; also the class, of which no instance was made."""
    with pytest.raises(TypeError, match=r"expected a ramet\.Sandbox, got"):
        ramet.clone(os.getpid, sandbox=given)


def test_a_plan_that_falls_short_is_refused() -> None:
    """By its wish, and a child is not made."""
    with pytest.raises(ramet.SandboxError, match="'/missing' does not exist"):
        ramet.clone(os.getpid, sandbox=Sandbox(read=["/missing"]))


@pytest.mark.parametrize(
    ("options", "step", "number"),
    [
        ({"cwd": "/missing"}, "chdir", errno.ENOENT),
        ({"nice": -5}, "setpriority", errno.EACCES),
        ({"pass_fds": [999]}, "fcntl", errno.EBADF),
    ],
)
def test_a_step_of_its_setup_that_fails(
    options: dict[str, Any], step: str, number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is told as for any child, and nothing is printed."""
    with pytest.raises(ramet.SpawnError, match=step) as told:
        run(abs, -1, **options)
    assert told.value.errno == number
    assert capfd.readouterr().err == ""


def limit_of(name: str) -> tuple[int, int]:
    """Of the process that asks."""
    return resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))


@pytest.mark.parametrize(
    ("name", "given", "has"),
    [
        ("NOFILE", 20, (20, 20)),
        ("NOFILE", (20, 200), (20, 200)),
        ("FSIZE", 1 << 20, (1 << 20, 1 << 20)),
        ("SIGPENDING", 3, (3, 3)),
        ("CORE", 0, (1, 1)),
        ("CORE", (0, 1), (1, 1)),
    ],
)
def test_limits_that_are_given_take_the_place_of_the_sandboxs(
    name: str, given: Any, has: tuple[int, int]
) -> None:
    """Above its own or below; but for CORE, where 0 would have the kernel start a program outside."""
    sandbox = Sandbox(open_files=100, file_size="2M")
    if name == "CORE" and limit_of(name)[1] == 0:
        has = 0, 0  # the caller itself may have no other
    assert run(limit_of, name, sandbox=sandbox, rlimits={name: given}) == has
    sandbox.release()


def test_processors_that_are_given_take_the_place_of_the_sandboxs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no cgroup limits the time on them."""
    monkeypatch.setattr(amounts, "find_places", lambda _: {})
    last = max(os.sched_getaffinity(0))
    sandbox = Sandbox(cpus=0.5)
    assert run(os.sched_getaffinity, 0, sandbox=sandbox, cpu_affinity=[last]) == {last}
    sandbox.release()


def test_too_few_descriptors_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    """As a step of its setup, and nothing is printed."""
    with pytest.raises(ramet.SpawnError, match="landlock_restrict_self") as told:
        run(abs, -1, rlimits={"NOFILE": 3})
    assert told.value.errno == errno.EMFILE
    assert capfd.readouterr().err == ""


# ---- how it ends


def test_exceptions_are_data() -> None:
    """Its type, message and traceback."""

    def fail() -> None:
        raise KeyError("what")

    with pytest.raises(ramet.RemoteError, match="what") as caught:
        run(fail)
    assert "in fail" in str(caught.value.__cause__)


def test_results_are_data() -> None:
    """What is none is told, and no pickle is read."""
    assert run(lambda: {"a": (1, b"x", 2.5)}) == {"a": (1, b"x", 2.5)}
    with pytest.raises(ramet.ResultError, match="is not data"):
        run(lambda: threading)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"timeout": 0.2}, "deadline"), ({"sandbox": Sandbox(timeout=0.2)}, "deadline")],
    ids=["of the child", "of the sandbox"],
)
def test_a_deadline(options: dict[str, Any], reason: str, nothing_left: Any) -> None:
    """Its own, or the sandbox's."""
    with ramet.clone(time.sleep, 1000, **{"sandbox": SANDBOX, **options}) as child:
        status = child.wait(PATIENT_SECONDS)
        assert (status.signal, status.reason, child.report.reason) == (9, reason, reason)
    nothing_left.start_again()  # what is kept of the other sandbox


def test_all_that_it_has_started_ends_with_it() -> None:
    """Also what has left its session."""
    read, written = os.pipe()

    def leave() -> None:
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)

    with open(read, "rb", 0) as end:
        with ramet.clone(leave, sandbox=SANDBOX, pass_fds=[written]) as child:
            os.close(written)
            child.result(PATIENT_SECONDS)
            child.wait(PATIENT_SECONDS)
        assert end.read() == b""


def test_a_signal_ends_it() -> None:
    """Its status is its own."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    with ramet.clone(die, sandbox=SANDBOX) as child:
        assert child.wait(PATIENT_SECONDS).signal == signal.SIGUSR1
        assert child.report.reason == "signaled"


def test_it_ends_with_its_caller() -> None:
    """Its init waits for both."""

    def caller(told: socket.socket) -> None:
        child = ramet.clone(time.sleep, 1000, sandbox=SANDBOX)
        told.sendall(b"%d" % child.pid)
        time.sleep(1000)

    ours, theirs = socket.socketpair()
    with ours, theirs, ramet.clone(caller, theirs) as child:
        pid = int(ours.recv(20))
        child.kill()
        child.wait(PATIENT_SECONDS)
    until(lambda: state_of(pid) in {"", "X", "Z"})


# ---- its caller


def test_threads_of_the_caller_run_on() -> None:
    """And several may make children at once."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        in_threads(4, lambda: [run(abs, -1) for _ in range(3)])
    finally:
        stop.set()
        thread.join()


def test_a_copy_of_the_caller_has_sandboxes_of_its_own(nothing_left: Any) -> None:
    """What is kept in the original stays that one's: its cgroups and descriptors."""
    sandbox = Sandbox(processes=50)
    assert run(abs, -1, sandbox=sandbox) == 1
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = run(abs, -2, sandbox=sandbox) + run(abs, -3)
        finally:
            os._exit(code)
    assert exit_code(pid) == 5
    assert run(abs, -1, sandbox=sandbox) == 1
    nothing_left.start_again()


def test_the_caller_may_still_be_looked_at() -> None:
    """A change of ids of a task in its memory would forbid its debuggers, and its own /proc."""
    assert os.access("/proc/self/environ", os.R_OK)
    assert run(abs, -1) == 1
    assert Path("/proc/self/environ").stat().st_uid == os.geteuid()


# ---- signals while it is made


class Heard(BaseException):
    """What a handler raises."""


MAKING = frozenset(
    one.__code__
    for one in (
        confined_clone.clone_confined,
        confined_clone._make,
        confined_clone._refusal,
        called_child.CalledChild._connect,
        owned_clone.Clone.take_own_numbers,
        Supervision.__init__,
        Supervision.begin,
    )
)


def raising_at(step: int) -> Callable[[FrameType, str, Any], Any]:
    """Raises at the so manyth line of what makes it, in this process."""
    left, own = step, os.getpid()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code not in MAKING or os.getpid() != own:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Heard
        return trace

    return trace


def interrupted(step: int) -> bool:
    """Whether a child was interrupted while it was made, at that line; it has fewer else."""
    before = sys.gettrace()
    sys.settrace(raising_at(step))
    try:
        assert run(abs, -1) == 1
    except Heard:
        return True
    finally:
        sys.settrace(before)
    return False


# Of the copy that makes it; what interrupts its wait leaves it to be reaped.
@pytest.mark.filterwarnings("ignore:child .* was never waited for:ResourceWarning")
def test_an_exception_of_a_handler_at_any_line_leaves_nothing() -> None:
    """The child is killed and reaped, and the next one is made."""
    for step in itertools.count(1):
        if not interrupted(step):
            break
        assert run(abs, -2) == 2
    assert step > 20


def test_what_is_made_in_vain_is_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The init of a namespace for which no child could be made is ended, and not left as a zombie.

    Why is told by its errno, though its maker has left the caller's namespaces by then.
    """

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "no descriptor is left")

    monkeypatch.setattr("ramet._process.tree.pid_namespace.join_for_children", fail)
    with pytest.raises(ramet.SandboxError, match="no descriptor is left") as told:
        run(abs, -1)
    assert told.value.errno == errno.EMFILE


def die(*_: object) -> None:
    """At once."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("when", ["join_for_children", "begin", "send"])
def test_a_maker_that_is_killed_leaves_nothing(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it has made the init; the child as well, which runs; and before it tells of them."""
    of = confined_clone if when == "send" else pid_namespace
    monkeypatch.setattr(of, when, die)
    with pytest.raises(ramet.ChildDied, match="SIGKILL"):
        ramet.clone(time.sleep, 1000, sandbox=SANDBOX)


@pytest.mark.parametrize("when", [None, "join_for_children", "begin"])
def test_an_exception_before_the_maker_has_a_handle_leaves_nothing(
    when: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the maker had made when it was killed for that, or had told."""

    def make_and_raise(*given: Any) -> None:
        ramet.clone(*given).wait()
        raise Heard

    if when is not None:
        monkeypatch.setattr(pid_namespace, when, die)
    monkeypatch.setattr(confined_clone, "clone", make_and_raise)
    with pytest.raises(Heard):
        ramet.clone(time.sleep, 1000, sandbox=SANDBOX)


@pytest.mark.parametrize("name", [None, "another"])
def test_its_name(name: str | None) -> None:
    """Its caller's, or its own; also where it has no /proc to give itself one by."""
    own = Path("/proc/thread-self/comm").read_text()
    sandbox = Sandbox(proc=False)
    with ramet.clone(time.sleep, 1000, name=name, sandbox=sandbox) as child:
        expected = own if name is None else f"{name}\n"
        until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == expected)
    sandbox.release()


def test_a_caller_with_no_descriptor_left() -> None:
    """The child is not made, or told of; the next one is."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd"))) + 1
    try:
        for free in range(1, 12):
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + free, hard))
            try:
                assert run(abs, -1) == 1
            except (OSError, ramet.ResultError, ramet.RemoteError, EOFError) as error:
                number = getattr(error, "errno", None)
                assert number in {errno.EMFILE, None}, error
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert run(abs, -1) == 1


@pytest.mark.parametrize("mebibytes", [1, 200])
def test_what_the_caller_has_is_not_the_copys(mebibytes: int) -> None:
    """Nor does it count against ``memory``; what the copy makes and writes to does."""
    large = bytearray(b"x") * (150 << 20)

    def work() -> int:
        made = bytearray(b"x") * (mebibytes << 20)
        if mebibytes > 100:
            time.sleep(1000)
        return len(made) + len(large)

    sandbox = Sandbox(memory="100M")
    with ramet.clone(work, sandbox=sandbox) as child:
        if mebibytes == 1:
            assert child.result(PATIENT_SECONDS) == 151 << 20
        else:
            with pytest.raises((ramet.ChildDied, ramet.RemoteError), match=r"[mM]emory"):
                child.result(PATIENT_SECONDS)
    sandbox.release()


def test_its_limit_of_data_is_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soft and hard, though what the caller has changes from one look to the next."""
    bytes_of_caller = itertools.count(1 << 30, -4096)
    monkeypatch.setattr(of_python, "data_bytes", lambda: next(bytes_of_caller))
    monkeypatch.setattr(amounts, "find_places", lambda _: {})  # a cgroup would keep memory
    soft, hard = of_python.OfClone(Sandbox(memory="100M")).rlimits["DATA"]
    assert soft == hard
