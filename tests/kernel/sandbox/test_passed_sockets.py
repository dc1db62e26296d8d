"""One connected socket for what has no network: how it is passed, and what its holder cannot do."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

import ramet
from ramet._sandbox.planning.machine import this_machine

from ...constants import PATIENT_SECONDS, SECONDS
from ...crash.escapes.confinements import take_away
from . import passed_probe
from .taken_away import needs_all

T = TypeVar("T")

pytestmark = [needs_all, pytest.mark.usefixtures("nothing_kept")]

# Another user cannot reach the Python of root.
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
SAYS = "import os; os.write({0}, b'asked'); os.write(1, os.read({0}, 9))"
WEAKEST = ("namespaces", "groups")


def in_copy(work: Callable[[], T]) -> T:
    """What a copy of this process returns, which may take from itself what this machine grants."""
    with ramet.clone(work) as child:
        return child.result(PATIENT_SECONDS)


def answer(ours: socket.socket) -> bytes:
    """What the other end has asked; it is answered."""
    ours.settimeout(SECONDS)
    asked = ours.recv(9)
    ours.sendall(b"answered")
    return asked


def ask(number: int) -> bytes:
    with socket.socket(fileno=number) as given:
        given.sendall(b"asked")
        return given.recv(9)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A pair: ours, and what is passed."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


Ends = tuple[socket.socket, socket.socket]
Passed = Callable[[socket.socket], tuple[int, dict[str, Any]]]
WAYS: list[Passed] = [
    lambda end: (end.fileno(), {"pass_fds": [end]}),
    lambda end: (3, {"fds": {3: end}}),
]
BY_EACH_OPTION = pytest.mark.parametrize("passed", WAYS, ids=["pass_fds", "fds"])


@BY_EACH_OPTION
@pytest.mark.parametrize("taken", [(), WEAKEST], ids=["all", "weakest"])
def test_a_program(passed: Passed, taken: tuple[str, ...]) -> None:
    """It is given by pass_fds= or fds=, with namespaces and without."""

    def ask_from_sandbox() -> list[object]:
        take_away(taken)
        ours, theirs = socket.socketpair()
        number, options = passed(theirs)
        sandbox = ramet.Sandbox(require="best" if taken else "all")
        with ramet.Popen(
            [PYTHON, "-c", SAYS.format(number)], sandbox=sandbox, stdout=subprocess.PIPE, **options
        ) as process:
            theirs.close()
            asked = answer(ours)
            output, _ = process.communicate(timeout=SECONDS)
        ours.close()
        return [asked, output]

    assert in_copy(ask_from_sandbox) == [b"asked", b"answered"]


@BY_EACH_OPTION
def test_a_function(passed: Passed, ends: Ends) -> None:
    """So it is to a function."""
    ours, theirs = ends
    number, options = passed(theirs)
    with ramet.clone(ask, number, sandbox=ramet.Sandbox(), **options) as child:
        assert answer(ours) == b"asked"
        assert child.result(SECONDS) == b"answered"


@BY_EACH_OPTION
def test_each_call_of_a_template_has_its_own(passed: Passed) -> None:
    """So it is to a call of a template, and another to the next."""
    with ramet.Template(sandbox=ramet.Sandbox()) as template:
        for _ in range(2):
            ours, theirs = socket.socketpair()
            with ours:
                number, options = passed(theirs)
                with template.clone(ask, number, **options) as child:
                    theirs.close()
                    assert answer(ours) == b"asked"
                    assert child.result(SECONDS) == b"answered"


def test_calls_of_an_executor_share_one(ends: Ends) -> None:
    """An executor gives one to all of its calls, by its own options."""
    ours, theirs = ends
    with (
        ramet.Template(sandbox=ramet.Sandbox()) as template,
        ramet.Executor(1, template=template, fds={3: theirs}) as executor,
    ):
        for _ in range(2):
            call = executor.submit(ask, 3)
            assert answer(ours) == b"asked"
            assert call.result(SECONDS) == b"answered"


class Host(NamedTuple):
    """What listens outside of the sandbox."""

    tcp: socket.socket
    unix: socket.socket
    name: str

    def was_reached(self) -> bool:
        """Whether anyone has come."""
        for listening in (self.tcp, self.unix):
            listening.setblocking(False)
            try:
                listening.accept()[0].close()
            except BlockingIOError:
                continue
            return True
        return False


def held(make: Callable[[ExitStack], socket.socket], taken: tuple[str, ...] = ()) -> dict[str, Any]:
    """What each attempt of a holder of such a socket came to; "host": whether a listener was reached."""

    def try_all() -> dict[str, Any]:
        take_away(taken)
        sandbox = ramet.Sandbox(
            read=[Path(passed_probe.__file__)], require="best" if taken else "all"
        )
        with ExitStack() as stack:
            unix = stack.enter_context(socket.socket(socket.AF_UNIX))
            name = f"ramet-host-{os.getpid()}"
            unix.bind(f"\0{name}")
            unix.listen()
            tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            host = Host(tcp, unix, name)
            done = ramet.run(
                [PYTHON, passed_probe.__file__, str(tcp.getsockname()[1]), name],
                sandbox=sandbox,
                fds={3: make(stack)},
                capture_output=True,
                timeout=SECONDS,
            )
            assert done.returncode == 0, done.stderr
            return {**json.loads(done.stdout), "host": host.was_reached()}

    return in_copy(try_all)


def stream(stack: ExitStack) -> socket.socket:
    _, theirs = (stack.enter_context(end) for end in socket.socketpair())
    return theirs


def bound_stream(stack: ExitStack) -> socket.socket:
    theirs = stream(stack)
    theirs.bind("")
    return theirs


def tcp_stream(stack: ExitStack) -> socket.socket:
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    theirs = stack.enter_context(socket.create_connection(server.getsockname()))
    stack.enter_context(server.accept()[0])
    return theirs


@pytest.mark.parametrize("taken", [(), WEAKEST, ("landlock",)], ids=["all", "weakest", "unlocked"])
def test_one_end_of_a_pair_leads_nowhere_else(taken: tuple[str, ...]) -> None:
    """It stays connected: neither to another address, nor to nothing; nor is it opened or listens anew."""
    found = held(stream, taken)
    assert found.pop("open in proc") in ("ENXIO", "EACCES", "ENOENT")
    # EINVAL: it is not in its pid namespace; EPERM: another user, or another domain; before Linux 6.5 none.
    assert found.pop("signal to its maker") in ("EINVAL", "EPERM", "ENOPROTOOPT")
    assert found.pop("namespace of socket") == "EPERM"
    assert found == {
        "send": 0,
        "connect": "EISCONN",
        "accept": "EINVAL",
        "bind": 0,  # a name alone, see the next test
        "disconnect": "EINVAL",
        "connect then": "EISCONN",
        "send elsewhere": "EISCONN",
        "disconnect again": "EINVAL",
        "listen": "EINVAL",
        "send at the end": 0,
        "host": False,
    }


def test_a_pair_that_has_a_name_takes_no_other() -> None:
    """The holder can give its end a name of the host's abstract names, unless it has one."""
    assert held(stream)["bind"] == 0
    assert held(bound_stream)["bind"] == "EINVAL"


def test_a_tcp_socket_leads_elsewhere() -> None:
    """Why it is not to be given: it is let go, and is connected anew, or listens, on the host's network."""
    listens = listening_of_one_let_go()
    found = held(tcp_stream, ("landlock",))
    assert (found["disconnect"], found["connect then"], found["host"]) == (0, 0, True)
    assert found["listen"] == listens
    if this_machine().landlock_abi >= 4:
        found = held(tcp_stream)
        assert (found["disconnect"], found["connect then"]) == (0, "EACCES")
        assert found["listen"] == listens


def listening_of_one_let_go() -> object:
    """0, or EINVAL: some kernels, 6.18.44 among them, let no TCP socket listen that was connected once."""
    with ExitStack() as stack:
        let_go = tcp_stream(stack)
        passed_probe.disconnect(let_go)
        return passed_probe.tried(let_go.listen)


def test_descriptors_that_the_holder_sends_are_not_received(ends: Ends) -> None:
    """recv() has no place for them, so that the kernel closes them; its reader has nothing to close."""
    ours, theirs = ends
    script = "import socket; s = socket.socket(fileno=3); socket.send_fds(s, [b'here'], [0, 1]); s.recv(1)"
    with ramet.Popen(
        [PYTHON, "-c", script], sandbox=ramet.Sandbox(), fds={3: theirs}, stdin=subprocess.DEVNULL
    ) as process:
        theirs.close()
        ours.settimeout(SECONDS)
        before = sorted(os.listdir("/proc/self/fd"))
        assert ours.recv(9) == b"here"
        assert sorted(os.listdir("/proc/self/fd")) == before
        ours.close()
        assert process.wait(SECONDS) == 0
