import os
import socket
import threading
from collections.abc import Iterator

import pytest

import ramet
from ramet import CloneFlag as F

from ...constants import SECONDS

KINDS = ("mnt", "net", "uts", "ipc", "cgroup")


def link(kind: str) -> str:
    return os.readlink(f"/proc/thread-self/ns/{kind}")


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """The pid of a process that is in namespaces of its own of all kinds."""
    flags = F.NEWNS | F.NEWNET | F.NEWUTS | F.NEWIPC | F.NEWCGROUP | F.NEWPID | F.NEWUSER
    end, ended = os.pipe()
    with ramet.clone(os.read, end, 1, flags=F.VM | F.FILES | flags) as child:
        uid_map = f"0 {os.geteuid()} 1"
        with open(f"/proc/{child.pid}/uid_map", "w") as file:
            file.write(uid_map)
        yield child.pid
        os.write(ended, b"x")
        child.wait(SECONDS)
    os.close(end)
    os.close(ended)


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_runs_elsewhere(kind: str, elsewhere: int, nothing_left: object) -> None:
    """It is in the namespace of the process that is named, and its caller is not."""
    mine = link(kind)
    there = ramet.in_namespace(link, kind, user=elsewhere, **{kind: elsewhere})
    assert there == os.readlink(f"/proc/{elsewhere}/ns/{kind}") != mine
    assert link(kind) == mine


def test_all_at_once(elsewhere: int, nothing_left: object) -> None:
    """All kinds together, with the pid namespace, and the result is the object itself."""
    lock = threading.Lock()
    result, pid = ramet.in_namespace(
        lambda: (lock, os.getpid()),
        user=elsewhere,
        mnt=elsewhere,
        net=elsewhere,
        uts=elsewhere,
        ipc=elsewhere,
        cgroup=elsewhere,
        pid=elsewhere,
    )
    assert result is lock
    assert 1 < pid < 100


def test_a_port_that_is_taken_here_is_free_there(elsewhere: int, nothing_left: object) -> None:
    """In another network namespace a function listens on a port that its caller uses as well."""

    def listen(port: int) -> int:
        with socket.create_server(("127.0.0.1", port)) as server:
            return int(server.getsockname()[1])

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            ramet.in_namespace(listen, port, user=elsewhere, uts=elsewhere)
        assert ramet.in_namespace(listen, port, user=elsewhere, net=elsewhere) == port


def test_a_path_and_a_descriptor_will_do(elsewhere: int, nothing_left: object) -> None:
    """A namespace is named by a path or an open file as well."""
    expected = os.readlink(f"/proc/{elsewhere}/ns/uts")
    with open(f"/proc/{elsewhere}/ns/user") as user:
        path = f"/proc/{elsewhere}/ns/uts"
        assert ramet.in_namespace(link, "uts", user=user, uts=path) == expected


def test_what_cannot_be_entered_is_an_error(nothing_left: object) -> None:
    """No namespace, one that is not there, and a file that is none."""
    with pytest.raises(ValueError, match="at least one of user"):
        ramet.in_namespace(int)
    with pytest.raises(FileNotFoundError):
        ramet.in_namespace(int, net="/proc/self/ns/none")
    with pytest.raises(OSError, match="Invalid argument"):
        ramet.in_namespace(int, net="/dev/null")


def test_what_it_raises_is_raised(elsewhere: int, nothing_left: object) -> None:
    """An exception of the function is the caller's to catch."""
    with pytest.raises(ZeroDivisionError):
        ramet.in_namespace(lambda: 1 // 0, user=elsewhere)
