"""A child in a pid namespace of its own, made by a process for its parent, as a template does."""

import contextlib
import errno
import itertools
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple, TypeAlias

import pytest

import ramet
from ramet import CloneFlag as F
from ramet._kernel import procfs
from ramet._kernel.pidfd import exists as is_there
from ramet._process.tree import pid_namespace
from ramet._process.tree.pid_namespace import PidNamespace
from ramet._process.unreaped import reap_ended

from ...constants import SECONDS, repeated
from ...copies import forked
from ...seccomp import hide
from ...waiting import exit_code, until

pytestmark = pytest.mark.usefixtures("root")

Work: TypeAlias = Callable[[socket.socket], object]

ROUNDS = repeated(30)


class Call(NamedTuple):
    """A worker in a namespace of its own: it and the init are children of this process."""

    worker: int
    namespace: PidNamespace
    channel: socket.socket


def _serve_one(to_caller: socket.socket, channel: socket.socket, work: Work) -> None:
    init, pidfd = pid_namespace.new()
    pid_namespace.join_for_children(init, pidfd)
    worker = forked(lambda: work(channel), F.PARENT)
    pid_namespace.leave()
    assert os.readlink("/proc/self/ns/pid_for_children") == os.readlink("/proc/self/ns/pid")
    socket.send_fds(to_caller, [f"{init} {worker}".encode()], [pidfd])


@contextmanager
def a_call(work: Work) -> Iterator[Call]:
    """Have a template make a worker that does that work with the end of a socket pair."""
    with contextlib.ExitStack() as sockets:
        ours, to_caller, channel, theirs = map(
            sockets.enter_context,
            (*socket.socketpair(), *socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)),
        )

        def serve() -> None:
            ours.close()
            channel.close()
            _serve_one(to_caller, theirs, work)

        template = forked(serve)
        to_caller.close()
        theirs.close()
        message, descriptors, _, _ = socket.recv_fds(ours, 100, 1)
        assert exit_code(template) == 0
        init, worker = map(int, message.split())
        yield Call(worker, PidNamespace(init, descriptors[0]), channel)


@pytest.mark.usefixtures("nothing_left")
def test_a_worker_is_no_init() -> None:
    """It is pid 2 of its namespace."""
    with a_call(lambda _: os._exit(os.getpid())) as call:
        assert exit_code(call.worker) == 2
        assert call.namespace.end()
        assert call.namespace.end(), "a second time does nothing"


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGALRM, signal.SIGXCPU, signal.SIGABRT])
def test_its_own_signals_reach_it(number: signal.Signals) -> None:
    """A signal that it sends to itself ends it, as it does not an init."""

    def work(_: socket.socket) -> None:
        signal.signal(number, signal.SIG_DFL)
        if number == signal.SIGABRT:
            os.abort()
        os.kill(os.getpid(), number)

    with a_call(work) as call:
        assert exit_code(call.worker) == -number
        assert call.namespace.end()


def _ignore_all_signals() -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)


def _leave_three_behind(channel: socket.socket) -> None:
    """Start three processes that leave the session, whose parents end, and that hang."""
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                _ignore_all_signals()
                channel.send(b"here")
                time.sleep(1000)
            os._exit(0)


def _leave_three_behind_and_hang(channel: socket.socket) -> None:
    _leave_three_behind(channel)
    time.sleep(1000)


def _await_three(call: Call) -> None:
    call.channel.settimeout(SECONDS)
    for _ in range(3):
        assert call.channel.recv(4) == b"here"


def _no_process_has(channel: socket.socket) -> bool:
    """Whether the other end is closed, at this moment."""
    poll = select.poll()
    poll.register(channel, select.POLLHUP)
    return bool(poll.poll(0))


@pytest.mark.usefixtures("nothing_left")
def test_all_that_it_started_is_dead_when_the_namespace_has_ended() -> None:
    """Processes that left the session and whose parents ended are dead when end() comes back."""
    for _ in range(ROUNDS):
        with a_call(_leave_three_behind) as call:
            _await_three(call)
            assert exit_code(call.worker) == 0
            assert not _no_process_has(call.channel)
            assert call.namespace.end()
            assert _no_process_has(call.channel)


@pytest.mark.usefixtures("nothing_left")
def test_a_kill_ends_the_worker_too() -> None:
    """The init's end kills the worker, which must be reaped before the namespace can end."""
    with a_call(lambda _: time.sleep(1000)) as call:
        call.namespace.kill()
        os.waitid(os.P_PID, call.worker, os.WEXITED | os.WNOWAIT)
        assert not call.namespace.end(time.monotonic())
        assert exit_code(call.worker) == -signal.SIGKILL
        assert call.namespace.end()


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("leaves", [False, True])
def test_a_namespace_whose_init_has_no_pidfd(leaves: bool) -> None:
    """None could be opened: no descriptor was left. It ends, and its init is reaped, all the same."""
    with a_call(lambda channel: channel.recv(1)) as call:
        os.close(call.namespace.fileno())
        namespace = PidNamespace(call.namespace.pid, -1)
        namespace.kill()
        assert exit_code(call.worker) == -signal.SIGKILL
        if leaves:
            namespace.leave()
            until(namespace.finish)
            reap_ended()  # it is in the list of what that reaps, and ends there once
        else:
            assert namespace.end()
        assert not is_there(call.namespace.pid)


def _make_children_of_the_caller(_: socket.socket) -> None:
    for _number in range(3):
        if ramet.fork(F.PARENT) == 0:
            os._exit(0)


@pytest.mark.usefixtures("nothing_left")
def test_children_that_it_has_made_for_its_caller() -> None:
    """They are reaped by the looks at a namespace that was left, which they would keep for ever."""
    with a_call(_make_children_of_the_caller) as call:
        assert exit_code(call.worker) == 0
        call.namespace.leave()
        until(call.namespace.finish)
        reap_ended()  # it is in the list of what that reaps, and ends there once
        assert not is_there(call.namespace.pid)


@pytest.mark.usefixtures("nothing_left")
def test_a_child_with_a_handle_is_left_to_it() -> None:
    """Where another waits for a child of the namespace, the later looks do not take its status."""
    with a_call(lambda channel: channel.recv(1)) as call:
        call.namespace.leave(has_others=True)
        os.waitid(os.P_PID, call.worker, os.WEXITED | os.WNOWAIT)
        assert call.namespace._reaps_at == math.inf
        assert not call.namespace.finish()
        assert exit_code(call.worker) == -signal.SIGKILL
        until(call.namespace.finish)
        reap_ended()


# Where the end takes long, a file may be open that no variable has yet.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("nothing_left")
def test_an_end_that_is_interrupted_is_repeated() -> None:
    """After whichever call of the kernel's a signal handler raises: nothing of the namespace is left."""
    for step in itertools.count(1):
        with a_call(lambda channel: channel.recv(1)) as call:
            os.kill(call.worker, signal.SIGKILL)
            assert exit_code(call.worker) == -signal.SIGKILL
            sys.setprofile(raising_after(step))
            try:
                call.namespace.end()
            except KeyboardInterrupt:
                assert call.namespace.end()
            else:
                break
            finally:
                sys.setprofile(None)
            assert not is_there(call.namespace.pid)
    assert step > 3


def raising_after(step: int) -> Callable[[FrameType, str, object], None]:
    """Raises when the so manyth call of C returns: there the interpreter runs signal handlers."""
    left = step

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        if event == "c_return" and frame.f_globals["__name__"].startswith("ramet."):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

    return profile


@pytest.mark.usefixtures("nothing_left")
def test_orphans_that_end_are_no_zombies() -> None:
    """Who is reparented to the init is reaped when it ends."""

    def work(channel: socket.socket) -> None:
        for _ in range(50):
            if (child := os.fork()) == 0:
                os.fork()
                os._exit(0)
            os.waitpid(child, 0)
        channel.recv(1)

    with a_call(work) as call:
        init = call.namespace.pid
        until(lambda: procfs.state(call.worker) == "S" and not procfs.children(init))
        call.channel.send(b"x")
        assert exit_code(call.worker) == 0
        assert call.namespace.end()


@pytest.mark.usefixtures("nothing_left")
def test_a_call_within_a_call() -> None:
    """With the outer namespace the inner one ends."""

    def work(channel: socket.socket) -> None:
        with a_call(_leave_three_behind_and_hang) as call:
            _await_three(call)
            socket.send_fds(channel, [b"x"], [call.channel.fileno()])
            time.sleep(1000)

    with a_call(work) as call:
        call.channel.settimeout(SECONDS)
        _, (inner,), _, _ = socket.recv_fds(call.channel, 1, 1)
        with socket.socket(fileno=inner) as channel:
            assert not _no_process_has(channel)
            call.namespace.kill()
            assert exit_code(call.worker) == -signal.SIGKILL
            assert call.namespace.end()
            assert _no_process_has(channel)


@pytest.mark.usefixtures("nothing_left")
def test_an_init_of_which_nobody_was_told_ends() -> None:
    """The template was killed before it could say what it had made."""
    told, tells = os.pipe()

    def make_and_die() -> None:
        init, _ = pid_namespace.new()
        os.write(tells, f"{init}".encode())
        os.kill(os.getpid(), signal.SIGKILL)

    template = forked(make_and_die)
    init = int(os.read(told, 20))
    os.close(told)
    os.close(tells)
    assert exit_code(template) == -signal.SIGKILL
    assert exit_code(init) == 0


def _old_setns(monkeypatch: pytest.MonkeyPatch) -> None:
    real = pid_namespace._setns

    def setns(descriptor: int) -> int:
        is_pidfd = "pidfd" in os.readlink(f"/proc/self/fd/{descriptor}")
        return errno.EINVAL if is_pidfd else real(descriptor)

    monkeypatch.setattr(pid_namespace, "_setns", setns)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("lacking", ["clone3", "close_range", "pidfd_open", "setns by pidfd"])
def test_on_an_older_kernel(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not have, or a filter hides, has another way to the same namespace."""

    def serve() -> None:
        if lacking == "setns by pidfd":
            _old_setns(monkeypatch)
        else:
            hide(lacking)
        init, pidfd = pid_namespace.new()
        pid_namespace.join_for_children(init, pidfd)
        assert exit_code(forked(lambda: os._exit(os.getpid()))) == 2
        pid_namespace.leave()
        assert exit_code(forked(lambda: os._exit(0))) == 0
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.write(tells, f"{init}".encode())

    told, tells = os.pipe()
    template = forked(serve)
    assert exit_code(template) == 0
    assert exit_code(int(os.read(told, 20))) == -signal.SIGKILL
    os.close(told)
    os.close(tells)


@pytest.mark.usefixtures("nothing_left")
def test_a_plain_user_is_refused() -> None:
    """Without CAP_SYS_ADMIN it is an OSError with EPERM, and nothing is left of it."""

    def work() -> None:
        os.setresuid(65534, 65534, 65534)
        before = os.listdir("/proc/self/fd")
        with pytest.raises(PermissionError):
            pid_namespace.new()
        assert os.listdir("/proc/self/fd") == before

    assert exit_code(forked(work)) == 0


@pytest.mark.usefixtures("nothing_left")
def test_nothing_is_left_when_the_caller_is_killed() -> None:
    """SIGKILL to the process that has the worker and the init ends all of the namespace."""
    told, tells = socket.socketpair()

    def call() -> None:
        told.close()

        with a_call(_leave_three_behind_and_hang) as call:
            _await_three(call)
            tells.send(b"x")
            time.sleep(1000)

    with told, tells:
        caller = forked(call)
        told.settimeout(SECONDS)
        assert told.recv(1) == b"x"
        tells.close()
        os.kill(caller, signal.SIGKILL)
        assert exit_code(caller) == -signal.SIGKILL
        assert told.recv(1) == b"", "all that had the other end are dead"
