"""Network namespaces that are made ahead of launches."""

import os
import sys

import pytest

import ramet
from ramet._sandbox.kept import confinement_of
from ramet._sandbox.network_pool import NO_NETWORK, NetworkPool
from ramet._sandbox.of_program import OfProgram

OWN_CONNECTION = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
with socket.create_connection(listener.getsockname()):
    print("connected")
"""


def pool_of(sandbox: ramet.Sandbox) -> NetworkPool:
    pool = confinement_of(OfProgram, sandbox).networks
    assert pool is not None
    return pool


def number_of(pool: NetworkPool) -> int:
    """The descriptor of the only one that the pool makes."""
    (number,) = pool._plans
    return number


def network_of(process: "ramet.Popen[bytes]") -> int:
    """The inode of its network namespace."""
    return os.stat(f"/proc/{process.pid}/ns/net").st_ino


@pytest.mark.usefixtures("root", "nothing_kept")
def test_a_launch_joins_the_namespace_that_was_made_ahead() -> None:
    """That one, and not the caller's; after its end the next launch gets another."""
    sandbox = ramet.Sandbox(warm=1)
    pool = pool_of(sandbox)
    for _ in range(2):
        assert pool.ready == 1
        ahead = os.fstat(number_of(pool)).st_ino
        with ramet.Popen(["cat"], stdin=ramet.PIPE, sandbox=sandbox) as process:
            assert network_of(process) == ahead
            assert os.stat("/proc/self/ns/net").st_ino != ahead


@pytest.mark.usefixtures("root", "nothing_kept")
def test_it_is_joined_once() -> None:
    """Two that live at the same time are in two namespaces, whether or not the second was made ahead."""
    sandbox = ramet.Sandbox(warm=1)
    assert pool_of(sandbox).ready == 1
    with (
        ramet.Popen(["cat"], stdin=ramet.PIPE, sandbox=sandbox) as first,
        ramet.Popen(["cat"], stdin=ramet.PIPE, sandbox=sandbox) as second,
        ramet.Popen(["cat"], stdin=ramet.PIPE, sandbox=sandbox) as third,
    ):
        assert len({network_of(process) for process in (first, second, third)}) == 3


@pytest.mark.usefixtures("root", "nothing_kept")
def test_long_children_do_not_keep_the_pool_empty() -> None:
    """The launch after theirs has others made, as the end of a child does."""
    sandbox = ramet.Sandbox(warm=1)
    pool = pool_of(sandbox)
    assert pool.ready == 1
    with ramet.Popen(["cat"], stdin=ramet.PIPE, sandbox=sandbox):
        assert pool.ready == 0
        with ramet.Popen(["cat"], stdin=ramet.PIPE, sandbox=sandbox):
            assert pool.ready == 1
    assert pool.ready == 1


@pytest.mark.usefixtures("root", "nothing_kept")
def test_one_that_is_taken_stays_as_it_is_until_it_is_joined() -> None:
    """Whatever other launches do meanwhile."""
    pool = pool_of(ramet.Sandbox(warm=1))
    assert pool.ready == 1
    number = pool.take()
    inode = os.fstat(number).st_ino
    assert pool.take() == NO_NETWORK
    assert pool.ready == 0
    assert os.fstat(number).st_ino == inode
    pool.replace(number)
    assert pool.ready == 1


@pytest.mark.usefixtures("nothing_kept")
def test_its_loopback_interface_is_up() -> None:
    """Where the sandbox has one."""
    sandbox = ramet.Sandbox(network="loopback", warm=1)
    assert pool_of(sandbox).ready == 1
    done = ramet.run([sys.executable, "-c", OWN_CONNECTION], sandbox=sandbox, capture_output=True)
    assert done.stdout == b"connected\n"


@pytest.mark.usefixtures("nothing_kept")
def test_without_a_wish_for_it_none_is_made() -> None:
    """Neither without warm, nor where the network is the caller's."""
    for sandbox in (ramet.Sandbox(), ramet.Sandbox(network="host", warm=2)):
        assert confinement_of(OfProgram, sandbox).networks is None


@pytest.mark.usefixtures("nothing_kept")
def test_closed_it_has_none_and_leaves_none() -> None:
    """Launches make their own then, and no descriptor is left."""
    sandbox = ramet.Sandbox(warm=3)
    pool = pool_of(sandbox)
    numbers = list(pool._plans)
    pool.close()
    assert pool.take() == NO_NETWORK
    for number in numbers:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
    assert ramet.run(["true"], sandbox=sandbox).returncode == 0


@pytest.mark.usefixtures("nothing_kept")
def test_a_copy_of_the_process_takes_none() -> None:
    """Its original could take the same one."""
    pool = pool_of(ramet.Sandbox(warm=2))
    assert pool.ready == 2
    pid = os.fork()
    if pid == 0:
        os._exit(0 if pool.take() == NO_NETWORK else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pool.ready == 2


@pytest.mark.usefixtures("nothing_kept")
def test_one_whose_maker_was_killed_is_made_again() -> None:
    """As by the terminal's interrupt, which all of the caller's processes get."""
    pool = pool_of(ramet.Sandbox(warm=1))
    assert pool.ready == 1
    number = pool.take()
    pool.replace(number)
    _, underway = pool._making[number]
    underway.cancel()
    assert 1 in (pool.ready, pool.ready)


@pytest.mark.usefixtures("root", "nothing_kept")
def test_this_process_stays_one_that_others_may_look_into() -> None:
    """While namespaces are made, and after: the mark of its memory is as it was."""
    pool = pool_of(ramet.Sandbox(warm=2))
    assert pool.ready == 2
    assert os.stat("/proc/self/fd").st_uid == os.geteuid()
    with open("/proc/self/status", encoding="ascii") as file:
        assert "TracerPid:\t0\n" in file.read()
