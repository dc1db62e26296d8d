import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from click.testing import CliRunner

import ramet
from ramet import CloneFlag as F
from ramet.cli.group import ramet as command

from ...constants import PATIENT_SECONDS, SECONDS
from ...terminals import INTERRUPT, SUSPEND, Terminal, shell

RAMET = [sys.executable, "-m", "ramet", "tree"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    "LC_ALL": "C.UTF-8",
}
NO_SUCH_PID = 2**22 + 1
ENTER_SCREEN, LEAVE_SCREEN, SHOW_CURSOR = r"\x1b\[\?1049h", r"\x1b\[\?1049l", r"\x1b\[\?25h"


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*RAMET, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        timeout=PATIENT_SECONDS,
    )


@contextlib.contextmanager
def held(flags: int = 0) -> Iterator[int]:
    """The pid of a child that stays to the end of the block."""
    wait, let_go = os.pipe()
    child = ramet.clone(os.read, wait, 1, flags=flags)
    try:
        yield child.pid
    finally:
        os.write(let_go, b".")
        child.wait(SECONDS)
        os.close(wait)
        os.close(let_go)


def line_of(pid: int, text: str) -> str:
    (line,) = [line for line in text.splitlines() if re.search(rf"\D {pid}\b", line)]
    return line


# ---- once


@pytest.mark.parametrize("options", [[], ["--json"], ["--svg", "-"], ["--watch"]])
def test_a_full_disk_is_told_in_a_line(options: list[str], nothing_left: object) -> None:
    """And the exit status says that what was asked for is not there."""
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(
            [*RAMET, *options, str(os.getpid())],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=ENVIRONMENT,
            timeout=PATIENT_SECONDS,
        )
    told = "ramet: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_child_is_shown_with_what_it_shares(nothing_left: object) -> None:
    """Below its parent, and without colours where nobody sees them."""
    with held(int(F.VM | F.FILES)) as pid, held() as other:
        done = run(os.getpid())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split()[1].rstrip(",") == str(os.getpid())
    assert line_of(pid, done.stdout).endswith(f" {pid}  shares memory, descriptors")
    assert line_of(other, done.stdout).endswith(f" {other}")
    assert line_of(pid, done.stdout)[:3] in {"├─ ", "└─ "}
    assert "\x1b" not in done.stdout


def test_without_a_pid_all_processes_are_shown() -> None:
    """This one is among them, and a process of somebody else's, which may not be looked at."""
    done = run("--no-threads")
    assert done.returncode == 0
    assert line_of(os.getpid(), done.stdout)
    if os.geteuid() != 0:
        assert "not permitted" in line_of(1, done.stdout)


def test_threads_are_lines_when_asked_for() -> None:
    """Else their number; with --no-threads nothing is said of them."""
    code = "import threading; threading.Thread(target=input).start(); print(1, flush=True); input()"
    with ramet.Popen(
        [sys.executable, "-c", code], stdin=ramet.PIPE, stdout=ramet.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        counted, listed, none = (
            run(process.pid, *options).stdout for options in ([], ["--threads"], ["--no-threads"])
        )
        process.communicate("\n\n")
    assert line_of(process.pid, counted).endswith(", 1 thread")
    assert len(counted.splitlines()) == 1
    assert re.search(r"└─ \{.+\} \d+$", listed.splitlines()[1])
    assert line_of(process.pid, none).endswith(f" {process.pid}")


def test_all_says_what_is_so_as_a_rule() -> None:
    """Every namespace with its inode, the control group, and what it has of its own."""
    with held() as pid:
        line = line_of(pid, run(pid, "--all", "--no-threads").stdout)
    assert "own memory, descriptors, directories, umask, signal handlers" in line
    assert f"net:[{os.stat('/proc/self/ns/net').st_ino}]" in line
    assert "cgroup " in line


def test_json_is_what_the_library_says() -> None:
    """--json prints to_dict() of the tree."""
    with held(int(F.FS)) as pid:
        told = json.loads(run(pid, "--json").stdout)
        here = ramet.observe.tree(pid).to_dict()
    assert told["tasks"][0].keys() == here["tasks"][0].keys()
    assert told["tasks"][0]["shares"] == here["tasks"][0]["shares"]
    assert told["tasks"][0]["shares"]["fs"] is True


def test_svg_is_a_picture(tmp_path: Path) -> None:
    """A document with a line for each, in a file or on the standard output."""
    with held(int(F.VM)) as pid:
        file = tmp_path / "tree.svg"
        done = run(os.getpid(), "--svg", file, "--theme", "dark")
        shown = run(pid, "--svg", "-").stdout
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    words = "".join(ET.fromstring(file.read_text()).itertext())
    assert f" {pid}" in words
    assert "shares memory" in words
    assert "@media" not in file.read_text()
    assert ET.fromstring(shown).tag.endswith("svg")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([str(NO_SUCH_PID)], 1, f"there is no process {NO_SUCH_PID}, or it has ended"),
        (["x"], 2, "Invalid value for '[PID]': expected the number of a process, got 'x'"),
        (["0"], 2, "Invalid value for '[PID]': expected the number of a process, got '0'"),
        (["--watch=0"], 2, "Invalid value for '--watch'"),
        (["--watch", "--svg", "f"], 2, "--watch and --svg exclude each other"),
        (["--theme", "red"], 2, "Invalid value for '--theme'"),
    ],
    ids=str,
)
def test_bad_input_is_one_line(arguments: list[str], status: int, words: str) -> None:
    """One clear error, never a traceback."""
    done = CliRunner().invoke(command, ["tree", *arguments])
    assert done.exit_code == status
    assert done.output.startswith("ramet tree: ")
    assert done.output.count("\n") == 1
    assert words in done.output


# ---- again and again


class Watching:
    """ramet tree --watch with a pipe."""

    def __init__(self, *arguments: object) -> None:
        argv = [*RAMET, *map(str, arguments)]
        self.process = ramet.Popen(argv, stdout=ramet.PIPE, text=True, env=ENVIRONMENT)
        assert self.process.stdout is not None
        self.lines = self.process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.lines.close()
        self.process.kill()
        self.process.wait(PATIENT_SECONDS)

    def line_with(self, pattern: str) -> str:
        seen = []
        for line in self.lines:
            seen.append(line)
            if re.search(pattern, line):
                return line
        pytest.fail(f"{pattern!r} was not shown, but {seen!r}, and {self.process.wait()}")

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENT_SECONDS)


def test_births_and_ends_are_lines_in_a_file(nothing_left: object) -> None:
    """First the tree, then a line for each; Ctrl-C is the usual end of it."""
    with Watching(os.getpid(), "--watch=0.1") as watching:
        assert str(os.getpid()) in next(watching.lines)
        with held(int(F.VM)) as pid:
            begun = watching.line_with(rf" \+ .* {pid} below ")
            assert re.match(rf"[\d:]+ \+ .* {pid} below {os.getpid()}  shares memory$", begun)
        watching.line_with(rf"^[\d:]+ - .* {pid} below {os.getpid()}  ended$")
        assert watching.end(signal.SIGINT) == 0


def test_lines_of_json_for_programs() -> None:
    """The tree, and an object for each change; another signal has its usual effect."""
    with Watching(os.getpid(), "--watch=0.1", "--json") as watching:
        first = json.loads(next(watching.lines))
        assert first["tasks"][0]["pid"] == os.getpid()
        with held() as pid:
            begun = json.loads(watching.line_with(rf'"begun", "task": .*"pid": {pid},'))
        ended = json.loads(watching.line_with(rf'"ended", "task": .*"pid": {pid},'))
        assert begun["task"]["parent"] == ended["task"]["parent"] == os.getpid()
        assert watching.end(signal.SIGTERM) == -signal.SIGTERM


def test_it_ends_with_the_process_at_the_top() -> None:
    """Without a signal, and whether that is reaped or not; a daemon of it has left."""
    process = ramet.Popen(
        ["sh", "-c", "sleep 1000 & echo $!; read x"], stdin=ramet.PIPE, stdout=ramet.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        orphan = int(process.stdout.readline())
        with Watching(process.pid, "--watch=0.1") as watching:
            next(watching.lines)
            assert process.stdin is not None
            process.stdin.close()
            watching.line_with(rf" > .* {orphan} below {process.pid}  left$")
            os.kill(orphan, signal.SIGKILL)
            assert watching.process.wait(PATIENT_SECONDS) == 0


@pytest.fixture
def bash() -> Iterator[Terminal]:
    """Bash in a terminal with a screen."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    words = ("bash", "--norc", "--noprofile", "--noediting", "-i")
    with shell(*words, kind="xterm-256color") as terminal:
        terminal.see(r"\$ ")
        yield terminal


def watch(bash: Terminal) -> None:
    bash.type(f"{shlex.join(RAMET)} {os.getpid()} --watch=0.1; echo status=$?.\n")
    bash.see(ENTER_SCREEN)
    bash.see("Ctrl-C ends")


def test_ctrl_c_leaves_the_terminal_as_it_was(bash: Terminal) -> None:
    """What begins and ends is shown on a screen of its own; then the old one is back, and the cursor."""
    watch(bash)
    with held(int(F.FS)) as pid:
        bash.see(rf"\+ .*{pid} below {os.getpid()}.*directories, umask")
    bash.see(rf"- .*{pid} below {os.getpid()}.*ended")
    bash.type(INTERRUPT)
    ending = bash.see(r"status=0\.")
    assert re.search(LEAVE_SCREEN, ending)
    assert re.search(SHOW_CURSOR, ending)
    bash.type("echo the she''ll lives\n")
    bash.see("the shell lives")


def test_ctrl_z_gives_the_screen_back_until_fg(bash: Terminal) -> None:
    """The shell has its own screen meanwhile."""
    watch(bash)
    bash.type(SUSPEND)
    bash.see(LEAVE_SCREEN)
    bash.see("Stopped")
    bash.see(r"\$ ")
    bash.type("fg\n")
    bash.see(ENTER_SCREEN)
    bash.see("Ctrl-C ends")
    bash.type(INTERRUPT)
    bash.see(LEAVE_SCREEN)
    bash.see(r"\$ ")


def test_a_closed_pipe_is_no_traceback() -> None:
    """The next line that nobody reads is the end, and not told of."""
    argv = [*RAMET, str(os.getpid()), "--watch=0.1"]
    process = ramet.Popen(argv, stdout=ramet.PIPE, stderr=ramet.PIPE, text=True, env=ENVIRONMENT)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert str(os.getpid()) in process.stdout.readline()
        process.stdout.close()
        with held():
            assert process.stderr.read() == ""
        assert process.wait(PATIENT_SECONDS) == 1
