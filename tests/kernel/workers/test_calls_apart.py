"""A call in a sandbox reaches neither another nor its template, and what it leaves behind ends with it."""

import array
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet._kernel.procfs import children
from ramet._process.tree.pid_namespace import PidNamespace
from ramet._process.unreaped import unreaped
from ramet._workers.template.link import Link

from ...constants import WALL
from ...waiting import until
from ..sandbox.taken_away import needs_all

pytestmark = [needs_all, pytest.mark.usefixtures("nothing_left")]

SECONDS = 30
AT_ONCE = 50  # descriptors in one message
ENOUGH = 12  # calls, so that the core makes some alone


def shared_memory() -> list[str]:
    """What a process writes to and others see, by /proc/self/maps."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line for line in lines if line.split()[1][1::2] == "ws"]


def of_a_derived_one(template: ramet.Template, fn: Callable[[], Any]) -> Any:
    """What the function returns in a call of a template that is derived from it."""
    with template.derive(spares=2) as derived:
        return [derived.clone(fn).result(SECONDS) for _ in range(3)]


@pytest.mark.parametrize("spares", [0, 1, 3])
def test_no_memory_is_shared(spares: int) -> None:
    """With a later call one could leave words to, or have a page of its be copied that cannot be."""
    with ramet.Template([__name__], sandbox=ramet.Sandbox(), spares=spares) as template:
        for _ in range(ENOUGH):
            assert template.clone(shared_memory).result(SECONDS) == []
        assert of_a_derived_one(template, shared_memory) == [[]] * 3


def test_no_memory_is_shared_in_an_executor() -> None:
    """Nor with processes that serve several calls."""
    with ramet.Executor(2, sandbox=ramet.Sandbox(), preload=[__name__], reuse=2) as executor:
        futures = [executor.submit(shared_memory) for _ in range(ENOUGH)]
        assert [future.result(SECONDS) for future in futures] == [[]] * ENOUGH


# ---- descriptors in sockets, of which nobody has taken them


def fill_sockets(most: int, told: int) -> None:
    """Have as many in them as the kernel lets this user, or so many, write its answer, and wait."""
    null = os.open("/dev/null", os.O_RDONLY)
    block, kept, count = array.array("i", [null] * AT_ONCE), [], 0
    try:
        while count < most:
            pair = socket.socketpair()
            pair[0].setblocking(False)
            kept.append(pair)
            while count < most:
                try:
                    pair[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, block)])
                except BlockingIOError:
                    break
                count += AT_ONCE
    except OSError as error:
        answer = os.strerror(error.errno or 0)
    else:
        answer = "no limit"
    os.write(told, answer.encode())
    signal.pause()


TOO_MANY = b"Too many references: cannot splice"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Its ends."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize("spares", [0, 1])
def test_a_call_does_not_keep_its_template_from_sending(pipe: tuple[int, int], spares: int) -> None:
    """The kernel counts them by user, and the template has its calls' user: its limit is higher."""
    with ramet.Template(
        [__name__], sandbox=ramet.Sandbox(), rlimits={"NOFILE": (3000, 3000)}, spares=spares
    ) as template:
        pid = template.pid
        with template.clone(fill_sockets, 4000, pipe[1], pass_fds=pipe[1:]) as child:
            assert os.read(pipe[0], 100) == TOO_MANY
            for _ in range(ENOUGH):
                assert template.clone(abs, -1).result(SECONDS) == 1
            child.kill()
        assert template.pid == pid


def become_nobody() -> None:
    """With a limit that is soon reached."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    become_another_user()


def become_another_user() -> None:
    """Who may not have more in sockets than the limit."""
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


@pytest.mark.parametrize("calls_before", [0, ENOUGH])
@pytest.mark.usefixtures("root")
def test_a_template_that_cannot_send_goes_on(pipe: tuple[int, int], calls_before: int) -> None:
    """The call is refused, what was made for it is reaped, and the next is made when there is room."""
    with ramet.Template([__name__, "platform"], setup=become_nobody, spares=0) as template:
        for _ in range(calls_before):  # after which the core makes them alone
            template.clone(abs, -1).result(SECONDS)
        pid = template.pid
        with template.clone(fill_sockets, 1000, pipe[1], pass_fds=pipe[1:]) as child:
            assert os.read(pipe[0], 100) == TOO_MANY
            for _ in range(3):
                with pytest.raises(ramet.CloneError, match="ETOOMANYREFS"):
                    template.clone(abs, -1)
            child.kill()
        assert template.clone(abs, -1).result(SECONDS) == 1
        assert template.pid == pid


def cannot_send() -> tuple[int, int]:
    """How many children are left of a call that could not be sent; what the next one returns."""
    told, tells = os.pipe()
    with ramet.Template([__name__], setup=become_another_user, spares=0) as template:
        become_nobody()
        with ramet.clone(fill_sockets, 1000, tells) as child:
            assert os.read(told, 100) == TOO_MANY
            before = children(os.getpid())
            with pytest.raises(ramet.CloneError, match="ETOOMANYREFS"):
                template.clone(abs, -1, pass_fds=[told])
            left = len(set(children(os.getpid())) - set(before))
            child.kill()
        return left, template.clone(abs, -1, pass_fds=[told]).result(SECONDS)


def test_a_caller_that_cannot_send() -> None:
    """The call is refused, what was made for it is reaped, and the next is made when there is room."""
    assert ramet.clone(cannot_send).result(SECONDS) == (0, 1)


# ---- what a call leaves behind


@pytest.fixture
def outliving(tmp_path: Path) -> Path:
    """A fifo that a process holds open for reading as long as it lives."""
    os.mkfifo(tmp_path / "fifo")
    tmp_path.chmod(0o777)
    (tmp_path / "fifo").chmod(0o666)
    return tmp_path / "fifo"


def leave_one_behind(fifo: str) -> str:
    """A process in a session of its own, without the channel of its call."""
    begun, told = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        os.closerange(told + 10, 1000)
        os.write(told, b"x")
        signal.pause()
    assert os.read(begun, 1)
    return "result"


def is_read(fifo: Path) -> bool:
    """Whether anybody has it open for reading."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("spares", [0, 1])
def test_what_a_call_leaves_behind_ends_with_it(outliving: Path, spares: int) -> None:
    """By itself: nobody has waited for the call, and no other call was made."""
    sandbox = ramet.Sandbox(write=[outliving.parent])
    with ramet.Template([__name__], sandbox=sandbox, spares=spares) as template:
        for _ in range(ENOUGH):
            child = template.clone(leave_one_behind, str(outliving))
            assert child.result(SECONDS) == "result"
            until(lambda: not is_read(outliving))


def die() -> None:
    """As a library does that has found an error."""
    os._exit(9)


def has_dead_child() -> bool:
    """Whether one of this process's children has ended, and was not reaped."""
    return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL) is not None


def test_a_spare_that_dies_ahead_costs_one_call_at_most() -> None:
    """And not the template. One that has died before its call is left out."""
    with ramet.Template([__name__], sandbox=ramet.Sandbox(), warm=die) as template:
        for _ in range(3):
            with template.clone(abs, -1) as child:
                try:
                    assert child.result(SECONDS) == 1
                except ramet.ChildDied as error:
                    assert error.status.code == 9


def test_what_a_dead_spare_has_left_is_reaped_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The init of its namespace, though it had not ended whenever it was looked at before."""
    finish, end = PidNamespace.finish, Link._end_namespace
    closed: list[Link] = []

    def finish_at_the_end(namespace: PidNamespace) -> bool:
        return bool(closed) and finish(namespace)

    def note_end(link: Link, *args: Any, **kwargs: Any) -> None:
        closed.append(link)
        end(link, *args, **kwargs)

    monkeypatch.setattr(PidNamespace, "finish", finish_at_the_end)
    monkeypatch.setattr(Link, "_end_namespace", note_end)
    with ramet.Template([__name__], sandbox=ramet.Sandbox(), warm=die) as template:
        until(has_dead_child)
        with template.clone(abs, -1) as child, suppress(ramet.ChildDied):
            child.result(SECONDS)
        assert unreaped
    assert not unreaped
