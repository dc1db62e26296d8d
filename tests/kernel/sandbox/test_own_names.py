"""Who a sandbox's user is, by its own /etc/passwd, and what its /etc/hosts names."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import Sandbox
from ramet._sandbox.files.own_names import with_own_names
from ramet._sandbox.view import Shown, View, view_of

from .suites import directory, run, told
from .taken_away import needs_all


@pytest.fixture
def work() -> Iterator[Path]:
    """A directory of this machine."""
    with directory() as path:
        yield path


def names() -> tuple[str, str, str]:
    """Who a process is, where it is at home, and its group."""
    import grp
    import pwd

    own = pwd.getpwuid(os.getuid())
    return own.pw_name, own.pw_dir, grp.getgrgid(os.getgid()).gr_name


@needs_all
def test_its_user_has_a_name(work: Path) -> None:
    """And a group, and is at home where its program begins; nobody else is named but root and nobody."""
    is_nobody = told("id -u", Sandbox()) == "65534\n"
    name, group = ("nobody", "nogroup") if is_nobody else ("sandbox", "sandbox")
    lines = run(
        "whoami; id -gn; eval echo ~$(whoami); cut -d: -f1 /etc/passwd", Sandbox(write=[work])
    )
    users = ["root", "nobody"] if is_nobody else ["root", "sandbox", "nobody"]
    assert lines.stdout.split() == [name, group, os.path.realpath(work), *users], lines.stderr


@needs_all
def test_a_file_of_names_cannot_be_written(work: Path) -> None:
    """As nothing in its root can."""
    done = run("echo root::0:0::/:/bin/sh > /etc/passwd || echo refused", Sandbox(write=[work]))
    assert done.stdout == "refused\n"


@needs_all
@pytest.mark.parametrize("shown", ["/etc", "/etc/passwd"])
def test_the_callers_where_they_are_named(shown: str) -> None:
    """What ``read`` names is seen."""
    assert told("cat /etc/passwd", Sandbox(read=[shown])) == Path("/etc/passwd").read_text()


@needs_all
def test_none_where_they_are_hidden() -> None:
    """What ``hidden`` names is empty."""
    assert told("cat /etc/passwd", Sandbox(hidden=["/etc/passwd"])) == ""


@needs_all
@pytest.mark.parametrize("network", ["none", "loopback"])
def test_its_host_is_found(network: str) -> None:
    """By its name, and localhost as the address that programs listen at."""
    sandbox = Sandbox(network=network, hostname="judge-1")
    found = told("getent hosts judge-1; getent hosts localhost", sandbox).split()
    assert found[:3] == ["127.0.1.1", "judge-1", "127.0.0.1"]


@needs_all
def test_the_callers_hosts_in_its_network() -> None:
    """They are reached there, and the host is one of them: it has the caller's name unless one is given."""
    sandbox = Sandbox(network="host")
    assert told("cat /etc/hosts", sandbox) == Path("/etc/hosts").read_text()
    assert told("uname -n", sandbox) == f"{socket.gethostname()}\n"
    assert told("uname -n", sandbox.replace(hostname="judge-1")) == "judge-1\n"
    assert told("uname -n", sandbox.replace(network="loopback")) == "sandbox\n"


@needs_all
@pytest.mark.parametrize("network", ["host", {"connect": [443]}])
def test_its_host_has_an_address_where_the_callers_has_one(network: Any) -> None:
    """As programs ask that tell others where they are."""
    asked = "import socket; print(socket.gethostbyname(socket.gethostname()))"
    try:
        expected = socket.gethostbyname(socket.gethostname())
    except OSError:
        expected = ""  # of a machine that cannot say it either
    done = ramet.run(
        [sys.executable, "-c", asked], sandbox=Sandbox(network=network), capture_output=True
    )
    assert os.fsdecode(done.stdout).strip() == expected


@needs_all
def test_a_call_of_a_template(work: Path) -> None:
    """It is the same user as a program."""
    with ramet.Template(sandbox=Sandbox(write=[work])) as template:
        name, home, _ = template.clone(names).result()
    assert name in ("sandbox", "nobody")
    assert home == os.path.realpath(work)


@needs_all
def test_a_server_at_its_host_name() -> None:
    """One listens at the host's own name and is reached, as MPI's processes reach each other."""
    with ramet.Template(sandbox=Sandbox(network="loopback")) as template:
        assert template.clone(reached_by_name).result() == "reached"


def reached_by_name() -> str:
    """Be a server and its client."""
    server = socket.create_server((socket.gethostname(), 0))
    with server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"reached")
            return accepted.recv(100).decode()


@pytest.mark.parametrize("home", ["/a:b", "/a\nroot::0:0::/:/bin/sh"])
def test_a_home_that_passwd_cannot_hold(home: str) -> None:
    """It is told as the root directory, and makes no other line."""
    view = View([Shown(home, True, True)], [], [])
    made = with_own_names(view, Sandbox(), 1000, 1000).made
    assert made["/etc/passwd"].splitlines()[1] == b"sandbox:x:1000:1000:sandbox:/:/bin/sh"
    assert len(made["/etc/passwd"].splitlines()) == 3


@pytest.mark.parametrize("hostname", ["a b", "a\n1.2.3.4 b"])
def test_a_host_name_that_hosts_cannot_hold(hostname: str) -> None:
    """It is in no line."""
    made = with_own_names(view_of(Sandbox()), Sandbox(hostname=hostname), 1000, 1000).made
    assert made["/etc/hosts"] == b"127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n"


@pytest.mark.parametrize("uid", [0, 1000, 65534, 4242])
def test_each_id_has_one_line(uid: int) -> None:
    """Also where the user is root, or nobody."""
    made = with_own_names(view_of(Sandbox()), Sandbox(), uid, uid).made
    for path in ("/etc/passwd", "/etc/group"):
        ids = [int(line.split(b":")[2]) for line in made[path].splitlines()]
        assert ids == sorted({0, 65534, uid})


def test_a_link_of_the_machines_is_replaced() -> None:
    """Where /etc/hosts leads elsewhere, as on NixOS, it is a file of the sandbox's own."""
    with tempfile.TemporaryDirectory() as place:
        view = View([], [("/etc/hosts", f"{place}/hosts"), ("/etc/mtab", "/proc/mounts")], [])
        own = with_own_names(view, Sandbox(), 1000, 1000)
    assert own.links == [("/etc/mtab", "/proc/mounts")]
    assert "/etc/hosts" in own.made


def test_a_link_to_etc_is_followed() -> None:
    """What is below it is the machine's then: beside the link no directory could be made."""
    view = View([Shown("/private/etc/hosts", False, False, False)], [("/etc", "private/etc")], [])
    assert with_own_names(view, Sandbox(), 1000, 1000) == view


@pytest.mark.parametrize("wishes", [{"system": False}, {"root": "/"}])
def test_no_names_without_the_system(wishes: dict[str, Any]) -> None:
    """They come with the programs that ask for them, and an image has its own."""
    sandbox = Sandbox(**wishes)
    assert not with_own_names(view_of(sandbox), sandbox, 1000, 1000).made
