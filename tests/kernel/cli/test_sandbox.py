"""ramet sandbox: what each option asks for, how the end is told, and input that is none."""

import dataclasses
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ramet._sandbox.description import Sandbox
from ramet.cli.sandbox_options import AMOUNTS, NOT_OF_A_COMMAND, ROWS, options, sandbox_of

from ...constants import PATIENT_SECONDS, repeated
from ...terminals import shell
from ..sandbox.taken_away import needs_all

RAMET = [sys.executable, "-m", "ramet", "sandbox"]


def ramet(*words: object, **more: Any) -> subprocess.CompletedProcess[str]:
    argv = [*RAMET, *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, **more)


def given(*words: str) -> Sandbox:
    """What these options are as a Sandbox."""
    import click

    command = click.Command("sandbox", params=[*options()])
    return sandbox_of(command.make_context("sandbox", list(words)).params)


# ---- the options


def test_each_field_has_an_option() -> None:
    """But for those that one program in a shell has no use for."""
    fields = {field.name for field in dataclasses.fields(Sandbox)}
    assert set(NOT_OF_A_COMMAND) == {"warm"}
    assert {row.field for row in ROWS} - {"preset"} == fields - NOT_OF_A_COMMAND


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("--read /usr --read /etc", "read", ("/usr", "/etc")),
        ("--write /var/tmp", "write", ("/var/tmp",)),
        ("--hide /etc/x", "hidden", ("/etc/x",)),
        ("--root /", "root", "/"),
        ("--no-system", "system", False),
        ("--tmp 1M", "tmp", 1048576),
        ("--tmp none", "tmp", None),
        ("--no-proc", "proc", False),
        ("--network host", "network", "host"),
        ("--network /run/netns/one", "network", "/run/netns/one"),
        (
            "--connect 443,80 --connect 22 --bind 8080",
            "network",
            {"connect": (443, 80, 22), "bind": (8080,)},
        ),
        ("--syscalls strict", "syscalls", "strict"),
        ("--syscalls none", "syscalls", None),
        ("--syscalls /etc/calls.json", "syscalls", "/etc/calls.json"),
        ("--kill-forbidden", "forbidden", "kill"),
        (
            "--env HOME --env A=1",
            "environment",
            ("LANG", "LC_ALL", "LC_CTYPE", "PATH", "TERM", "TZ", "HOME", "A"),
        ),
        ("--hostname twig", "hostname", "twig"),
        ("--memory 1G", "memory", 1073741824),
        ("--processes 8", "processes", 8),
        ("--cpu-time 2m", "cpu_time", 120.0),
        ("--cpus 0.5", "cpus", 0.5),
        ("--open-files 64", "open_files", 64),
        ("--file-size 2k", "file_size", 2048),
        ("--output 3K", "output", 3072),
        ("--timeout 1.5", "timeout", 1.5),
        ("--require best", "require", "best"),
    ],
)
def test_options_become_wishes(words: str, field: str, value: object) -> None:
    """Each text becomes the value that the field has in Python; nothing else changes."""
    found = given(*words.split())
    assert getattr(found, field) == value
    assert found.replace(**{field: getattr(Sandbox(), field)}) == Sandbox()


def test_a_switch_with_what_it_needs() -> None:
    """--overlay needs what is written, --swap needs memory."""
    assert given("--overlay", "--write", "/var/tmp").overlay
    assert given("--memory", "1M", "--swap", "2M").swap == 2097152


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("strict", Sandbox.strict()),
        ("build:/var/tmp", Sandbox.build("/var/tmp")),
        ("agent:/var/tmp", Sandbox.agent("/var/tmp")),
        ("judge:64M,2", Sandbox.judge("64M", 2)),
    ],
)
def test_presets(preset: str, expected: Sandbox) -> None:
    """A preset is that of Python; other options change it, and paths are added to its own."""
    assert given("--preset", preset) == expected
    more = given("--preset", preset, "--memory", "32M", "--write", "/var/log", "--syscalls", "none")
    assert more == expected.replace(
        memory="32M", write=[*expected.write, "/var/log"], syscalls=None
    )
    assert given("--preset", preset, "--memory", "none", "--timeout", "9").memory is None


@pytest.mark.parametrize("field", [row.field for row in ROWS if row.heading == AMOUNTS])
def test_a_presets_amount_is_taken_away_by_none(field: str) -> None:
    """Each of them, whether it is bytes, a number or a time."""
    option = f"--{field.replace('_', '-')}"
    for preset in "agent:/var/tmp", "judge:64M,2", "strict":
        assert getattr(given("--preset", preset, option, "none"), field) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tmp", "much", "true"], "invalid --tmp: expected bytes"),
        (["--connect", "https", "true"], "expected ports such as 443 or 80,443, got 'https'"),
        (["--bind", "70000", "true"], "expected ports such as 443 or 80,443, got '70000'"),
        (["--network", "host", "--bind", "80", "true"], "invalid --network with bind: ports are"),
        (["--network", "host", "--connect", "80", "true"], "; leave --network out"),
        (["--network", "intranet", "true"], "expected none, loopback, host or a path"),
        (["--syscalls", "strct", "true"], "expected default, strict, none or a file, got 'strct'"),
        (["--processes", "-1", "true"], "expected a whole number above 0, got '-1'"),
        (["--cpus", "half", "true"], "expected a number above 0, such as 0.5 or 2, got 'half'"),
        (["--cpus", "0", "true"], "invalid --cpus: expected a number above 0"),
        (["--timeout", "soon", "true"], "expected a duration (5, 0.5, 2m, 1h, 1d), got 'soon'"),
        (["--timeout", "0", "true"], "expected a time above 0, got '0'"),
        (["--overlay", "true"], "invalid --overlay without --write"),
        (
            ["--read", "/", "true"],
            "invalid --read: '/' cannot be shown in an empty root directory; --root / ",
        ),
        (["--swap", "1M", "true"], "invalid --swap without --memory"),
        (["--require", "most", "true"], "invalid --require: expected 'all' or 'best'"),
        (["--preset", "jail", "true"], "expected strict, build:DIR, agent:DIR or judge:MEMORY,SEC"),
        (["--preset", "judge:64M", "true"], "expected strict, build:DIR, agent:DIR or judge:MEM"),
        (["--env", "=1", "true"], "expected NAME or NAME=VALUE, got '=1'"),
        (["--no-such-option", "true"], "No such option '--no-such-option'"),
        (["--json", "true"], "--json goes with --check or --report"),
        (["--hide", "/", "true"], "invalid --hide: '/' is all that there is"),
        (["--open-files", "4", "true"], "invalid --open-files: expected 5 or more"),
        (["--write", "/nowhere", "true"], "'/nowhere' does not exist; remedy: make it first"),
        ([], "which program? ramet sandbox [OPTIONS] [--] PROGRAM [ARGS]..."),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str) -> None:
    """It begins with the command's name, and the exit status is 125."""
    done = ramet(*words)
    assert done.returncode == 125
    assert done.stderr.startswith("ramet sandbox: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


# ---- the plan


@needs_all
def test_check_says_by_what_each_wish_is_met() -> None:
    """A table with a line for each wish, and exit status 0 where all can be done."""
    done = ramet("--check", "--network", "loopback", "--memory", "64M")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split("  ")[0] for line in done.stdout.splitlines()]
    words = [word for word in lines if word]
    assert words[:6] == ["wish", "read", "tmp", "proc", "network", "syscalls"]
    assert {"whole tree dies", "memory"} < set(words)
    assert words[-1] == "a program would start"


@needs_all
@pytest.mark.parametrize("columns", ["wide", "-1", "0", "5", "40"])
def test_check_on_a_terminal_of_any_width(columns: str) -> None:
    """What COLUMNS says is taken where it is a number, and is enough for a table."""
    done = ramet("--check", env={**os.environ, "COLUMNS": columns})
    assert (done.returncode, done.stderr) == (0, "")
    assert "network" in done.stdout


@needs_all
def test_a_few_open_files() -> None:
    """The least that there may be are enough; those that are passed count as well, and it is said."""
    assert ramet("--open-files", "5", "--", "true").returncode == 0
    done = ramet("--open-files", "5", "--fd", "3=/etc/passwd", "--", "true")
    assert done.returncode == 125
    assert "open_files=5 is too small: 5 are needed, and one for each" in done.stderr
    assert ramet("--open-files", "6", "--fd", "3=/etc/passwd", "--", "true").returncode == 0


@needs_all
def test_check_as_json(tmp_path: Path) -> None:
    """The same as an object; 125 where something stands against it, which a row names."""
    done = ramet("--check", "--json", "--read", tmp_path, "--hostname", "twig")
    told = json.loads(done.stdout)
    assert (done.returncode, told["starts"], told["seccomp"]) == (0, True, True)
    missing = str(tmp_path / "missing")
    done = ramet("--check", "--json", "--write", missing)
    told = json.loads(done.stdout)
    assert (done.returncode, told["starts"]) == (125, False)
    (row,) = (row for row in told["rows"] if row["path"])
    assert (row["wish"], row["path"], row["mistaken"]) == ("write", missing, True)


# ---- a program


@needs_all
def test_the_exit_status_is_the_programs() -> None:
    """A code as it is, 128+N for signal N."""
    assert ramet("--", "sh", "-c", "exit 7").returncode == 7
    assert ramet("--", "sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM
    assert ramet("true").returncode == 0
    assert ramet("/etc/passwd").returncode == 126


@needs_all
def test_what_is_not_met_is_told() -> None:
    """With --require best what this machine cannot do is left out, and named; without it nothing runs."""
    words = ["--network", "/proc/self/ns/uts", "--", "echo", "ran"]
    done = ramet("--require", "best", *words)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr == "ramet sandbox: not met in full: network; --report tells more\n"
    done = ramet("--require", "best", "--report", *words)
    assert "  not met in full: network: " in done.stderr
    done = ramet(*words)
    assert (done.returncode, done.stdout) == (125, "")


@needs_all
def test_an_overlay(tmp_path: Path) -> None:
    """What was written is listed in the report and thrown away."""
    here = tmp_path / "in"
    here.mkdir()
    (here / "old").touch()
    words = ("--write", here, "--overlay", "--report")
    program = ("--", "sh", "-c", f"rm {here}/old; echo x > {here}/new; ls {here}")
    done = ramet(*words, *program)
    assert done.stdout == "new\n"
    assert f"  changed: added {here}/new (file, 2 bytes)\n" in done.stderr
    told = json.loads(ramet(*words, "--json", *program).stderr)
    assert {(each["kind"], each["path"]) for each in told["changes"]} == {
        ("added", f"{here}/new"),
        ("deleted", f"{here}/old"),
    }
    assert (os.listdir(here), os.listdir(tmp_path)) == (["old"], ["in"])


@needs_all
def test_an_overlay_that_cannot_be_read(tmp_path: Path) -> None:
    """The program ran: its exit status is told, and why its changes are not."""
    deep = "i=0; while [ $i -lt 140 ]; do mkdir d; cd d; i=$((i+1)); done; exit 7"
    words = ("--write", tmp_path, "--cwd", tmp_path, "--overlay", "--report")
    done = ramet(*words, "--", "sh", "-c", deep)
    why = "invalid layer: expected no directories deeper than 128"
    assert done.returncode == 7
    assert f"\n  changes cannot be read: {why}" in done.stderr
    done = ramet(*words, "--json", "--", "sh", "-c", deep)
    told = json.loads(done.stderr)
    assert (done.returncode, told["code"], told["changes"]) == (7, 7, None)
    assert told["changes_unread"].startswith(why)


@needs_all
def test_it_begins_here_where_this_is_shown(tmp_path: Path) -> None:
    """Else in the first directory that it may write, else in /tmp; --cwd names another."""
    (tmp_path / "in").mkdir()
    (tmp_path / "other").mkdir()
    here, other = tmp_path / "in", tmp_path / "other"
    assert ramet("--read", ".", "pwd", cwd=here).stdout == f"{here}\n"
    assert ramet("--write", other, "pwd", cwd=here).stdout == f"{other}\n"
    assert ramet("pwd", cwd=here).stdout == "/tmp\n"
    assert ramet("--read", ".", "--cwd", "/usr", "pwd", cwd=here).stdout == "/usr\n"
    assert ramet("--read", ".", "--cwd", "../in", "pwd", cwd=here).stdout == f"{here}\n"
    assert ramet("--read", "..", "--cwd", ".", "pwd", cwd=here).stdout == f"{here}\n"


@needs_all
def test_why_a_program_here_cannot_be_executed(tmp_path: Path) -> None:
    """It begins here, where the file is: what is told is of the file, not of where it begins."""
    (tmp_path / "no_mode").write_text("true\n")
    (tmp_path / "no_interpreter").write_text("#!/nonexistent\n")
    (tmp_path / "no_interpreter").chmod(0o755)
    (tmp_path / "of_windows").write_text("#!/bin/sh\r\necho 1\r\n", newline="")
    (tmp_path / "of_windows").chmod(0o755)
    (tmp_path / "directory").mkdir()
    for name, code, why in (
        ("no_mode", 126, "it may not be executed: a mode bit"),
        (
            "no_interpreter",
            127,
            "the interpreter of its first line, '/nonexistent', does not exist",
        ),
        (
            "of_windows",
            127,
            "'/bin/sh\\r', does not exist; the lines of the script end in CR LF, as on Windows",
        ),
        ("directory", 126, "it is a directory"),
    ):
        done = ramet("--read", ".", f"./{name}", cwd=tmp_path)
        assert (done.returncode, why in done.stderr) == (code, True), done.stderr
    assert "--read" not in ramet("", cwd=tmp_path).stderr


@needs_all
def test_a_forbidden_call_never_returns() -> None:
    """With --kill-forbidden; the listener's end has it fail, and the program must be dead by then."""
    words = ("--kill-forbidden", "sh", "-c", "unshare -U true; echo went on")
    for _ in range(repeated(20)):
        done = ramet(*words)
        assert (done.returncode, done.stdout) == (128 + signal.SIGKILL, "")


@needs_all
def test_variables() -> None:
    """Those that are named, with their values here or those that are given."""
    environment = {**os.environ, "KEPT": "1", "LEFT": "2"}
    done = ramet("--env", "KEPT", "--env", "MADE=x=y", "--env", "UNSET", "env", env=environment)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert (found["KEPT"], found["MADE"]) == ("1", "x=y")
    assert not {"LEFT", "UNSET"} & set(found)


@needs_all
def test_a_limit_that_ended_it_is_told() -> None:
    """In one line, with exit status 124 for the deadline and 137 for others."""
    done = ramet("--timeout", "0.1", "--", "sleep", "100")
    assert (done.returncode, done.stderr) == (
        124,
        "ramet sandbox: ended by: deadline (timeout 0.1)\n",
    )
    done = ramet("--output", "1K", "--", "yes")
    assert done.returncode == 137
    assert done.stderr == "ramet sandbox: ended by: output (output 1.0 KiB)\n"
    assert done.stdout == "y\n" * 512


@needs_all
def test_output_within_its_limit_is_all_there() -> None:
    """Both streams pass through."""
    done = ramet("--output", "1M", "--", "sh", "-c", "seq 10000; echo end >&2")
    assert done.stdout.split() == [str(number) for number in range(1, 10001)]
    assert (done.returncode, done.stderr) == (0, "end\n")


@needs_all
@pytest.mark.parametrize("to", ["", ">&2"])
def test_output_that_cannot_be_written_is_told(to: str) -> None:
    """A full disk is a failure of the command's; a pipe that nobody reads is the program's, as ever."""
    command = shlex.join([*RAMET, "--output", "1K", "--", "sh", "-c", f"echo hi {to}"])
    full = subprocess.run(
        ["sh", "-c", f"{command} {'2' if to else ''}>/dev/full"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENT_SECONDS,
    )
    assert (full.returncode, full.stdout) == (125, "")
    assert full.stderr == (
        "" if to else "ramet sandbox: standard output: No space left on device\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    words = ["--output", "1M", "--", "sh", "-c", "while :; do echo hi; done"]
    unread = subprocess.Popen([*RAMET, *words], stdout=writer)
    os.close(writer)
    assert unread.wait(PATIENT_SECONDS) == 128 + signal.SIGPIPE


@needs_all
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("-- /nosuch", 127),
        ("-- /etc/passwd", 126),
        ("--timeout 0.2 -- sleep 100", 124),
        ("--report -- true", 0),
        ("--report -- sh -c 'exit 7'", 7),
        ("--require all --network /proc/self/ns/uts -- true", 125),
        ("--nosuch -- true", 125),
    ],
)
def test_the_exit_status_does_not_depend_on_what_can_be_told(words: str, code: int) -> None:
    """Standard error may be full, or closed."""
    for where in ("/dev/full", "&-"):
        command = f"{shlex.join(RAMET)} {words} 2>{where}"
        done = subprocess.run(["sh", "-c", command], check=False, timeout=PATIENT_SECONDS)
        assert done.returncode == code, where


@needs_all
def test_the_report() -> None:
    """What ended it and what it used, on standard error, in words and as an object."""
    done = ramet("--report", "--", "sh", "-c", "echo out; exit 3")
    first, *rest = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert first.startswith("ramet sandbox: sh: exited with 3 after ")
    assert any(line.startswith("  processor time: ") for line in rest)
    done = ramet("--report", "--json", "--timeout", "0.1", "--", "sleep", "100")
    told = json.loads(done.stderr)
    assert (told["reason"], told["code"], told["signal"]) == ("deadline", None, "SIGKILL")
    assert (told["argv"], told["limits_hit"]) == (["sleep", "100"], ["timeout"])
    plain_user = {"no user of the host"} if os.geteuid() else set()
    assert {each["wish"] for each in told["lost"]} == plain_user


# ---- what it does not see


@needs_all
def test_a_program_that_is_not_seen(tmp_path: Path) -> None:
    """The message says so, with the option that shows it; the exit status is 127."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho done\n")
    script.chmod(0o755)
    done = ramet(script)
    assert done.returncode == 127
    assert f"the sandbox does not see {str(script)!r}: --read {script} shows it" in done.stderr
    assert ramet("--read", script, script).stdout == "done\n"
    done = ramet("./script", cwd=tmp_path)
    assert "does not see './script': --read . shows this directory" in done.stderr
    assert ramet("--read", ".", "./script", cwd=tmp_path).stdout == "done\n"


@needs_all
def test_a_python_of_its_own_environment(tmp_path: Path) -> None:
    """A link in one directory to a program in another: both are named, and what lies beside them."""
    for name in ("environment", "version"):
        (tmp_path / name / "bin").mkdir(parents=True)
    program = tmp_path / "version" / "bin" / "python"
    program.write_text("#!/bin/sh\necho $0\n")
    program.chmod(0o755)
    link = tmp_path / "environment" / "bin" / "python"
    link.symlink_to(program)
    done = ramet(link)
    shows = f"--read {tmp_path}/environment --read {tmp_path}/version"
    assert f"which is {str(program)!r}: {shows} shows it" in done.stderr
    assert ramet(*shows.split(), link).stdout == f"{link}\n"
    done = ramet("--read", tmp_path / "version", link)
    assert f": --read {tmp_path}/environment shows it" in done.stderr


@needs_all
def test_an_interpreter_that_is_not_seen(tmp_path: Path) -> None:
    """A script whose first line names it, and one whose interpreter is not there at all."""
    shell = tmp_path / "own-shell"
    shell.write_bytes(Path("/bin/sh").read_bytes())
    shell.chmod(0o755)
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    for name, interpreter in (("one", str(shell)), ("two", "/nowhere/sh")):
        (scripts / name).write_text(f"#!{interpreter}\necho done\n")
        (scripts / name).chmod(0o755)
    done = ramet("--read", scripts, scripts / "one")
    assert f"it is a script, and the sandbox does not see {str(shell)!r}" in done.stderr
    done = ramet("--read", scripts, scripts / "two")
    assert "the interpreter of its first line, '/nowhere/sh', does not exist" in done.stderr
    assert done.returncode == 127


@needs_all
def test_a_file_that_is_not_seen(tmp_path: Path) -> None:
    """A program that fails, and was given a file that only the caller sees: a line says it."""
    (tmp_path / "text").write_text("words\n")
    done = ramet("cat", tmp_path / "text")
    assert done.returncode == 1
    assert f"--read {tmp_path / 'text'} shows it" in done.stderr
    done = ramet("cat", "text", cwd=tmp_path)
    assert "--read . shows this directory, and it begins there" in done.stderr
    assert ramet("--read", ".", "cat", "text", cwd=tmp_path).stdout == "words\n"


@needs_all
def test_a_relative_path_of_a_program_that_begins_elsewhere(tmp_path: Path) -> None:
    """The file is shown, but not where the program begins: a line says where that is, and what helps."""
    (tmp_path / "part").mkdir()
    text = tmp_path / "part/text"
    text.write_text("words\n")
    read = ("--read", "part")
    done = ramet(*read, "cat", "part/text", cwd=tmp_path)
    assert done.returncode == 1
    hint = f"name it {str(text)!r}, or begin here by --cwd {tmp_path}"
    assert f"ramet sandbox: the program begins in '/tmp', not here: {hint}\n" in done.stderr
    assert ramet(*read, "cat", text, cwd=tmp_path).stdout == "words\n"
    assert ramet(*read, "--cwd", tmp_path, "cat", "part/text", cwd=tmp_path).stdout == "words\n"


@needs_all
def test_there_is_no_such_program() -> None:
    """Exit status 127, as with any shell."""
    done = ramet("no-such-program")
    assert done.returncode == 127
    assert "step 'execve' failed on 'no-such-program': ENOENT" in done.stderr


@needs_all
def test_the_advice_is_a_shells() -> None:
    """And not Python's: for a command line in quotes, and for a home directory."""
    done = ramet("ls -l")
    assert done.returncode == 127
    assert done.stderr.endswith(
        "without quotes around all of them: ls -l; or a shell: sh -c 'ls -l'\n"
    )
    done = ramet("--read", "~/x", "ls")
    assert done.returncode == 125
    assert "as in --read ~/x: there the shell replaces '~'" in done.stderr
    done = ramet("--read", "$HOME/x", "ls")
    assert "leave out the single quotes: the shell replaces '$NAME' in double ones" in done.stderr


@needs_all
def test_a_preset_that_counts_output_has_no_terminal() -> None:
    """Who types is told why a program shows no prompt, and what gives it the terminal."""
    words = f"{shlex.join(RAMET)} --preset strict"
    tells = 'test -t 1 && echo A""TERMINAL || echo NO""NE'
    with shell("sh", "-c", f"{words} -- sh -c {shlex.quote(tells)}; read x") as terminal:
        assert "so is no terminal to it: --output none gives" in terminal.see("NONE")
    for output, seen in ("none", "ATERMINAL"), ("1M", "NONE"):
        line = f"{words} --output {output} -- sh -c {shlex.quote(tells)}; read x"
        with shell("sh", "-c", line) as terminal:
            assert "--output" not in terminal.see(seen).split("ramet sandbox:", 1)[-1]


@needs_all
def test_no_word_of_terminals_where_there_is_none() -> None:
    """A program whose output is read has the limit of its preset, and nothing is told."""
    done = ramet("--preset", "strict", "echo", "hi")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")


# ---- signals


@needs_all
def test_signals_reach_the_program() -> None:
    """SIGTERM to ramet comes to the program, whose exit status is ramet's."""
    program = "trap 'exit 9' TERM; echo ready; sleep 1000 & wait"
    with subprocess.Popen([*RAMET, "--", "sh", "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(PATIENT_SECONDS) == 9


@needs_all
def test_nothing_is_left_when_ramet_is_killed() -> None:
    """SIGKILL to ramet ends the program, and what it has started."""
    program = "setsid sleep 1000 & echo ready; sleep 1000"
    with subprocess.Popen([*RAMET, "--", "sh", "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        process.wait(PATIENT_SECONDS)
        assert process.stdout.read() == b""  # no process has the other end any more


# ---- descriptors


@needs_all
@pytest.mark.parametrize("output", [(), ("--output", "1M")], ids=["inherited", "counted"])
def test_a_socket_is_passed(output: tuple[str, ...]) -> None:
    """By a number of its own; the program reaches what is at the other end, without a network."""
    ours, theirs = socket.socketpair()
    script = "read line <&5; echo $line; echo answered >&5"
    argv = [*RAMET, *output, "--fd", f"5=fd:{theirs.fileno()}", "--", "sh", "-c", script]
    with ours:
        with theirs:
            process = subprocess.Popen(
                argv, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, text=True
            )
        ours.settimeout(PATIENT_SECONDS)
        ours.sendall(b"asked\n")
        assert ours.recv(20) == b"answered\n"
        assert process.communicate(timeout=PATIENT_SECONDS)[0] == "asked\n"
    assert process.returncode == 0


@needs_all
def test_a_file_is_passed(tmp_path: Path) -> None:
    """It is opened here, and the program needs no right to its path."""
    file = tmp_path / "file"
    file.write_text("read\n")
    done = ramet(
        *("--fd", f"3={file}", "--fd", f"4=append:{file}", "--"),
        *("sh", "-c", "cat <&3; echo more >&4"),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "read\n", "")
    assert file.read_text() == "read\nmore\n"


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    """Before anything is made, with what was given."""
    done = ramet("--fd", "3=fd:99", "--", "true")
    assert done.returncode == 125
    assert "'3=fd:99': Bad file descriptor" in done.stderr
