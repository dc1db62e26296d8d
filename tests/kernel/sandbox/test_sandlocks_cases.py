"""The cases of sandlock's own tests that have a counterpart; sandlocks_cases.txt names the others."""

import errno
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ramet
from ramet import Sandbox

from ...constants import SECONDS
from .suites import PYTHON, directory, in_python, run, table, told
from .taken_away import needs_all, needs_landlock

pytestmark = needs_all

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of this machine."""
    with directory() as path:
        yield path


def test_every_case_is_named() -> None:
    """Each has a test here, or a reason why not; and each test here has a case."""
    cases = table(Path(__file__).with_name("sandlocks_cases.txt"))
    assert cases.counts == COUNTS
    ours = {name for name in globals() if name.startswith("test_")}
    assert {*cases.held.values()} == ours - {"test_every_case_is_named"}


# How many each file of sandlock 0.9.0 has.
COUNTS = {
    "python/tests/test_checkpoint.py": 17,
    "python/tests/test_chroot_cow.py": 10,
    "python/tests/test_chroot_legacy_syscalls.py": 13,
    "python/tests/test_fs_mount.py": 17,
    "python/tests/test_guard.py": 14,
    "python/tests/test_guard_adapted.py": 7,
    "python/tests/test_guard_classifiers.py": 13,
    "python/tests/test_guard_coverage.py": 12,
    "python/tests/test_guard_model.py": 8,
    "python/tests/test_guard_rules.py": 8,
    "python/tests/test_guard_standalone.py": 2,
    "python/tests/test_guard_training.py": 5,
    "python/tests/test_handler_smoke.py": 69,
    "python/tests/test_http_inject_ca.py": 1,
    "python/tests/test_image.py": 4,
    "python/tests/test_lifecycle.py": 10,
    "python/tests/test_mcp.py": 14,
    "python/tests/test_mcp_integration.py": 24,
    "python/tests/test_pipeline.py": 22,
    "python/tests/test_policy_fn.py": 18,
    "python/tests/test_popen.py": 21,
    "python/tests/test_profile.py": 43,
    "python/tests/test_protection.py": 12,
    "python/tests/test_sandbox.py": 82,
    "python/tests/test_sandbox_config.py": 40,
    "core/tests/integration/test_checkpoint.rs": 7,
    "core/tests/integration/test_chroot.rs": 37,
    "core/tests/integration/test_control.rs": 24,
    "core/tests/integration/test_cow.rs": 24,
    "core/tests/integration/test_determinism.rs": 8,
    "core/tests/integration/test_dry_run.rs": 3,
    "core/tests/integration/test_fork.rs": 5,
    "core/tests/integration/test_handlers.rs": 15,
    "core/tests/integration/test_http_acl.rs": 15,
    "core/tests/integration/test_http_inject_ca.rs": 1,
    "core/tests/integration/test_landlock.rs": 26,
    "core/tests/integration/test_netlink_virt.rs": 14,
    "core/tests/integration/test_network.rs": 22,
    "core/tests/integration/test_pipeline.rs": 17,
    "core/tests/integration/test_policy.rs": 20,
    "core/tests/integration/test_popen.rs": 12,
    "core/tests/integration/test_port_remap.rs": 5,
    "core/tests/integration/test_procfs.rs": 11,
    "core/tests/integration/test_resource.rs": 13,
    "core/tests/integration/test_sandbox.rs": 31,
    "core/tests/integration/test_seccomp_enforce.rs": 11,
    "core/tests/integration/test_tty.rs": 3,
    "core/tests/integration/test_user_mapping.rs": 6,
    "core/tests/integration/test_policy_fn.rs": 19,
    "core/tests/integration/test_protection.rs": 22,
    "core/tests/integration/test_restore.rs": 1,
    "core/tests/integration/test_transaction.rs": 42,
}


# ---- a program and its end


def test_a_program() -> None:
    """Its output, its errors and its exit code are told."""
    done = run("echo hello; echo err >&2; exit 42", Sandbox())
    assert (done.stdout, done.stderr, done.returncode) == ("hello\n", "err\n", 42)
    assert in_python("print(42)", Sandbox()).stdout == "42\n"
    assert run(["false"], Sandbox()).returncode == 1
    assert "bin" in told(["ls", "/usr"], Sandbox())


def test_a_program_that_is_not_there() -> None:
    """It is an exception, not a result."""
    with pytest.raises(FileNotFoundError):
        run(["nonexistent_command_xyz"], Sandbox())


@pytest.mark.parametrize("name", ["", "bad\0name", "x" * 65])
def test_a_name_that_is_none(name: str) -> None:
    """It is refused when the description is made."""
    with pytest.raises(ValueError, match="invalid hostname"):
        Sandbox(hostname=name)


def test_its_name() -> None:
    """The one that was asked, by all ways to ask for it."""
    seen = told("uname -n; hostname; cat /proc/sys/kernel/hostname", Sandbox(hostname="test-host"))
    assert seen == "test-host\n" * 3


def test_how_it_ended() -> None:
    """By itself, at its deadline, by a signal."""
    assert run("exit 3", Sandbox()).reason == "exited"
    assert run(["sleep", "300"], Sandbox(timeout=0.3)).reason == "deadline"
    for number in (signal.SIGTERM, signal.SIGKILL):
        done = run(f"kill -{number} $$", Sandbox())
        assert (done.reason, done.returncode) == ("signaled", -number)


def test_output_larger_than_a_pipe() -> None:
    """Both streams are read to their ends at the same time."""
    program = (
        "import os; [(os.write(1, b'o' * 4096), os.write(2, b'e' * 4096)) for _ in range(256)]"
    )
    done = in_python(program, Sandbox())
    assert (len(done.stdout), len(done.stderr)) == (1 << 20, 1 << 20)


def test_programs_of_many_threads() -> None:
    """None of them waits for another, or gets another's output."""
    with ThreadPoolExecutor(8) as pool:
        lines = pool.map(lambda number: told(["echo", str(number)], Sandbox()), range(16))
    assert [*lines] == [f"{number}\n" for number in range(16)]


def test_streams() -> None:
    """Of a Popen: lines as they come, what goes in comes out, both outputs, none at all."""
    command = "read line; echo $line; echo err >&2"
    with ramet.Popen(
        ["sh", "-c", command],
        sandbox=Sandbox(),
        stdin=ramet.PIPE,
        stdout=ramet.PIPE,
        stderr=ramet.PIPE,
        text=True,
    ) as process:
        assert process.communicate("through\n", timeout=SECONDS) == ("through\n", "err\n")
    assert (process.returncode, process.wait()) == (0, 0)
    with ramet.Popen(
        ["cat"], sandbox=Sandbox(), stdin=ramet.DEVNULL, stdout=ramet.DEVNULL
    ) as silent:
        assert silent.stdout is None
        assert silent.wait(SECONDS) == 0


def test_it_is_killed() -> None:
    """Once or twice, by another thread while this one waits; its pid is there until then."""
    with ramet.Popen(["sleep", "300"], sandbox=Sandbox()) as process:
        os.kill(process.pid, 0)
        killer = threading.Thread(target=process.kill)
        killer.start()
        assert process.wait(SECONDS) == -signal.SIGKILL
        killer.join()
        process.kill()
        assert process.wait() == -signal.SIGKILL


def test_the_time_to_wait() -> None:
    """None at all is no wait for ever; the program goes on."""
    with ramet.Popen(["sleep", "300"], sandbox=Sandbox()) as process:
        for timeout in (0, 0.01):
            with pytest.raises(ramet.TimeoutExpired):
                process.wait(timeout)
        assert process.poll() is None
        process.kill()


def test_it_is_stopped_and_goes_on() -> None:
    """By the signals for that, which a child of the caller gets as any other."""
    with ramet.Popen(["cat"], sandbox=Sandbox(), stdin=ramet.PIPE, stdout=ramet.PIPE) as process:
        process.send_signal(signal.SIGSTOP)
        stopped = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert stopped is not None
        assert stopped.si_status == signal.SIGSTOP
        process.send_signal(signal.SIGCONT)
        assert process.communicate(b"on", timeout=SECONDS)[0] == b"on"


def test_one_description_for_many() -> None:
    """It is a value: programs of it run at the same time, and each has its own handle."""
    sandbox = Sandbox()
    with (
        ramet.Popen(["cat"], sandbox=sandbox, stdin=ramet.PIPE) as first,
        ramet.Popen(["cat"], sandbox=sandbox, stdin=ramet.PIPE) as second,
    ):
        assert first.pid != second.pid
        second.communicate(b"", timeout=SECONDS)
        assert (first.poll(), second.returncode) == (None, 0)
        first.communicate(b"", timeout=SECONDS)


def test_a_pipeline(outside: Path) -> None:
    """Each of its programs has a sandbox of its own, and the second sees nothing of the first's files."""
    (outside / "secret").write_text("secret\n")
    reads = Sandbox(read=[outside])
    with ramet.Popen(["cat", outside / "secret"], sandbox=reads, stdout=ramet.PIPE) as first:
        command = f"cat; cat {outside}/secret"
        done = ramet.run(
            ["sh", "-c", command], sandbox=Sandbox(), stdin=first.stdout, capture_output=True
        )
    assert (first.returncode, done.returncode, done.stdout) == (0, 1, b"secret\n")


IN_A_TERMINAL = """
import fcntl, os, pty, sys, termios
import ramet
master, slave = os.openpty()
if pid := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
os.setsid()
fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
os.dup2(slave, 0)
assert os.tcgetpgrp(0) == os.getpgrp()
ramet.run(["true"], sandbox=ramet.Sandbox())
ramet.run(["true"], sandbox=ramet.Sandbox(), capture_output=True)
os._exit(os.tcgetpgrp(0) != os.getpgrp())
"""


def test_the_callers_terminal() -> None:
    """The caller's process group is in the foreground of its terminal afterwards."""
    assert ramet.run([sys.executable, "-c", IN_A_TERMINAL]).returncode == 0


# ---- files


def test_what_is_read_and_written(outside: Path) -> None:
    """What is named can be read, or written as well; what is beside it can be neither."""
    for name in ("read", "write", "neither"):
        (outside / name).mkdir()
        (outside / name / "file").write_text(f"{name}\n")
    sandbox = Sandbox(read=[outside / "read"], write=[outside / "write"])
    command = (
        f"cd {outside}; cat read/file; echo x > read/file; echo y > write/file; cat neither/file"
    )
    done = run(command, sandbox)
    assert (done.returncode, done.stdout) == (1, "read\n")
    texts = [(outside / name / "file").read_text() for name in ("read", "write", "neither")]
    assert texts == ["read\n", "y\n", "neither\n"]


def test_paths_of_all_kinds(outside: Path) -> None:
    """A file, a pipe that nobody writes to, a device: none holds up or breaks what makes the sandbox."""
    (outside / "file").write_text("text")
    os.mkfifo(outside / "pipe")
    sandbox = Sandbox(read=[outside / "file", outside / "pipe", "/dev/null"])
    assert (
        told(f"cat {outside}/file; test -p {outside}/pipe; echo x > /dev/null", sandbox) == "text"
    )
    with pytest.raises(ramet.SandboxError, match=r"write: .*/dev/null.* character device") as error:
        run("true", Sandbox(write=["/dev/null"]))
    assert error.value.remedy.startswith("leave it out")


def test_a_hidden_program() -> None:
    """It cannot be executed, and the error says that it is hidden."""
    cat = os.path.realpath("/bin/cat")
    with pytest.raises(PermissionError, match=f"hidden=\\['{cat}'\\]"):
        run(["/bin/cat", "/etc/hosts"], Sandbox(hidden=[cat]))


def test_a_hidden_file(outside: Path) -> None:
    """No name for it helps: not a link of either kind, another call, or a new name for the directory."""
    (outside / "secret").write_text("secret")
    (outside / "before").symlink_to("secret")
    command = """
    exec 2>/dev/null
    cat secret before ./in/../secret; ln secret hard; ln -s secret soft; ln -s soft softer; cat soft softer
    mv secret moved; mv before secret; echo x > other; mv other secret; rm secret; truncate -s 0 secret
    echo done
    """
    (outside / "in").mkdir()
    sandbox = Sandbox(write=[outside], hidden=[outside / "secret"])
    assert run(f"cd {outside}; {command}", sandbox).stdout == "done\n"
    assert (outside / "secret").read_text() == "secret"
    assert not (outside / "hard").exists()
    program = f"""
import ctypes, os
how = (ctypes.c_ulonglong * 3)(0, 0, 0)
file = ctypes.CDLL(None).syscall(437, -100, {str(outside / "secret").encode()!r}, how, 24)  # openat2
print(os.read(file, 99) if file >= 0 else "refused")
"""
    assert in_python(program, sandbox).stdout in ("refused\n", "b''\n")


def test_another_name_of_a_hidden_file(outside: Path) -> None:
    """One that it had before is shown, unlike there, where the file is known by its inode."""
    (outside / "secret").write_text("secret")
    os.link(outside / "secret", outside / "other")
    sandbox = Sandbox(read=[outside], hidden=[outside / "secret"])
    assert run(f"cat {outside}/secret {outside}/other", sandbox).stdout == "secret"
    assert run(f"cat {outside}/other", sandbox.replace(hidden=[outside / "other"])).stdout == ""


def test_what_is_not_hidden_is_written(outside: Path) -> None:
    """The files beside a hidden one are as they would be without it."""
    (outside / "secret").write_text("secret")
    sandbox = Sandbox(write=[outside], hidden=[outside / "secret"])
    told(f"echo one > {outside}/one; mv {outside}/one {outside}/two; cat {outside}/two", sandbox)
    assert (outside / "two").read_text() == "one\n"


def test_extended_attributes(outside: Path) -> None:
    """They are read and written where the path is."""
    (outside / "file").touch()
    program = f"""
import os
os.setxattr({str(outside / "file")!r}, "user.kept", b"text")
print(os.listxattr({str(outside / "file")!r}), os.getxattr({str(outside / "file")!r}, "user.kept"))
"""
    assert in_python(program, Sandbox(write=[outside])).stdout == "['user.kept'] b'text'\n"
    assert os.getxattr(outside / "file", "user.kept") == b"text"
    assert "Read-only file system" in in_python(program, Sandbox(read=[outside])).stderr


def test_a_path_in_both() -> None:
    """A path to read and to write is refused."""
    with pytest.raises(ValueError, match="invalid write with read"):
        Sandbox(read=["/var/tmp"], write=["/var/tmp"])


@pytest.fixture
def image(outside: Path) -> Path:
    """A system that was unpacked, whose programs are this machine's."""
    for name in ("usr", "tmp", "proc", "dev", "etc"):
        (outside / name).mkdir()
    for name in ("bin", "lib", "lib64"):
        (outside / name).symlink_to(f"usr/{name}")
    (outside / "etc" / "release").write_text("image\n")
    return outside


def test_a_root(image: Path) -> None:
    """A program sees the image from its root on, by every way, and cannot leave or change it."""
    sandbox = Sandbox(root=image, read=["/usr"])
    assert told("ls /", sandbox).split() == sorted(
        ["bin", "dev", "etc", "lib", "lib64", "proc", "tmp", "usr"]
    )
    command = "cd /etc; pwd -P; cat ../../etc/release /proc/self/root/etc/release; readlink /proc/self/cwd"
    assert told(command, sandbox) == "/etc\nimage\nimage\n/etc\n"
    assert "Read-only file system" in run("echo > /etc/made", sandbox).stderr
    assert sorted(os.listdir(image / "etc")) == ["release"]


# ---- what is written goes to a layer


@pytest.fixture
def workdir(outside: Path) -> Path:
    """A directory with a file, a link and a directory."""
    (outside / "data").write_text("abc")
    (outside / "link").symlink_to("data")
    (outside / "dir").mkdir()
    (outside / "dir" / "inner").write_text("inner")
    return outside


CHANGED = {
    "touch new": [("added", "new")],
    "echo xyz > data": [("modified", "data")],
    "rm data": [("deleted", "data")],
    "echo xyz > tmp; mv tmp data": [("modified", "data")],
    "mkdir new": [("added", "new")],
    "touch -d @5 data": [("attributes", "data")],
    "rm link": [("deleted", "link")],
    "mv data moved": [("deleted", "data"), ("added", "moved")],
    "cat data": [],
    "rm -r dir": [("deleted", "dir")],
    "mv dir moved; cat moved/inner": [
        *[("deleted", "dir"), ("added", "moved"), ("added", "moved/inner")]
    ],
}


@pytest.mark.parametrize("command", CHANGED)
def test_changes_are_told(command: str, workdir: Path) -> None:
    """What a program has done to files is listed, and nothing of it has been done here."""
    before = sorted(workdir.rglob("*"))
    done = run(command, Sandbox(write=[workdir], overlay=True))
    assert done.returncode == 0
    found = [(change.kind, str(Path(change.path).relative_to(workdir))) for change in done.changes]
    assert sorted(found) == sorted(CHANGED[command])
    done.changes.discard()
    assert sorted(workdir.rglob("*")) == before
    assert (workdir / "data").read_text() == "abc"


def test_what_a_change_holds(workdir: Path) -> None:
    """Of a modified file the new size and content; of a deleted link what it was."""
    done = run("echo xyz > data; rm link", Sandbox(write=[workdir], overlay=True))
    with done.changes as changes:
        by_name = {Path(change.path).name: change for change in changes}
        assert (by_name["data"].what, by_name["data"].size) == ("file", 4)
        assert changes.read(workdir / "data") == b"xyz\n"
        assert by_name["link"].what == "symbolic link"


def test_a_layer_is_kept_until_it_is_decided(workdir: Path) -> None:
    """Taken or discarded, of a program that failed as well; after that there is nothing to take."""
    sandbox = Sandbox(write=[workdir], overlay=True)
    done = run("echo hi > out; exit 3", sandbox)
    assert done.returncode == 3
    assert not (workdir / "out").exists()
    assert not done.changes.discarded
    done.changes.take()
    assert (workdir / "out").read_text() == "hi\n"
    done.changes.discard()
    with pytest.raises(ValueError, match="discarded"):
        done.changes.take()
    with run("echo ho > out", sandbox).changes as changes:
        pass
    assert changes.discarded
    assert (workdir / "out").read_text() == "hi\n"


def test_a_layer_of_a_popen(workdir: Path) -> None:
    """It is there when the program has ended."""
    sandbox = Sandbox(write=[workdir], overlay=True)
    with ramet.Popen(["sh", "-c", "echo hi > out"], sandbox=sandbox) as process:
        process.wait(SECONDS)
    assert process.report is not None
    changes = process.report.changes
    assert changes is not None
    with changes:
        changes.take()
    assert (workdir / "out").read_text() == "hi\n"


def test_files_of_a_layer(workdir: Path) -> None:
    """What was made is there by each call, what was deleted is not, and can be made anew."""
    command = """
    mkdir made; cd made; pwd -P; cp /bin/echo .; ./echo ran; cd ..
    rm data; cat data 2>&1; test -e data || echo gone; set -C; echo new > data; cat data
    rmdir dir 2>&1 | sed 's/.*: //'; rm -r dir; ls dir 2>&1 | sed 's/.*: //'; stat -c %F made
    """
    done = run(command, Sandbox(write=[workdir], overlay=True))
    assert done.stdout.splitlines() == [
        *(f"{workdir}/made", "ran", "cat: data: No such file or directory", "gone", "new"),
        *("Directory not empty", "No such file or directory", "directory"),
    ]
    done.changes.discard()


def test_kinds_of_files_in_a_layer(workdir: Path) -> None:
    """A directory is not unlinked, a file is no directory, and one that is there is not made anew."""
    program = """
import os, errno
new = os.O_CREAT | os.O_EXCL
for call, *words in ((os.unlink, "dir"), (os.rmdir, "data"), (os.open, "data", new)):
    try:
        call(*words)
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
    done = in_python(program, Sandbox(write=[workdir], overlay=True))
    assert done.stdout.split() == ["EISDIR", "ENOTDIR", "EEXIST"]
    done.changes.discard()


def test_layers_of_programs_at_the_same_time(workdir: Path) -> None:
    """Each has its own, and none sees what another has written."""
    sandbox = Sandbox(write=[workdir], overlay=True)

    def writes(number: int) -> str:
        done = run(f"echo {number} >> own; cat own", sandbox)
        done.changes.discard()
        return str(done.stdout)

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(writes, range(8))] == [f"{number}\n" for number in range(8)]
    assert not (workdir / "own").exists()


# ---- amounts

HOG = "held = bytearray({} << 20); held[::4096] = b'1' * (len(held) // 4096); print('held', flush=True)"
RESERVED = (
    "import mmap; room = mmap.mmap(-1, 1 << 30, flags=34, prot=0); print('reserved', flush=True); "
)
COMMITTED = """
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
room = libc.mmap(None, ctypes.c_size_t(512 << 20), 0, 34, -1, ctypes.c_long(0))
for begin, size in ((0, 16 << 20), (16 << 20, 496 << 20)):
    where = ctypes.c_void_p(room + begin)
    if libc.mprotect(where, ctypes.c_size_t(size), 3):
        raise MemoryError
    ctypes.memset(where, 1, size)
    print("reserved" if begin == 0 else "held", flush=True)
"""
PRIVATE = """
import mmap
with open("/dev/zero", "rb") as file:
    for megabytes in (8, 400):
        held = mmap.mmap(file.fileno(), megabytes << 20, flags=mmap.MAP_PRIVATE, prot=3)
        held[::4096] = b"1" * (len(held) // 4096)
        print("reserved" if megabytes == 8 else "held", flush=True)
"""
UNMAPPED = """
import mmap
first = bytearray(64 << 20)
first[::4096] = b"1" * (len(first) // 4096)
print("reserved", flush=True)
with open({file!r}, "rb") as file:
    for _ in range(6):
        mmap.mmap(file.fileno(), 100 << 20, prot=1).close()
"""


@pytest.mark.parametrize(
    "program", [HOG.format(400), RESERVED + HOG.format(400), COMMITTED, PRIVATE]
)
def test_memory(program: str) -> None:
    """What is touched counts, however it was mapped; what is only reserved does not."""
    done = in_python(program, Sandbox(memory="128M"))
    assert done.stdout == ("" if program.startswith("held") else "reserved\n")
    assert done.returncode != 0
    if IS_ROOT:
        assert (done.reason, done.returncode) == ("out of memory", -signal.SIGKILL)


def test_memory_is_not_given_back_for_files(outside: Path) -> None:
    """Mapping a file and letting go of it makes no room for more."""
    with (outside / "large").open("wb") as file:
        file.truncate(100 << 20)
    program = UNMAPPED.format(file=str(outside / "large")) + HOG.format(300)
    done = in_python(program, Sandbox(memory="128M", read=[outside]))
    assert done.stdout == "reserved\n"


def test_memory_of_processes_that_have_ended() -> None:
    """It is free again, though they did not give it back themselves; and starting needs none of it."""
    hog = "import os; " + HOG.format(64) + "; os._exit(0)"
    program = f"""
import subprocess, sys
for _ in range(6):
    print(subprocess.run([sys.executable, "-I", "-S", "-c", {hog!r}], stdout=-3).returncode)
"""
    assert in_python(program, Sandbox(memory="160M", processes=32)).stdout.split() == ["0"] * 6


def test_memory_of_a_grandchild() -> None:
    """It is killed, and its parent goes on; where a watch keeps the limit, all are killed."""
    program = f"""
import subprocess, sys
hog = [sys.executable, "-I", "-S", "-c", {HOG.format(400)!r}]
print(subprocess.run(hog, capture_output=True).returncode)
"""
    done = in_python(program, Sandbox(memory="128M"))
    if IS_ROOT:
        assert (done.stdout, done.reason) == ("-9\n", "exited")
    else:
        assert done.stdout in (
            "",
            "1\n",
            "-9\n",
        )  # the allocation may fail first, by the limit for each


FORKS = """
import os, signal
made = 0
try:
    for _ in range(10):
        if not os.fork():
            signal.pause()
        made += 1
except OSError:
    pass
print(made)
"""
ONE_AFTER_THE_OTHER = """
import os
for _ in range(20):
    if not (pid := os.fork()):
        os._exit(0)
    os.waitpid(pid, 0)
print("all")
"""


def test_processes() -> None:
    """As many at once as were asked, itself among them; one after the other as many as there are."""
    assert int(in_python(FORKS, Sandbox(processes=3)).stdout) <= 2
    assert in_python(ONE_AFTER_THE_OTHER, Sandbox(processes=3)).stdout == "all\n"


def test_threads_count_as_processes() -> None:
    """Ten and the first need eleven, unlike there, where threads do not count."""
    program = """
import threading
barrier = threading.Barrier(11)
threads = [threading.Thread(target=barrier.wait, daemon=True) for _ in range(10)]
for thread in threads:
    thread.start()
barrier.wait()
print("all")
"""
    assert in_python(program, Sandbox(processes=11)).stdout == "all\n"
    assert in_python(program, Sandbox(processes=5)).stdout == ""


NUMBER_OF_FILES = """
import os, resource
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
except (ValueError, OSError):
    print("not raised")
try:
    [os.open("/dev/null", 0) for _ in range(200)]
except OSError as error:
    print(error.errno)
"""


def test_open_files() -> None:
    """The limit holds, for both bounds, and cannot be raised again; root's sandbox as any other."""
    done = in_python(NUMBER_OF_FILES, Sandbox(open_files=64))
    assert done.stdout.splitlines() == ["64 64", "not raised", str(errno.EMFILE)]
    assert str(errno.EMFILE) not in in_python(NUMBER_OF_FILES, Sandbox()).stdout.splitlines()
    told(["/bin/true"], Sandbox(open_files=12))


def test_more_open_files_than_the_caller_may_have() -> None:
    """The caller's hard limit stays the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert told("ulimit -Hn; ulimit -Sn", Sandbox(open_files=hard + 1)).split() == [str(hard)] * 2


@pytest.mark.skipif(not IS_ROOT, reason="needs a cgroup that the user may write")
def test_a_share_of_a_processor() -> None:
    """It uses no more than its share, and comes to the same result."""
    begun = time.monotonic()
    done = in_python("print(sum(1 for _ in range(6_000_000)))", Sandbox(cpus=0.25))
    assert done.stdout == "6000000\n"
    assert done.report.cpu_seconds < 0.6 * (time.monotonic() - begun)


def test_processors() -> None:
    """Those on which it may run are an option."""
    first = min(os.sched_getaffinity(0))
    program = "import os; print(*os.sched_getaffinity(0))"
    assert in_python(program, Sandbox(), cpu_affinity=[first]).stdout == f"{first}\n"


def test_core_dumps() -> None:
    """There are none, neither a file nor a program of core_pattern, also with 0; or an option says more."""
    program = "import resource; print(*resource.getrlimit(resource.RLIMIT_CORE))"
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    none, some = (n if hard == resource.RLIM_INFINITY else min(n, hard) for n in (1, 9))
    assert in_python(program, Sandbox()).stdout == f"{none} {none}\n"
    assert in_python(program, Sandbox(), rlimits={"CORE": 0}).stdout == f"{none} {none}\n"
    assert in_python(program, Sandbox(), rlimits={"CORE": some}).stdout == f"{some} {some}\n"


@pytest.mark.parametrize(
    ("size", "number"),
    [("70000", 70000), ("100K", 102400), ("10m", 10485760), ("1G", 1 << 30), (65536, 65536)],
)
def test_sizes(size: int | str, number: int) -> None:
    """Numbers, and text with a unit."""
    assert Sandbox(memory=size).memory == number


@pytest.mark.parametrize("size", ["", "abc", "1X", "-1", "99999999999G", -2, 0])
def test_sizes_that_are_none(size: int | str) -> None:
    """They are refused, as are those that no computer has."""
    with pytest.raises(ValueError, match="invalid memory"):
        Sandbox(memory=size)


@pytest.mark.parametrize("cpus", [0, -0.5])
def test_shares_that_are_none(cpus: float) -> None:
    """They are refused."""
    with pytest.raises(ValueError, match="invalid cpus"):
        Sandbox(cpus=cpus)


def test_a_description_without_wishes() -> None:
    """It limits no amount, and has no network; it can be changed into another."""
    sandbox = Sandbox()
    assert (sandbox.memory, sandbox.cpus, sandbox.open_files, sandbox.network) == (
        *(None, None, None),
        "none",
    )
    assert sandbox.replace(memory="1M").memory == 1 << 20


# ---- the environment, the user


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's secrets are not in it; what is given is."""
    monkeypatch.setenv("SECRET", "1")
    assert "SECRET" not in told(["env"], Sandbox())
    assert told("echo $GIVEN", Sandbox(), env={"GIVEN": "2"}) == "2\n"


def test_its_user() -> None:
    """Not root: it sees itself as 1000, or has a plain user's number where that has no subordinate ids."""
    is_another = Sandbox().plan().own_id != "caller's id"
    uid, gid = (1000, 1000) if is_another else (os.getuid(), os.getgid())
    assert told("id -u; id -g", Sandbox()) == f"{uid}\n{gid}\n"


def test_an_agents_tools(outside: Path) -> None:
    """They write in their directory alone, one sees what another has written, and none has a network."""
    sandbox = Sandbox.agent(outside, timeout=60)
    told(f"echo one > {outside}/file", sandbox)
    assert told("cat file", sandbox) == "one\n"
    assert run(["sh", "-c", "echo > /usr/made"], sandbox).returncode != 0
    assert told("cut -d: -f1 -s /proc/net/dev", sandbox).strip() == "lo"
    assert not Path("/usr/made").exists()


# ---- processes and /proc


def test_proc() -> None:
    """Its own processes alone, nothing of the kernel's memory, no mount or port of the host's."""
    program = """
import os
for path in ("/proc/kcore", "/proc/../proc/kcore", "//proc/./kcore", f"/proc/{os.getppid()}/status"):
    try:
        open(path).close()
        print("open")
    except OSError:
        print("refused")
proc = os.open("/proc", os.O_DIRECTORY)
try:
    os.open("kcore", 0, dir_fd=proc)
    print("open")
except OSError:
    print("refused")
print(len(open("/proc/net/tcp").readlines()), os.path.exists("/proc/self/status"))
"""
    with socket.create_server(("127.0.0.1", 0)):
        assert in_python(program, Sandbox()).stdout.split() == [*["refused"] * 5, "1", "True"]
    assert told("cat /proc/version", Sandbox()).startswith("Linux")


def test_mounts_that_it_sees() -> None:
    """Those of its root, and none of the host's beside them."""
    for name in ("mounts", "self/mountinfo"):
        seen = told(f"cat /proc/{name}", Sandbox())
        assert not [line for line in seen.splitlines() if " /sys" in line or " /boot" in line]
        assert len(seen.splitlines()) < 40


SIGNALS = """
import os, signal, sys
for pid in (int(sys.argv[1]), -1):
    try:
        os.kill(pid, 0)
        print("sent")
    except OSError as error:
        print(error.errno)
signal.raise_signal(0)
"""


def test_signals() -> None:
    """To the caller there is none, whatever number it has; to itself there is."""
    done = run([*PYTHON, SIGNALS, str(os.getpid())], Sandbox())
    assert done.returncode in (0, 1)
    assert done.stdout.split()[0] in (str(errno.ESRCH), str(errno.EPERM))
    assert run("kill -0 $$", Sandbox()).returncode == 0


# ---- system calls

CALLS = """
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, *given):
    print(errno.errorcode.get(ctypes.get_errno()) if getattr(libc, name)(*given) < 0 else 0)
tried("mount", b"none", b"/tmp", b"tmpfs", 0, 0)
tried("ptrace", 16, 1, 0, 0)
tried("personality", 0x0400000)
for kind in ((2, 3, 1), (2, 3, 255), (2, 1, 0), (2, 2, 0), (38, 5, 0), (16, 3, 9), (16, 3, 12), (17, 3, 0)):
    try:
        socket.socket(*kind).close()
        print(0)
    except OSError as error:
        print(errno.errorcode[error.errno])
"""


def test_calls() -> None:
    """Mounts, traces, raw and rare sockets are refused; TCP and UDP sockets are not."""
    answers = in_python(CALLS, Sandbox()).stdout.split()
    assert answers == [
        *("EPERM", "EPERM", "EPERM"),
        *("EPERM", "EPROTONOSUPPORT", "0", "0"),
        *("EAFNOSUPPORT", "EAFNOSUPPORT", "EAFNOSUPPORT", "EAFNOSUPPORT"),
    ]


SHARED = """
import ctypes, sys
print(ctypes.CDLL(None).shmget({key}, 4096, {flags}) >= 0)
"""


def test_shared_memory() -> None:
    """It has System V IPC of its own, and nothing of what another has made."""
    key = 0x52414D45
    assert in_python(SHARED.format(key=key, flags=0o1600), Sandbox()).stdout == "True\n"
    assert in_python(SHARED.format(key=key, flags=0), Sandbox()).stdout == "False\n"


FILTER = (
    '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [%s], "action": "SCMP_ACT_ERRNO"}]}'
)


def test_calls_that_a_file_forbids(outside: Path) -> None:
    """Beside those that are known, and none that is unknown."""
    (outside / "filter").write_text(FILTER % '"mkdir", "mkdirat"')
    done = run("mkdir /tmp/made; echo ok", Sandbox(syscalls=outside / "filter"))
    assert (done.stdout, "Operation not permitted" in done.stderr) == ("ok\n", True)
    (outside / "filter").write_text(FILTER % '"no_such_call"')
    with pytest.raises(ValueError, match="no_such_call"):
        run("true", Sandbox(syscalls=outside / "filter"))


# ---- the network

CONNECT = """
import socket, sys
for port in sys.argv[1:]:
    try:
        socket.create_connection(("127.0.0.1", int(port)), 5).close()
        print(0)
    except OSError as error:
        print(error.errno)
"""


@pytest.fixture
def servers() -> Iterator[list[str]]:
    """The ports of two."""
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        yield [str(one.getsockname()[1]) for one in (first, second)]


def connected(sandbox: Sandbox, *ports: str) -> list[str]:
    return str(run([*PYTHON, CONNECT, *ports], sandbox).stdout).split()


def test_no_network(servers: list[str]) -> None:
    """None by default, nor where files are shown."""
    for sandbox in (Sandbox(), Sandbox(read=["/var/tmp"])):
        assert not {*connected(sandbox, *servers)} & {"0", str(errno.ECONNREFUSED)}
    program = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))"
    assert "Network is unreachable" in in_python(program, Sandbox()).stderr


@needs_landlock(4)
def test_ports_to_connect_to(servers: list[str]) -> None:
    """Those alone, of grandchildren as well."""
    sandbox = Sandbox(network={"connect": [int(servers[0])]})
    assert connected(sandbox, *servers) == ["0", str(errno.EACCES)]
    program = f"import subprocess, sys; subprocess.run([*{PYTHON!r}, {CONNECT!r}, *{servers!r}])"
    assert in_python(program, sandbox).stdout.split() == ["0", str(errno.EACCES)]


def test_the_callers_network(servers: list[str]) -> None:
    """All of it, where it is asked for."""
    assert connected(Sandbox(network="host"), *servers) == ["0", "0"]


BIND = """
import socket, sys
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    try:
        socket.socket(socket.AF_INET, kind).bind(("127.0.0.1", int(sys.argv[1])))
        print(0)
    except OSError as error:
        print(error.errno)
"""


@needs_landlock(4)
def test_ports_to_listen_on() -> None:
    """Those alone; what is not TCP is not asked."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    for allowed, answer in (
        ([port], "0"),
        ([port ^ 1], str(errno.EACCES)),
        ([], str(errno.EACCES)),
    ):
        done = run([*PYTHON, BIND, str(port)], Sandbox(network={"bind": allowed}))
        assert done.stdout.split() == [answer, "0"]


@pytest.mark.parametrize("ports", [[-1], [65536], ["x"], ["9000-8000"]])
def test_ports_that_are_none(ports: list[int]) -> None:
    """They are refused."""
    with pytest.raises(ValueError, match="invalid network"):
        Sandbox(network={"bind": ports})


OWN_PORT = """
import socket, threading
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    with socket.create_server((address, 0 or {port}), family=family) as server:
        print(server.getsockname()[1])
        client = socket.create_connection(server.getsockname()[:2])
        sender = threading.Thread(target=client.sendall, args=(bytes(2 << 20),))
        sender.start()
        other, left = server.accept()[0], 2 << 20
        while left:
            left -= len(other.recv(1 << 16))
        sender.join()
"""


def test_a_loopback_of_its_own() -> None:
    """Two sandboxes, and the caller, have the same port at the same time, and much goes through it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = OWN_PORT.format(port=port)
        with ThreadPoolExecutor(2) as pool:
            done = pool.map(lambda _: in_python(program, Sandbox(network="loopback")), range(2))
        assert [one.stdout.split() for one in done] == [[str(port)] * 2] * 2
    assert (
        int(in_python(OWN_PORT.format(port=0), Sandbox(network="loopback")).stdout.split()[0]) > 0
    )


INTERFACES = """
import array, fcntl, socket, struct
found = array.array("B", bytes(1024))
asked = struct.pack("iP", len(found), found.buffer_info()[0])
length, _ = struct.unpack("iP", fcntl.ioctl(socket.socket(), 0x8912, asked))  # SIOCGIFCONF
print(*[found.tobytes()[at:at + 16].rstrip(b"\\0").decode() for at in range(0, length, 40)])
print(*[name for _, name in socket.if_nameindex()])
for name in ("dev", "if_inet6"):
    print(*{line.split()[0 if name == "dev" else -1].strip(":") for line in open(f"/proc/net/{name}")
            if ":" in line or name == "if_inet6"})
flags = socket.AI_ADDRCONFIG
print(*sorted({found[4][0] for found in socket.getaddrinfo("localhost", 80, flags=flags)})[:1])
"""


def test_interfaces() -> None:
    """There is lo, and no other, in each place that tells of them; /sys is not there."""
    seen = in_python(INTERFACES, Sandbox(network="loopback")).stdout.splitlines()
    assert seen == ["lo", "lo", "lo", "lo", "127.0.0.1"]
    assert run("ls /sys/class/net", Sandbox()).returncode != 0


ABSTRACT = """
import socket, sys
try:
    socket.socket(socket.AF_UNIX, getattr(socket, sys.argv[1])).connect(sys.argv[2].replace("@", "\\0"))
    print("connected")
except OSError as error:
    print(error.errno)
"""


@needs_landlock(6)
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_abstract_sockets(kind: str) -> None:
    """The caller's cannot be connected to: with the caller's network it is landlock that refuses."""
    with socket.socket(socket.AF_UNIX, getattr(socket, kind)) as listening:
        listening.bind("\0ramet-of-a-test")
        if kind == "SOCK_STREAM":
            listening.listen()
        words = [*PYTHON, ABSTRACT, kind, "@ramet-of-a-test"]
        assert ramet.run(words, capture_output=True, text=True).stdout == "connected\n"
        assert run(words, Sandbox()).stdout == f"{errno.ECONNREFUSED}\n"
        assert run(words, Sandbox(network="host")).stdout == f"{errno.EPERM}\n"


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_named_sockets(kind: str, outside: Path) -> None:
    """One that is shown can be connected to, also read-only; one that is not cannot, by no link."""
    (outside / "shown").mkdir()
    (outside / "shown" / "link").symlink_to(outside / "socket")
    with (
        socket.socket(socket.AF_UNIX, getattr(socket, kind)) as first,
        socket.socket(socket.AF_UNIX, getattr(socket, kind)) as second,
    ):
        for one, path in ((first, outside / "socket"), (second, outside / "shown" / "socket")):
            one.bind(str(path))
            path.chmod(0o777)
            if kind == "SOCK_STREAM":
                one.listen()
        for sandbox in (Sandbox(read=[outside / "shown"]), Sandbox(write=[outside / "shown"])):
            seen = [
                run([*PYTHON, ABSTRACT, kind, str(outside / name)], sandbox).stdout.strip()
                for name in ("shown/socket", "socket", "shown/link")
            ]
            assert seen == ["connected", str(errno.ENOENT), str(errno.ENOENT)]


def test_a_sandbox_in_a_sandbox() -> None:
    """It is not made where it could not be all that it says; the refusal names the caller's own filter."""

    def inner() -> str:
        try:
            ramet.run(["true"], sandbox=Sandbox())
        except ramet.SandboxError as error:
            return error.remedy
        return "started"

    package = os.path.dirname(os.path.dirname(os.path.abspath(ramet.__file__)))
    with ramet.clone(inner, sandbox=Sandbox(read=[package])) as child:
        assert child.result(SECONDS).startswith("start the caller without the seccomp filter")
