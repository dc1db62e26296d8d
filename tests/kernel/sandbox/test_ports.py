"""TCP to the named ports alone: what would reach others past Landlock's rules."""

import ast
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

import ramet

from ...constants import SECONDS
from .taken_away import needs_all, needs_landlock

pytestmark = [
    needs_all,
    pytest.mark.usefixtures("nothing_kept"),
    needs_landlock(4),
]

# Another user cannot reach the Python of root.
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
PROBE = """
import errno, socket, sys
MPTCP, SMC, MSG_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP = 262, 256, 0x20000000, 30, 6
to = ("127.0.0.1", int(sys.argv[1]))

def tried(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def connected(*of):
    socket.socket(*of).connect(to)

def fast():
    made = socket.socket()
    made.setsockopt(TCP, TCP_FASTOPEN_CONNECT, 1)
    made.connect(to)
    made.send(b"x")

print({
    "connect": tried(connected),
    "multipath": tried(lambda: connected(socket.AF_INET, socket.SOCK_STREAM, MPTCP)),
    "shared memory": tried(lambda: connected(socket.AF_INET, socket.SOCK_STREAM, SMC)),
    "family of that": tried(lambda: connected(43, socket.SOCK_STREAM)),
    "sendto": tried(lambda: socket.socket().sendto(b"x", MSG_FASTOPEN, to)),
    "sendmsg": tried(lambda: socket.socket().sendmsg([b"x"], (), MSG_FASTOPEN, to)),
    "option": tried(fast),
})
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.setblocking(False)
        yield made


def probed(listening: socket.socket, ports: list[int], syscalls: str | None) -> dict[str, str]:
    sandbox = ramet.Sandbox(network={"connect": ports}, syscalls=syscalls)
    port = str(listening.getsockname()[1])
    done = ramet.run(
        [PYTHON, "-c", PROBE, port],
        sandbox=sandbox,
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    found: dict[str, str] = ast.literal_eval(done.stdout)
    return found


@pytest.mark.parametrize("syscalls", ["default", "strict", None])
def test_no_other_port_is_reached(listening: socket.socket, syscalls: str | None) -> None:
    """Nor with multipath TCP, with SMC, or by sending before a connection is made."""
    found = probed(listening, [1], syscalls)
    assert "done" not in found.values()
    assert found["connect"] == "EACCES"
    with pytest.raises(BlockingIOError):
        listening.accept()


def test_a_named_port_is_reached(listening: socket.socket) -> None:
    """By connect(), to which who asks for more goes back."""
    found = probed(listening, [listening.getsockname()[1]], "default")
    assert found["connect"] == "done"
    assert (found["multipath"], found["sendto"]) == ("EPROTONOSUPPORT", "ENOTSUP")
    listening.accept()[0].close()
