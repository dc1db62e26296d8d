"""What a program in a sandbox sees and may do, and that nothing of it is left."""

import ast
import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import Sandbox, aio
from ramet._sandbox.files.ground import Ground
from ramet._sandbox.kept import confinement_of
from ramet._sandbox.of_program import OfProgram
from ramet._sandbox.planning.machine import this_machine

from ...constants import PATIENT_SECONDS, SECONDS
from ...looking import python_below_tmp
from ...waiting import until
from .plain_user import inner_ids
from .taken_away import mount, needs_all, needs_landlock

pytestmark = needs_all

IS_ROOT = os.geteuid() == 0
LIMIT_SECONDS = 60
MS_REC, MS_SHARED = 1 << 14, 1 << 20
UNSEEN = [
    path
    for path in ("/home", "/root", "/etc/shadow", "/boot")
    if os.path.exists(path) and not sys.prefix.startswith(path)
    if not sys.base_prefix.startswith(path)  # this Python is shown, wherever it is
]


def run(command: str, sandbox: Sandbox, **options: Any) -> subprocess.CompletedProcess[str]:
    """A shell command in a sandbox."""
    argv = ["sh", "-c", command]
    done: subprocess.CompletedProcess[str]
    done = ramet.run(argv, sandbox=sandbox, capture_output=True, text=True, **options)
    return done


def told(command: str, sandbox: Sandbox, **options: Any) -> str:
    """What it prints; it ends well."""
    done = run(command, sandbox, **options)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory that is not below /tmp."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        yield Path(made).resolve()


@pytest.fixture(params=["/tmp", "/var/tmp"])
def directory(request: pytest.FixtureRequest) -> Iterator[Path]:
    """One with a file, a directory and a link; below /tmp, where the sandbox has its own, and elsewhere."""
    with tempfile.TemporaryDirectory(dir=request.param) as made:
        path = Path(made).resolve()
        (path / "file").write_text("text\n")
        (path / "in").mkdir()
        (path / "in" / "inner").write_text("inner\n")
        (path / "link").symlink_to("in/inner")
        yield path


# ---- files


def test_its_root_is_its_own() -> None:
    """It holds the system, a /tmp, /proc and /dev, and is read-only."""
    names = told("ls -1 /", Sandbox()).split()
    assert {"usr", "bin", "proc", "dev", "tmp"} <= set(names)
    of_python = {Path(prefix).parts[1] for prefix in (sys.prefix, sys.base_prefix)}
    others = {"home", "sys", "run", "boot", "var", "mnt", "srv"} - of_python
    assert not others & set(names)
    done = run("mkdir /made; echo > /usr/made; echo > /etc/made; echo > /dev/made", Sandbox())
    assert done.stderr.count("Read-only file system") == 4


def test_without_the_system_there_is_no_program() -> None:
    """The error says that the sandbox does not see it, and what shows it."""
    with pytest.raises(FileNotFoundError, match="the sandbox does not see '/usr/bin/env'") as error:
        ramet.run(["/usr/bin/env"], sandbox=Sandbox(system=False))
    assert "read=['/usr'] shows it" in str(error.value)


def test_a_link_beside_its_program_which_is_not_shown(outside: Path) -> None:
    """What shows both is named once."""
    programs = outside / "bin"
    programs.mkdir()
    (programs / "program").symlink_to("real")
    (programs / "real").touch(0o755)
    with pytest.raises(FileNotFoundError, match="the sandbox does not see") as error:
        ramet.run([programs / "program"], sandbox=Sandbox())
    assert f"read=[{str(outside)!r}] shows it" in str(error.value)


def test_a_program_whose_loader_is_not_shown() -> None:
    """What it needs is named, and with it the program runs."""
    with pytest.raises(
        FileNotFoundError, match="it is linked dynamically, and the sandbox"
    ) as caught:
        ramet.run(["/usr/bin/true"], sandbox=Sandbox(system=False, read=["/usr"]))
    (loader,) = ast.literal_eval(str(caught.value).partition("read=")[2].partition(" shows")[0])
    sandbox = Sandbox(system=False, read=["/usr", loader])
    assert ramet.run(["/usr/bin/true"], sandbox=sandbox).returncode == 0


def test_devices() -> None:
    """Six devices, terminals, links to its own descriptors, and a directory for shared memory."""
    names = told("ls -1 /dev", Sandbox()).split()
    assert sorted(names) == [
        *("fd", "full", "null", "ptmx", "pts", "random", "shm"),
        *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
    ]
    assert told("head -c 4 /dev/zero | wc -c; echo x > /dev/null; echo y", Sandbox()) == "4\ny\n"


# Opens a terminal, says its name and those that there are, and waits until it may end.
A_TERMINAL = """
import os, sys
master, slave = os.openpty()
os.write(slave, b"through")
print(os.ttyname(slave), os.read(master, 7).decode(), *sorted(os.listdir("/dev/pts")), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("syscalls", ["default", "strict"])
def test_terminals_are_its_own(syscalls: str) -> None:
    """Programs that open one can, and each sandbox has those alone that it has opened."""
    sandbox = Sandbox(syscalls=syscalls)

    def start() -> ramet.Popen[str]:
        program = [sys.executable, "-c", A_TERMINAL]
        return ramet.Popen(program, sandbox=sandbox, stdin=ramet.PIPE, stdout=ramet.PIPE, text=True)

    with start() as one, start() as other:
        for each in (one, other):
            assert each.stdout is not None
            assert each.stdout.readline() == "/dev/pts/0 through 0 ptmx\n"
        for each in (one, other):
            each.communicate(timeout=SECONDS)


def test_what_is_read(directory: Path) -> None:
    """A path that is named is seen at its place and cannot be written; what is beside it is not seen."""
    sandbox = Sandbox(read=[directory / "in"])
    assert told(f"cat {directory}/in/inner; ls {directory}", sandbox) == "inner\nin\n"
    done = run(f"echo > {directory}/in/made; echo > {directory}/in/inner", sandbox)
    assert done.stderr.count("Read-only file system") == 2
    assert not (directory / "in" / "made").exists()
    assert (directory / "in" / "inner").read_text() == "inner\n"


def test_a_single_file_and_a_link(directory: Path) -> None:
    """A file alone; a link leads where it leads the caller, and only that is shown."""
    assert (
        told(f"ls {directory}; cat {directory}/file", Sandbox(read=[directory / "file"]))
        == "file\ntext\n"
    )
    sandbox = Sandbox(read=[directory / "link"])
    assert told(f"cat {directory}/link; ls {directory}/in", sandbox) == "inner\ninner\n"


def test_what_is_written_is_the_callers(directory: Path) -> None:
    """It is there afterwards and belongs to the caller, who may write over it."""
    told(
        f"echo made > {directory}/made; mkdir {directory}/sub; rm {directory}/file",
        Sandbox(write=[directory]),
    )
    assert (directory / "made").read_text() == "made\n"
    assert (directory / "made").stat().st_uid == os.geteuid()
    assert not (directory / "file").exists()
    (directory / "made").write_text("over")
    (directory / "sub" / "more").write_text("more")


@pytest.mark.parametrize("syscalls", ["default", "strict"])
def test_what_is_written_gives_nobody_the_rights_of_the_caller(
    directory: Path, syscalls: str
) -> None:
    """It is no set-user-ID program, of root's least of all; it is a program like others."""
    sandbox = Sandbox(write=[directory], syscalls=syscalls)
    done = run(f"cd {directory}; cp /usr/bin/id .; chmod 755 id; chmod 6755 id", sandbox)
    assert "Operation not permitted" in done.stderr
    assert stat.S_IMODE((directory / "id").stat().st_mode) == 0o755
    lacking = Sandbox(write=[directory], syscalls=None).plan()
    assert "no set-user-ID bits" in [row.wish for row in lacking.lost]


def test_what_is_written_within_what_is_read(directory: Path) -> None:
    """The one below the other."""
    sandbox = Sandbox(read=[directory], write=[directory / "in"])
    told(f"cat {directory}/file; echo made > {directory}/in/made", sandbox)
    assert run(f"echo > {directory}/made", sandbox).stderr.count("Read-only file system") == 1
    assert (directory / "in" / "made").read_text() == "made\n"


def test_one_file_to_write(directory: Path) -> None:
    """It keeps its place: what is beside it is not there."""
    told(f"echo over > {directory}/file", Sandbox(write=[directory / "file"]))
    assert (directory / "file").read_text() == "over\n"
    assert sorted(os.listdir(directory)) == ["file", "in", "link"]


def test_what_is_hidden(directory: Path) -> None:
    """A directory is empty, a file too, and neither can be written."""
    sandbox = Sandbox(read=[directory], hidden=[directory / "in", directory / "file"])
    program = f"cd {directory}; ls . in; cat file; ls -A in"
    assert told(program, sandbox) == ".:\nfile\nin\nlink\n\nin:\n"
    assert "No such file" in run(f"cat {directory}/in/inner", sandbox).stderr
    assert "Read-only file system" in run(f"chmod 777 {directory}/in", sandbox).stderr
    run(f"echo > {directory}/file", sandbox)
    assert (directory / "file").read_text() == "text\n"


@pytest.mark.parametrize("path", UNSEEN)
def test_what_is_hidden_and_would_not_be_seen(path: str, directory: Path) -> None:
    """That needs nothing: it is as without the wish."""
    sandbox = Sandbox(read=[directory], hidden=[path])
    assert "No such file" in run(f"ls {path}", sandbox).stderr
    assert told(f"ls {directory}", sandbox) == "file\nin\nlink\n"


def test_what_is_hidden_above_what_is_shown(outside: Path) -> None:
    """The hidden directory covers what is below it."""
    (outside / "in").mkdir()
    sandbox = Sandbox(read=[outside / "in"], hidden=[outside])
    assert told(f"ls {outside}", sandbox) == ""


def test_what_is_hidden_above_what_is_shown_in_tmp() -> None:
    """The own /tmp of the child takes nothing of it from the caller's, and makes no way to it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        hidden = Path(name) / "hidden"
        (hidden / "in").mkdir(parents=True)
        (hidden / "file").touch()
        (hidden / "link").symlink_to("/usr/lib")
        (Path(name) / "beside").touch()
        named = [hidden / "in", hidden / "file", hidden / "link", Path(name) / "beside"]
        assert told(f"ls {name} {hidden}", Sandbox(read=named, hidden=[hidden])).split() == [
            *(f"{name}:", "beside", "hidden"),
            f"{hidden}:",
        ]


def test_what_is_hidden_by_a_command() -> None:
    """It is what one writes first."""
    argv = [sys.executable, "-m", "ramet", "sandbox", "--hide", "/home", "true"]
    assert subprocess.run(argv, check=False, capture_output=True, timeout=60).returncode == 0


def test_all_files_of_this_machine(directory: Path) -> None:
    """root="/": what is named may be written, the rest is read-only, and /tmp is its own."""
    directory.chmod(0o755)
    sandbox = Sandbox(root="/", write=[directory / "in"])
    assert "sys" in told("ls /", sandbox).split()
    told(f"echo made > {directory}/in/made; echo > /tmp/own", sandbox)
    assert (directory / "in" / "made").read_text() == "made\n"
    assert not Path("/tmp/own").exists()
    assert "Read-only file system" in run("echo > /etc/made", sandbox).stderr


@pytest.mark.skipif(not IS_ROOT, reason="needs root, whose sandbox is another user")
def test_a_way_that_the_sandboxs_user_may_not_go(outside: Path) -> None:
    """With root="/" its way is the caller's, and a closed directory on it is named."""
    (outside / "in").mkdir()
    outside.chmod(0o700)
    with pytest.raises(ramet.SandboxError, match="may not search") as error:
        run("true", Sandbox(root="/", write=[outside / "in"]))
    assert error.value.remedy == f"chmod o+x {outside}, or leave out root"
    assert told("pwd", Sandbox(write=[outside / "in"])) == f"{outside}/in\n"


def test_a_directory_as_the_root(outside: Path) -> None:
    """A system that was unpacked there, with a path of this machine in its place."""
    for name in ("usr", "tmp", "proc", "dev", "etc"):
        (outside / name).mkdir()
    (outside / "etc" / "release").write_text("image\n")
    for name in ("bin", "lib", "lib64"):
        (outside / name).symlink_to(f"usr/{name}")
    outside.chmod(0o755)
    sandbox = Sandbox(root=outside, read=["/usr"])
    assert (
        told("cat /etc/release; ls /", sandbox)
        == "image\nbin\ndev\netc\nlib\nlib64\nproc\ntmp\nusr\n"
    )


def test_a_tmp_of_its_own() -> None:
    """Empty for each program, of the size that was asked, its own user's; or none."""
    python = python_below_tmp()
    first = told(
        "ls -A /tmp; echo x > /tmp/left; stat -c %a /tmp; df -k --output=size /tmp | tail -1",
        Sandbox(tmp="1M"),
    )
    assert first.split() == [*python, "1777", "1024"]
    assert told("ls -A /dev/shm /tmp", Sandbox(tmp="1M")).split() == ["/dev/shm:", "/tmp:", *python]
    done = run("head -c 2M /dev/zero > /tmp/full", Sandbox(tmp="1M"))
    assert "No space left on device" in done.stderr
    assert "Read-only file system" in run("echo > /tmp/made", Sandbox(tmp=None)).stderr


def test_the_callers_tmp() -> None:
    """Named itself, /tmp is the caller's."""
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        assert told(f"ls {file.name}", Sandbox(read=["/tmp"])) == f"{file.name}\n"
        assert "Read-only" in run("echo > /tmp/made-by-a-test", Sandbox(read=["/tmp"])).stderr


# ---- processes


def test_it_sees_its_own_processes_alone() -> None:
    """It is number 2 of them, and /proc has no others but those that it made."""
    assert told("echo $$", Sandbox()) == "2\n"
    numbers = [word for word in told("ls /proc", Sandbox()).split() if word.isdigit()]
    assert 1 <= len(numbers) <= 2
    assert "No such file" in run("ls /proc/self 2>&1", Sandbox(proc=False)).stdout


def test_it_has_no_rights() -> None:
    """No capability, no way to get one, a user of its own or the caller's."""
    lines = told("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status", Sandbox()).splitlines()
    found = dict(line.split(":\t") for line in lines)
    assert {found[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    assert told("id -u", Sandbox()).strip() in inner_ids()


def test_it_leads_a_session_and_has_no_terminal() -> None:
    """Its session is its own number."""
    assert told("cut -d' ' -f6,7 /proc/$$/stat", Sandbox()) == "2 0\n"


def test_it_inherits_no_descriptor() -> None:
    """Nor one that others inherit; those that are named it has."""
    reader, writer = os.pipe()
    try:
        os.set_inheritable(writer, True)
        assert told("ls /proc/$$/fd", Sandbox()).split() == ["0", "1", "2"]
        given: dict[str, Any] = {"fds": {3: writer}}
        told("echo through >&3", Sandbox(), **given)
        assert os.read(reader, 100) == b"through\n"
    finally:
        os.close(reader)
        os.close(writer)


GIVES_AWAY = """
import signal, socket, sys
print("said", flush=True)
with socket.socket(socket.AF_UNIX) as to:
    to.connect(sys.argv[1])
    socket.send_fds(to, [b"x"], [1, 2])
    to.recv(1)
if sys.argv[2] == "stays":
    signal.pause()
"""


def by_run(argv: list[str], sandbox: Sandbox) -> tuple[bytes, str]:
    """Its output, and what ended it."""
    done = ramet.run(argv, sandbox=sandbox, capture_output=True)
    return done.stdout, done.reason


def by_popen(argv: list[str], sandbox: Sandbox) -> tuple[bytes, str]:
    """The same, when it was waited for before."""
    with ramet.Popen(argv, sandbox=sandbox, stdout=ramet.PIPE, stderr=ramet.PIPE) as process:
        process.wait()
        assert process.report is not None
        return process.communicate()[0], process.report.reason


def by_aio(argv: list[str], sandbox: Sandbox) -> tuple[bytes, str]:
    """The same in a loop."""
    done: Any = asyncio.run(aio.run(argv, sandbox=sandbox, capture_output=True))
    return done.stdout, done.reason


@pytest.mark.parametrize("output_and_reason", [by_run, by_popen, by_aio])
@pytest.mark.parametrize(("end", "reason"), [("stays", "deadline"), ("exits", "exited")])
def test_nobody_waits_for_a_pipe_that_was_given_away(
    outside: Path, end: str, reason: str, output_and_reason: Callable[..., tuple[bytes, str]]
) -> None:
    """Not longer than the sandbox lives: what it has written is there, whoever has the pipe still."""
    path, over = outside / "socket", threading.Event()
    kept: list[int] = []
    argv = [sys.executable, "-c", GIVES_AWAY, os.fspath(path), end]

    def take() -> None:
        while not (kept or over.is_set()):
            with contextlib.suppress(OSError), listening.accept()[0] as connection:
                kept.extend(socket.recv_fds(connection, 1, 2)[1])
                connection.sendall(b"y")
        over.wait(PATIENT_SECONDS)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(path))
        path.chmod(0o777)
        listening.listen()
        thread = threading.Thread(target=take)
        thread.start()
        try:
            told = output_and_reason(argv, Sandbox(write=[outside], timeout=3))
            if not kept:  # a slow machine: it has not come to give the pipe away
                told = output_and_reason(argv, Sandbox(write=[outside], timeout=30))
            assert (*told, len(kept)) == (b"said\n", reason, 2)
            assert not over.is_set()
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for number in kept:
                os.close(number)


def test_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that are named, and HOME; env= gives others instead."""
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setenv("TERM", "dumb")
    kept = dict(line.split("=", 1) for line in told("env", Sandbox()).splitlines())
    assert (kept["TERM"], kept["HOME"]) == ("dumb", "/tmp")
    assert "SECRET" not in kept
    assert "SECRET=1\n" in told("env", Sandbox(environment=["SECRET", "PATH"]))
    assert "A=b\n" in told("/usr/bin/env", Sandbox(), env={"A": "b"})


def test_where_it_begins(directory: Path) -> None:
    """In the first directory that it may write, which is HOME; else in /tmp; cwd= names another."""
    assert told("pwd; echo $HOME", Sandbox(write=[directory])) == f"{directory}\n{directory}\n"
    assert told("pwd", Sandbox()) == "/tmp\n"
    assert told("pwd", Sandbox(tmp=None)) == "/\n"
    assert told("pwd", Sandbox(read=[directory]), cwd=directory / "in") == f"{directory}/in\n"
    with contextlib.chdir(directory):
        for cwd in ("in", b"./in", Path("in")):
            assert told("pwd", Sandbox(read=[directory]), cwd=cwd) == f"{directory}/in\n"
    with tempfile.TemporaryDirectory() as gone, contextlib.chdir(gone):
        os.rmdir(gone)
        with pytest.raises(FileNotFoundError, match=r"the working directory, .* has been removed"):
            run("pwd", Sandbox(), cwd="in")
        os.mkdir(gone)
    with pytest.raises(FileNotFoundError, match="the sandbox does not see") as error:
        run("pwd", Sandbox(), cwd=directory)
    assert f"read=[{str(directory)!r}] shows it" in str(error.value)


def test_its_host_name() -> None:
    """The one that was asked; the caller keeps its own."""
    before = socket.gethostname()
    assert told("uname -n", Sandbox()) == "sandbox\n"
    assert told("uname -n", Sandbox(hostname="twig")) == "twig\n"
    assert socket.gethostname() == before


# ---- the network


@pytest.fixture
def server() -> Iterator[int]:
    """The port of one on the caller's loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


CONNECTS = """
import socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5).close()
    print("connected")
except OSError as error:
    print(error.errno)
"""


def connects(port: int, sandbox: Sandbox) -> str:
    """What a program is told that connects to it."""
    argv = [sys.executable, "-c", CONNECTS, str(port)]
    return str(ramet.run(argv, sandbox=sandbox, capture_output=True, text=True).stdout).strip()


def test_kinds_of_network(server: int) -> None:
    """None at all, a loopback of its own on which nobody listens, the caller's."""
    assert connects(server, Sandbox()) in {str(errno.ENETUNREACH), str(errno.EACCES)}
    assert connects(server, Sandbox(network="loopback")) == str(errno.ECONNREFUSED)
    assert connects(server, Sandbox(network="host")) == "connected"


@needs_landlock(4)
def test_ports_of_the_callers_network(server: int) -> None:
    """Those that are named, and no others."""
    assert connects(server, Sandbox(network={"connect": [server]})) == "connected"
    assert connects(server, Sandbox(network={"connect": [server ^ 1]})) == str(errno.EACCES)
    assert connects(server, Sandbox(network={"bind": [server]})) == str(errno.EACCES)


def test_its_own_loopback_works() -> None:
    """A server and its client in one sandbox."""
    program = (
        "import socket as s; one = s.create_server(('127.0.0.1', 0)); "
        "s.create_connection(one.getsockname())"
    )
    done = ramet.run([sys.executable, "-c", program], sandbox=Sandbox(network="loopback"))
    assert done.returncode == 0


# ---- the end


def test_it_is_killed_with_its_tree() -> None:
    """kill() of a Popen ends what it has started as well."""
    command = "setsid sleep 1000 & echo started; sleep 1000"
    with ramet.Popen(["sh", "-c", command], sandbox=Sandbox(), stdout=ramet.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.kill()
        assert process.wait(SECONDS) == -signal.SIGKILL
        assert process.stdout.read() == b""


LASTING = ("sh", "-c", "setsid sleep 1000 & echo started; sleep 1000")


def test_an_interrupt_ends_it() -> None:
    """^C in run() raises KeyboardInterrupt, and the tree is dead."""
    program = (
        "import ramet, sys\n"
        "try:\n"
        "    ramet.run(sys.argv[1:], sandbox=ramet.Sandbox())\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(7)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *LASTING], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b""
        assert process.wait(PATIENT_SECONDS) == 7


def test_an_interrupt_leaves_nothing_to_the_next_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reaped, and its layer is gone: in the midst of the next Popen() a second ^C would be lost."""
    layers, written = tmp_path / "layers", tmp_path / "written"
    layers.mkdir()
    written.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(layers))
    monkeypatch.setattr("ramet._program.run._SECONDS_TO_DIE", PATIENT_SECONDS)
    before = list(subprocess._active)  # type: ignore[attr-defined]
    main, (read, write) = threading.get_ident(), os.pipe()

    def interrupt() -> None:
        assert os.read(read, 8) == b"started\n"
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    sandbox = Sandbox(write=[written], overlay=True)
    try:  # pytest.raises() would hold the exception, and by it what was made
        ramet.run([*LASTING], sandbox=sandbox, stdout=write)
    except KeyboardInterrupt:
        thread.join()
    assert subprocess._active == before  # type: ignore[attr-defined]
    assert list(layers.glob("*/*")) == []
    sandbox.release()
    os.close(read)
    os.close(write)


def test_the_end_of_the_caller_ends_it() -> None:
    """SIGKILL to the caller, which can end nothing any more."""
    program = "import ramet, sys; ramet.run(sys.argv[1:], sandbox=ramet.Sandbox())"
    with subprocess.Popen(
        [sys.executable, "-c", program, *LASTING], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.kill()
        assert process.stdout.read() == b""


def cgroups() -> set[str]:
    """Those of this process that the library has made."""
    return {
        str(path)
        for root in ("/sys/fs/cgroup",)
        for path in Path(root).glob("**/*ramet*")
        if str(os.getpid()) in path.name
    }


def mounts_and_cgroups() -> tuple[str, set[str]]:
    """What a sandbox could leave beside descriptors, children and threads."""
    return Path("/proc/self/mountinfo").read_text(), cgroups()


def test_nothing_is_left_after_many(nothing_left: Any) -> None:
    """200 programs: no descriptor, child, thread, mapping, mount, cgroup; they share those of one.

    Cgroups of which the kernel has not yet freed what a program had are removed, and others made.
    """
    sandbox = Sandbox(memory="64M", processes=20, timeout=60)
    told("true", sandbox)
    of_one = len(cgroups())
    sandbox.release()
    nothing_left.start_again()
    before = mounts_and_cgroups()
    for _ in range(200):
        assert ramet.run(["true"], sandbox=sandbox).returncode == 0
    assert len(cgroups()) - len(before[1]) <= 2 * of_one
    sandbox.release()
    until(lambda: mounts_and_cgroups() == before)


def test_nothing_is_left_of_what_fails(nothing_left: Any) -> None:
    """Programs that do not exist, and descriptions that cannot be met."""
    told("true", Sandbox())
    nothing_left.start_again()
    before = mounts_and_cgroups()
    for _ in range(20):
        with pytest.raises(FileNotFoundError):
            ramet.run(["no-such-program"], sandbox=Sandbox())
        with pytest.raises(ramet.SandboxError):
            ramet.run(["true"], sandbox=Sandbox(read=["/nowhere"]))
    assert mounts_and_cgroups() == before


# ---- callers of all kinds


def test_under_threads(directory: Path) -> None:
    """Many at once, with one description and with several."""
    sandboxes = [Sandbox(write=[directory]), Sandbox(hostname="one"), Sandbox(hostname="two")]

    def number(given: int) -> int:
        return int(told(f"echo {given}", sandboxes[given % 3]))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(number, range(48))) == list(range(48))


def test_a_thread_that_ends_leaves_the_program(nothing_left: Any) -> None:
    """The program outlives the thread that started it."""
    told("true", Sandbox())
    nothing_left.start_again()
    made: list[ramet.Popen[bytes]] = []
    start = lambda: made.append(ramet.Popen(["cat"], sandbox=Sandbox(), stdin=ramet.PIPE))  # noqa: E731
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert made[0].poll() is None
    made[0].communicate(b"x", timeout=SECONDS)
    assert made[0].returncode == 0


def test_a_path_that_was_replaced(outside: Path) -> None:
    """What has the name now is what is shown."""
    named = outside / "named"
    named.mkdir()
    (named / "first").touch()
    sandbox = Sandbox(read=[named])
    assert told(f"ls {named}", sandbox) == "first\n"
    named.rename(outside / "old")
    named.mkdir()
    (named / "second").touch()
    assert told(f"ls {named}", sandbox) == "second\n"
    (named / "third").touch()
    assert told(f"ls {named}", sandbox) == "second\nthird\n"


def in_own_mounts(ask: Callable[[], Any]) -> Any:
    """What a copy of this process answers in a mount namespace of its own, as root of it."""
    maps = {"setgroups": "deny", "uid_map": f"0 {os.geteuid()} 1", "gid_map": f"0 {os.getegid()} 1"}

    def prepared() -> Any:
        if not IS_ROOT:
            for name, text in maps.items():
                Path(f"/proc/self/{name}").write_text(text)
        return ask()

    with ramet.clone(prepared, flags=F.NEWNS | (F.NEWUSER if not IS_ROOT else F(0))) as child:
        return child.result(LIMIT_SECONDS)


def test_a_mount_that_was_made_since(outside: Path) -> None:
    """It is seen, as the caller sees it."""
    (outside / "under").mkdir()
    sandbox = Sandbox(read=[outside])

    def ask() -> tuple[str, str]:
        before = told(f"ls {outside}/under", sandbox)
        mount("tmpfs", str(outside / "under"), "tmpfs")
        (outside / "under" / "mounted").touch()
        return before, told(f"ls {outside}/under", sandbox)

    assert in_own_mounts(ask) == ("", "mounted\n")


def test_mounts_that_the_caller_shares_are_its_own_in_the_sandbox(outside: Path) -> None:
    """Of mounts whose events other namespaces share, it takes none and gives none."""
    sandbox = Sandbox(read=[outside], hidden=[outside / "none"])
    (outside / "none").touch()

    def ask() -> str:
        mount("tmpfs", str(outside), "tmpfs")
        (outside / "none").touch()
        mount("none", "/", "none", MS_REC | MS_SHARED)
        assert "shared:" in Path("/proc/self/mountinfo").read_text()
        return told("cat /proc/self/mountinfo", sandbox)

    seen = in_own_mounts(ask)
    assert f" {outside} " in seen
    assert not [line for line in seen.splitlines() if "shared:" in line or "master:" in line]


def test_a_root_of_many_mounts_is_not_copied_for_each_description(outside: Path) -> None:
    """Who may mount copies the caller's mounts once: later roots are made of what is shown alone."""
    made = [Sandbox(read=[outside], hostname=name) for name in ("first", "second")]
    grounds = [confinement_of(OfProgram, sandbox).ground for sandbox in made]
    assert isinstance(grounds[0], Ground)
    assert isinstance(grounds[1], Ground)
    bare = {id(grounds[0].bare), id(grounds[1].bare)}
    assert len(bare) == 1
    assert (grounds[0].bare is not None) == this_machine().circumstances.may_mount


def test_from_a_fork_of_the_caller() -> None:
    """A copy of the caller uses what that has prepared, or makes its own; the caller goes on."""
    sandbox = Sandbox(memory="64M", hostname="copied")
    assert told("uname -n", sandbox) == "copied\n"
    with ramet.clone(lambda: told("uname -n", sandbox)) as child:
        assert child.result(LIMIT_SECONDS) == "copied\n"
    assert told("uname -n", sandbox) == "copied\n"


@pytest.mark.parametrize("run", [ramet.run, ramet.check_call])
def test_an_error_tells_what_the_sandbox_ended(run: Callable[..., Any]) -> None:
    """Its own text has the signal alone, which does not tell a deadline from lack of memory."""
    more = {"check": True} if run is ramet.run else {}
    with pytest.raises(subprocess.CalledProcessError) as ended:
        run(["sleep", "1000"], sandbox=Sandbox(timeout=0.2), **more)
    assert ended.value.__notes__ == ["ended by its sandbox: deadline"]
    with pytest.raises(subprocess.CalledProcessError) as ended:
        run(["false"], sandbox=Sandbox(), **more)
    assert not hasattr(ended.value, "__notes__")


def test_with_a_full_descriptor_table(nothing_left: Any) -> None:
    """It is refused with EMFILE, or works, and nothing is left; later it works."""
    told("true", Sandbox())
    nothing_left.start_again()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    taken: list[int] = []
    try:
        while True:
            try:
                taken.append(os.dup(2))
            except OSError:
                break
        for free in range(12):
            for _ in range(free and 1):
                os.close(taken.pop())
            try:
                assert ramet.run(["true"], sandbox=Sandbox(hostname=f"h{free}")).returncode == 0
            except OSError as error:
                assert error.errno == errno.EMFILE
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for free in range(12):
        assert ramet.run(["true"], sandbox=Sandbox(hostname=f"h{free}")).returncode == 0
    nothing_left.start_again()  # the descriptions that are kept have their descriptors


def test_under_asyncio(directory: Path) -> None:
    """Many at once beside the loop, with their reports."""

    async def all_of_them() -> list[Any]:
        async def one(number: int) -> Any:
            return await aio.run(
                ["sh", "-c", f"echo {number}"],
                sandbox=Sandbox(write=[directory]),
                capture_output=True,
            )

        return await asyncio.gather(*map(one, range(12)))

    done = asyncio.run(all_of_them())
    assert [each.stdout for each in done] == [b"%d\n" % number for number in range(12)]


def test_its_pipes_can_be_opened_anew() -> None:
    """/dev/stdin and the like are its own, whoever has made them."""
    done = run("cat /dev/stdin > /dev/stdout; echo end > /dev/stderr", Sandbox(), input="text\n")
    assert (done.stdout, done.stderr, done.returncode) == ("text\n", "end\n", 0)


def test_streams(directory: Path) -> None:
    """Files and pipes of the caller's are the program's, though it could not open them."""
    with (directory / "written").open("wb") as file:
        done = ramet.run(["cat"], sandbox=Sandbox(), input=b"from the caller", stdout=file)
    assert done.returncode == 0
    assert (directory / "written").read_bytes() == b"from the caller"
