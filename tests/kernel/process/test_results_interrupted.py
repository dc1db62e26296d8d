"""What a signal handler raises while a result is read is the handler's, and no error of the result."""

import signal
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest

import ramet
from ramet import ResultError, Template
from ramet._process import data_codec

from ...constants import PATIENT_SECONDS


def read_with_a_signal(value: Any) -> Any:
    """What pickle calls for the value."""
    signal.raise_signal(signal.SIGUSR1)
    return value


class Interrupting:
    def __reduce__(self) -> Any:
        return read_with_a_signal, (5,)


class InterruptingError(Exception):
    def __reduce__(self) -> Any:
        return read_with_a_signal, (ZeroDivisionError(),)


def raises() -> None:
    raise InterruptingError


def by_name(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(number, frame)


def by_any(*_: object) -> None:
    raise TimeoutError


def that_forgets(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise TimeoutError


def that_goes(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise TimeoutError


class Alarm:
    def ring(self, number: int, frame: FrameType | None) -> None:
        raise TimeoutError(self, number, frame)


HANDLERS = [by_name, by_any, that_forgets, that_goes, Alarm().ring, partial(by_any, 1)]


@pytest.fixture(params=HANDLERS, ids=lambda handler: getattr(handler, "__name__", "partial"))
def handler(request: pytest.FixtureRequest) -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, request.param)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    with Template(spares=0) as template:
        yield template


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("fn", [Interrupting, raises])
def test_while_a_pickle_is_read(fn: Callable[[], Any]) -> None:
    """The result, and what the function raised."""
    with ramet.clone(fn) as child, pytest.raises(TimeoutError):
        child.result(PATIENT_SECONDS)


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("fn", [set, raises])
def test_while_data_is_read(fn: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, and can be read afterwards."""
    interrupt_next_data(monkeypatch)
    with ramet.clone(fn, trusted=False) as child:
        with pytest.raises(TimeoutError):
            child.result(PATIENT_SECONDS)
        if fn is set:
            assert child.result(PATIENT_SECONDS) == set()
        else:
            assert isinstance(child.exception(PATIENT_SECONDS), ramet.RemoteError)


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize(
    ("fn", "trusted"), [(Interrupting, True), (set, False), (raises, True), (raises, False)]
)
def test_while_an_answer_of_a_template_is_read(
    fn: Callable[[], Any], trusted: bool, template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has been received, and is not there again: the next result() says so."""
    with template.clone(fn, trusted=trusted) as child:
        interrupt_next_data(monkeypatch)
        with pytest.raises(TimeoutError):
            child.result(PATIENT_SECONDS)
        with pytest.raises(ResultError, match="TimeoutError interrupted its reading"):
            child.result(PATIENT_SECONDS)


def interrupt_next_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a signal come while the next text that is data is read."""
    needed = data_codec._needed

    def needed_once(*args: Any) -> int:
        monkeypatch.setattr(data_codec, "_needed", needed)
        signal.raise_signal(signal.SIGUSR1)
        return needed(*args)

    monkeypatch.setattr(data_codec, "_needed", needed_once)
