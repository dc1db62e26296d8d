import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ramet._kernel import procfs

from ...constants import SECONDS
from ...waiting import until

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
COMMAND = [sys.executable, "-m", "ramet", "trace"]
COST = (
    r"traced with \d+ stops, in which tasks waited \d+\.\d ms "
    r"for the tracer \(\d+\.\d % of \d+\.\d{3} s\)\n"
)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )


def begin(*arguments: object, stdin: int | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def words(text: str) -> list[str]:
    """What stands behind time and task of each line, without the numbers of tasks."""
    lines = (re.sub(r"^ *[\d.]* +\d* {2}", "", line) for line in text.splitlines())
    return [re.sub(r"= \d+", "= PID", line) for line in lines]


def test_a_line_for_each_event(nothing_left: object) -> None:
    """Time, task and words, indented below the maker; the last line says what it cost."""
    done = run("/bin/sh", "-c", "/bin/true; exit 3")
    assert (done.returncode, done.stdout) == (3, "")
    begins, shell, made, program, end, last, cost = words(done.stderr)
    assert begins == "begins"
    assert shell == "exec /bin/sh -c '/bin/true; exit 3'"
    assert re.fullmatch(r"(vfork|fork|clone3?)\(.*\) = PID", made)
    assert program == "  exec /bin/true"
    assert re.fullmatch(
        r"  exited with 0; user \d+\.\d ms, system \d+\.\d ms, peak (unknown|\d+\.\d MiB)", end
    )
    assert last.startswith("exited with 3; user ")
    assert re.fullmatch(COST, cost + "\n")


def test_a_refusal_and_its_remedy(nothing_left: object) -> None:
    """Below a refused call stand the rules and what to do."""
    script = "import ctypes; ctypes.CDLL(None).unshare(0x4000)"
    lines = words(run(sys.executable, "-S", "-c", script).stderr)
    at = lines.index("unshare(CLONE_VFORK): EINVAL")
    assert re.fullmatch(r" *rule U1: .+; .+", lines[at + 1])


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["sh", "-c", "exit 9"], 9),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["/nonexistent"], 127),
        (["/"], 126),
        ([], 125),
        (["-p", 4194303], 125),
        (["--nonsense"], 125),
    ],
)
def test_the_exit_status(argv: list[object], code: int, nothing_left: object) -> None:
    """It is the program's own, or says why there was none, in one line."""
    done = run("--quiet", *argv)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if code in {125, 126, 127}:
        assert done.stderr.splitlines()[-1].startswith("ramet trace: ")


def test_output_goes_to_a_file(tmp_path: Path, nothing_left: object) -> None:
    """With -o the standard error is the program's alone."""
    done = run("-o", tmp_path / "lines", "sh", "-c", "echo told >&2")
    assert done.stderr == "told\n"
    assert re.search(COST, (tmp_path / "lines").read_text())


@pytest.mark.parametrize(
    ("first", "second"), [("--json", "--html"), ("-o", "--json"), ("--chrome", "--html")]
)
def test_two_options_have_two_files(
    first: str, second: str, tmp_path: Path, nothing_left: object
) -> None:
    """One file for both is refused before it is opened; /dev/null keeps nothing of either."""
    file = tmp_path / "events"
    done = run(first, file, second, f"{tmp_path}/./events", "true")
    assert done.returncode == 125
    assert f"invalid {second}: expected a file of its own, got" in done.stderr
    assert not file.exists()
    assert run(first, "/dev/null", second, "/dev/null", "true").returncode == 0


def test_the_help_has_a_heading() -> None:
    """As that of every command."""
    argv = [sys.executable, "-m", "ramet", "trace", "--help"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "Options:" in lines
    assert ":" not in lines


def test_a_file_that_cannot_be_written(nothing_left: object) -> None:
    """Nothing is run then."""
    done = run("--json", "/nonexistent/file", "sh", "-c", "echo ran")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == "ramet trace: /nonexistent/file: No such file or directory\n"


def test_json_is_an_object_a_line(nothing_left: object) -> None:
    """Each event is one line of JSON, which names the call and its flags."""
    done = run("--quiet", "--json", "-", "/bin/sh", "-c", "/bin/true; true")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == [
        *("begun", "exec", "made", "exec", "end", "end", "cost"),
    ]
    made, program, end = events[2], events[3], events[4]
    assert made["call"]["exit_signal"] == "SIGCHLD"
    assert made["call"]["text"].endswith(")")
    assert (program["path"], program["argv"], program["tid"]) == (
        "/bin/true",
        ["/bin/true"],
        made["child"],
    )
    assert (end["code"], end["signal"], end["is_thread"]) == (0, None, False)


def test_chrome_s_format(tmp_path: Path, nothing_left: object) -> None:
    """Slices for each program, an arrow for each clone call whose ends lie on slices, and names."""
    run("--quiet", "--chrome", tmp_path / "trace.json", "/bin/sh", "-c", "/bin/true; true")
    events: list[dict[str, Any]] = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert [one["name"] for one in slices if one["cat"] == "program"] == ["sh", "true"]
    assert all(one["dur"] >= 0 and one["ts"] >= 0 for one in slices)
    (begin_,) = (event for event in events if event["ph"] == "s")
    (end,) = (event for event in events if event["ph"] == "f")
    assert begin_["id"] == end["id"]
    for flow in (begin_, end):
        assert any(
            one["ts"] <= flow["ts"] <= one["ts"] + one["dur"] and one["tid"] == flow["tid"]
            for one in slices
        )
    names = {event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names == {"sh", "true"}


def test_the_page_is_self_contained(tmp_path: Path, nothing_left: object) -> None:
    """It names no other file and no host, and what tracees say can end neither its script nor a tag."""
    page = tmp_path / "page.html"
    hostile = "</script><script>alert(1)</script>"
    run("--quiet", "--html", page, "/bin/sh", "-c", "/bin/true; exit 3", hostile)
    text = page.read_text()
    assert not re.search(r"https?://|src=|@import|<link", text)
    assert text.count("<script") == text.count("</script>") == 1
    assert "{{" not in text
    (data,) = re.findall(r"^const trace = (.*);$", text, re.MULTILINE)
    rows = json.loads(data)["rows"]
    assert [(row["name"], row["depth"], row["failed"]) for row in rows] == [
        ("sh", 0, True),
        ("true", 1, False),
    ]
    assert rows[0]["parts"][-1][3].endswith(f"'{hostile}'")
    assert "prefers-color-scheme: dark" in text


def test_the_summary_counts(nothing_left: object) -> None:
    """Clone calls by kind, programs, refusals and the most expensive processes."""
    told = run("--summary", "/bin/sh", "-c", "/bin/true; /bin/true; /nonexistent; true").stderr
    assert re.search(r"^[23] tasks made$", told, re.MULTILINE)
    assert re.search(r"^ +2  /bin/true$", told, re.MULTILINE)
    assert re.search(r"^ +1  exec /nonexistent: ENOENT$", told, re.MULTILINE)
    assert re.search(r"ms  sh \(\d+\), lived \d+\.\d ms, peak unknown$", told, re.MULTILINE)


def test_all_of_it_with_full(nothing_left: object) -> None:
    """--full has long arguments, and the addresses in calls."""
    script = "x" * 500
    assert "x" * 500 not in run("/bin/true", script).stderr
    assert "x" * 500 in run("--full", "/bin/true", script).stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_reaches_the_program(number: signal.Signals, nothing_left: object) -> None:
    """What the tracer is sent, the program gets, and how it ends is the tracer's end."""
    script = f"""
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [{int(number)}])
print("ready", flush=True)
signal.sigwait([{int(number)}])
print("got", flush=True)
sys.exit(7)
"""
    with begin("--quiet", sys.executable, "-S", "-c", script) as tracer:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "ready\n"
        tracer.send_signal(number)
        assert tracer.stdout.read() == "got\n"
    assert tracer.returncode == 7


def test_the_program_has_the_signals_of_its_caller(nothing_left: object) -> None:
    """The tracer blocks signals for itself alone."""
    done = run("--quiet", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    alone = subprocess.run(
        ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == alone.stdout


def test_attaching_ends_with_an_interrupt(nothing_left: object) -> None:
    """With -p an interrupt ends the trace with 0, and the process goes on."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        with begin("-p", process.pid) as tracer:
            assert tracer.stderr is not None
            assert "the tasks stop at every system call" in tracer.stderr.readline()
            assert "attached to sleep, a child of" in tracer.stderr.readline()
            tracer.send_signal(signal.SIGINT)
            assert "goes on, no longer traced" in tracer.stderr.read()
        assert tracer.returncode == 0
        assert procfs.status(process.pid)["TracerPid"] == "0"
        until(lambda: procfs.state(process.pid) == "S")
        process.kill()


def test_the_program_outlives_the_reader_of_its_trace(tmp_path: Path, nothing_left: object) -> None:
    """Where the reader closes early the program goes on, as under strace, and has its own exit status."""
    script = f"read go; /bin/true; /bin/true; echo went on > {tmp_path}/file; exit 3"
    with begin("/bin/sh", "-c", script, stdin=subprocess.PIPE) as tracer:
        assert tracer.stdin is not None
        assert tracer.stderr is not None
        assert "begins" in tracer.stderr.readline()
        tracer.stderr.close()
        tracer.stdin.write("go\n")
        tracer.stdin.close()
        assert tracer.wait() == 3
    assert (tmp_path / "file").read_text() == "went on\n"


def test_an_interrupt_does_not_wait_for_vfork(nothing_left: object) -> None:
    """One that waits for its vfork()'s child stops at nothing, and the trace ends without it."""
    script = """
import ctypes, os, platform
CLONE_VFORK, SIGCHLD = 0x4000, 17
number = 56 if platform.machine() == "x86_64" else 220
if ctypes.PyDLL(None).syscall(number, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) == 0:
    os.read(0, 1)
    os._exit(0)
"""
    with subprocess.Popen([sys.executable, "-S", "-c", script], stdin=subprocess.PIPE) as process:
        until(lambda: procfs.state(process.pid) == "D")
        with begin("-p", process.pid) as tracer:
            assert tracer.stderr is not None
            tracer.stderr.readline()
            assert "attached to" in tracer.stderr.readline()
            tracer.send_signal(signal.SIGINT)
            assert tracer.wait(SECONDS) == 0
            assert procfs.state(process.pid) == "D"
        assert process.stdin is not None
        process.stdin.close()


def test_attaching_ends_with_its_reader(nothing_left: object) -> None:
    """With -p nobody would see what is traced: the process goes on alone."""
    script = "while read line; do /bin/true; done"
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        with begin("-p", process.pid) as tracer:
            assert tracer.stderr is not None
            tracer.stderr.readline()
            assert "attached to" in tracer.stderr.readline()
            tracer.stderr.close()
            process.stdin.write(b"line\n")
            process.stdin.flush()
            assert tracer.wait() == 0
        process.stdin.close()
        assert process.wait() == 0


@pytest.mark.parametrize("option", ["-o", "--json", "--html", "--chrome"])
def test_a_full_disk_does_not_end_the_program(option: str, nothing_left: object) -> None:
    """The program goes on to its end; the exit status and one line say that the trace is incomplete."""
    done = run(option, "/dev/full", "/bin/sh", "-c", "/bin/true; echo at its end; exit 3")
    assert (done.returncode, done.stdout) == (125, "at its end\n")
    told = [line for line in done.stderr.splitlines() if line.startswith("ramet trace: ")]
    assert told == ["ramet trace: /dev/full: No space left on device: the rest is not written"]


def test_a_closed_standard_error(tmp_path: Path, nothing_left: object) -> None:
    """The program runs, and what was to be written there is not."""
    shell = f'"$@" /bin/sh -c "exit 3" 2>&- >{tmp_path}/out'
    done = subprocess.run(["/bin/sh", "-c", shell, "sh", *COMMAND], check=False, env=ENVIRONMENT)
    assert (done.returncode, (tmp_path / "out").read_text()) == (3, "")


def test_lines_of_a_file_can_be_followed(tmp_path: Path, nothing_left: object) -> None:
    """With -o and --json each line is there as soon as it is told."""
    lines, events = tmp_path / "lines", tmp_path / "events"
    with begin("-o", lines, "--json", events, "cat", stdin=subprocess.PIPE) as tracer:
        assert tracer.stdin is not None
        for file, words_ in (lines, "exec "), (events, '"exec"'):
            until(lambda file=file, words_=words_: file.exists() and words_ in file.read_text())  # type: ignore[misc]
        tracer.stdin.close()
    assert tracer.returncode == 0


def test_why_a_process_cannot_be_traced(nothing_left: object) -> None:
    """The tracer itself, and one that has ended, are told as what they are."""
    itself = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" -p $$', "sh", *COMMAND],
        capture_output=True, text=True, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    assert re.fullmatch(r"ramet trace: process \d+ is this one, .*\n", itself.stderr)
    ended = subprocess.Popen(["true"])
    until(lambda: procfs.state(ended.pid) == "Z")
    told = run("-p", ended.pid).stderr
    assert told == (
        f"ramet trace: process {ended.pid} has ended, and its parent has not waited for it yet\n"
    )
    ended.wait()


def test_a_daemon_is_traced_to_its_end(nothing_left: object) -> None:
    """The trace goes on until the last process has ended, and has the program's own exit status."""
    with begin("/bin/sh", "-c", "(cat <&3 3<&- &) 3<&0; exit 4", stdin=subprocess.PIPE) as tracer:
        assert tracer.stdin is not None
        assert tracer.stderr is not None
        lines = [next(line for line in tracer.stderr if "exited with 4" in line)]
        tracer.stdin.close()
        lines += tracer.stderr
    assert tracer.returncode == 4
    assert words(lines[-2])[0].lstrip().startswith("exited with 0")
    assert re.fullmatch(COST, lines[-1])
