"""Children that are confined ahead of their programs: Sandbox(warm=)."""

import contextlib
import itertools
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

import ramet
from ramet import Sandbox, _core
from ramet._core import Plan, wait_readable
from ramet._kernel import procfs
from ramet._process import child as child_module
from ramet._process.launching import launch_ahead
from ramet._process.tree.pid_namespace import PidNamespace
from ramet._process.tree.subreaper import Subreaper
from ramet._process.unreaped import reap_ended
from ramet._process.watch_thread import watch_thread
from ramet._program import command as command_module
from ramet._sandbox import prepared_children
from ramet._sandbox.kept import confinement_of
from ramet._sandbox.of_program import OfProgram
from ramet._sandbox.prepared_children import PreparedChildren, _filling

from ...constants import SECONDS
from ...copies import forked
from ...looking import python_below_tmp
from ...waiting import exit_code, nothing_unreaped, until
from ..process.test_raise_at_each_line import Heard, Raiser, end
from .plain_user import inner_ids
from .taken_away import needs_all

pytestmark = [needs_all, pytest.mark.usefixtures("nothing_kept")]

OWN_CONNECTION = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
with socket.create_connection(listener.getsockname()):
    print("connected")
"""
# A caller that has one waiting, tells its pids, and waits to be ended.
CALLER = """
import os, sys, time
import ramet
from ramet._program import command as command_module
from ramet._sandbox.kept import confinement_of
from ramet._sandbox.of_program import OfProgram
prepared = confinement_of(OfProgram, ramet.Sandbox(warm=1)).prepared
prepared.fill()
print(*prepared._ready[0].ahead.pids, flush=True)
{}
"""
TELL_CLOSED = """
pid = prepared._ready[0].ahead.pids[0]
argv = ["sh", "-c", "test -e /proc/self/fd/0 || echo closed"]
with ramet.Popen(argv, sandbox=ramet.Sandbox(warm=1)) as process:
    process.wait()
print(process.pid == pid)
"""


def pool_of(sandbox: Sandbox) -> PreparedChildren:
    """Its children, all of them ready."""
    prepared = confinement_of(OfProgram, sandbox).prepared
    assert prepared is not None
    prepared.fill()
    return prepared


def waiting_in(pool: PreparedChildren) -> list[int]:
    """The pids of those that wait."""
    return [child.ahead.pids[0] for child in pool._ready]


def end_empty(pool: PreparedChildren) -> None:
    """What the thread does after the end of a program."""
    ending = pool.fill()
    until(lambda: all(map(pool.reap, ending)))
    assert not pool._empty


def told(argv: list[str] | str, sandbox: Sandbox, **options: Any) -> str:
    """What a program prints that was waited for, by a child that had been prepared."""
    pool = pool_of(sandbox)
    before = waiting_in(pool)
    words = ["sh", "-c", argv] if isinstance(argv, str) else argv
    with ramet.Popen(words, sandbox=sandbox, stdout=ramet.PIPE, text=True, **options) as process:
        assert process.pid in before
        out = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == 0
    return str(out)


def network_of(process: "ramet.Popen[bytes]") -> int:
    """The inode of its network namespace, as it sees it itself."""
    assert process.stdout is not None
    return int(process.stdout.readline().split(b"[")[1].split(b"]")[0])


TELL_NETWORK = ["sh", "-c", "readlink /proc/self/ns/net; cat"]


def test_a_program_is_the_child_that_has_waited() -> None:
    """With all that is its own: number 2 in its namespace, a /tmp, a user, no network."""
    sandbox = Sandbox(warm=1)
    script = "echo $$; id -u; echo x > /tmp/left; ls /tmp; cat /proc/net/dev | wc -l"
    for _ in range(2):
        number, user, *rest = told(script, sandbox).split()
        assert number == "2"
        assert user in inner_ids()
        assert [*sorted(rest[:-1]), rest[-1]] == [*sorted([*python_below_tmp(), "left"]), "3"]


def test_none_is_made_where_a_path_of_its_layer_goes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the thread fail that makes them: the next program tells its caller."""
    monkeypatch.setattr(watch_thread, "add", lambda *_: 0)  # no other makes one meanwhile
    folder = tmp_path / "work"
    folder.mkdir()
    pool = pool_of(Sandbox(write=[folder], overlay=True, warm=1))
    pool._ready.popleft().end()
    monkeypatch.setattr(OfProgram, "make_current", lambda _: folder.rmdir())
    assert pool.fill() == []
    assert waiting_in(pool) == []


def test_each_is_taken_once() -> None:
    """Three that live at the same time are in three namespaces, whether or not they were made ahead."""
    sandbox = Sandbox(warm=2)
    ready = waiting_in(pool_of(sandbox))
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {"stdin": ramet.PIPE, "stdout": ramet.PIPE, "sandbox": sandbox}
        started = [stack.enter_context(ramet.Popen(TELL_NETWORK, **options)) for _ in range(3)]
        assert len({network_of(each) for each in started}) == 3
        assert {each.pid for each in started[:2]} == set(ready)
        assert started[2].pid not in ready
        for each in started:
            assert each.stdin is not None
            each.stdin.close()


def test_another_is_made_when_its_program_has_ended() -> None:
    """By a thread, which the caller does not wait for; also when there was none for a program."""
    sandbox = Sandbox(warm=1)
    pool = pool_of(sandbox)
    first = waiting_in(pool)
    ramet.run(["true"], sandbox=sandbox, timeout=SECONDS)
    until(lambda: len(pool._ready) == 1)
    assert waiting_in(pool) != first
    with ramet.Popen(["cat"], stdin=ramet.PIPE, sandbox=sandbox):
        ramet.run(["true"], sandbox=sandbox, timeout=SECONDS)
        until(lambda: len(pool._ready) == 1)


def test_its_loopback_interface_is_up() -> None:
    """Where the sandbox has one."""
    argv = [sys.executable, "-c", OWN_CONNECTION]
    assert told(argv, Sandbox(network="loopback", warm=1)) == "connected\n"


# ---- what the program is given


def test_its_descriptors_are_those_of_the_command(tmp_path: Path) -> None:
    """Each under its number, also where they trade places; no other is open."""
    (tmp_path / "in").write_text("input")
    sandbox = Sandbox(warm=1)
    script = "cat; cat <&7; cat <&9; echo; for a in /proc/self/fd/*; do echo ${a##*/}; done; echo err >&2"
    with contextlib.ExitStack() as stack:
        given = [stack.enter_context(each) for each in socket.socketpair()]
        files = [stack.enter_context(open(tmp_path / "in")) for _ in range(2)]
        pipe, end = os.pipe()
        os.write(end, b" from pipe ")
        os.close(end)
        expected = {0, 1, 2, 7, 9, pipe, given[0].fileno()}
        out = told(
            script,
            sandbox,
            stdin=files[0],
            stderr=ramet.STDOUT,
            fds={7: pipe, 9: files[1].fileno(), pipe: 0},
            pass_fds=[given[0].fileno()],
        )
        os.close(pipe)
    first, *lines, last = out.splitlines()
    assert (first, last) == ("input from pipe input", "err")
    numbers = set(map(int, lines))
    # The shell opens the directory itself, once.
    assert expected <= numbers
    assert len(numbers - expected) <= 1


def test_what_is_not_given_is_inherited() -> None:
    """The standard descriptors, as they are when the program begins."""
    pool_of(Sandbox(warm=1))
    reading, writing = os.pipe()
    kept = os.dup(1)
    try:
        os.dup2(writing, 1)
        assert ramet.run(["echo", "later"], sandbox=Sandbox(warm=1)).returncode == 0
        os.dup2(kept, 1)
        assert os.read(reading, 100) == b"later\n"
    finally:
        for number in (reading, writing, kept):
            os.close(number)


def test_nothing_stands_for_devnull() -> None:
    """For reading and for writing."""
    script = "cat; echo lost >&2; readlink /proc/self/fd/0"
    sandbox = Sandbox(warm=1)
    assert told(script, sandbox, stdin=ramet.DEVNULL, stderr=ramet.DEVNULL) == "/dev/null\n"


def test_a_closed_one_stays_closed() -> None:
    """As in any child."""
    program = CALLER.format(TELL_CLOSED)
    argv = ["sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, program]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines()[1:], done.stderr) == (["closed", "True"], "")


def test_the_rest_of_the_command(tmp_path: Path) -> None:
    """Where it begins, its mask, its environment, the file that is run and its name."""
    sandbox = Sandbox(warm=1, write=[tmp_path])
    assert told("pwd; umask", sandbox, cwd="/usr", umask=0o27).split() == ["/usr", "0027"]
    assert told(["env"], sandbox, env={"ONE": "1"}) == "ONE=1\n"
    assert told(["me", "-c", "echo $0"], sandbox, executable="/bin/sh") == "me\n"
    assert told("pwd", sandbox) == f"{tmp_path}\n"


def test_with_other_options_it_is_made_when_it_comes() -> None:
    """A child that was prepared could not have them."""
    sandbox = Sandbox(warm=1)
    ready = waiting_in(pool_of(sandbox))
    with ramet.Popen(["nice"], sandbox=sandbox, nice=19, stdout=ramet.PIPE) as process:
        assert process.pid not in ready
        assert process.communicate()[0] == b"19\n"
    with contextlib.ExitStack() as stack:  # more than one message takes
        given = [stack.enter_context(open(os.devnull)).fileno() for _ in range(70)]
        with ramet.Popen(["true"], sandbox=sandbox, pass_fds=given) as process:
            assert process.pid not in ready
        assert process.returncode == 0


def test_signals_are_as_a_program_expects_them() -> None:
    """None is blocked, and what Python ignores is at its default."""
    mask = {signal.SIGUSR1}
    sandbox = Sandbox(warm=1)
    lines = told(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"], sandbox).split()
    assert int(lines[1], 16) == 0
    ignored = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    assert int(lines[3], 16) & ignored == 0
    before = signal.pthread_sigmask(signal.SIG_BLOCK, mask)
    try:
        lines = told(["grep", "^SigBlk", "/proc/self/status"], sandbox).split()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert int(lines[1], 16) == 1 << signal.SIGUSR1 - 1


# ---- failures


def test_a_program_that_is_not_there() -> None:
    """The error of any command; the next program runs."""
    sandbox = Sandbox(warm=1)
    for _ in range(2):
        ready = waiting_in(pool_of(sandbox))
        with pytest.raises(FileNotFoundError, match="no-such-program"):
            ramet.run(["/no-such-program"], sandbox=sandbox)
        assert not os.path.exists(f"/proc/{ready[0]}")
        with pytest.raises(ramet.SpawnError, match="step 'chdir' failed"):
            told("true", sandbox, cwd="/nowhere")
    assert told("echo well", sandbox) == "well\n"


def test_a_descriptor_that_is_not_open() -> None:
    """The error is that of a child made for the command, and the next program runs."""
    sandbox = Sandbox(warm=1)
    pool_of(sandbox)
    with pytest.raises(OSError, match="Bad file descriptor"):
        ramet.run(["true"], sandbox=sandbox, fds={5: 1000})
    assert told("echo well", sandbox) == "well\n"


@pytest.mark.parametrize("which", ["child", "init"])
def test_one_that_was_killed_meanwhile(which: str) -> None:
    """A child is made for the program, and nothing is left of the other."""
    sandbox = Sandbox(warm=1)
    pool = pool_of(sandbox)
    pid, init = pool._ready[0].ahead.pids
    pidfd = os.pidfd_open(pid)
    os.kill(pid if which == "child" else init, signal.SIGKILL)
    assert wait_readable(pidfd, SECONDS)
    os.close(pidfd)
    done = ramet.run(["echo", "well"], sandbox=sandbox, stdout=ramet.PIPE)
    assert done.stdout == b"well\n"
    assert not os.path.exists(f"/proc/{pid}")
    assert not os.path.exists(f"/proc/{init}")


def test_where_none_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run as without."""
    sandbox = Sandbox(warm=2)

    def refused(*_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr("ramet._sandbox.prepared_children.launch_ahead", refused)
    confinement = confinement_of(OfProgram, sandbox)
    assert confinement.prepared is not None
    confinement.prepared.fill()
    assert not confinement.prepared._ready
    assert ramet.run(["true"], sandbox=sandbox).returncode == 0


@pytest.mark.parametrize("free", range(7))
def test_a_full_descriptor_table(free: int) -> None:
    """With so many free ones one is made, or none is and none of its tasks is left."""
    pool = pool_of(Sandbox(warm=1))
    until(lambda: watch_thread._thread is None)  # no other makes one meanwhile
    pool._ready.popleft().end()
    before = set(procfs.children(os.getpid()))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for number in [taken.pop() for _ in range(free)]:
            os.close(number)
        pool.fill()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for number in taken:
            os.close(number)
    assert len(set(procfs.children(os.getpid())) - before) == 2 * len(pool._ready)


def test_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the interpreter's exit: programs run, and no other children are made."""

    def refused(*_: object) -> None:
        raise RuntimeError

    until(lambda: watch_thread._thread is None)
    monkeypatch.setattr("threading.Thread.start", refused)
    sandbox = Sandbox(warm=1)
    assert told("echo well", sandbox) == "well\n"
    assert ramet.run(["true"], sandbox=sandbox).returncode == 0


def test_a_plan_that_makes_no_namespace_is_refused() -> None:
    """Before anything is made."""
    with pytest.raises(ValueError, match="invalid plan"):
        launch_ahead(Plan([("AWAIT", 5)]), 5, 5)


def test_a_step_that_fails_is_told_and_nothing_is_left() -> None:
    """Before the namespace, and in it."""
    place, nothing = (os.open(os.devnull, os.O_RDWR) for _ in range(2))
    enters = ("PID_NAMESPACE", -1, -1, 0)
    fails = ("CHDIR", b"/nowhere")
    user = [("UNSHARE", 0x10000000)] if os.geteuid() else []
    own = ("OWN_FILES", 1000, 1000)
    for steps in ([own, fails, enters], [own, *user, enters, fails]):
        found = launch_ahead(Plan([*steps, ("AWAIT", place)]), place, nothing)
        assert found == (steps.index(fails), 2)
    os.close(place)
    os.close(nothing)


# ---- what is left of a program


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread makes none and ends none: who wants that calls fill()."""
    monkeypatch.setattr(watch_thread, "add", lambda *_: 0)


@pytest.mark.usefixtures("idle")
def test_its_namespaces_are_left_to_the_thread() -> None:
    """Where no process is left in them: the init alone lives on, until the thread ends it."""
    sandbox = Sandbox(warm=1)
    pool = pool_of(sandbox)
    init = pool._ready[0].ahead.pids[1]
    assert ramet.Command(["true"], sandbox=sandbox).spawn().wait().success
    assert [namespace.pid for namespace in pool._empty] == [init]
    assert procfs.state(init) in {"R", "S"}
    end_empty(pool)
    assert not os.path.exists(f"/proc/{init}")


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("lacks", ["a filter", "/proc", "a descriptor"])
def test_where_it_is_not_known_who_is_left(lacks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are ended while it is waited for."""
    if lacks == "/proc":
        hidden = SimpleNamespace(shows_own_pids=lambda: False)
        monkeypatch.setattr(prepared_children, "procfs", hidden)
    sandbox = Sandbox(warm=1, syscalls=None if lacks == "a filter" else "default")
    pool = pool_of(sandbox)
    init = pool._ready[0].ahead.pids[1]
    if lacks == "a descriptor":
        pool._ready[0].orphans.close()
    assert ramet.Command(["true"], sandbox=sandbox).spawn().wait().success
    assert pool._empty == []
    assert not os.path.exists(f"/proc/{init}")


@pytest.mark.usefixtures("idle")
def test_a_large_tmp_is_not_waited_for() -> None:
    """The thread that has other children to look at goes on while it is freed."""
    sandbox = Sandbox(warm=1, tmp="512M")
    pool = pool_of(sandbox)
    argv = ["sh", "-c", "head -c 200M /dev/zero > /tmp/large"]
    assert ramet.Command(argv, sandbox=sandbox).spawn().wait().success
    (namespace,) = pool._empty
    look = _filling(weakref.ref(pool))
    looks_again = look() is not None
    assert len(pool._ready) == 1
    if looks_again:  # else it is freed by now
        assert wait_readable(namespace.fileno(), SECONDS)
        assert look() is None
    assert not pool._empty


@pytest.mark.usefixtures("idle")
def test_they_are_ended_when_the_pool_is_closed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another thread, after it was asked whether nobody is left and before the pool knows of it."""
    sandbox = Sandbox(warm=1)
    pool = pool_of(sandbox)
    init = pool._ready[0].ahead.pids[1]
    asked = PidNamespace.is_left_alone

    def closes(namespace: PidNamespace, children_of_init: int) -> bool:
        is_alone = asked(namespace, children_of_init)
        pool.close()
        return is_alone

    monkeypatch.setattr(PidNamespace, "is_left_alone", closes)
    assert ramet.Command(["true"], sandbox=sandbox).spawn().wait().success
    assert not os.path.exists(f"/proc/{init}")


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("closes", [True, False])
def test_closed_or_forgotten_they_are_ended(closes: bool) -> None:
    """With the pool."""
    pool = PreparedChildren(1, pool_of(Sandbox(warm=1))._prepare)
    pool.fill()
    prepared = pool.take(pool._ready[0].view)
    assert prepared is not None
    child = ramet.Command(["true"], sandbox=Sandbox(warm=1)).spawn()
    namespace = child._own_namespace()
    assert namespace is not None
    prepared.end()
    supervision: Any = child._belongings.supervision
    supervision.ends_later = partial(pool.ends_later, *supervision.ends_later.args)
    child.wait()
    assert list(pool._empty) == [namespace]
    if closes:
        pool.close()
    else:
        del pool
    assert not os.path.exists(f"/proc/{namespace.pid}")


@pytest.mark.usefixtures("idle")
def test_where_no_thread_ends_them_the_caller_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once."""

    def no_thread(*_: object) -> int:
        raise BlockingIOError

    sandbox = Sandbox(warm=1)
    pool = pool_of(sandbox)
    init = pool._ready[0].ahead.pids[1]
    monkeypatch.setattr(watch_thread, "add", no_thread)
    assert ramet.Command(["true"], sandbox=sandbox).spawn().wait().success
    assert not pool._empty
    assert not os.path.exists(f"/proc/{init}")


def test_nothing_lives_on_while_nobody_waits() -> None:
    """What a program has started is killed at its end, and not when it is waited for."""
    sandbox = Sandbox(warm=1)
    pool_of(sandbox)
    theirs, ours = os.pipe()
    child = ramet.Command(["sh", "-c", "sleep 1000 &"], sandbox=sandbox, stdout=ours).spawn()
    os.close(ours)
    assert os.read(theirs, 1) == b""
    os.close(theirs)
    assert child.wait().success


LEAVES_OTHERS = "for n in 1 2 3; do sleep 1000 & done; (setsid sleep 1000 &); echo $!"
LEAVES_SIBLING = """
import ctypes, os
number, flags = {"x86_64": (56, 0x8000), "aarch64": (220, 0x8000)}[os.uname().machine]  # CLONE_PARENT
if ctypes.CDLL(None).syscall(number, flags, 0, 0, 0, 0) == 0:
    while True:
        ctypes.CDLL(None).pause()
print("made")
"""


@pytest.mark.parametrize(
    ("argv", "syscalls"),
    [
        (["sh", "-c", LEAVES_OTHERS], "default"),
        ([sys.executable, "-c", LEAVES_SIBLING], "default"),
        ([sys.executable, "-c", LEAVES_SIBLING], "strict"),
        ([sys.executable, "-c", LEAVES_SIBLING], None),
    ],
    ids=["below it", "beside it, which is refused", "by the strict list, too", "beside it"],
)
def test_what_it_has_started_is_dead_when_it_was_waited_for(
    argv: list[str], syscalls: str | None
) -> None:
    """What would read from a pipe for ever reads its end, and no process is in its namespace."""
    sandbox = Sandbox(warm=1, read=[sys.prefix, sys.base_prefix], syscalls=syscalls)
    for _ in range(20):
        pool = pool_of(sandbox)
        init = pool._ready[0].ahead.pids[1]
        theirs, ours = os.pipe()
        child = ramet.Command(argv, sandbox=sandbox, stdout=ours).spawn()
        os.close(ours)
        assert child.wait().success
        os.set_blocking(theirs, False)
        assert os.read(theirs, 100)
        assert os.read(theirs, 100) == b""  # BlockingIOError if one lived that has the other end
        os.close(theirs)
        end_empty(pool)
        assert not os.path.exists(f"/proc/{init}")


# ---- whose they are


def _nothing_is_seen_of_them() -> None:
    heard: list[int] = []
    pool = pool_of(Sandbox(warm=2))
    signal.signal(signal.SIGCHLD, lambda *_: heard.append(1))
    pool._ready.popleft().end()
    pool.fill()
    assert len(pool._ready) == 2
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    pool.close()
    assert heard == []


def test_no_wait_sees_them() -> None:
    """Neither for any child, nor a handler of SIGCHLD: in a process that has no other child."""
    assert exit_code(forked(_nothing_is_seen_of_them)) == 0


def test_a_program_is_a_child_like_any_other() -> None:
    """Its end is told by SIGCHLD, and os.waitpid() finds it."""
    heard: list[int] = []
    sandbox = Sandbox(warm=1)
    pool_of(sandbox)
    before = signal.signal(signal.SIGCHLD, lambda *_: heard.append(1))
    try:
        child = ramet.Command(["sh", "-c", "exit 3"], sandbox=sandbox).spawn()
        assert child.wait().code == 3
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert heard


def test_a_copy_of_the_process_takes_none() -> None:
    """Nor does it end them."""
    sandbox = Sandbox(warm=1)
    pool = pool_of(sandbox)
    pid = os.fork()
    if pid == 0:
        taken = pool.take(confinement_of(OfProgram, sandbox).ground.view)
        pool.close()
        os._exit(0 if taken is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert told("echo well", sandbox) == "well\n"


@pytest.mark.usefixtures("idle")
def test_a_copy_that_waits_for_a_program_ends_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told how the program ended; the namespace is its maker's to end."""
    sandbox = Sandbox(warm=1)
    pool = pool_of(sandbox)
    theirs, ours = os.pipe()
    child = ramet.Command(["sh", "-c", "read x; exit 3"], sandbox=sandbox, stdin=theirs).spawn()
    os.close(theirs)
    init = child._init
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        monkeypatch.setattr(PidNamespace, "kill", lambda _: os._exit(1))
        child.wait()
        os._exit(0)
    os.close(ours)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert child.wait().code == 3
    assert [namespace.pid for namespace in pool._empty] == [init]
    end_empty(pool)


@pytest.mark.parametrize(
    "end",
    ["sys.exit()", "os._exit(0)", "os.kill(os.getpid(), 9)", "os.execv('/bin/true', ['true'])"],
)
def test_they_end_with_their_caller(end: str) -> None:
    """However it ends."""
    argv = [sys.executable, "-c", CALLER.format("sys.stdin.read();" + end)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        pidfds = [os.pidfd_open(int(pid)) for pid in caller.stdout.readline().split()]
        caller.communicate("")
    for pidfd in pidfds:
        assert wait_readable(pidfd, SECONDS)
        os.close(pidfd)


def test_closed_it_has_none_and_leaves_none() -> None:
    """Launches make their own then, and no child and no descriptor is left."""
    sandbox = Sandbox(warm=3)
    pool = pool_of(sandbox)
    pids = [pid for child in pool._ready for pid in child.ahead.pids]
    pool.close()
    pool.close()
    assert len(pids) == 6
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pool.place)
    assert ramet.run(["true"], sandbox=sandbox).returncode == 0


def test_they_are_no_orphans_of_others() -> None:
    """A Subreaper's block, which kills what was reparented to this process, leaves them alone."""
    sandbox = Sandbox(warm=2)
    with Subreaper() as block:
        pool = pool_of(sandbox)
        assert not {*block.pids()} & {*waiting_in(pool)}
        assert block.kill(SECONDS)
    assert told("echo well", sandbox) == "well\n"


def test_without_a_wish_for_them_none_is_made() -> None:
    """Nor where each program needs what is not known before."""
    for sandbox in (Sandbox(), Sandbox(warm=2, open_files=16)):
        assert confinement_of(OfProgram, sandbox).prepared is None


def test_this_process_stays_one_that_others_may_look_into() -> None:
    """While they wait: the mark of its memory is as it was."""
    pool_of(Sandbox(warm=2))
    assert os.stat("/proc/self/fd").st_uid == os.geteuid()
    assert _core.do_steps(Plan([("PRCTL", 3, 0, 0, 0, 0)])) == (-1, 0)  # PR_GET_DUMPABLE


# ---- what the sandbox promises


def test_a_file_that_was_replaced_meanwhile(tmp_path: Path) -> None:
    """What is by that name by now is seen; the child that has seen the other is ended."""
    shown = tmp_path / "shown"
    shown.write_text("old")
    sandbox = Sandbox(warm=1, read=[shown])
    ready = waiting_in(pool_of(sandbox))
    (tmp_path / "new").write_text("new")
    (tmp_path / "new").rename(shown)
    assert ramet.run(["cat", shown], sandbox=sandbox, stdout=ramet.PIPE).stdout == b"new"
    assert not os.path.exists(f"/proc/{ready[0]}")


def test_its_time_begins_with_the_program() -> None:
    """However long its child has waited."""
    sandbox = Sandbox(warm=1, timeout=0.5)
    pool_of(sandbox)
    told("true", sandbox)
    ready = waiting_in(pool_of(sandbox))
    with ramet.Popen(["sleep", "1000"], sandbox=sandbox) as process:
        assert process.pid in ready
        process.wait(SECONDS)
    assert process.report is not None
    assert process.report.reason == "deadline"


def test_a_forbidden_call_is_named() -> None:
    """By the filter that was there before the program."""
    sandbox = Sandbox(warm=1, forbidden="kill")
    ready = waiting_in(pool_of(sandbox))
    argv = [sys.executable, "-c", "import os; os.setns(0)"]
    if sys.version_info < (3, 12):
        argv[2] = "import ctypes; ctypes.CDLL(None).setns(0, 0)"
    with ramet.Popen(argv, sandbox=sandbox) as process:
        assert process.pid in ready
    assert process.report is not None
    assert process.report.reason == "forbidden call setns"


def test_its_layer_is_its_own(tmp_path: Path) -> None:
    """What it has written is told; the next finds nothing of it."""
    tmp_path.chmod(0o777)
    sandbox = Sandbox(warm=1, write=[tmp_path], overlay=True, require="best")
    if confinement_of(OfProgram, sandbox).layers is None:
        pytest.skip("needs overlayfs")
    pool_of(sandbox)
    script = f"ls -A {tmp_path} && touch {tmp_path}/made"
    for _ in range(2):
        pool_of(sandbox)
        done = ramet.run(["sh", "-c", script], sandbox=sandbox, stdout=ramet.PIPE)
        assert done.changes is not None
        with done.changes:
            assert [change.path for change in done.changes] == [str(tmp_path / "made")]
        assert done.stdout == b""


def test_its_amounts_are_its_own() -> None:
    """What one has used is not the next one's."""
    sandbox = Sandbox(warm=1, cpu_time=5)
    pool_of(sandbox)
    work = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"]
    used = []
    for argv in (work, ["true"]):
        pool_of(sandbox)
        done = ramet.run(argv, sandbox=sandbox)
        assert done.report.cpu_seconds is not None
        used.append(done.report.cpu_seconds)
    assert used[0] >= 0.2 > used[1]


@pytest.fixture
def busy() -> Iterator[threading.Event]:
    """Threads that make and close descriptors, whose numbers are taken and given back all the time."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            os.close(os.open(os.devnull, os.O_RDONLY))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield over
    over.set()
    for thread in threads:
        thread.join()


def test_many_threads_at_once(busy: threading.Event) -> None:
    """Each gets the output of its own program, whether or not a child has waited for it."""
    sandbox = Sandbox(warm=2)

    def run(number: int) -> bool:
        done = ramet.run(["echo", str(number)], sandbox=sandbox, stdout=ramet.PIPE, timeout=SECONDS)
        return bool(done.stdout == b"%d\n" % number)

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(run, range(200)))
    assert not busy.is_set()


def test_many_of_them_leave_nothing() -> None:
    """No descriptor, no mapping, no child more after hundreds: the fixture looks for that at the end."""
    sandbox = Sandbox(warm=1)
    command = ramet.Command(["true"], sandbox=sandbox)
    open_before = None
    for turn in range(300):
        assert command.spawn().wait().code == 0
        if turn == 20:
            end_empty(pool_of(sandbox))
            open_before = len(os.listdir("/proc/self/fd"))
    end_empty(pool_of(sandbox))
    assert len(os.listdir("/proc/self/fd")) == open_before


def is_reaped(init: int) -> bool:
    """Whether that is so when all are reaped that were left to be."""
    until(nothing_unreaped)
    return not os.path.exists(f"/proc/{init}")


class RaiserInCommands(Raiser):
    """At lines of Command alone: a trace would raise where `with` gives a lock back, as no handler does."""

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        """See Raiser."""
        is_of_command = frame.f_code.co_filename == command_module.__file__
        return super().__call__(frame, event, arg) if is_of_command else None


def test_whatever_is_raised_while_it_is_sent_on() -> None:
    """By a handler of a signal, at any line: it is heard, and the fixture finds nothing that is left."""
    sandbox = Sandbox(warm=1)
    command = ramet.Command(["sleep", "1000"], sandbox=sandbox)
    traced = sys.gettrace()
    for step in itertools.count(1):
        pool_of(sandbox)
        raiser = RaiserInCommands(step, "line")
        sys.settrace(raiser)
        try:
            made = command.spawn()
        except Heard:
            continue
        finally:
            sys.settrace(traced)
        end(made)
        assert raiser.left > 0, f"what was raised at {raiser.where} is lost"
        break
    assert step > 20
    reap_ended()


class RaiserInWaits(Raiser):
    """At lines of Child and of the pool alone; a look by its thread is none of this thread's."""

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        """See Raiser."""
        own = {child_module.__file__, prepared_children.__file__}
        return super().__call__(frame, event, arg) if frame.f_code.co_filename in own else None


@pytest.mark.usefixtures("idle")
def test_whatever_is_raised_while_it_is_waited_for() -> None:
    """It is heard, another wait tells how the program ended, and its namespace is ended."""
    sandbox = Sandbox(warm=1)
    command = ramet.Command(["true"], sandbox=sandbox)
    traced = sys.gettrace()
    for step in itertools.count(1):
        pool = pool_of(sandbox)
        child = command.spawn()
        init = child._init
        raiser = RaiserInWaits(step, "line")
        sys.settrace(raiser)
        try:
            child.wait()
        except Heard:
            pass
        finally:
            sys.settrace(traced)
        assert child.wait().success
        end_empty(pool)
        assert is_reaped(init), f"what was raised at {raiser.where} leaves the init"
        if raiser.left > 0:
            break
    assert step > 20


@pytest.mark.usefixtures("idle")
def test_its_end_is_told_when_it_is_asked_for() -> None:
    """After a wait by which nothing of it was asked, by two threads."""
    sandbox = Sandbox(warm=1)
    pool = pool_of(sandbox)
    theirs, ours = os.pipe()
    child = ramet.Command(["sh", "-c", "read x; exit 3"], sandbox=sandbox, stdin=theirs).spawn()
    os.close(theirs)
    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(child.wait) for _ in range(2)]
        os.close(ours)
        assert [end.result().code for end in ends] == [3, 3]
    assert child.report.reason == "exited"
    assert child.report.changes is None
    end_empty(pool)


def test_one_that_is_dropped_makes_room_for_another() -> None:
    """Its program is killed, with its namespace, and another child is made."""
    sandbox = Sandbox(warm=1)
    pool = pool_of(sandbox)
    child = ramet.Command(["sleep", "1000"], sandbox=sandbox).spawn()
    init = child._init
    with pytest.warns(ResourceWarning):
        del child
    until(lambda: len(pool._ready) == 1)
    assert is_reaped(init)
