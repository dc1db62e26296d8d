import ctypes
import gc
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F

from ...constants import SECONDS
from ...looking import state_of


def test_run_is_like_subprocess(nothing_left: object) -> None:
    """Output, errors and code come back as subprocess.run gives them."""
    argv = ["sh", "-c", "cat; echo bad >&2; exit 3"]
    done = ramet.run(argv, input="good", capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "good", "bad\n")
    with pytest.raises(subprocess.CalledProcessError):
        ramet.run(["false"], check=True)


def test_a_popen_is_a_subprocess_popen(nothing_left: object) -> None:
    """Popen is a subprocess.Popen, with a pidfd and the whole status."""
    with ramet.Popen(["sh", "-c", "exit 4"]) as process:
        assert isinstance(process, subprocess.Popen)
        assert process.pidfd == process.fileno()
        assert process.wait(SECONDS) == 4
    assert process.exit_status is not None
    assert process.exit_status.code == 4
    assert process.exit_status.rusage is not None
    assert process.pidfd is None


def test_cwd_env_and_descriptors(tmp_path: Path, nothing_left: object) -> None:
    """The child has the directory, the environment and the descriptors that it is given, no others."""
    reading, writing = os.pipe()
    script = f'pwd; echo "$WORD"; echo passed >/proc/self/fd/{writing}; ls /proc/self/fd'
    done = ramet.run(
        ["/bin/sh", "-c", script],
        cwd=tmp_path,
        env={"WORD": "yes", "PATH": os.environ["PATH"]},
        pass_fds=[writing],
        capture_output=True,
        text=True,
    )
    os.close(writing)
    assert os.read(reading, 100) == b"passed\n"
    os.close(reading)
    where, word, *numbers = done.stdout.split()
    assert (where, word) == (str(tmp_path), "yes")
    assert set(map(int, numbers)) == {0, 1, 2, 3, writing} - ({3} if writing == 3 else set())


def test_standard_descriptors_may_be_swapped(tmp_path: Path, nothing_left: object) -> None:
    """Descriptors that stand in each other's way reach their places all the same."""
    script = """
import os, sys, ramet
os.dup2(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), 0)
os.dup2(os.open(sys.argv[2], os.O_RDWR | os.O_CREAT), 1)
done = ramet.run(["sh", "-c", "echo out; echo err >&2"], stdin=1, stdout=0, stderr=1)
sys.exit(done.returncode)
"""
    first, second = tmp_path / "first", tmp_path / "second"
    subprocess.run([sys.executable, "-c", script, first, second], check=True, timeout=SECONDS)
    assert first.read_text() == "out\n"
    assert second.read_text() == "err\n"


@pytest.mark.parametrize(
    ("argv", "error", "step"),
    [
        (["/no/such/program"], FileNotFoundError, "execve"),
        (["no-such-program-anywhere"], FileNotFoundError, "execve"),
        (["/etc/passwd"], PermissionError, "execve"),
        (["/etc/passwd/below"], NotADirectoryError, "execve"),
    ],
)
def test_a_program_that_cannot_run(
    argv: list[str], error: type[OSError], step: str, nothing_left: object
) -> None:
    """The error is subprocess's, and names the step and the program."""
    with pytest.raises(ramet.SpawnError) as told:
        ramet.run(argv, env={"PATH": "/usr/bin:/bin"})
    assert isinstance(told.value, error)
    assert (told.value.step, told.value.filename) == (step, argv[0])


def test_a_directory_that_is_not_there(nothing_left: object) -> None:
    """A failure before the exec names its own step."""
    with pytest.raises(FileNotFoundError) as told:
        ramet.run(["true"], cwd="/no/such/directory")
    assert isinstance(told.value, ramet.SpawnError)
    assert (told.value.step, told.value.filename) == ("chdir", "/no/such/directory")


@pytest.mark.parametrize(
    ("argv", "options", "error"),
    [
        ([], {}, ValueError),
        (["a\0b"], {}, ValueError),
        (["true"], {"env": {"A=B": "c"}}, ValueError),
        (["sleep", "1000"], {"timeout": -1}, subprocess.TimeoutExpired),
        (["true"], {"timeout": float("nan")}, ValueError),
        (["true"], {"timeout": "1"}, TypeError),
        (["true"], {"user": 1 << 32}, OverflowError),
        (["true"], {"extra_groups": [1 << 33]}, ValueError),
        (["true"], {"umask": 1 << 40}, ValueError),
        (["true"], {"flags": F.THREAD}, ValueError),
        (["true"], {"flags": F.SETTLS}, ValueError),
        (["true"], {"flags": F.FS, "cwd": "/"}, ValueError),
        (["true"], {"flags": F.NEWNS | F.FS}, ramet.CloneError),
    ],
    ids=str,
)
def test_bad_input_is_refused(
    argv: list[str], options: dict[str, Any], error: type[Exception], nothing_left: object
) -> None:
    """One clear error, before anything is made."""
    with pytest.raises(error):
        ramet.run(argv, **options)


@pytest.mark.parametrize("given", ["a", 1.5, ()], ids=str)
def test_what_is_no_umask_is_refused_by_name(given: Any, nothing_left: object) -> None:
    """The error says which option it is about, as of any other."""
    with pytest.raises(TypeError, match="invalid umask: expected an int from 0 to 0o7777"):
        ramet.run(["true"], umask=given)


def test_no_umask_is_the_callers(nothing_left: object) -> None:
    """None is the same as leaving it out, and so is subprocess's default, -1."""
    for given in None, -1:
        seen = ramet.run(["sh", "-c", "umask"], umask=given, stdout=subprocess.PIPE)
        assert seen.stdout == ramet.check_output(["sh", "-c", "umask"])


def test_text_that_is_asked_for_when_the_pipes_are_open(nothing_left: object) -> None:
    """They stay as they were made: bytes come out of them, as of subprocess."""
    for kind in subprocess.Popen, ramet.Popen:
        with kind(["echo", "out"], stdout=subprocess.PIPE) as process:
            process.universal_newlines = True
            assert process.communicate()[0] == b"out\n"


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_a_timeout_kills_and_tells(timeout: float, nothing_left: object) -> None:
    """A run whose time is over raises what both libraries call by that name."""
    with pytest.raises(subprocess.TimeoutExpired) as told:
        ramet.run(["sleep", "1000"], timeout=timeout, capture_output=True)
    assert isinstance(told.value, ramet.TimeoutExpired)
    assert isinstance(told.value, TimeoutError)


@pytest.mark.parametrize(
    "flags",
    [F.FILES, F.FS, F.SIGHAND, F.SYSVSEM, F.IO, F.DETACHED, F.UNTRACED, F.PTRACE, F.VM | F.VFORK],
    ids=str,
)
def test_any_flag_may_be_set(flags: F, nothing_left: object) -> None:
    """A program runs with any flag, and its caller's descriptors are as before."""
    before = sorted(os.listdir("/proc/self/fd"))
    done = ramet.run(["sh", "-c", "echo ran"], flags=flags, stdout=subprocess.PIPE)
    assert done.stdout == b"ran\n"
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_sibling_has_its_status(nothing_left: object) -> None:
    """Of another parent's child, too, it is known how it ended, before that parent has reaped it."""
    argv = ["sh", "-c", "exit 5"]
    script = f"import ramet; p = ramet.Popen({argv}, flags=0x8000); print(p.wait(20), p.pid)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    code, pid = map(int, done.stdout.split())
    assert code == 5
    assert os.waitpid(pid, 0) == (pid, 5 << 8)


def test_one_that_begins_stopped(nothing_left: object) -> None:
    """STOPPED holds the program before its first instruction until it may go on."""
    process = ramet.Popen(["sh", "-c", "exit 5"], flags=F.STOPPED)
    assert state_of(process.pid) == "T"
    assert Path(f"/proc/{process.pid}/comm").read_text() != "sh\n"
    process.send_signal(signal.SIGCONT)
    assert process.wait(SECONDS) == 5


@pytest.mark.parametrize("flags", [F.STOPPED, F.STOPPED | F.DETACHED], ids=str)
def test_no_handler_of_ours_runs_in_the_child(flags: F, nothing_left: object) -> None:
    """A signal to a child that has not exec'ed yet ends it and does not call our handler."""
    heard: list[int] = []
    old = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    process = ramet.Popen(["sleep", "1000"], flags=flags)
    process.send_signal(signal.SIGUSR1)
    process.send_signal(signal.SIGCONT)
    assert process.wait(SECONDS) == -signal.SIGUSR1
    signal.signal(signal.SIGUSR1, old)
    assert heard == []


def test_an_identity_is_set(root: None, nothing_left: object) -> None:
    """User, groups and umask are the child's from its first instruction."""
    done = ramet.run(
        ["sh", "-c", "id -u; id -g; id -G; umask"],
        user=65534,
        group=65533,
        extra_groups=[5, 7],
        umask=0o27,
        capture_output=True,
    )
    assert done.stdout.split() == b"65534 65533 65533 5 7 0027".split()


def test_a_result_in_place_survives_a_fork(nothing_left: object) -> None:
    """Buffers of a result that lie where the child wrote them are there for later children."""
    result = ramet.clone(lambda: pickle.PickleBuffer(bytearray(b"xyz" * 5000))).result(SECONDS)
    assert ramet.clone(lambda: bytes(memoryview(result)[:3])).result(SECONDS) == b"xyz"


def test_a_callback_from_native_code_in_a_vfork_child(nothing_left: object) -> None:
    """Native code that calls Python back finds the child's own thread state."""
    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)

    def sort() -> list[int]:
        numbers = (ctypes.c_int * 4)(3, 1, 4, 2)
        ctypes.CDLL(None).qsort(numbers, 4, 4, callback_type(compare))
        return list(numbers)

    def compare(left: int, right: int) -> int:
        return ctypes.c_int.from_address(left).value - ctypes.c_int.from_address(right).value

    assert ramet.vfork(sort).result(SECONDS) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "call",
    [
        "ramet.clone(spin, flags=F.VM)",
        "lowlevel.clone(lambda _: spin(), None, F.VM | 17, lowlevel.Stack(1 << 20))",
        "ramet.clone(threading.main_thread().join, flags=F.VM | F.SIGHAND | F.THREAD)",
    ],
)
def test_an_exit_with_children_alive(call: str) -> None:
    """An interpreter that ends takes along the children in its memory, and ends well itself."""
    script = f"""
import threading, ramet
from ramet import CloneFlag as F, lowlevel
def spin():
    while True: pass
{call}
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=SECONDS, check=True)


def test_one_that_waits_for_its_start(nothing_left: object) -> None:
    """With start=False the child is there, and its program begins when it is told to."""
    argv = ["sh", "-c", "cat; exit 6"]
    process = ramet.Popen(argv, start=False, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert Path(f"/proc/{process.pid}/comm").read_text() != "sh\n"
    assert process.poll() is None
    for waits in (process.wait, process.communicate):
        with pytest.raises(ValueError, match=r"waits for start\(\).* timeout"):
            waits()
    with pytest.raises(ramet.TimeoutExpired):
        process.wait(0)
    process.start()
    stdout, stderr = process.communicate(b"in", SECONDS)
    assert stdout == b"in"
    assert stderr is None
    assert process.returncode == 6
    with pytest.raises(ValueError, match="does not wait"):
        process.start()


def test_the_block_of_one_that_was_not_started(nothing_left: object) -> None:
    """Its end kills and reaps the child, and an exception from within comes through."""
    with ramet.Popen(["cat"], start=False, stdin=subprocess.PIPE) as process:
        pass
    assert process.returncode == -signal.SIGKILL
    process = ramet.Popen(["cat"], start=False, stdin=subprocess.PIPE)
    with pytest.raises(RuntimeError, match="mine"), process:
        raise RuntimeError("mine")
    assert process.returncode == -signal.SIGKILL


def test_a_loop_around_poll(nothing_left: object) -> None:
    """poll() is subprocess's: None while the program runs, then its code, which may be tested."""
    process = ramet.Popen(["sh", "-c", "read line; exit 4"], stdin=subprocess.PIPE)
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()
    while not process.poll():
        os.sched_yield()
    assert (process.poll(), type(process.poll())) == (4, int)


def test_options_that_change_are_followed(nothing_left: object) -> None:
    """What was worked out for one program is not taken for another's, though the objects are the same."""
    limits: dict[str | int, Any] = {"NOFILE": 100}
    ignored = ["USR1"]
    script = "ulimit -n; ulimit -c; grep SigIgn /proc/$$/status"
    seen = []
    for _ in range(3):
        out = ramet.check_output(["sh", "-c", script], rlimits=limits, ignored_signals=ignored)
        seen.append(out.split())
        limits |= {"NOFILE": limits["NOFILE"] + 1, "CORE": 0}
        ignored.append("USR2")
    assert [one[0] for one in seen] == [b"100", b"101", b"102"]
    assert [one[1] for one in seen[1:]] == [b"0", b"0"]
    assert [int(one[3], 16) >> 9 & 7 for one in seen] == [0b001, 0b101, 0b101]


class Raiser:
    """Raises at the so manyth line that opens the streams of a Popen."""

    FUNCTIONS = ("_open_streams", "writing", "reading")

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _: object) -> "Raiser | None":
        if frame.f_code.co_name not in self.FUNCTIONS:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:line buffering:RuntimeWarning")
@pytest.mark.parametrize("options", [{}, {"text": True}, {"bufsize": 1}, {"bufsize": 0}], ids=str)
def test_an_exception_at_any_line_closes_each_pipe_once(
    options: dict[str, Any], nothing_left: object
) -> None:
    """Whatever is raised while the streams are opened: no end stays, and none is closed for another."""
    before, line, process = os.listdir("/proc/self/fd"), 0, None
    while process is None:
        line += 1
        process = raised_at(line, options)  # and no EBADF comes of what was closed already
        gc.collect()
        assert process is not None or os.listdir("/proc/self/fd") == before
    process.communicate()
    assert line > 15


def raised_at(line: int, options: dict[str, Any]) -> "ramet.Popen[Any] | None":
    traced = sys.gettrace()
    sys.settrace(Raiser(line))
    try:
        return ramet.Popen(
            ["cat"], stdin=ramet.PIPE, stdout=ramet.PIPE, stderr=ramet.PIPE, **options
        )
    except KeyboardInterrupt:
        return None
    finally:
        sys.settrace(traced)


@pytest.mark.parametrize("option", [{"encoding": "none such"}], ids=str)
def test_streams_that_cannot_be_opened_close_each_pipe_once(
    option: dict[str, Any], nothing_left: object
) -> None:
    """The error of the stream is told, not one of a descriptor that was closed already."""
    with pytest.raises((ValueError, LookupError)):
        ramet.Popen(["true"], stdin=ramet.PIPE, stdout=ramet.PIPE, **option)
