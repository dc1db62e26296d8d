"""Tracebacks that cross as plain values: the text is what Python would have printed where it was raised."""

import copy
import linecache
import pickle
import traceback
from collections.abc import Callable

import pytest

from ramet._process.remote_error import RemoteTraceback
from ramet._process.traceback_parts import frames_of, text_of


def _divides(by: float) -> float:
    return 1 + (
        2 / by  # the lines of one expression
    )


def _below(depth: int) -> float:
    return _below(depth - 1) if depth else _divides(0)


def _by_zero() -> float:
    return _divides(0)


def _far_below() -> float:
    return _below(20)


def _with_notes() -> None:
    error = KeyError("missing")
    error.add_note("while the table was read")
    raise error


def _of_no_file() -> None:
    source = "def typed():\n    return [1][2]\n"
    linecache.cache["<typed>"] = (len(source), None, source.splitlines(True), "<typed>")
    names: dict[str, Callable[[], object]] = {}
    exec(compile(source, "<typed>", "exec"), names)
    names["typed"]()


def _hides_its_context() -> None:
    try:
        _divides(0)
    except ZeroDivisionError:
        raise ValueError("instead") from None


def _chained() -> None:
    try:
        _divides(0)
    except ZeroDivisionError as error:
        raise ValueError("instead") from error


def _in_a_handler() -> None:
    try:
        _divides(0)
    except ZeroDivisionError:
        raise ValueError("meanwhile")  # noqa: B904


def _misspelt() -> None:
    _divide(0)  # type: ignore[name-defined] # noqa: F821


def _several() -> None:
    raise ExceptionGroup("several", [ValueError(1), KeyError(2)])


def _without_end() -> None:
    _without_end()


def _raised(fn: Callable[[], object]) -> BaseException:
    try:
        fn()
    except BaseException as error:
        return error
    raise AssertionError("it returned")


def _last_lines(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error))


@pytest.mark.parametrize("fn", [_by_zero, _far_below, _with_notes, _of_no_file, _hides_its_context])
def test_the_text_is_the_same(fn: Callable[[], object]) -> None:
    """With source lines, marks below them, notes, and lines that Python leaves out as repeated."""
    error = _raised(fn)
    frames = frames_of(error)
    assert frames is not None
    text = text_of(frames, _last_lines(error), with_source=True)
    assert text == "".join(traceback.format_exception(error))


def test_one_without_a_traceback_is_its_last_lines() -> None:
    """As of an exception that was set as a result, and not raised."""
    assert frames_of(ValueError("x")) == ()
    assert text_of((), "ValueError: x\n", with_source=True) == "ValueError: x\n"


@pytest.mark.parametrize("fn", [_chained, _in_a_handler, _misspelt, _several, _without_end])
def test_of_which_more_is_to_be_told_has_no_frames(fn: Callable[[], object]) -> None:
    """Other exceptions, what may have been meant, a recursion: the text is written where they are known."""
    assert frames_of(_raised(fn)) is None


def test_frames_of_who_is_not_trusted_name_no_file_that_is_read() -> None:
    """The lines that it names could be anything that the caller may read, or block it."""
    frames = ((__file__, 1, "fn", "module", 1, 0, 3),)
    assert "Tracebacks that cross" in text_of(frames, "", with_source=True)
    text = text_of(frames, "ValueError\n", with_source=False)
    assert text.splitlines()[1:] == [f'  File "{__file__}", line 1, in fn', "ValueError"]


def test_it_is_copied_and_pickled_as_a_text() -> None:
    """Before it was shown, and after."""
    error = _raised(lambda: _divides(0))
    shown = RemoteTraceback(_last_lines(error), frames_of(error) or ())
    for one in (pickle.loads(pickle.dumps(shown)), copy.copy(shown), shown):
        assert one.text == "".join(traceback.format_exception(error))
        assert one.args == (one.text,)
