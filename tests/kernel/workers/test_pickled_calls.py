"""Calls and results that are pickles and ask for nothing else: the core reads and sends them."""

import importlib
import linecache
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import _core
from ramet._process.result_layout import TRACED
from ramet._workers.crossing.outcome import Reader

from ...constants import PATIENT_SECONDS

NESTED = [{"no plain value"}]
IN_PYTHON = "_serve_one"


@dataclass
class Point:
    """What pickle makes by the name of its class."""

    x: int
    y: list[int]


class Unreadable:
    """What raises as it is read."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return _raises, (self.error,)


def _raises(error: type[BaseException]) -> None:
    raise error("as it was read")


def callers(*_: object) -> tuple[str, ...]:
    """The functions of Python's that have called this one."""
    found, frame = [], sys._getframe(1)
    while frame is not None:
        found.append(frame.f_code.co_name)
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(found)


def says(*_: object) -> tuple[str, ...]:
    """The same, after a line of output."""
    print("said")
    return callers()


def hangs() -> None:
    """Until its deadline."""
    signal.pause()


class Large:
    """What takes much memory as it is read."""

    def __reduce__(self) -> Any:
        return _fill, (500 << 20,)


def _fill(size: int) -> bytes:
    return b"x" * size


def given(*values: object) -> object:
    """They come back."""
    return list(values)


def becomes_another() -> object:
    """With other rights than its caller's, it sends data."""
    os.setresuid(65534, 65534, 65534)
    return NESTED


def fails(value: object) -> None:
    """By an exception that crosses."""
    raise KeyError(value)


class TwoParts(Exception):  # noqa: N818
    """Pickle would call it with its message alone."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} of {other}")


def fails_otherwise() -> None:
    """By that, with a note."""
    error = TwoParts("a", "b")
    error.add_note("as it was looked for")
    raise error


@pytest.fixture
def template() -> Iterator[ramet.Template]:
    with ramet.Template([__name__, "cloudpickle"], spares=0) as made:
        yield made


def run(template: ramet.Template, fn: Any, *args: Any, **options: Any) -> Any:
    """The result of a call that is reaped."""
    with template.clone(fn, *args, **options) as child:
        return child.result(PATIENT_SECONDS)


def test_no_function_of_pythons_is_between() -> None:
    """But in the first clone, and where the call asks for more."""
    with ramet.Template([__name__], spares=0) as template:
        assert run(template, abs, -1) == 1
        assert IN_PYTHON not in run(template, callers, NESTED)
        assert IN_PYTHON in run(template, callers, NESTED, pass_fds=[0])


def test_what_most_executors_ask_for_is_the_cores() -> None:
    """A file for the stack at a deadline, two for the output; the stack is told as ever."""
    how: dict[str, Any] = {
        "preload": [__name__],
        "timeout": PATIENT_SECONDS,
        "capture_output": True,
    }
    with ramet.Executor(1, **how, spares=0) as executor:
        for _ in range(3):
            future = executor.submit(says, NESTED)
            assert IN_PYTHON not in future.result(PATIENT_SECONDS)
            assert (future.stdout, future.stderr) == ("said\n", "")
    with ramet.Executor(1, preload=[__name__], timeout=0.2, spares=0) as executor:
        for _ in range(2):
            error = executor.submit(hangs).exception(PATIENT_SECONDS)
            assert isinstance(error, ramet.DeadlineExceeded)
            assert error.stack.endswith(" in hangs")


@pytest.mark.parametrize("argument", [0, NESTED], ids=["by name", "as a pickle"])
def test_a_deadline_as_it_is_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: object
) -> None:
    """Whoever reads it: a module that is imported for it may take long, in each call."""
    module = tmp_path / "takes_long_elsewhere.py"
    module.write_text(
        "import os, signal\n"
        f"if os.getpid() != {os.getpid()}:\n    signal.pause()\ndef fn(_): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    fn = importlib.import_module(module.stem).fn
    with ramet.Executor(1, timeout=0.3, spares=0) as executor:
        for _ in range(2):
            error = executor.submit(fn, argument).exception(PATIENT_SECONDS)
            assert isinstance(error, ramet.DeadlineExceeded)
            assert "still being read" in error.__notes__[0]
            assert "in <module>" in error.stack


def test_a_cgroup_is_entered_before_the_call_is_read(root: None) -> None:
    """What is made as it is read counts, too."""
    with ramet.Executor(1, preload=[__name__], memory="300M", spares=0) as executor:
        for _ in range(3):
            assert IN_PYTHON not in executor.submit(callers, NESTED).result(PATIENT_SECONDS)
        error = executor.submit(given, Large()).exception(PATIENT_SECONDS)
        assert isinstance(error, ramet.ChildDied)
        assert error.status.reason == "out of memory"


@pytest.mark.parametrize(
    "value", [NESTED, Point(1, [2]), {"a": [1, {2}]}, b"x" * 30_000, bytearray(b"x" * 70_000), len]
)
def test_values_come_back(template: ramet.Template, value: object) -> None:
    """Those that are too long for a message, too."""
    assert run(template, given, value) == [value]


class Counts:
    """How often it was pickled in this process."""

    pickled = 0

    def __init__(self, size: int) -> None:
        self.text = b"x" * size

    def __reduce__(self) -> Any:
        type(self).pickled += 1
        return _counted, (type(self).pickled, self.text)


def _counted(times: int, text: bytes) -> tuple[int, int]:
    return times, len(text)


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_a_result_is_pickled_once(size: int) -> None:
    """Also one that the core finds too long for a message: it may be large."""
    with ramet.Template([__name__], spares=0) as template:
        for _ in range(3):
            assert run(template, Counts, size) == (1, size)


def test_arrays_come_back_and_may_be_written_to(template: ramet.Template) -> None:
    """Which lie outside of their pickle, in either order."""
    np = pytest.importorskip("numpy")
    for array in (np.arange(6.0), np.asfortranarray(np.arange(6).reshape(2, 3))):
        (back,) = run(template, given, array)
        assert (back == array).all()
        back += 1


def test_one_process_serves_several() -> None:
    """Plain ones, pickles, what raises, and what cannot be read, one after the other."""
    with ramet.Executor(1, preload=[__name__], reuse=9) as executor:
        pids = [executor.submit(os.getpid) for _ in range(2)]
        assert executor.submit(given, NESTED).result(PATIENT_SECONDS) == [NESTED]
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        with pytest.raises(KeyError):
            executor.submit(fails, 1).result(PATIENT_SECONDS)
        with pytest.raises(ramet.ResultError, match="cannot be read in the"):
            executor.submit(given, Unreadable(ValueError)).result(PATIENT_SECONDS)
        pids.append(executor.submit(os.getpid))
        assert len({future.result(PATIENT_SECONDS) for future in pids}) == 1


def test_what_raises_as_it_is_read_is_told(template: ramet.Template) -> None:
    """Once: the call is not read a second time."""
    with pytest.raises(ramet.ResultError, match=r"cannot be read.*ValueError: as it was read"):
        run(template, given, Unreadable(ValueError))
    with pytest.raises(ramet.ChildDied):
        run(template, given, Unreadable(SystemExit))


def test_one_with_other_rights_sends_data(template: ramet.Template, root: None) -> None:
    """A pickle of its would not be loaded."""
    assert run(template, becomes_another) == NESTED


def test_one_that_its_caller_cannot_make_is_told_with_its_notes(template: ramet.Template) -> None:
    """By name, message, notes and frames."""
    with template.clone(fails_otherwise) as child:
        error = child.exception(PATIENT_SECONDS)
    assert isinstance(error, ramet.RemoteError)
    assert str(error.__cause__).endswith("TwoParts: a of b\nas it was looked for\n")
    assert "    raise error\n" in str(error.__cause__)


def test_an_exception_shows_its_source(template: ramet.Template) -> None:
    """What was typed at a prompt, or in a notebook, which the caller alone has, as well."""
    with template.clone(fails, "why") as child:
        error = child.exception(PATIENT_SECONDS)
    assert isinstance(error, KeyError)
    assert "raise KeyError(value)" in str(error.__cause__)
    typed = "def typed():\n    raise OSError(7, 'typed')\n"
    linecache.cache["<typed>"] = (len(typed), None, typed.splitlines(True), "<typed>")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(typed, "<typed>", "exec"), names)
    with template.clone(names["typed"]) as child:
        error = child.exception(PATIENT_SECONDS)
    assert isinstance(error, OSError)
    assert "    raise OSError(7, 'typed')\n" in str(error.__cause__)


@pytest.mark.parametrize(
    ("name", "message", "frames"),
    [
        ("ValueError", "x", 7),
        (7, "x", ()),
        ("ValueError", None, ()),
        ("ValueError", "x", (1,)),
        ("ValueError", "x", (("file", "one", 2, 3, (), "x", b""),)),
        ("ValueError", "x", (("file", 1, "fn", "module", 1, -5, 1 << 60),)),
    ],
)
def test_frames_of_who_is_not_trusted_harm_nobody(
    name: object, message: object, frames: object
) -> None:
    """They are told as far as they can be, or it is said that they cannot."""
    parts = [_core.plain_bytes((name, message, (1, "note"), frames)), b"\x80\x05N."]
    raised, error = Reader(False, False).read((TRACED, parts, ()), os.getpid(), None)
    assert raised
    assert isinstance(error, ramet.ResultError | ramet.RemoteError)


def test_the_source_that_who_is_not_trusted_names_is_not_read() -> None:
    """A line of any file that its caller may read would be in an error, or the caller wait for a pipe."""
    frames = ((__file__, 1, "fn", __name__, 1, 0, 3),)
    parts = [_core.plain_bytes(("ValueError", "x", ("noted",), frames)), b"\x80\x05N."]
    _, error = Reader(False, False).read((TRACED, parts, ()), os.getpid(), None)
    assert isinstance(error, ramet.RemoteError)
    assert "Calls and results" not in str(error.__cause__)
    assert str(error.__cause__).endswith(", in fn\nValueError: x\nnoted\n")


def says_keywords(*args: object, **keywords: object) -> str:
    """How it was called, and by whom."""
    return f"{args} {keywords} {callers()}"


def test_arguments_by_keyword_need_no_python() -> None:
    """Plain ones are as those by place, and others come by pickle."""
    with ramet.Executor(1, preload=[__name__], spares=0) as executor:
        for _ in range(2):
            told = executor.submit(says_keywords, 1, [2], b={"c": [3]}).result(PATIENT_SECONDS)
            assert told.startswith("(1, [2]) {'b': {'c': [3]}} ")
            assert IN_PYTHON not in told
        told = executor.submit(says_keywords, a={1}).result(PATIENT_SECONDS)
        assert told.startswith("() {'a': {1}} ")
        with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
            executor.submit(callers, other=1).result(PATIENT_SECONDS)  # type: ignore[call-arg]
