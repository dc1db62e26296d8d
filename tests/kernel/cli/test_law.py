import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from ramet import law
from ramet._preflight import on_running_kernel, this_machine, this_thread

from ...constants import SLOWER


def ramet(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ramet", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def test_explain_tells_what_is_shared() -> None:
    """A legal request is explained, with exit status 0."""
    done = ramet("explain", "CLONE_VM|CLONE_FS|SIGCHLD")
    assert done.returncode == 0
    assert "a privileged caller: granted" in done.stdout
    assert "Shared\n  memory\n  directories, umask\n" in done.stdout


def test_explain_of_a_refusal_has_its_own_exit_status() -> None:
    """What the kernel would refuse is exit status 1."""
    done = ramet("explain", "--unprivileged", "--call", "clone", "NEWUTS|SIGCHLD")
    assert done.returncode == 1
    assert "refused: EPERM, by rule J1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["CLONE_SIGHND"], "the nearest known name is CLONE_SIGHAND"),
        (["VM", "--kernel", "six"], "invalid kernel: expected a version"),
        (["VM", "--field", "stak=1"], "the nearest is stack"),
        (["VM", "--field", "stack=x"], "expected a number"),
        (["VM", "--unprivileged", "--as-me"], "two callers: use one"),
        (["0x1ffffffffffffffffffff"], "64 bits"),
    ],
)
def test_bad_input_of_explain_is_one_line(arguments: list[str], words: str) -> None:
    """Bad input is one clear error and exit status 2, never a traceback."""
    done = ramet("explain", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_explain_for_machines_and_as_a_drawing(tmp_path: Path) -> None:
    """--json prints an object, --svg writes a drawing."""
    drawing = tmp_path / "docker.svg"
    done = ramet("explain", "docker", "--json", "--svg", str(drawing), "--kernel", "6.18")
    told = json.loads(done.stdout)
    assert (told["errno"], told["getpid"]) == (None, 1)
    assert drawing.read_text().startswith("<svg ")
    nowhere = ramet("explain", "VM", "--svg", str(tmp_path / "no" / "file.svg"))
    assert nowhere.returncode == 1
    assert "Traceback" not in nowhere.stderr


def test_the_colours_of_a_drawing_can_be_fixed() -> None:
    """--theme light and dark are what svg() draws; without it the viewer decides."""
    drawn = law.explain("docker", kernel="6.18")
    for theme in ("light", "dark", "auto"):
        done = ramet("explain", "docker", "--kernel", "6.18", "--svg", "-", "--theme", theme)
        assert done.stdout == drawn.svg(theme)
    assert ramet("explain", "docker", "--kernel", "6.18", "--svg", "-").stdout == drawn.svg()
    wrong = ramet("explain", "docker", "--svg", "-", "--theme", "red")
    assert wrong.returncode == 2
    assert "Invalid value for '--theme'" in wrong.stderr


def test_explain_takes_fields() -> None:
    """Fields of the structure are given by name."""
    done = ramet("explain", "0", "--field", "set_tid=0x10000", "--field", "set_tid_size=33")
    assert "by rule A5" in done.stdout
    assert "by rule L1" in ramet("explain", "0", "--field", "set_tid=7,8").stdout


@pytest.mark.parametrize("words", [["VM,FS"], ["VM", "FS"], ["clone_vm|CLONE_FS"]])
def test_flags_need_no_quotes(words: list[str]) -> None:
    """Commas and blanks join them, too, which a shell leaves alone."""
    assert "clone3(flags=CLONE_VM|CLONE_FS)" in ramet("explain", *words).stdout


def in_terminal(columns: int, *arguments: str) -> str:
    """What is written to a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in PLAIN}
    subprocess.run(
        [sys.executable, "-m", "ramet", *arguments],
        stdin=theirs,
        stdout=theirs,
        check=False,
        env={
            **environment,
            "TERM": "xterm-256color",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
    )
    os.close(theirs)
    text = b""
    with suppress(OSError):  # EIO at the end
        while piece := os.read(ours, 65536):
            text += piece
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


PLAIN = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"}


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("request_", ["THREAD,NEWUSER", "docker", "VM|FS"])
def test_an_explanation_fits_its_terminal(columns: int, request_: str) -> None:
    """Words and flags stay whole at any width, none is lost, and what they are about has a colour."""
    text = in_terminal(columns, "explain", request_)
    assert "\x1b[1;38;5;31m" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= columns
    whole = ramet("explain", request_).stdout
    assert "".join(plain.split()) == "".join(whole.split())
    assert set(re.split(r"[\s|]+", plain)) == set(re.split(r"[\s|]+", whole))


def test_a_newer_kernel_is_named_as_such() -> None:
    """What the rules say of a kernel that nobody had seen is said with care."""
    assert "newer than 7.2" in ramet("explain", "VM", "--kernel", "99.1").stdout
    assert "newer than" not in ramet("explain", "VM", "--kernel", "7.1.3").stdout
    assert json.loads(ramet("explain", "VM", "--kernel", "99.1", "--json").stdout)[
        "newer_than_known"
    ]


def test_rules_are_listed_and_told() -> None:
    """`ramet law rules` lists all, and tells all about one."""
    assert ramet("law", "rules").stdout.count("\n") == len(law.RULES)
    told = ramet("law", "rules", "d3").stdout
    assert "copy_process, kernel/fork.c, since Linux 2.5.35" in told
    assert ramet("law", "rules", "Q1").returncode == 2


def test_law_check_runs_for_a_user() -> None:
    """The check agrees with this kernel, in less than a minute, and says so for machines."""
    done = ramet("law", "check", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert (report["agrees"], report["mismatches"]) == (True, [])
    assert report["seconds"] < 60 * SLOWER


# ---- the caller as it is


def test_this_process_describes_itself() -> None:
    """Caller.current() is this user in this state, and the law answers it as the kernel does."""
    caller = law.Caller.current()
    assert caller.privileged == (os.geteuid() == 0)
    assert not caller.chrooted
    assert caller.ids_mapped
    assert caller.threads >= 1
    # Others come and go between the two looks, and how many there are is a part of it.
    assert any(law.Caller.current() == this_thread.read_caller() for _ in range(1000))


def test_predict_is_for_the_kernel_that_runs() -> None:
    """Without a version the running kernel is asked, by name another."""
    assert on_running_kernel.predict(0).kernel == law.kernel_version(this_machine.running_kernel())
    assert on_running_kernel.predict(0, kernel="5.4").kernel == (5, 4, 0)


def test_the_law_alone_knows_this_process() -> None:
    """Caller.current() needs nothing of ramet to be used before."""
    code = "from ramet.law import Caller; print(Caller.current().threads)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
