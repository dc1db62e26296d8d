"""Calls of a template in a sandbox: what they may not, what holds for each, and how they end."""

import asyncio
import errno
import gc
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import Sandbox
from ramet._kernel import procfs
from ramet._process.tree.pid_namespace import PidNamespace
from ramet._sandbox.of_python import OfTemplate
from ramet._sandbox.planning.machine import this_machine
from ramet._sandbox.planning.plan import Plan
from ramet._sandbox.planning.row import Row
from ramet._workers.template import called_child
from ramet._workers.template.link import Link

from ...constants import PATIENT_SECONDS
from ...looking import python_below_tmp, state_of
from ...waiting import nothing_unreaped, until
from ..sandbox.plain_user import inner_ids
from ..sandbox.suites import directory
from ..sandbox.taken_away import needs_all
from . import confined_calls
from .confined_calls import (
    LITTLE_MEGABYTES,
    a_thread_that_waits,
    descriptors,
    fill,
    fork_and_hang,
    found,
    ignored_and_handled,
    leave_a_daemon,
    limit_of,
    lines_of_status,
    of_libc,
    raw,
    take_shared,
    write,
    write_and_exit,
    write_anew,
    write_on,
)

pytestmark = needs_all

CLONE_PARENT, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x8000, 0x20000, 0x10000000, 0x20000000
SIGCHLD = 17
ONE_KEY = 4711
PRELOAD = [confined_calls.__name__]  # what is not loaded each call would import


@pytest.fixture(scope="module")
def confined() -> Iterator[ramet.Template]:
    """One that many tests share, with no wish but the default, and with what calls need."""
    preload = ["numpy", "cloudpickle", *PRELOAD]
    with ramet.Template(preload, sandbox=Sandbox(), spares=0) as template:
        yield template


@pytest.fixture(autouse=True)
def _all_reaped(nothing_left: Any) -> Iterator[None]:
    """What ends by itself, of a template that was killed, is waited for."""
    yield
    until(nothing_unreaped)


def run(template: ramet.Template, fn: Any, *args: Any, **options: Any) -> Any:
    """The result of a call that is reaped."""
    with template.clone(fn, *args, **options) as child:
        return child.result(PATIENT_SECONDS)


# ---- what a call sees and has


def test_a_call_has_no_right(confined: ramet.Template) -> None:
    """No capability in any set, no group, no way to new rights, and a filter beside the template's."""
    status = run(confined, lines_of_status)
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert [status[name] for name in sets] == ["0" * 16] * 5
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Groups"] == ""
    assert status["Uid"] in (f"{uid} {uid} {uid} {uid}" for uid in inner_ids())


def test_a_call_sees_itself_alone(confined: ramet.Template) -> None:
    """Not the template, not another call, not the init of its own namespace."""

    def seen() -> tuple[int, int, list[str]]:
        return os.getpid(), os.getppid(), [name for name in os.listdir("/proc") if name.isdigit()]

    with confined.clone(time.sleep, 1000) as other:
        assert run(confined, seen) == (2, 0, ["2"])
        other.kill()


def test_a_call_has_a_tmp_of_its_own(confined: ramet.Template) -> None:
    """Another finds nothing there."""

    def write() -> tuple[list[str], list[str]]:
        Path("/tmp/mine").write_text("x")
        Path("/dev/shm/mine").write_text("x")
        return sorted(os.listdir("/tmp")), os.listdir("/dev/shm")

    assert run(confined, write) == (sorted([*python_below_tmp(*sys.path), "mine"]), ["mine"])
    assert sorted(run(confined, os.listdir, "/tmp")) == python_below_tmp(*sys.path)


def test_a_call_leaves_no_set_user_id_program(tmp_path: Path) -> None:
    """The template's filter is that of its calls, too."""

    def left(path: str, mode: int) -> int | None:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o755))
            os.chmod(path, mode)
        except PermissionError as error:
            return error.errno
        return None

    program = tmp_path / "program"
    with ramet.Template(sandbox=Sandbox(write=[tmp_path])) as template:
        assert run(template, left, str(program), 0o4755) == errno.EPERM
        assert run(template, left, str(program), 0o711) is None
    assert program.stat().st_mode == 0o100711


@pytest.mark.parametrize("word", ["default", "strict"])
@pytest.mark.parametrize("spares", [0, 1])
def test_a_call_crashes_without_a_core(word: str, spares: int) -> None:
    """Its limit is 1, with which no program of core_pattern is started, and it cannot make it another."""

    def lowered() -> list[int]:
        before = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # as who has secrets does: it is done
        return [*before, *resource.getrlimit(resource.RLIMIT_CORE)]

    own = resource.getrlimit(resource.RLIMIT_CORE)[1]
    expected = 0 if own == 0 else 1  # a hard limit that the caller has is not raised
    with ramet.Template(sandbox=Sandbox(syscalls=word), spares=spares) as template:
        assert run(template, lowered) == [expected] * 4


def test_a_call_has_no_descriptor_of_others(confined: ramet.Template, tmp_path: Path) -> None:
    """Standard input, output and error, and the socket of its own outcome."""

    def descriptors() -> list[str]:
        numbers = map(int, os.listdir("/proc/self/fd"))
        return [
            os.readlink(f"/proc/self/fd/{n}")
            for n in numbers
            if os.path.lexists(f"/proc/self/fd/{n}") and n > 2
        ]

    with open(tmp_path / "secret", "w") as file:
        os.set_inheritable(file.fileno(), True)
        found = run(confined, descriptors)
    others = [name for name in found if "/libffi" not in name]  # which keeps its own file open
    assert [name.partition(":")[0] for name in others] == ["socket"]


def test_a_call_has_the_variables_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the caller has set since, too; others never."""

    def variables() -> dict[str, str]:
        return dict(os.environ)

    monkeypatch.setenv("RAMET_SECRET", "1")
    monkeypatch.delenv("TZ", raising=False)
    with ramet.Template(sandbox=Sandbox(environment=["TZ", "LANG"]), spares=0) as template:
        monkeypatch.setenv("TZ", "UTC")
        monkeypatch.setenv("RAMET_LATER", "1")
        found = run(template, variables)
        assert found.keys() <= {"TZ", "LANG", "LC_CTYPE", "HOME"}
        assert found["TZ"] == "UTC"


def test_a_call_of_a_template_that_was_started_again_has_the_variables_of_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that were changed before it was started again, and after."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("LANG", "C")
    with ramet.Template(sandbox=Sandbox(), spares=0) as template:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        monkeypatch.delenv("LANG")
        os.kill(template.pid, signal.SIGKILL)
        with pytest.warns(ramet.TemplateRestarted):
            assert run(template, os.getenv, "TZ") == "Asia/Tokyo"
        assert run(template, os.getenv, "LANG") is None
        monkeypatch.setenv("TZ", "UTC")
        assert run(template, os.getenv, "TZ") == "UTC"


def test_a_call_has_what_was_changed_while_its_template_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By another thread, say."""
    confine = Link.confine

    def change_first(*given: Any) -> Any:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        return confine(*given)

    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(Link, "confine", change_first)
    with ramet.Template(sandbox=Sandbox(), spares=0) as template:
        assert run(template, os.getenv, "TZ") == "Asia/Tokyo"


def test_a_call_has_a_session_of_its_own(confined: ramet.Template) -> None:
    """A signal to its process group reaches no other call, and not the template."""

    def kill_group() -> None:
        os.kill(0, signal.SIGKILL)

    pid = confined.pid
    with confined.clone(time.sleep, 1000) as other, confined.clone(kill_group) as child:
        assert child.wait(PATIENT_SECONDS).signal == signal.SIGKILL
        assert run(confined, lambda: (os.getpgid(0), os.getsid(0))) == (2, 2)
        assert other.poll() is None
        assert confined.pid == pid
        other.kill()


# ---- what a call may not


@pytest.mark.parametrize("spares", [0, 1])
def test_a_call_takes_signals_as_one_in_no_sandbox(spares: int) -> None:
    """An interrupt above all, which a template ignores, and what a call starts would."""
    with (
        ramet.Template(PRELOAD, spares=spares) as free,
        ramet.Template(PRELOAD, spares=spares, sandbox=Sandbox()) as confined,
    ):
        for template in (free, confined):
            raised = template.clone(signal.raise_signal, signal.SIGINT).exception(PATIENT_SECONDS)
            assert "KeyboardInterrupt" in repr(raised)
        assert run(confined, ignored_and_handled) == run(free, ignored_and_handled)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("unshare", (CLONE_NEWUSER,)),
        ("unshare", (CLONE_NEWNS,)),
        ("mount", (b"none", b"/tmp", b"tmpfs", 0, None)),
        ("umount2", (b"/proc", 2)),
        ("chroot", (b"/tmp",)),
        ("sethostname", (b"x", 1)),
        ("ptrace", (16, 1, None, None)),
        ("process_vm_readv", (1, None, 0, None, 0, 0)),
        ("shmget", (ONE_KEY, 4096, 0o1666)),
        ("semget", (ONE_KEY, 1, 0o1666)),
        ("msgget", (ONE_KEY, 0o1666)),
    ],
)
def test_calls_that_are_refused(confined: ramet.Template, name: str, args: tuple[Any, ...]) -> None:
    """What makes rights, looks into others, or is common to all calls of the template."""
    assert run(confined, of_libc, name, *args) == errno.EPERM


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("capset", (None, None)),
        ("prctl", (22, 2, None)),
        ("prctl", (24, 0)),
        ("prctl", (28, 0)),
        ("fcntl", (0, 1024, 0)),
    ],
)
def test_a_strict_call_may_no_more_than_a_strict_program(name: str, args: tuple[Any, ...]) -> None:
    """Nor what its template has needed to make it."""
    with ramet.Template(PRELOAD, sandbox=ramet.Sandbox.strict()) as strict:
        assert run(strict, of_libc, name, *args) == errno.EPERM


def test_a_strict_call_takes_no_filter_more() -> None:
    """The last one is the template's own doing."""
    with ramet.Template(PRELOAD, sandbox=ramet.Sandbox.strict()) as strict:
        assert run(strict, raw, "seccomp", 1, 0, 0) == errno.EPERM


@pytest.mark.parametrize("kind", ["mnt", "pid", "user", "net"])
def test_no_namespace_is_joined(confined: ramet.Template, kind: str) -> None:
    """Not its own, of which it has a descriptor, with no capability to regain."""

    def join() -> int:
        return of_libc("setns", os.open(f"/proc/self/ns/{kind}", os.O_RDONLY), 0)

    assert run(confined, join) == errno.EPERM


@pytest.mark.parametrize(
    "flags", [CLONE_PARENT, CLONE_NEWPID, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID | CLONE_PARENT]
)
def test_no_clone_as_the_template_makes_it(confined: ramet.Template, flags: int) -> None:
    """Neither a namespace, nor a child of the caller's, whom nobody would reap."""
    assert run(confined, raw, "clone", flags | SIGCHLD, 0, 0, 0, 0) == errno.EPERM


def test_a_child_of_the_callers_is_reaped_with_the_call() -> None:
    """Without a filter a call can make one, for which its namespace waits."""
    with ramet.Template(["cloudpickle"], sandbox=Sandbox(syscalls=None), spares=0) as template:
        assert run(template, raw, "clone", CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0


def test_no_signal_and_no_file_of_the_init(confined: ramet.Template) -> None:
    """It is a task in the memory of the template, which has a capability.

    Landlock refuses signals since ABI 6. Before, nothing comes of them: an init ignores
    what it has no handler for.
    """
    refused = errno.EPERM if this_machine().landlock_abi >= 6 else 0

    def attempts() -> list[int]:
        found = []
        for attempt in (
            lambda: os.kill(1, signal.SIGKILL),
            lambda: os.kill(1, signal.SIGSTOP),
            lambda: os.kill(-1, signal.SIGKILL),
            lambda: os.open("/proc/1/mem", os.O_RDWR),
            lambda: os.listdir("/proc/1"),
        ):
            try:
                attempt()
                found.append(0)
            except OSError as error:
                found.append(error.errno or -1)
        return found

    kill, stop, kill_all, memory, listing = run(confined, attempts)
    assert (kill, stop) == (refused, refused)
    assert kill_all in {errno.EPERM, errno.ESRCH}
    assert (memory, listing) == (errno.ENOENT, errno.ENOENT)


def test_abstract_sockets_of_another_call(confined: ramet.Template) -> None:
    """Calls have one network namespace, and a domain of Landlock each, which parts them since ABI 6."""
    refused = errno.EPERM if this_machine().landlock_abi >= 6 else 0

    def listen(ready: str) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("\0ramet-test")
            server.listen()
            os.write(1, ready.encode())
            server.accept()

    def connect() -> int | None:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect("\0ramet-test")
            except OSError as error:
                return error.errno
        return 0

    out, written = os.pipe()
    with open(out, "rb", 0) as said, confined.clone(listen, "x", stdout=written) as server:
        os.close(written)
        assert said.read(1) == b"x"
        assert run(confined, connect) == refused
        server.kill()


# ---- the files of a call


def test_what_is_shown_below_tmp_stays_there(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A call's own /tmp does not cover it."""
    place = Path("/tmp") / f"ramet-test-{os.getpid()}"
    (place / "written").mkdir(parents=True)
    (place / "written").chmod(0o777)
    (place / "read").write_text("text")
    sandbox = Sandbox(write=[place / "written"], read=[place / "read"])
    names = [*python_below_tmp(*sys.path), place.name]
    try:
        with ramet.Template(sandbox=sandbox, spares=0) as template:
            assert run(template, os.mkdir, f"{place}/written/made") is None
            assert sorted(run(template, os.listdir, "/tmp")) == sorted(names)
            assert run(template, os.path.getsize, f"{place}/read") == 4
            assert os.listdir(place / "written") == ["made"]
    finally:
        (place / "written/made").rmdir()
        (place / "written").rmdir()
        (place / "read").unlink()
        place.rmdir()


@pytest.mark.parametrize("above", ["/tmp", "/var/tmp"])
def test_a_call_writes_below_its_own_paths_alone(above: str) -> None:
    """Of those that the sandbox may write; below /tmp as well, where calls write else."""
    place = Path(above) / f"ramet-test-{os.getpid()}"
    for name in ("a", "b"):
        (place / name).mkdir(parents=True)
        (place / name).chmod(0o777)
    try:
        sandbox = Sandbox(write=[place])
        with ramet.Template(sandbox=sandbox, spares=0) as template, template.derive() as derived:
            run(template, os.mkdir, f"{place}/a/made", write=[place / "a"])
            for one in (template, derived):
                with pytest.raises(ramet.RemoteError, match="PermissionError"):
                    run(one, os.mkdir, f"{place}/b/made", write=[place / "a"])
            with pytest.raises(ValueError, match="expected paths below those of the sandbox"):
                template.clone(os.getpid, write=["/usr"])
            with pytest.raises(FileNotFoundError):
                template.clone(os.getpid, write=[place / "missing"])
    finally:
        (place / "a/made").rmdir()
        (place / "a").rmdir()
        (place / "b").rmdir()
        place.rmdir()


def test_write_without_a_sandbox_is_refused() -> None:
    """There is nothing of which it could be a part."""
    with ramet.Template(spares=0) as template, pytest.raises(ValueError, match="invalid write"):
        template.clone(os.getpid, write=["/tmp"])


# ---- options beside it


@pytest.mark.parametrize(
    "options",
    [
        {"flags": F.NEWNET},
        {"set_tid": [77]},
        {"cgroup": "/sys/fs/cgroup"},
        {"user": 0},
        {"namespaces": {"mnt": 1}},
        {"root": "/usr"},
        {"start_new_session": True},
        {"ambient_caps": ["SYS_ADMIN"]},
        {"trusted": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_of_a_call_that_the_sandbox_decides(
    confined: ramet.Template, options: dict[str, Any]
) -> None:
    """Refused before anything is made."""
    with pytest.raises(ValueError, match=f"invalid {next(iter(options))}"):
        confined.clone(os.getpid, **options)


def test_options_of_a_call_that_hold(confined: ramet.Template, tmp_path: Path) -> None:
    """Where it begins, what it reads and writes, its name, limits and deadline."""

    def told() -> tuple[str, str, str, int]:
        print("said")
        return os.getcwd(), sys.stdin.read(), Path("/proc/self/comm").read_text(), os.umask(0)

    (tmp_path / "in").write_text("asked")
    with open(tmp_path / "in") as given, open(tmp_path / "out", "w") as out:
        options: dict[str, Any] = {"stdin": given, "stdout": out, "cwd": "/usr", "umask": 0o27}
        found = run(confined, told, name="a-name", timeout=PATIENT_SECONDS, **options)
    assert found == ("/usr", "asked", "a-name\n", 0o27)
    assert (tmp_path / "out").read_text() == "said\n"


@pytest.mark.parametrize("spares", [0, 1])
def test_limits_of_a_template_take_the_place_of_the_sandboxs(spares: int) -> None:
    """In each call, above its own or below; but for CORE, where 0 would start a program outside."""
    given = {"FSIZE": 1 << 20, "SIGPENDING": 3, "MSGQUEUE": (100, 1000), "CORE": 0}
    options: dict[str, Any] = {"sandbox": Sandbox(file_size="2M"), "rlimits": given}
    with ramet.Template(spares=spares, **options) as template:
        has = [run(template, limit_of, name) for name in given]
    no_core = min(1, limit_of("CORE")[1] % (1 << 64))  # no limit is -1 here
    assert has == [(1 << 20, 1 << 20), (3, 3), (100, 1000), (no_core, no_core)]


def test_limits_of_a_call(confined: ramet.Template) -> None:
    """Below those that it has; one of CORE that would allow cores is for a template to have."""
    assert run(confined, limit_of, "SIGPENDING", rlimits={"SIGPENDING": 3}) == (3, 3)
    no_core = limit_of("CORE")[1] and 1
    assert run(confined, limit_of, "CORE", rlimits={"CORE": 0})[0] == no_core
    with pytest.raises(ValueError, match=r"rlimits\['CORE'\].*expected 1.*give it to the template"):
        confined.clone(os.getpid, rlimits={"CORE": 2})
    with pytest.raises(ramet.UnknownNameError, match="no limit 'CORES'"):
        confined.clone(os.getpid, rlimits={"CORES": 2})


def test_a_wish_that_a_template_cannot_meet() -> None:
    """Refused before anything is made, with what can be used instead."""
    with pytest.raises(ValueError, match="invalid proc for a template"):
        ramet.Template(sandbox=Sandbox(proc=False))


def test_a_template_is_refused_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """With require="best" a program goes on there."""
    lost = Row("proc", "/proc of its own processes", "not", shortfall="nothing meets it")
    monkeypatch.setattr(Plan, "lost", (lost,))
    with pytest.raises(
        ramet.SandboxError, match=r"counts its threads in a /proc.*nothing meets it"
    ):
        ramet.Template(sandbox=Sandbox(require="best"))


def test_options_of_a_template_that_the_sandbox_decides() -> None:
    """And what is no sandbox."""
    with pytest.raises(ValueError, match="invalid user with sandbox"):
        ramet.Template(sandbox=Sandbox(), user=0)
    with pytest.raises(TypeError, match="expected a ramet\\.Sandbox"):
        ramet.Template(sandbox={"read": []})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="sandbox"):
        ramet.Template.from_here(sandbox=Sandbox())  # type: ignore[call-arg]


# ---- what crosses


def test_arrays_come_and_go(confined: ramet.Template, nothing_left: Any) -> None:
    """Larger than what a socket takes; the caller's own stays as it is."""
    numpy = pytest.importorskip("numpy")
    nothing_left.start_again()  # its threads stay

    def doubled(given: Any) -> Any:
        given *= 2
        return given

    given = numpy.arange(1_000_000.0)
    assert run(confined, doubled, given)[999_999] == 1_999_998.0
    assert given[999_999] == 999_999.0


def test_threads_of_a_pool_begin_anew(confined: ramet.Template) -> None:
    """Matrices are multiplied in several threads of a call."""
    if find_spec("numpy") is None:  # the caller does not import it: it has threads
        pytest.skip("needs numpy")

    def multiplied() -> list[float]:
        import numpy as np

        ones = np.ones((300, 300))
        with ThreadPoolExecutor(3) as threads:
            return [float(one[0, 0]) for one in threads.map(lambda _: ones @ ones, range(3))]

    assert run(confined, multiplied) == [300.0] * 3


def test_what_is_no_data_is_told(confined: ramet.Template) -> None:
    """No pickle is read: a result is data, and an exception its type, message and traceback."""
    with pytest.raises(ramet.ResultError, match="is not data"):
        run(confined, lambda: pytest)
    with pytest.raises(ramet.RemoteError) as caught:
        run(confined, os.environ.__getitem__, "x")
    assert str(caught.value) == "KeyError: 'x'"
    assert run(confined, lambda: {"a": (1, {2.5})}) == {"a": (1, {2.5})}
    number, error = run(confined, lambda: (1, ValueError("none")))
    assert (number, str(error), type(error)) == (1, "ValueError: none", ramet.RemoteError)


def test_modules_are_imported_late(confined: ramet.Template) -> None:
    """Those of Python, and of the directories of sys.path."""

    def late() -> str:
        import colorsys

        return colorsys.__name__

    assert run(confined, late) == "colorsys"


def test_directories_of_sys_path_in_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox has a /dev of its own: they are not shown, and nobody has named them."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        Path(path, "module_in_memory.py").write_text("value = 1\n")
        monkeypatch.syspath_prepend(path)
        with ramet.Template(["module_in_memory"], sandbox=Sandbox()) as template:
            assert run(template, os.listdir, "/dev/shm") == []
            assert run(template, os.path.exists, path) is False


# ---- amounts


def spin() -> None:
    """Take time."""
    while True:
        pass


@pytest.mark.parametrize(
    ("wishes", "fn", "reason"),
    [
        ({"timeout": 0.2}, lambda: time.sleep(1000), "deadline"),
        ({"cpu_time": 0.3}, spin, "cpu time"),
    ],
    ids=["timeout", "cpu_time"],
)
def test_amounts_are_those_of_each_call(wishes: dict[str, Any], fn: Any, reason: str) -> None:
    """One that exceeds them is ended for that reason, and the next one begins with the whole."""
    with ramet.Template(["cloudpickle"], sandbox=Sandbox(**wishes)) as template:
        for _ in range(2):
            with template.clone(fn) as child:
                status = child.wait(PATIENT_SECONDS)
                assert (status.signal, status.reason) == (signal.SIGKILL, reason)
                assert child.report.reason == reason
        with template.clone(abs, -1) as child:
            assert child.result(PATIENT_SECONDS) == 1
            assert child.wait(PATIENT_SECONDS).code == 0
            assert child.report.reason == "exited"


def test_memory_of_each_call() -> None:
    """By a cgroup it is killed, else by a watch, or gets a MemoryError first."""
    with ramet.Template(sandbox=Sandbox(memory="150M")) as template:
        with template.clone(fill) as child:
            try:
                child.result(PATIENT_SECONDS)
            except ramet.RemoteError as error:
                assert "MemoryError" in str(error)
            except ramet.ChildDied as died:
                assert died.status.reason == "out of memory"
            else:
                pytest.fail("it had what it wanted")
        assert run(template, abs, -1) == 1


@pytest.mark.parametrize("amounts", [{"memory": "1G"}, {"processes": 50, "timeout": 60}, {}])
def test_memory_of_a_call_beside_the_amounts_of_its_sandbox(amounts: Any) -> None:
    """Both hold: a call that is in a cgroup of its sandbox is watched."""
    with ramet.Template(sandbox=Sandbox(**amounts), spares=1) as template:
        for _ in range(2):
            assert run(template, take_shared, LITTLE_MEGABYTES, memory="80M") == LITTLE_MEGABYTES
            with template.clone(take_shared, 200, memory="80M") as child:
                with pytest.raises(ramet.ChildDied, match="out of memory"):
                    child.result(PATIENT_SECONDS)
                assert child.wait().reason == "out of memory"


def test_memory_of_an_executor_beside_the_amounts_of_its_sandbox() -> None:
    """As it is of a template's call, whichever of both is less."""
    for sandbox, memory in (("1G", "80M"), ("80M", "1G")):
        with ramet.Executor(1, sandbox=Sandbox(memory=sandbox), memory=memory) as executor:
            error = executor.submit(take_shared, 200).exception(PATIENT_SECONDS)
            assert isinstance(error, ramet.ChildDied)
            assert error.status.reason == "out of memory"
            assert executor.submit(take_shared, 10).result(PATIENT_SECONDS) == 10


# ---- filters


@pytest.mark.parametrize("forbidden", ["refuse", "kill"])
@pytest.mark.parametrize("word", ["default", "strict"])
def test_a_template_works_in_each_filter(word: str, forbidden: str) -> None:
    """What it does itself is not forbidden; what its calls do is."""
    sandbox = Sandbox(syscalls=word, forbidden=forbidden)
    with ramet.Template(["cloudpickle"], sandbox=sandbox) as template:
        assert run(template, abs, -1) == 1
        with template.clone(of_libc, "mount", b"none", b"/tmp", b"tmpfs", 0, None) as child:
            if forbidden == "refuse":
                assert child.result(PATIENT_SECONDS) == errno.EPERM
            else:
                status = child.wait(PATIENT_SECONDS)
                assert (status.signal, status.reason) == (signal.SIGSYS, "forbidden call")
                assert child.report.reason == "forbidden call"
        assert run(template, abs, -2) == 2


def test_a_call_that_cannot_be_confined(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not run; the step is named, and the template goes on."""
    add_limits = OfTemplate._add_limits

    def with_a_failure(self: OfTemplate, steps: Any) -> None:
        add_limits(self, steps)
        steps.add("chdir", "CHDIR", b"/missing", file=b"/missing")

    monkeypatch.setattr(OfTemplate, "_add_limits", with_a_failure)
    for spares in (0, 1):
        with ramet.Template(sandbox=Sandbox(), spares=spares) as template:
            for _ in range(2):
                with pytest.raises(ramet.SpawnError, match="'chdir' failed on '/missing'"):
                    run(template, os.getpid)


# ---- layers and ends


def test_threads_that_are_allowed_stay_outside() -> None:
    """As those of polars' import: what is confined is a clone, as of several threads none could be."""
    sandbox = Sandbox()
    with ramet.Template(
        ["cloudpickle"], setup=a_thread_that_waits, allow=["threads"], sandbox=sandbox
    ) as template:
        assert run(template, lambda: (os.getpid(), len(os.listdir("/proc/self/task")))) == (2, 1)


def test_threads_that_come_back_in_a_clone_are_refused() -> None:
    """As by handlers of a fork, which scipy.fft has: no step of a sandbox would be one of theirs."""

    def comes_back() -> None:
        os.register_at_fork(after_in_child=a_thread_that_waits)
        a_thread_that_waits()

    with pytest.raises(ramet.TemplateError, match="would stay outside: thread 'Thread-"):
        ramet.Template(["cloudpickle"], setup=comes_back, allow=["threads"], sandbox=Sandbox())


def test_a_derived_template_is_confined() -> None:
    """So are its calls, and those of one that is derived from it."""

    def told() -> tuple[int, list[str], str, bool]:
        numbers = [name for name in os.listdir("/proc") if name.isdigit()]
        return os.getpid(), numbers, lines_of_status()["CapEff"], "colorsys" in sys.modules

    with (
        ramet.Template(["cloudpickle"], sandbox=Sandbox()) as base,
        base.derive(["colorsys"]) as derived,
        derived.derive() as last,
    ):
        for template in (derived, last):
            assert run(template, told) == (2, ["2"], "0" * 16, True)
            with pytest.raises(ramet.ResultError, match="is not data"):
                run(template, lambda: pytest)


def test_a_derived_template_ends_with_its_base() -> None:
    """It is in the pid namespace of that; so do its calls."""
    with ramet.Template(sandbox=Sandbox()) as base, base.derive() as derived:
        child = derived.clone(time.sleep, 1000)
        base.close()
        assert child.wait(PATIENT_SECONDS).signal == signal.SIGKILL
        with pytest.raises(ramet.TemplateError, match="has been closed"):
            derived.clone(os.getpid)


def test_a_template_that_was_killed_is_replaced() -> None:
    """The call that runs goes on."""
    with ramet.Template(sandbox=Sandbox()) as template:
        with template.clone(sys.stdin.__class__.__name__.__len__) as child:
            child.result(PATIENT_SECONDS)
        read, written = os.pipe()
        with template.clone(os.read, 0, 1, stdin=read) as running:
            os.close(read)
            os.kill(template.pid, signal.SIGKILL)
            with pytest.warns(ramet.TemplateRestarted):
                assert run(template, abs, -1) == 1
            os.write(written, b"x")
            os.close(written)
            assert running.result(PATIENT_SECONDS) == b"x"


# ---- what the sandbox covers, and its caller replaces


@pytest.fixture
def covered() -> Iterator[Path]:
    """A directory with a file and a directory to be hidden, and a file to be read alone."""
    with directory() as path:
        for name in ("hidden", "kept"):
            (path / name).mkdir()
            (path / name / "file").write_text("first")
        (path / "secret").write_text("first")
        for one in (path, path / "kept", path / "kept" / "file"):
            one.chmod(0o777)
        yield path


def sandbox_of(path: Path) -> Sandbox:
    """One that may write the directory, but for what is covered."""
    hidden = [path / "secret", path / "hidden"]
    return Sandbox(write=[path], read=[path / "kept" / "file"], hidden=hidden)


def replace(path: Path, content: str) -> None:
    """Put others in the place of all three: one by a rename, the others when the first are gone."""
    (path / "new").write_text(content)
    (path / "new").rename(path / "kept" / "file")
    (path / "kept" / "file").chmod(0o666)
    (path / "secret").unlink()
    (path / "secret").write_text(content)
    (path / "hidden" / "file").unlink()
    (path / "hidden").rmdir()
    (path / "hidden").mkdir()
    (path / "hidden" / "file").write_text(content)


@pytest.mark.parametrize("spares", [0, 2])
def test_what_is_replaced_stays_covered(spares: int, covered: Path) -> None:
    """In each call from then on, in another process; without a warning, and only where it is replaced."""
    with ramet.Template(PRELOAD, sandbox=sandbox_of(covered), spares=spares) as template:
        assert run(template, found, covered) == ("", [], errno.EROFS, "first")
        for content in ("second", "third"):
            replace(covered, content)
            before = template.pid
            assert run(template, found, covered) == ("", [], errno.EROFS, content)
            assert template.pid != before
        before = template.pid
        (covered / "secret").write_text("the same file")
        (covered / "hidden" / "other").write_text("in the same directory")
        assert run(template, found, covered) == ("", [], errno.EROFS, "third")
        assert template.pid == before


def test_a_call_goes_on_when_something_is_replaced(covered: Path) -> None:
    """The next one has another process, and this one ends as it would have."""
    with ramet.Template(PRELOAD, sandbox=sandbox_of(covered)) as template:
        read, written = os.pipe()
        with template.clone(os.read, 0, 1, stdin=read) as running:
            os.close(read)
            replace(covered, "second")
            assert run(template, found, covered) == ("", [], errno.EROFS, "second")
            os.write(written, b"x")
            os.close(written)
            assert running.result(PATIENT_SECONDS) == b"x"


def test_what_is_covered_and_is_gone(covered: Path) -> None:
    """Calls are refused, by its name, until it is there again."""
    with ramet.Template(PRELOAD, sandbox=sandbox_of(covered)) as template:
        (covered / "secret").unlink()
        for _ in range(2):
            with pytest.raises(FileNotFoundError, match=r"invalid hidden: .*secret'"):
                template.clone(found, covered)
        (covered / "secret").write_text("second")
        assert run(template, found, covered) == ("", [], errno.EROFS, "first")


def test_a_derived_template_covers_what_is_replaced(covered: Path) -> None:
    """Whichever of the two is called first."""
    with (
        ramet.Template(PRELOAD, sandbox=sandbox_of(covered)) as base,
        base.derive() as derived,
    ):
        for content, order in (("second", (base, derived)), ("third", (derived, base))):
            replace(covered, content)
            for template in order:
                assert run(template, found, covered) == ("", [], errno.EROFS, content)


@pytest.mark.parametrize("derives", [False, True])
@pytest.mark.parametrize("reuse", [1, 10])
def test_an_executor_covers_what_is_replaced(reuse: int, derives: bool, covered: Path) -> None:
    """Also where a process of it waits for its next call."""
    with ExitStack() as stack:
        named: dict[str, Any] = {"sandbox": sandbox_of(covered)}
        if derives:
            named = {"template": stack.enter_context(ramet.Template(**named))}
        executor = stack.enter_context(ramet.Executor(2, preload=PRELOAD, reuse=reuse, **named))
        for content in ("first", "second", "third"):
            if content != "first":
                replace(covered, content)
            for _ in range(3):
                told = executor.submit(found, covered).result(PATIENT_SECONDS)
                assert told == ("", [], errno.EROFS, content)


def test_nothing_is_looked_at_where_nothing_is_covered(confined: ramet.Template) -> None:
    """A call pays nothing for it then."""
    run(confined, abs, -1)
    assert confined._link.points == (b"", b"")


def test_a_wait_that_was_interrupted_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the call has started, and the init of its namespace, are gone after the second one."""

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    with ramet.Template(["cloudpickle"], sandbox=Sandbox(), spares=0) as template:
        child = template.clone(leave_a_daemon)
        assert child.result(PATIENT_SECONDS) == 2
        init = child._init
        assert init != 0
        with monkeypatch.context() as patched:
            patched.setattr(PidNamespace, "end", interrupted)
            with pytest.raises(KeyboardInterrupt):
                child.wait(PATIENT_SECONDS)
        assert child.wait(PATIENT_SECONDS).code == 0
        assert state_of(init) == ""


def twelve(template: ramet.Template, fn: Any, *args: Any) -> tuple[list[Any], list[int]]:
    """So many calls that are over and wait to be reaped, the first eight by the next call; their inits."""
    children = [template.clone(fn, *args) for _ in range(12)]
    inits = [child._init for child in children]
    for child in children:
        child.result(PATIENT_SECONDS)
    until(lambda: all(state_of(child.pid) == "Z" for child in children))
    assert all(inits)
    return children, inits


def test_ends_of_namespaces_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where calls follow each other; a wait for an earlier one waits for its namespace all the same."""
    ends: list[int] = []

    def end(namespace: PidNamespace, *deadline: float | None) -> bool:
        ends.append(namespace.pid)
        return of_namespace(namespace, *deadline)

    of_namespace = PidNamespace.end
    with ramet.Template(["cloudpickle"], sandbox=Sandbox(), spares=0) as template:
        children, inits = twelve(template, leave_a_daemon)
        monkeypatch.setattr(PidNamespace, "end", end)
        last = template.clone(leave_a_daemon)
        assert all(child.poll() is not None for child in children[:8])
        assert not ends
        assert children[0].wait(PATIENT_SECONDS).code == 0
        assert state_of(inits[0]) == ""
        assert last.result(PATIENT_SECONDS) == 2


def test_what_no_namespace_ends_by_itself_is_ended() -> None:
    """A child of the caller's keeps the init of its namespace: some calls later it is reaped."""
    call = (raw, "clone", CLONE_PARENT | SIGCHLD, 0, 0, 0, 0)
    with ramet.Template(["cloudpickle"], sandbox=Sandbox(syscalls=None), spares=0) as template:
        _, first = twelve(template, *call)
        twelve(template, *call)
        assert template.clone(int).result(PATIENT_SECONDS) == 0
        assert all(state_of(init) == "" for init in first[:8])


def test_what_was_loaded_is_in_one_memory() -> None:
    """The init of a template's namespace keeps none of it, which the template would copy page by page."""
    before = procfs.children(os.getpid())
    with ramet.Template(["numpy"], sandbox=Sandbox(), spares=0) as template:
        new = set(procfs.children(os.getpid())) - set(before)
        names = {pid: Path(f"/proc/{pid}/comm").read_text() for pid in new}
        (init,) = [pid for pid, name in names.items() if name.endswith("i\n")]
        assert resident_bytes(init) < resident_bytes(template.pid) / 8


def resident_bytes(pid: int) -> int:
    """As proc_pid_statm(5) tells."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize("how", ["closed", "dropped", "interrupted", "interrupted at its kill"])
def test_namespaces_that_were_left_are_reaped(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever becomes of the template: the fixture of this file waits until nothing is left."""
    if how == "interrupted at its kill":  # of a child that takes too long to end
        monkeypatch.setattr(called_child, "_END_OF_UNTRUSTED_SECONDS", -1.0)
    template = ramet.Template(["cloudpickle"], sandbox=Sandbox(), spares=0)
    children, inits = twelve(template, leave_a_daemon)
    if how.startswith("interrupted"):
        with monkeypatch.context() as patched:
            patched.setattr(called_child.CalledChild, "_kill_namespace", interrupted)
            with pytest.raises(KeyboardInterrupt):
                template.clone(int)
    assert template.clone(int).result(PATIENT_SECONDS) == 0
    if how == "dropped":
        del template, children
        gc.collect()
        return
    template.close()
    if how.startswith("interrupted"):  # that one is reaped by what is done next, once it has ended
        until(nothing_unreaped)
    assert all(state_of(init) == "" for init in inits)


def test_an_interrupt_while_others_are_reaped_ends_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That has begun, and that nobody has a handle of."""
    with ramet.Template(["cloudpickle"], sandbox=Sandbox(), spares=0) as template:
        twelve(template, int)
        children = set(procfs.children(os.getpid()))
        monkeypatch.setattr(called_child.CalledChild, "_reap_if_ended", interrupted)
        with pytest.raises(KeyboardInterrupt):
            template.clone(time.sleep, 1000)
        monkeypatch.undo()
        until(lambda: set(procfs.children(os.getpid())) <= children)


def interrupted(*_: object) -> bool:
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", [ramet.Template, ramet.Executor])
def test_what_is_closed_keeps_nothing(kind: Callable[..., Any]) -> None:
    """No namespace and no cgroup, as long as it has a name, and without Python's collection."""
    sandbox = ramet.Sandbox(memory="512M")
    with kind(sandbox=sandbox):
        pass
    before = descriptors()
    gc.disable()
    try:
        kept = [kind(sandbox=sandbox) for _ in range(3)]
        for one in kept:
            one.__exit__(None, None, None)
        assert descriptors() == before
    finally:
        gc.enable()


def test_close_ends_calls_that_run() -> None:
    """They are in its namespace; what they have started ends, too."""
    with ramet.Template(["cloudpickle"], sandbox=Sandbox()) as template:
        child = template.clone(fork_and_hang)
        template.close()
        assert child.wait(PATIENT_SECONDS).signal == signal.SIGKILL


CALLER = """\
import os, sys, time
import ramet
template = ramet.Template(["cloudpickle"], sandbox=ramet.Sandbox())
child = template.clone(time.sleep, 1000)
print(template.pid, child.pid, flush=True)
time.sleep(1000)
"""


def test_all_ends_with_the_caller() -> None:
    """Killed, it cleans nothing up: the template, the call and the spare end all the same."""
    with subprocess.Popen(
        [sys.executable, "-c", CALLER], stdout=subprocess.PIPE, text=True
    ) as caller:
        assert caller.stdout is not None
        pids = list(map(int, caller.stdout.readline().split()))
        assert len(pids) == 2
        caller.kill()
    until(lambda: all(state_of(pid) in {"", "X", "Z"} for pid in pids))


def test_many_calls_that_end_in_each_way() -> None:
    """A tenth is killed, a tenth raises: none is lost, and nothing is left."""

    def outcome(number: int) -> int:
        if number % 10 == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number % 10 == 7:
            raise ValueError(number)
        return number

    with ramet.Template(["cloudpickle"], sandbox=Sandbox(), spares=2) as template:

        def one(number: int) -> str:
            try:
                return str(run(template, outcome, number))
            except (ramet.RemoteError, ramet.ChildDied) as error:
                return type(error).__name__

        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(one, range(100)))
    assert found.count("RemoteError") == found.count("ChildDied") == 10
    assert [text for text in found if text.isdigit()] == [
        str(n) for n in range(100) if n % 10 not in {3, 7}
    ]


# ---- executors, and others that use templates


def test_an_executor_in_a_sandbox() -> None:
    """Its calls have what a call of a template has; a death and a cancellation cost one future."""
    sandbox = Sandbox(processes=64)
    with ramet.Executor(2, sandbox=sandbox, timeout=30, capture_output=True) as executor:
        good, dead = executor.submit(lines_of_status), executor.submit(os.abort)
        said = executor.submit(print, "x", sep="")
        assert good.result(PATIENT_SECONDS)["CapEff"] == "0" * 16
        assert good.tree_ended_by == "pid namespace"
        assert isinstance(dead.exception(PATIENT_SECONDS), ramet.ChildDied)
        assert said.result(PATIENT_SECONDS) is None
        assert said.stdout == "x\n"
        running = executor.submit(time.sleep, 1000)
        until(running.running)
        assert running.cancel()
        assert list(executor.map(abs, [-1, -2])) == [1, 2]


_MOST = 10_000
WRITERS: list[tuple[Callable[..., object], tuple[int, ...]]] = [
    (write, (_MOST + 1,)),
    (write, (1 << 26,)),
    (write, (1 << 20, 2)),
    (write_on, (1 << 20,)),
    (write_and_exit, (1 << 20,)),
]


@pytest.mark.parametrize("reuse", [1, 3])
def test_a_call_that_writes_too_much(reuse: int) -> None:
    """It has failed, whatever it says of itself; others have what they wrote."""
    sandbox = Sandbox(output=_MOST)
    with ramet.Executor(1, sandbox=sandbox, capture_output=True, reuse=reuse) as executor:
        for fn, args in WRITERS:
            fits = executor.submit(write, _MOST)
            assert (fits.exception(PATIENT_SECONDS), fits.stdout) == (None, "x" * _MOST)
            future = executor.submit(fn, *args)
            died = future.exception(PATIENT_SECONDS)
            assert isinstance(died, ramet.ChildDied)
            assert died.status.reason == "output"
            assert {future.stdout, future.stderr} == {"", "x" * _MOST}
            assert future.tree_ended_by == "pid namespace"


def test_what_a_call_may_write_is_of_both_together() -> None:
    """Output and error."""

    def both(output: int, error: int) -> None:
        write(output)
        write(error, 2)

    with ramet.Executor(1, sandbox=Sandbox(output=_MOST), capture_output=True) as executor:
        fits = executor.submit(both, _MOST - 10, 10)
        assert fits.exception(PATIENT_SECONDS) is None
        assert (fits.stdout, fits.stderr) == ("x" * (_MOST - 10), "x" * 10)
        died = executor.submit(both, _MOST - 10, 11).exception(PATIENT_SECONDS)
        assert isinstance(died, ramet.ChildDied)
        assert died.status.reason == "output"


def test_output_that_is_opened_anew() -> None:
    """It is a file like any other."""
    with ramet.Executor(1, sandbox=Sandbox(output=_MOST), capture_output=True) as executor:
        future = executor.submit(write_anew, 3)
        assert future.exception(PATIENT_SECONDS) is None
        assert future.stdout == "xxxxxx"


def test_an_executor_with_reuse_and_an_initializer() -> None:
    """Each process begins with it, and serves some calls."""
    with ramet.Executor(
        1, sandbox=Sandbox(), reuse=2, initializer=os.chdir, initargs=("/usr",)
    ) as executor:
        found = [executor.submit(os.getcwd).result(PATIENT_SECONDS) for _ in range(4)]
    assert found == ["/usr"] * 4


def test_an_executor_of_a_confined_template(confined: ramet.Template) -> None:
    """It is in the sandbox of that; another beside it is refused."""
    with ramet.Executor(1, template=confined) as executor:
        status = executor.submit(lines_of_status).result(PATIENT_SECONDS)
        assert (status["CapEff"], status["NoNewPrivs"]) == ("0" * 16, "1")
    with pytest.raises(ValueError, match="invalid sandbox with template"):
        ramet.Executor(template=confined, sandbox=Sandbox())


def test_a_deadline_of_an_executor_kills_a_tree() -> None:
    """What the call has started ends with it."""
    with ramet.Executor(1, sandbox=Sandbox(), timeout=0.5, preload=PRELOAD) as executor:
        error = executor.submit(fork_and_hang).exception(PATIENT_SECONDS)
    assert isinstance(error, ramet.DeadlineExceeded)


@pytest.mark.parametrize("timeouts", [(0.5, None), (0.5, 1000.0), (1000.0, 0.5)])
def test_a_deadline_of_the_sandbox_tells_where_a_call_stood(
    timeouts: tuple[float, float | None],
) -> None:
    """As that of the executor does; the first of both ends the call."""
    sandbox = Sandbox(timeout=timeouts[0])
    with ramet.Executor(1, sandbox=sandbox, timeout=timeouts[1], preload=PRELOAD) as executor:
        error = executor.submit(fork_and_hang).exception(PATIENT_SECONDS)
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
    assert isinstance(error, ramet.DeadlineExceeded)
    assert error.status.reason == "deadline"
    assert fork_and_hang.__name__ in error.stack


def test_calls_under_asyncio() -> None:
    """A cancellation kills the call."""

    async def main(template: ramet.Template) -> int:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(template.run(time.sleep, 1000), 0.1)
        return await template.run(abs, -3)

    with ramet.Template(sandbox=Sandbox()) as template:
        assert asyncio.run(main(template)) == 3


def test_threads_that_call(confined: ramet.Template) -> None:
    """Each gets its own outcome."""
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: run(confined, abs, -n), range(20)))
    assert found == list(range(20))


def use_all(held: list[int]) -> None:
    """Open descriptors until there are no more."""
    with suppress(OSError):
        while True:
            held.append(os.dup(0))


def test_a_caller_with_no_descriptor_left(confined: ramet.Template) -> None:
    """The call fails, and the next one, with some, does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd"))) + 1
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 4, hard))
    try:
        use_all(held)
        with pytest.raises(OSError, match="open files"):
            confined.clone(os.getpid)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert run(confined, abs, -1) == 1


def test_a_caller_with_few_descriptors_left(confined: ramet.Template) -> None:
    """The call runs or is refused, and nothing of it is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(map(int, os.listdir("/proc/self/fd"))) + 20
    before, refused = procfs.children(os.getpid()), 0
    for free in range(12):
        held: list[int] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        try:
            use_all(held)
            for _ in range(free):
                os.close(held.pop())
            assert run(confined, abs, -1) == 1
        except (OSError, ramet.ResultError) as error:
            refused += 1
            assert "open files" in str(error)
        finally:
            for descriptor in held:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert run(confined, abs, -1) == 1
        until(lambda: nothing_unreaped() and procfs.children(os.getpid()) == before)
    assert refused > 2


def test_a_copy_of_the_caller_is_told(confined: ramet.Template) -> None:
    """The template is its original's."""

    def attempt() -> str:
        try:
            confined.clone(os.getpid)
        except ValueError as error:
            return str(error)
        return ""

    with ramet.clone(attempt) as child:
        assert "of which this is a copy" in child.result(PATIENT_SECONDS)


def test_a_thread_may_end_that_made_a_template() -> None:
    """Its template does not end with it."""
    made: list[ramet.Template] = []
    thread = threading.Thread(target=lambda: made.append(ramet.Template(sandbox=Sandbox())))
    thread.start()
    thread.join()
    with made[0] as template:
        assert run(template, abs, -1) == 1
