"""ramet sandbox: what it says of this machine, and of input that is none."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ramet._sandbox.description import Sandbox
from ramet.cli.sandbox_options import OPTIONS, described

from ..sandbox.taken_away import needs_all

# warm is for many sandboxes, output for what is captured: neither is for one program in a shell.
NOT_IN_A_SHELL = {"warm", "output"}


def ramet(*words: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "ramet", "sandbox", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def given(**options: Any) -> dict[str, Any]:
    """What click hands over: those that were given, and nothing of the others."""
    names = [option.name.lstrip("-").replace("-", "_") for option in OPTIONS]
    nothing = {name: () if one.repeated else None for name, one in zip(names, OPTIONS, strict=True)}
    return {**nothing, **options}


def test_each_field_has_an_option() -> None:
    """But for those that one program in a shell has no use for."""
    fields = {field.name for field in dataclasses.fields(Sandbox)}
    assert {option.field for option in OPTIONS} == fields - NOT_IN_A_SHELL


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"read": ("/usr", "/etc")}, "read", ("/usr", "/etc")),
        ({"hide": ("/etc",)}, "hidden", ("/etc",)),
        ({"no_system": True}, "system", False),
        ({"tmp": "1M"}, "tmp", 1048576),
        ({"tmp": "none"}, "tmp", None),
        ({"no_proc": True}, "proc", False),
        ({"network": "host"}, "network", "host"),
        (
            {"connect": ("443", "80"), "bind": ("8080",)},
            "network",
            {"connect": (443, 80), "bind": (8080,)},
        ),
        ({"syscalls": "none"}, "syscalls", None),
        ({"kill": True}, "forbidden", "kill"),
        ({"processes": "8"}, "processes", 8),
        ({"cpus": "0.5"}, "cpus", 0.5),
        ({"memory": "1G"}, "memory", 1 << 30),
        ({"best": True}, "require", "best"),
    ],
)
def test_options_become_wishes(options: dict[str, Any], field: str, value: object) -> None:
    """Each text becomes the value that the field has in Python; nothing else changes."""
    found = described(given(**options))
    assert getattr(found, field) == value
    assert found.replace(**{field: getattr(Sandbox(), field)}) == Sandbox()


def test_variables_are_added_to_those_that_are_kept() -> None:
    """--env names one more."""
    assert described(given(env=("HOME",))).environment == (*Sandbox().environment, "HOME")


@needs_all
def test_check_says_by_what_each_wish_is_met() -> None:
    """A table with a line for each wish, and exit status 0 where all can be done."""
    done = ramet("--check", "--network", "loopback")
    assert (done.returncode, done.stderr) == (0, "")
    words = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert words[:5] == ["read", "tmp", "proc", "network", "syscalls"]
    assert "whole tree dies" in words


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--check", "--tmp", "much"], "tmp"),
        (
            ["--check", "--connect", "https"],
            "--connect: expected the number of a port, got 'https'",
        ),
        (
            ["--check", "--network", "host", "--bind", "80"],
            "expected it without --connect and --bind",
        ),
        (["--check", "--processes", "-1"], "expected a whole number, got '-1'"),
        (["--check", "--cpus", "half"], "expected a number, got 'half'"),
        (["--check", "--overlay"], "invalid overlay without write"),
        (["--no-such-option"], "no-such-option"),
        (["--json", "true"], "--json goes with --check"),
        ([], "which program?"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str) -> None:
    """It begins with the command's name, and the exit status is 125."""
    done = ramet(*words)
    assert done.returncode == 125
    assert done.stderr.startswith("ramet sandbox: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
