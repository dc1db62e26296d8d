"""The cases of bubblewrap's own tests that have a counterpart; bubblewraps_cases.txt names the others."""

import errno
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import ramet
from ramet import Sandbox

from ...constants import PATIENT_SECONDS, SECONDS
from ...looking import python_below_tmp
from .suites import directory, in_python, in_shell, run, table, told
from .taken_away import needs_all

pytestmark = needs_all

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of this machine."""
    with directory() as path:
        yield path


def test_every_case_is_named() -> None:
    """Each has a test here, or a reason why not; and each test here has a case."""
    cases = table(Path(__file__).with_name("bubblewraps_cases.txt"))
    assert cases.counts == {
        "tests/test-run.sh": 52,
        "tests/test-seccomp.py": 6,
        "tests/test-specifying-userns.sh": 1,
        "tests/test-specifying-pidns.sh": 1,
        "tests/test-utils.c": 6,
        "tests/use-as-subproject": 1,
    }
    ours = {name for name in globals() if name.startswith("test_")}
    assert {*cases.held.values()} == ours - {"test_every_case_is_named"}


# ---- test-run.sh


def test_help() -> None:
    """Help works."""
    done = in_shell("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")


def test_proc() -> None:
    """Can mount /proc."""
    assert told("test -e /proc/self/status && echo there", Sandbox()) == "there\n"


def test_no_network_and_a_dev_of_its_own() -> None:
    """Can unshare network, create new /dev."""
    assert told("cut -d: -f1 -s /proc/net/dev; test -c /dev/null", Sandbox()).strip() == "lo"


def test_a_file_that_the_caller_may_not_read() -> None:
    """Cannot read /etc/shadow: with all files shown it is refused, and root's sandbox is another user."""
    done = run("cat /etc/shadow", Sandbox(root="/"))
    assert (done.returncode, done.stdout) == (1, "")
    if not IS_ROOT:
        with pytest.raises(ramet.SandboxError, match=r"^EACCES.*/etc/shadow"):
            run("cat /etc/shadow", Sandbox(read=["/etc/shadow"]))


def test_a_directory_that_the_caller_may_not_read(outside: Path) -> None:
    """Cannot read an unreadable directory."""
    closed = outside / "closed"
    closed.mkdir()
    (closed / "file").write_text("text")
    closed.chmod(0)
    try:
        done = run(f"cat {closed}/file", Sandbox(read=[closed]))
        assert (done.returncode, done.stdout) == (1, "")
    except ramet.SandboxError as error:
        assert error.errno == errno.EACCES  # which is as right
    finally:
        closed.chmod(0o700)


def test_a_path_that_is_a_link(outside: Path) -> None:
    """Can bind a destination over a symlink: the link is there, and leads to what was named."""
    (outside / "dir").mkdir()
    (outside / "dir" / "file").write_text("text")
    (outside / "link").symlink_to("dir")
    seen = told(
        f"readlink {outside}/link; cat {outside}/link/file", Sandbox(read=[outside / "link"])
    )
    assert seen == "dir\ntext"


def test_devices() -> None:
    """All expected devices were created, but for core; a terminal can be passed, too."""
    for name in (
        "stdin",
        "stdout",
        "stderr",
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "ptmx",
        "fd",
    ):
        told(f"test -L /dev/{name} || test -c /dev/{name}", Sandbox())
    first, second = os.openpty()
    try:
        assert ramet.run(["test", "-t", "0"], sandbox=Sandbox(), stdin=second).returncode == 0
    finally:
        os.close(first)
        os.close(second)


def test_the_end_as_data() -> None:
    """The json-status fd: the report of ramet sandbox has the exit code."""
    done = in_shell("--report", "--json", "--", "sh", "-c", "exit 42")
    report = json.loads(done.stderr)
    assert (done.returncode, report["code"]) == (42, 42)


def test_its_namespaces_are_told() -> None:
    """Namespace id info: those of the pid that a Popen has are the program's."""
    kinds = ("ipc", "mnt", "net", "pid", "uts")
    command = "cd /proc/self/ns; for kind in ipc mnt net pid uts; do readlink $kind; done; cat"
    with ramet.Popen(
        ["sh", "-c", command],
        sandbox=Sandbox(),
        stdin=ramet.PIPE,
        stdout=ramet.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        told_inside = [process.stdout.readline().strip() for _ in kinds]
        assert told_inside == [os.readlink(f"/proc/{process.pid}/ns/{kind}") for kind in kinds]
        process.communicate("", timeout=SECONDS)


def test_a_program_that_cannot_be_executed_has_no_exit_code() -> None:
    """Exec failure doesn't include exit-code in json-status: it is an exception, or 126 in a shell."""
    with pytest.raises(PermissionError):
        ramet.run(["/usr"], sandbox=Sandbox())
    done = in_shell("--report", "--json", "--", "/usr")
    assert (done.returncode, "code" in done.stderr) == (126, False)


def test_a_user_namespace_inside() -> None:
    """Can disable nested userns: it is not to be had, whatever the limits say."""
    done = run("echo 100 > /proc/sys/user/max_user_namespaces; unshare -U true", Sandbox())
    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr.splitlines()[-1]


def test_what_errors_begin_with() -> None:
    """Error prefixing: whose error it is, and which path."""
    done = in_shell("--read", "/source-enoent", "--", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("ramet sandbox: ")
    assert "'/source-enoent' does not exist" in done.stderr


def test_no_capabilities() -> None:
    """We have no caps as uid != 0, nor as root: none is effective, and none can be had."""
    sets = told("grep ^Cap /proc/self/status", Sandbox()).split()[1::2]
    assert sets == ["0" * 16] * 5


LOCKED = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_it_dies_with_its_parent(outside: Path) -> None:
    """Die with parent --die-with-parent, with --unshare-pid: a lock that it holds is free again."""
    (outside / "lock").touch()
    (outside / "lock").chmod(
        0o666
    )  # before Linux 6.3 no file of a tmpfs can be given to another user
    program = f"""
import ramet, sys
ramet.run([sys.executable, "-c", {LOCKED!r}, sys.argv[1]], sandbox=ramet.Sandbox(write=[sys.argv[1]]))
"""
    argv = [sys.executable, "-c", program, str(outside / "lock")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"locked\n"
        with (outside / "lock").open("w") as file:
            with pytest.raises(BlockingIOError):
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            caller.send_signal(signal.SIGKILL)
            fcntl.lockf(file, fcntl.LOCK_EX)  # or the test's time is over
        caller.wait(PATIENT_SECONDS)


def test_words_after_two_dashes(outside: Path) -> None:
    """We can run with --: names like options are names of programs behind it."""
    assert in_shell("--", "sh", "-c", "echo hello").stdout == "hello\n"
    program = outside / "--inadvisable-executable-name--"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    words = ("--read", str(outside), "--env", f"PATH={outside}:/usr/bin:/bin", "--")
    assert in_shell(*words, program.name).stdout == "hello\n"
    done = in_shell("--", "--read", "/", "sh", "-c", "echo should not have run")
    assert (done.returncode, done.stdout) == (127, "")


def test_the_callers_tmp() -> None:
    """Bind-mount of /tmp exposes real /tmp; with all files shown /tmp is still its own, unlike there."""
    with tempfile.NamedTemporaryFile(dir="/tmp", mode="w") as file:
        os.chmod(file.name, 0o644)
        file.write("hello")
        file.flush()
        assert told(f"cat {file.name}", Sandbox(read=["/tmp"])) == "hello"
        assert told(f"cat {file.name}", Sandbox(root="/", read=["/tmp"])) == "hello"
        assert run(f"cat {file.name}", Sandbox(root="/")).returncode == 1


def test_a_directory_inside_tmp() -> None:
    """We can mount another directory inside /tmp, and nothing of how that was made is seen there."""
    with tempfile.TemporaryDirectory(dir="/tmp") as here:
        Path(here).chmod(
            0o755
        )  # before Linux 6.3 no file of a tmpfs can be shown as another user's
        (Path(here) / "input").write_text("hello\n")
        seen = told(f"cat {here}/input; ls -A /tmp", Sandbox(read=[here])).split()
        assert seen[0] == "hello"
        assert sorted(seen[1:]) == sorted([*python_below_tmp(), Path(here).name])


def test_what_leads_to_a_path(outside: Path) -> None:
    """Directories created as mount points and parents have expected permissions, inside alone."""
    (outside / "private" / "dir").mkdir(parents=True)
    (outside / "private").chmod(0o700)
    before = sorted(outside.rglob("*"))
    command = f"stat -c '%a %F' {outside} {outside}/private"
    seen = told(command, Sandbox(read=[outside / "private" / "dir"]))
    assert seen == "755 directory\n755 directory\n"
    assert sorted(outside.rglob("*")) == before
    assert stat.S_IMODE((outside / "private").stat().st_mode) == 0o700


def test_a_socket_is_shown(outside: Path) -> None:
    """Can bind-mount a socket onto a socket: a program can connect to one that is named."""
    path = str(outside / "socket")
    program = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        os.chmod(path, 0o777)
        listening.listen()
        assert in_python(program, Sandbox(read=[path])).returncode == 0
        assert "FileNotFoundError" in in_python(program, Sandbox()).stderr


def test_tmp() -> None:
    """Tmpfs has expected permissions, and expected size."""
    seen = told(
        "stat -c %a /tmp; df --output=size --block-size=1K /tmp | tail -1", Sandbox(tmp=1 << 20)
    )
    assert seen.split() == ["1777", "1024"]


@pytest.mark.parametrize(
    "size", [0, "123bogus", "", -12345678, " -12345678", 1 << 64, (1 << 63) + 1]
)
def test_a_size_that_is_none(size: int | str) -> None:
    """Bogus tmpfs size not allowed."""
    with pytest.raises(ValueError, match=r"invalid tmp: expected (\d+ )?bytes"):
        Sandbox(tmp=size)


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment manipulation: variables that are kept, left out, given; PWD is the shell's own."""
    monkeypatch.setenv("FOO", "wrong")
    monkeypatch.setenv("BAR", "baz")
    assert told('echo "$FOO$BAR"', Sandbox(environment=["BAR"]), env=None) == "baz\n"
    assert told('echo "$FOO$BAR"', Sandbox(), env={"FOO": "bar", "BAR": "baz"}) == "barbaz\n"
    assert told(["/usr/bin/env"], Sandbox(), env={}) == ""
    assert in_shell("--env", "FOO=bar", "--", "sh", "-c", 'echo "$FOO$BAR"').stdout == "bar\n"


def test_argv0() -> None:
    """Argv0 manipulation: a program can get another name than its own."""
    assert told("echo $0", Sandbox()) == "sh\n"
    assert told(["right", "-c", "echo $0"], Sandbox(), executable="/bin/sh") == "right\n"


@pytest.fixture(params=["lower", 'lower ":,\\'])
def lower(request: pytest.FixtureRequest, outside: Path) -> Path:
    """A directory with two files, and one whose name an option of a mount has to escape."""
    path = outside / str(request.param)
    path.mkdir()
    (path / "a").write_text("1")
    (path / "b").write_text("2")
    return path


def test_a_layer_is_taken(lower: Path) -> None:
    """--overlay, and --overlay path escaping: what is written is seen inside, and here once it is taken."""
    done = run("cat a b; printf 5 > b; cat b", Sandbox(write=[lower], overlay=True))
    assert (done.stdout, done.returncode) == ("125", 0)
    assert (lower / "b").read_text() == "2"
    with done.changes as changes:
        changes.take()
    assert ((lower / "a").read_text(), (lower / "b").read_text()) == ("1", "5")


def test_a_layer_is_discarded(lower: Path, outside: Path) -> None:
    """--tmp-overlay: nothing of it is left, and two paths have layers of their own."""
    other = outside / "other"
    other.mkdir()
    (other / "b").write_text("3")
    sandbox = Sandbox(write=[lower, other], overlay=True)
    done = run(f"cat b; printf 4 > b; cat b {other}/b", sandbox, cwd=lower)
    assert (done.stdout, done.returncode) == ("243", 0)
    done.changes.discard()
    assert ((lower / "b").read_text(), (other / "b").read_text()) == ("2", "3")
    assert run("cat b", sandbox, cwd=lower).stdout == "2"


def test_a_layer_of_nothing() -> None:
    """--overlay requires at least one --overlay-src: there must be a path that is written."""
    with pytest.raises(ValueError, match="invalid overlay without write"):
        Sandbox(overlay=True)


# ---- test-seccomp.py

CALLS = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, *given):
    ctypes.set_errno(0)
    print(name, errno.errorcode.get(ctypes.get_errno(), 0) if getattr(libc, name)(*given) < 0 else 0)
tried("chmod", b"/nonexistent", 0)
tried("chroot", b"/nonexistent")
tried("ioctl", -1, 0x5412, 0)  # TIOCSTI
tried("ioctl", -1, 0x100005412, 0)  # the same with what the kernel does not read
tried("unshare", 0x10000000)  # CLONE_NEWUSER
"""


def calls(sandbox: Sandbox) -> list[str]:
    """What the kernel, or a filter, answers to them."""
    return [line.split()[1] for line in in_python(CALLS, sandbox).stdout.splitlines()]


def test_no_seccomp() -> None:
    """test_no_seccomp: without a filter the kernel itself answers."""
    assert calls(Sandbox(syscalls=None)) == ["ENOENT", "ENOENT", "EBADF", "EBADF", "0"]


@pytest.mark.parametrize(("syscalls", "ioctl"), [("default", "EPERM"), ("strict", "ENOTTY")])
def test_our_lists(syscalls: str, ioctl: str) -> None:
    """test_seccomp_allowlist, test_seccomp_denylist: a forbidden call is refused before all else."""
    assert calls(Sandbox(syscalls=syscalls)) == ["ENOENT", "EPERM", ioctl, ioctl, "EPERM"]


CHMOD_TOO = """
import ctypes, os
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
code = bytes.fromhex({code!r})
block = ctypes.create_string_buffer(code, len(code))
program = Program(len(code) // 8, ctypes.addressof(block))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
"""
# Load the number; if it is that of setpriority(2), answer EXDEV; else let it pass.
NO_PRIORITY = {"x86_64": 141, "aarch64": 140}
PRIORITY = (
    'print(libc.setpriority(0, 0, 0), ctypes.get_errno(), libc.chroot(b"/"), ctypes.get_errno())'
)


def test_filters_are_stacked() -> None:
    """test_seccomp_stacked, allowlist_first: a filter that the program adds holds beside the sandbox's."""
    number = NO_PRIORITY[os.uname().machine]
    code = b"".join(
        part.to_bytes(size, "little")
        for line in [
            (0x20, 0, 0, 0),
            (0x15, 0, 1, number),
            (0x06, 0, 0, 0x50000 | errno.EXDEV),
            (0x06, 0, 0, 0x7FFF0000),
        ]
        for part, size in zip(line, (2, 1, 1, 4), strict=True)
    )
    done = in_python(CHMOD_TOO.format(code=code.hex()) + PRIORITY, Sandbox())
    assert done.stdout == f"-1 {errno.EXDEV} -1 {errno.EPERM}\n"


@pytest.mark.parametrize("text", ["", "\x01", '{"syscalls": [{"names": ["no_such_call"]}]}'])
def test_a_filter_that_is_none(text: str, outside: Path) -> None:
    """test_seccomp_invalid: a file that describes no filter is refused before anything is made."""
    (outside / "filter").write_text(text)
    with pytest.raises(ValueError, match="invalid"):
        run("true", Sandbox(syscalls=outside / "filter"))


# ---- test-specifying-userns.sh


def test_one_user_namespace() -> None:
    """Test --userns: programs of one description are in one, at the same time."""
    sandbox = Sandbox()
    with ramet.Popen(
        ["sh", "-c", "readlink /proc/self/ns/user; cat"],
        sandbox=sandbox,
        stdin=ramet.PIPE,
        stdout=ramet.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == told("readlink /proc/self/ns/user", sandbox)
        process.communicate("", timeout=SECONDS)
