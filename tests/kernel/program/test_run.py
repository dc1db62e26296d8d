import asyncio
import errno
import inspect
import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

import ramet
from ramet import CloneFlag as F
from ramet._process.tree.walk import Walk

from ...constants import SECONDS, WALL, repeated

T = TypeVar("T")

PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL
NAMES = ("run", "call", "check_call", "check_output", "getoutput", "getstatusoutput")

BOTH = ["sh", "-c", "cat; echo bad >&2; exit 3"]
GOOD = ["printf", r"1\n2\n"]

# What is asked of subprocess and of Ramet alike: function, arguments, options.
QUESTIONS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("run", (BOTH,), {"input": b"in", "capture_output": True}),
    ("run", (BOTH,), {"input": "in", "capture_output": True, "text": True}),
    ("run", (BOTH,), {"input": "in", "stdout": PIPE, "stderr": STDOUT, "encoding": "ascii"}),
    ("run", (BOTH,), {"stdin": DEVNULL, "capture_output": True, "check": True}),
    ("run", (["cat"],), {"input": "", "capture_output": True}),
    ("run", (["cat"],), {"input": b"", "stdout": PIPE}),
    ("run", (BOTH,), {"input": b"in", "stdin": PIPE}),
    ("run", (BOTH,), {"stdout": PIPE, "capture_output": True}),
    ("run", (), {"args": GOOD, "stdout": PIPE}),
    ("run", (GOOD, -1, None, None, PIPE), {}),
    ("run", (["sleep", "1000"],), {"timeout": 0.05, "capture_output": True, "text": True}),
    ("run", (["/no/such"],), {"capture_output": True}),
    ("run", (["true"],), {"cwd": "/no/such"}),
    ("run", (["true"],), {"bufsize": "x"}),
    ("run", (["true"],), {"pipesize": "x"}),
    ("run", (["true"],), {"text": True, "universal_newlines": False}),
    ("run", (["true"],), {"no_such_option": 1}),
    ("run", (["true"],), {"startupinfo": object()}),
    ("run", (["true"],), {"creationflags": 5}),
    ("run", (["true"],), {"user": -1}),
    ("run", (["true"],), {"user": 1 << 70}),
    ("run", (["true"],), {"user": 1.5}),
    ("run", (["true"],), {"user": "no such user"}),
    ("run", (["true"],), {"group": -1}),
    ("run", (["true"],), {"group": "no such group"}),
    ("run", (["true"],), {"extra_groups": "root"}),
    ("run", (["true"],), {"extra_groups": [-1]}),
    ("run", (["true"],), {"extra_groups": [1 << 70]}),
    ("run", (["true"],), {"extra_groups": [1.5]}),
    ("run", ("exit 5",), {"shell": True}),
    ("run", (["echo $0 $1", "a", "b"],), {"shell": True, "capture_output": True}),
    ("run", ("echo $0",), {"shell": True, "executable": "/bin/sh", "capture_output": True}),
    ("run", (Path("true"),), {"shell": True}),
    ("run", (Path("/bin/true"),), {}),
    ("run", (b"/bin/true",), {}),
    ("run", (["sh", "-c", "kill -KILL $$"],), {}),
    ("run", (["sh", "-c", "umask"],), {"umask": 0o70, "capture_output": True}),
    ("run", (["sh", "-c", "echo $A-$B"],), {"env": {"A": "1"}, "capture_output": True}),
    ("run", (["cat"],), {"capture_output": True, "stdin": io.BytesIO(b"no descriptor")}),
    ("call", (["sh", "-c", "exit 4"],), {}),
    ("call", (["sleep", "1000"],), {"timeout": 0.05}),
    ("call", (), {"args": ["false"]}),
    ("check_call", (["true"],), {}),
    ("check_call", (["sh", "-c", "exit 4"],), {}),
    ("check_call", (), {"args": ["false"]}),
    ("check_call", (["sleep", "1000"],), {"timeout": 0.05}),
    ("check_output", (GOOD,), {}),
    ("check_output", (GOOD,), {"text": True}),
    ("check_output", (["cat"],), {"input": b"in"}),
    ("check_output", (["cat"],), {"input": None}),
    ("check_output", (["cat"],), {"input": None, "text": True}),
    ("check_output", (["sh", "-c", "echo out; exit 4"],), {}),
    ("check_output", (["sh", "-c", "echo err >&2"],), {"stderr": STDOUT}),
    ("check_output", (["sleep", "1000"],), {"timeout": 0.05}),
    ("check_output", (GOOD,), {"stdout": PIPE}),
    ("check_output", (GOOD,), {"check": False}),
    ("check_output", (), {"args": GOOD}),
    ("getoutput", ("echo out; echo err >&2",), {}),
    ("getstatusoutput", (r"printf '\303\244\r\n\n'; exit 4",), {"encoding": "utf-8"}),
    ("getstatusoutput", ("kill -TERM $$",), {}),
]
if sys.version_info >= (3, 13):  # what subprocess did not say so well before
    QUESTIONS += [
        ("run", (["sleep", "1000"],), {"timeout": 0}),
        ("run", (["sleep", "1000"],), {"timeout": -1}),
        ("run", (["true"],), {"stdout": STDOUT}),
    ]


def answer(library: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> list[Any]:
    """What comes of it, or how it fails, in simple values."""
    try:
        value = getattr(library, name)(*args, **options)
    except Exception as error:
        told = [getattr(error, name, None) for name in ("errno", "filename", "cmd", "timeout")]
        output = [getattr(error, name, None) for name in ("output", "stderr", "returncode")]
        return [_builtin_kinds(error), *told, *output]
    if isinstance(value, subprocess.CompletedProcess):
        return [value.args, value.returncode, value.stdout, value.stderr]
    return [value]


def _builtin_kinds(error: Exception) -> set[type[Any]]:
    """The classes by which a user of subprocess catches it."""
    return {kind for kind in type(error).__mro__ if kind.__module__ in {"builtins", "subprocess"}}


@pytest.mark.parametrize("number", range(len(QUESTIONS)))
def test_the_answer_is_that_of_subprocess(number: int, nothing_left: object) -> None:
    """Asked the same, both say the same; what catches subprocess's error catches Ramet's."""
    name, args, options = QUESTIONS[number]
    theirs = answer(subprocess, name, args, dict(options))
    ours = answer(ramet, name, args, dict(options))
    if isinstance(theirs[0], set):
        assert ours[0] >= theirs[0]
        theirs[0] = ours[0]
    assert ours == theirs


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_are_those_of_subprocess(name: str) -> None:
    """Each named parameter of the namesake is there, with the same default."""
    ours = inspect.signature(getattr(ramet, name)).parameters
    for parameter in inspect.signature(getattr(subprocess, name)).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        assert ours[parameter.name].kind is parameter.kind
        assert ours[parameter.name].default == parameter.default


def test_the_parameters_of_popen_are_those_of_subprocess() -> None:
    """Popen takes what subprocess.Popen takes, in its order and with its defaults."""
    theirs = list(inspect.signature(subprocess.Popen.__init__).parameters.values())
    ours = list(inspect.signature(ramet.Popen.__init__).parameters.values())
    assert [(p.name, p.kind, p.default) for p in ours[: len(theirs)]] == [
        (p.name, p.kind, p.default) for p in theirs
    ]
    assert [p.kind for p in ours[len(theirs) :]] == [inspect.Parameter.VAR_KEYWORD]


def test_the_attributes_of_popen_are_those_of_subprocess(nothing_left: object) -> None:
    """Whatever public attribute a subprocess.Popen has, a Popen has as well, and equal."""
    for options in ({}, {"text": True}, {"encoding": "latin-1", "errors": "ignore"}):
        ours, theirs = (library.Popen(["true"], **options) for library in (ramet, subprocess))
        assert ours.wait(SECONDS) == theirs.wait(SECONDS) == 0
        public = [name for name in dir(theirs) if not name.startswith("_") and name != "pid"]
        assert [name for name in public if not hasattr(ours, name)] == []
        assert [name for name in vars(theirs) if not name.startswith("_") and name != "pid"] != []
        for name in vars(theirs):
            if not name.startswith("_") and name != "pid":
                assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize("name", ["run", "call", "check_call", "check_output"])
def test_all_take_the_vocabulary(name: str, nothing_left: object) -> None:
    """Options that only Ramet has go with every one of them."""
    function = getattr(ramet, name)
    assert function(["sh", "-c", 'test "$(ulimit -n)" = 64'], rlimits={"NOFILE": 64}) is not None
    with pytest.raises(TypeError, match="rlimits"):
        function(["true"], rlimit={"NOFILE": 64})


@pytest.mark.parametrize("name", NAMES)
def test_a_start_that_nobody_could_call_is_refused(name: str, nothing_left: object) -> None:
    """Who waits for a program to its end does not make one that waits for start()."""
    with pytest.raises(ValueError, match=r"start=False is for Popen"):
        getattr(ramet, name)(["true"], start=False)
    with pytest.raises(ValueError, match=r"start=False is for Popen"):
        getattr(ramet, name)(["true"], start=False, timeout=SECONDS)


@pytest.mark.parametrize(
    ("args", "options", "error", "words"),
    [
        (None, {}, TypeError, "invalid args: expected a list of words, got None$"),
        (5, {}, TypeError, "invalid args: expected a list of words, got 5$"),
        (print, {}, TypeError, r"invalid args: .*; ramet.clone\(fn\) runs a function$"),
        (["echo", 5], {}, TypeError, r"args\[1\]: expected str, bytes or a path, got 5; str\(5\)$"),
        (["echo", None], {"shell": True}, TypeError, r"args\[1\]: .*, got None$"),
        (
            ["cat"],
            {"stdin": "in.txt"},
            TypeError,
            r"got 'in.txt'; open\('in.txt', 'rb'\) makes one$",
        ),
        (
            ["true"],
            {"stdout": Path("x")},
            TypeError,
            "invalid stdout: expected PIPE, DEVNULL, a .*'wb'",
        ),
        (
            ["true"],
            {"stderr": 1.5},
            TypeError,
            "invalid stderr: expected PIPE, STDOUT, DEVNULL, .* 1.5$",
        ),
        (
            ["true"],
            {"extra_groups": 5},
            TypeError,
            "invalid extra_groups: expected a list .*, got 5$",
        ),
        (["true"], {"umask": -2}, ValueError, "invalid umask: expected an int from 0 .*, got -2$"),
    ],
    ids=str,
)
def test_what_is_no_word_or_stream_is_named(
    args: Any, options: dict[str, Any], error: type[Exception], words: str, nothing_left: object
) -> None:
    """The error says which of them it is, and what makes one of it."""
    with pytest.raises(error, match=words):
        ramet.run(args, **options)
    with pytest.raises(error, match=words):
        ramet.Popen(args, **options)


@pytest.mark.parametrize(
    ("name", "instead"), [("stdin", "input="), ("stdout", "PIPE or"), ("stderr", "PIPE or")]
)
def test_a_file_in_memory_is_no_stream(name: str, instead: str, nothing_left: object) -> None:
    """It has no descriptor; the error is of the type that subprocess raises."""
    streams: dict[str, Any] = {name: io.BytesIO()}
    with pytest.raises(io.UnsupportedOperation, match=f"^invalid {name}: .*; {instead}"):
        ramet.run(["true"], **streams)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"input": "x"}, TypeError, "invalid input: expected bytes, got str; text=True takes str$"),
        ({"input": b"x", "text": True}, TypeError, "expected a str in text mode, got bytes$"),
        ({"input": 5}, TypeError, "invalid input: expected bytes, got int$"),
        ({"kill_after": 5}, ValueError, "invalid kill_after without timeout"),
        ({"kill_tree": "no"}, TypeError, "invalid kill_tree: expected True or False, got 'no'$"),
    ],
    ids=str,
)
def test_what_run_takes_is_checked_before_the_program(
    options: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    """What cannot be sent, and ends that cannot be, are refused while nothing has been started."""
    made = tmp_path / "made"
    with pytest.raises(error, match=words):
        ramet.run(["sh", "-c", 'cat; touch "$0"', str(made)], **options)
    with pytest.raises(error, match=words):
        asyncio.run(ramet.aio.run(["sh", "-c", 'cat; touch "$0"', str(made)], **options))
    assert not made.exists()


def test_no_time_between_sigterm_and_the_end_needs_no_timeout(nothing_left: object) -> None:
    """kill_after=0 asks for nothing, as leaving it out does."""
    assert ramet.run(["true"], kill_after=0, kill_tree=False).returncode == 0


def test_the_warning_for_an_encoding_names_the_caller() -> None:
    """With -X warn_default_encoding the line is named that asked for text."""
    script = (
        "import ramet\n\nramet.run(['true'], text=True)\nramet.Popen(['true'], text=True).wait()\n"
    )
    argv = [sys.executable, "-X", "warn_default_encoding", "-c", script]
    told = subprocess.run(argv, stderr=PIPE, text=True, check=True, encoding="utf-8").stderr
    lines = [line for line in told.splitlines() if "EncodingWarning" in line]
    assert [line.split(" ")[0] for line in lines] == ["<string>:3:", "<string>:4:"]


def test_a_tree_that_cannot_be_found_leaves_no_program(
    monkeypatch: pytest.MonkeyPatch, nothing_left: object
) -> None:
    """At its deadline the program ends, whatever keeps what it has started from being ended."""

    def cannot(*_: object) -> None:
        raise OSError(errno.EMFILE, "no descriptor is free")

    monkeypatch.setattr(Walk, "_find_more", cannot)
    with pytest.raises(OSError, match="no descriptor is free"):
        ramet.run(["sleep", "1000"], timeout=0.05, kill_tree=True)


def with_a_parent_that_reaps_late(fn: Callable[[], T]) -> T:
    """Run fn in a process whose parent reaps its children when fn has returned."""

    def parent() -> T:
        result = ramet.clone(fn).result(SECONDS)
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-1, WALL)
        return result

    return ramet.clone(parent).result(SECONDS)


def test_a_program_of_another_parent_tells_how_it_ended(nothing_left: object) -> None:
    """With PARENT its returncode is its own, though that parent has not reaped it yet."""

    def codes() -> set[int]:
        argv = ["sh", "-c", "exit 5"]
        return {ramet.run(argv, flags=F.PARENT).returncode for _ in range(repeated(20))}

    assert with_a_parent_that_reaps_late(codes) == {5}


def test_a_failed_program_of_another_parent_fails_the_check(nothing_left: object) -> None:
    """With PARENT, too, check=True raises for a code and for a signal, and for nothing else."""

    def returncodes() -> list[int]:
        seen = []
        for end in "exit 5", "kill -9 $$":
            with pytest.raises(subprocess.CalledProcessError) as caught:
                ramet.run(["sh", "-c", end], flags=F.PARENT, check=True)
            seen.append(caught.value.returncode)
        return [*seen, ramet.run(["true"], flags=F.PARENT, check=True).returncode]

    assert with_a_parent_that_reaps_late(returncodes) == [5, -9, 0]
