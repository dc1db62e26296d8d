import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeAlias

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import Command, SpawnError

Told: TypeAlias = Callable[..., str]

KINDS = {
    "cgroup": F.NEWCGROUP,
    "ipc": F.NEWIPC,
    "mnt": F.NEWNS,
    "net": F.NEWNET,
    "user": F.NEWUSER,
    "uts": F.NEWUTS,
}
# A plain user may make and join namespaces in a user namespace of its own.
WITH_USER = F(0) if os.geteuid() == 0 else F.NEWUSER


def links(told: Told, **options: Any) -> dict[str, str]:
    """Every namespace of a program."""
    script = "cd /proc/$$/ns; for n in *; do echo $n $(readlink $n); done"
    return dict(line.split() for line in told(["sh", "-c", script], **options).splitlines())


def links_of(pid: int) -> dict[str, str]:
    folder = f"/proc/{pid}/ns"
    return {name: os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}


# ---- cgroups


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("by", ["path", "descriptor", "file"])
def test_made_in_a_cgroup(cgroup: Path, by: str, start: bool, nothing_left: object) -> None:
    """A cgroup of version 2 is named by a path, a descriptor or a file."""
    read, write = os.pipe()
    with _Directory(cgroup) as directory:
        ways: dict[str, Any] = {
            "path": cgroup,
            "descriptor": directory.fileno(),
            "file": directory,
        }
        with Command(["cat"], stdin=read, cgroup=ways[by], start=start).spawn() as child:
            assert (cgroup / "cgroup.procs").read_text().split() == [str(child.pid)]
            if not start:
                child.start()
            os.close(read)
            os.close(write)
            assert child.wait(60).success


class _Directory:
    """An open directory, as an object with fileno()."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def fileno(self) -> int:
        return self.descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


@pytest.fixture
def old_cgroup() -> Iterator[Path]:
    """A new directory of a version 1 hierarchy, empty again and removed in the end."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split(" ")
        # A new cpuset has no processors, so nobody may enter it.
        if kind != "cgroup" or "cpuset" in options:
            continue
        made = Path(place) / f"ramet-test-{os.getpid()}"
        try:
            made.mkdir()
        except OSError:
            continue
        yield made
        made.rmdir()
        return
    pytest.skip("needs a cgroup v1 hierarchy in which a directory can be made")


@pytest.mark.parametrize("by_descriptor", [False, True])
def test_a_cgroup_of_version_1(
    told: Told, old_cgroup: Path, by_descriptor: bool, nothing_left: object
) -> None:
    """The child writes itself into it, before its program begins."""
    directory = os.open(old_cgroup, os.O_RDONLY | os.O_DIRECTORY)
    which = directory if by_descriptor else old_cgroup
    said = told(["cat", "/proc/self/cgroup"], cgroup=which)
    os.close(directory)
    assert any(line.endswith(f"/{old_cgroup.name}") for line in said.splitlines())
    assert str(os.getpid()) not in (old_cgroup / "cgroup.procs").read_text().split()


# ---- pids, flags


def test_set_tid(told: Told, root: None, nothing_left: object) -> None:
    """The child has the pid that was chosen for it."""
    for pid in range(30000, 32000):
        if not Path(f"/proc/{pid}").exists():
            break
    else:
        pytest.fail("no pid is free")
    assert told(["sh", "-c", "echo $$"], set_tid=[pid]) == str(pid)


def test_set_tid_in_a_new_namespace(told: Told, nothing_left: object, root: None) -> None:
    """The first pid is the one in the innermost namespace."""
    said = told(["sh", "-c", "echo $$"], set_tid=[1], flags=F.NEWPID)
    assert said == "1"


def test_flags_share_until_the_exec(told: Told, nothing_left: object) -> None:
    """A program may share the working directory with its caller: what it changes is the caller's."""
    assert told(["pwd", "-P"], flags=F.FS) == os.getcwd()
    assert told(["echo", "x"], flags=F.FILES) == "x"
    assert told(["echo", "x"], flags=F.FILES | F.FS | F.SIGHAND | F.SYSVSEM | F.IO) == "x"


def test_a_childs_parent_may_be_the_callers(told: Told, nothing_left: object) -> None:
    """PARENT makes it a sibling; its pidfd tells of its end."""
    out, to_out = os.pipe()
    script = ["sh", "-c", "echo $PPID"]
    code = f"""
import os, sys
from ramet import Command, CloneFlag
child = Command({script}, flags=CloneFlag.PARENT, stdout={to_out}).spawn()
child.wait(60)
print(os.getppid(), child.pid, flush=True)
"""
    seen = told([sys.executable, "-c", code], pass_fds=[to_out]).split()
    os.close(to_out)
    assert os.read(out, 100).decode().strip() == seen[0] == str(os.getpid())
    os.close(out)
    assert os.waitpid(int(seen[1]), 0)[1] == 0  # it is ours


def test_the_exit_signal_of_a_program_is_sigchld(nothing_left: object) -> None:
    """An exec makes it SIGCHLD; a child that has not come that far sends the one it was given."""
    seen: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: seen.append(number))
        for number in (signal.SIGUSR1, signal.SIGCHLD)
    }
    try:
        assert Command(["true"], flags=signal.SIGUSR1).spawn().wait(60).success
        assert seen == [signal.SIGCHLD]
        with pytest.raises(FileNotFoundError):
            Command(["/no/such"], flags=signal.SIGUSR1).spawn()
        assert seen == [signal.SIGCHLD, signal.SIGUSR1]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_program_that_begins_stopped(nothing_left: object) -> None:
    """STOPPED: it is stopped before its program, which begins when it is resumed."""
    with Command(["true"], flags=F.STOPPED).spawn() as child:
        assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
        assert Path(f"/proc/{child.pid}/comm").read_text() != "true\n"
        child.resume()
        assert child.wait(60).success


def test_stopped_and_not_started(nothing_left: object) -> None:
    """A child that is stopped and waits for its start needs both, in that order."""
    with Command(["true"], flags=F.STOPPED, start=False).spawn() as child:
        child.start()
        assert child.poll() is None
        child.resume()
        assert child.wait(60).success


# ---- new namespaces


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_namespace(told: Told, kind: str, nothing_left: object) -> None:
    """A flag gives the child a namespace of its own, and no other that was not asked for."""
    mine = links_of(os.getpid())
    got = links(told, flags=KINDS[kind] | WITH_USER)
    new = {name for name in mine if got[name] != mine[name]}
    assert new == {kind} | ({"user"} if WITH_USER else set())


def test_a_new_pid_namespace(told: Told, nothing_left: object) -> None:
    """The program is the first of its namespace."""
    assert told(["sh", "-c", "echo $$"], flags=F.NEWPID | WITH_USER) == "1"


def test_large_id_maps(told: Told, root: None, nothing_left: object) -> None:
    """Root maps as many ids as it likes, and root inside may use them."""
    lines = [(0, 100000, 65536), (70000, 0, 1)]
    said = told(
        ["cat", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/status"],
        flags=F.NEWUSER,
        uid_map=lines,
        gid_map=lines,
        user=0,
        group=5,
        extra_groups=[1, 2],
    ).splitlines()
    words = [[int(word) for word in line.split()] for line in said[:4]]
    assert words == [[0, 100000, 65536], [70000, 0, 1]] * 2
    status = dict(line.split(":\t", 1) for line in said[4:] if ":\t" in line)
    assert [status["Uid"].split()[0], status["Gid"].split()[0]] == ["0", "5"]
    assert status["Groups"].split() == ["1", "2"]


def test_ones_own_id_is_mapped(told: Told, nothing_left: object) -> None:
    """Everybody may map the one id that is its own, and is then root, or anybody, in there."""
    said = told(
        ["sh", "-c", "id -u; id -g; cat /proc/self/setgroups"],
        flags=F.NEWUSER,
        uid_map=[(0, os.geteuid(), 1)],
        gid_map=[(123, os.getegid(), 1)],
    ).split()
    # A plain user has to give up setgroups(2) for good.
    assert said == ["0", "123", "allow" if os.geteuid() == 0 else "deny"]


def test_one_map_is_enough(told: Told, nothing_left: object) -> None:
    """uid_map and gid_map each stand alone."""
    own = {"flags": F.NEWUSER, "uid_map": [(5, os.geteuid(), 1)]}
    assert told(["id", "-u"], **own) == "5"
    own = {"flags": F.NEWUSER, "gid_map": [(6, os.getegid(), 1)]}
    assert told(["id", "-g"], **own) == "6"


def test_maps_and_a_start_later(nothing_left: object) -> None:
    """The maps are there when the child waits for its start."""
    command = Command(
        ["true"], flags=F.NEWUSER, uid_map=[(0, os.geteuid(), 1)], user=0, start=False
    )
    with command.spawn() as child:
        words = Path(f"/proc/{child.pid}/uid_map").read_text().split()
        assert words == ["0", str(os.geteuid()), "1"]
        child.start()
        assert child.wait(60).success


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write any map")
def test_more_than_ones_own_id_needs_help(nothing_left: object) -> None:
    """A plain user needs newuidmap and a line in /etc/subuid; what is missing is said."""
    lines = [(0, os.geteuid(), 1), (1, 100000, 65536)]
    with pytest.raises(SpawnError, match="may not write it, and newuidmap") as caught:
        Command(["true"], flags=F.NEWUSER, uid_map=lines).spawn()
    assert caught.value.step == "write uid_map"
    assert isinstance(caught.value, PermissionError)


def test_no_map_is_written_where_proc_has_other_pids() -> None:
    """In the /proc of an outer pid namespace the child's pid is a stranger's, who keeps its own maps."""
    ids = {"setgroups": "deny", "uid_map": f"0 {os.geteuid()} 1", "gid_map": f"0 {os.getegid()} 1"}
    maps = {"uid_map": [(0, 0, 1)], "gid_map": [(0, 0, 1)]}
    flags = F.NEWPID if os.geteuid() == 0 else F.NEWPID | F.NEWUSER

    def refused(stranger: int) -> str:
        if os.geteuid() != 0:
            for name, text in ids.items():
                Path(f"/proc/self/{name}").write_text(text)
        options: Any = {"flags": F.NEWUSER, "set_tid": [stranger], **maps}
        with pytest.raises(SpawnError, match="no /proc of this pid namespace") as caught:
            Command(["true"], **options).spawn()
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        return caught.value.step

    with Command(["sleep", "1000"], flags=F.NEWUSER).spawn() as stranger:
        assert ramet.clone(refused, stranger.pid, flags=flags).result(60) == "write gid_map"
        for name in maps:
            assert Path(f"/proc/{stranger.pid}/{name}").read_text() == ""
        stranger.kill()
        stranger.wait(60)


def test_newuidmap_writes_what_a_plain_user_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_left: object
) -> None:
    """The program is called with the pid and the numbers of all lines, and its answer is taken."""
    said = tmp_path / "said"
    helper = tmp_path / "newuidmap"
    helper.write_text(f'#!/bin/sh\necho "$@" > {said}\nexit 0\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    from ramet._setup import id_maps

    lines = ((0, 0, 1), (1, 100000, 65536))

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(id_maps, "_write", refused)
    command = Command(["true"], flags=F.NEWUSER, uid_map=lines, start=False)
    with command.spawn() as child:
        assert said.read_text().split() == [str(child.pid), "0", "0", "1", "1", "100000", "65536"]
        child.start()
        assert child.wait(60).success


def test_host_name(told: Told, nothing_left: object) -> None:
    """The name is the new namespace's; the machine keeps its own."""
    before = os.uname().nodename
    flags = F.NEWUTS | WITH_USER
    assert told(["uname", "-n"], flags=flags, hostname="inside") == "inside"
    assert told(["uname", "-n"], flags=flags, hostname=b"x" * 64) == "x" * 64
    assert os.uname().nodename == before


LOOPBACK = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname(), timeout=20)
print(server.accept()[0].getpeername()[0])
"""

UNREACHED = """
import errno, socket
try:
    socket.create_connection(("127.0.0.1", 9))
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def test_loopback(python_told: Told, nothing_left: object) -> None:
    """In a new network namespace 127.0.0.1 can be reached when it was asked for."""
    flags = F.NEWNET | WITH_USER
    assert python_told(LOOPBACK, flags=flags, loopback=True) == "127.0.0.1"
    assert python_told(UNREACHED, flags=flags) == "ENETUNREACH"


# ---- existing namespaces


@pytest.fixture
def holder() -> Iterator[ramet.Child[None]]:
    """A program in new namespaces of every kind that can be joined from outside."""
    flags = F.NEWUSER | F.NEWUTS | F.NEWNET | F.NEWIPC | F.NEWNS | F.NEWCGROUP | F.NEWPID
    read, write = os.pipe()
    maps = {"uid_map": [(0, os.geteuid(), 1)], "gid_map": [(0, os.getegid(), 1)]}
    command = Command(["cat"], stdin=read, flags=flags, hostname="held", loopback=True, **maps)  # type: ignore[arg-type]
    with command.spawn() as child:
        os.close(read)
        yield child
        os.close(write)
        child.wait(60)


JOINED = ("user", "cgroup", "ipc", "uts", "net", "mnt")


@pytest.mark.parametrize("by", ["path", "pid", "pidfd", "file"])
def test_join_namespaces(
    told: Told, holder: ramet.Child[None], by: str, nothing_left: object
) -> None:
    """All kinds are joined at once, each by a path, a pid, a pidfd or an open file."""
    paths = {name: f"/proc/{holder.pid}/ns/{name}" for name in JOINED}
    with contextlib.ExitStack() as stack:
        ways: dict[str, dict[str, Any]] = {
            "path": paths,
            "pid": dict.fromkeys(JOINED, holder.pid),
            "pidfd": dict.fromkeys(JOINED, holder),
            "file": {name: stack.enter_context(open(path, "rb")) for name, path in paths.items()},
        }
        # Its /proc is that of the pid namespace outside, where the program can find itself.
        got = links(told, namespaces=ways[by])
    held = links_of(holder.pid)
    assert {name: got[name] for name in JOINED} == {name: held[name] for name in JOINED}


@pytest.mark.parametrize("kind", JOINED)
def test_join_one_namespace(
    told: Told, holder: ramet.Child[None], kind: str, nothing_left: object
) -> None:
    """One kind alone, with the user namespace that gives a plain user the right to it."""
    names = {kind} if os.geteuid() == 0 else {kind, "user"}
    got = links(told, namespaces=dict.fromkeys(names, holder.pid))
    held, mine = links_of(holder.pid), links_of(os.getpid())
    assert {name for name in mine if got[name] == held[name]} >= names
    assert {name for name in mine if got[name] != mine[name]} == names


def test_a_namespace_of_nobody(nothing_left: object) -> None:
    """A pid that nobody has, and a path that is not there, are told before any clone call."""
    with Command(["true"]).spawn() as gone:
        gone.wait(60)
    with pytest.raises(ProcessLookupError, match=r"namespaces\['net'\]: no process"):
        Command(["true"], namespaces={"net": gone.pid})
    with pytest.raises(FileNotFoundError, match="/no/such"):
        Command(["true"], namespaces={"net": "/no/such"})
    with pytest.raises(FileNotFoundError, match="/no/such"):
        Command(["true"], cgroup="/no/such")


def test_a_process_that_cannot_be_opened_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no descriptor is free, that is what is told."""

    def none_is_free(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", none_is_free)
    with pytest.raises(OSError, match=r"namespaces\['net'\]: Too many open files"):
        ramet.run(["true"], namespaces={"net": os.getpid()})


@pytest.mark.parametrize("by", ["path", "pid", "pidfd"])
def test_join_a_pid_namespace(
    told: Told, holder: ramet.Child[None], by: str, root: None, nothing_left: object
) -> None:
    """The child is made in it: its own pid is a small one, and the caller sees the large one."""
    ways: dict[str, Any] = {
        "path": f"/proc/{holder.pid}/ns/pid",
        "pid": holder.pid,
        "pidfd": holder,
    }
    assert int(told(["sh", "-c", "echo $$"], namespaces={"pid": ways[by]})) in range(2, 100)
    # The thread that entered it is gone: the caller's next child is made where the caller is.
    assert int(told(["sh", "-c", "echo $$"])) > 100


def test_a_joined_namespace_can_be_set_up(
    told: Told, holder: ramet.Child[None], nothing_left: object
) -> None:
    """A host name may be given to a namespace that is joined, and seen there by others."""
    joined = dict.fromkeys(("user", "uts"), holder.pid)
    assert told(["uname", "-n"], namespaces=joined) == "held"
    assert told(["uname", "-n"], namespaces=joined, hostname="anew") == "anew"
    assert told(["uname", "-n"], namespaces=joined) == "anew"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"flags": F.FS, "umask": 0}, "umask with CLONE_FS: it is the caller's"),
        ({"flags": F.FS, "cwd": "/"}, "cwd with CLONE_FS: it is the caller's"),
        ({"flags": F.FS, "root": "/"}, "root with CLONE_FS: it is the caller's"),
        (
            {"flags": F.SIGHAND, "ignored_signals": [1]},
            "ignored_signals with CLONE_SIGHAND: it is the caller's",
        ),
        (
            {"flags": F.SIGHAND, "default_signals": [1]},
            "default_signals with CLONE_SIGHAND: it is the caller's",
        ),
        ({"flags": F.IO, "io_priority": "IDLE"}, "io_priority with CLONE_IO: it is the caller's"),
        ({"hostname": "x"}, "it would change the caller's"),
        ({"hostname": ""}, "it would change the caller's"),
        ({"loopback": True}, "it would change the caller's"),
        ({"uid_map": [(0, 0, 1)]}, "NEWUSER"),
        ({"flags": F.PARENT, "die_with_parent": True}, "its parent is the caller's parent"),
        ({"flags": F.PARENT, "start": False}, "would not end with the caller"),
        ({"flags": F.THREAD | F.SIGHAND | F.VM}, "cannot be a thread (THREAD)"),
        ({"flags": F.SETTLS}, "ramet.lowlevel"),
        ({"flags": F.CHILD_CLEARTID}, "ramet.lowlevel"),
    ],
)
def test_what_would_change_the_caller_is_refused(
    options: dict[str, Any], words: str, nothing_left: object
) -> None:
    """A word about something that the child shares with its caller is an error, before any clone call."""
    with pytest.raises(ValueError, match=r"CLONE_|THREAD") as caught:
        Command(["true"], **options)
    assert words in str(caught.value)


def test_what_is_said_of_nothing_is_allowed(nothing_left: object) -> None:
    """No signals, no loopback and no host name are nothing that the caller shares."""
    command = Command(
        ["true"], flags=F.SIGHAND | F.FS | F.IO, default_signals=(), loopback=False, hostname=None
    )
    assert command.spawn().wait(60).success


def test_a_command_is_shared_by_threads(nothing_left: object) -> None:
    """One command serves many threads at a time."""
    command = Command(["true"], umask=0o77, start_new_session=True, nice=19)
    ended: list[bool] = []

    def spawn() -> None:
        ended.extend(command.spawn().wait(60).success for _ in range(20))

    threads = [threading.Thread(target=spawn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [True] * 80
