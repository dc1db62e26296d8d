import gc
import mmap
import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn, Self

import pytest

from ramet._process.remote_error import RemoteTraceback
from ramet._process.result_channel import NOTHING, RAISED, VALUE, ResultChannel
from ramet.errors import ResultError


def hosted(fn: Callable[[], object], size: int = 0) -> tuple[int, Any]:
    """What arrives of a function's outcome, both ends being here; size: of the mapping, in bytes."""
    channel = ResultChannel(size, trusted=True)
    channel.deliver(fn, ())
    return channel.take()


class Buffer:
    """Its bytes travel outside of the pickle, as those of numpy arrays do."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (pickle.PickleBuffer(self.data),)


class OnlyThere:
    """Goes into a pickle and does not come out of it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


class TwoWords(Exception):  # noqa: N818
    """Pickle makes it again with one argument, which is one too few."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Loud:
    """An object that cannot be pickled, and says why in a way of its own."""

    def __reduce__(self) -> NoReturn:
        raise RuntimeError("it stays here: \udcff")


class ListWithItself(list[Any]):
    @classmethod
    def new(cls) -> Self:
        """One that is its own only item."""
        items = cls()
        items.append(items)
        return items


def raise_it(error: BaseException) -> Callable[[], NoReturn]:
    def fn() -> NoReturn:
        raise error

    return fn


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1, 1 << 70, 0.1, float("inf"), -0.0, 1j, ""),
        *("text", "\udcff\U0001f600", b"bytes", "x" * 100_000, b"x" * 100_000, 10**4000),
        *({"a": [1, (2, 3)]}, ValueError("returned"), signal.SIGTERM),
    ],
)
def test_what_was_returned_arrives(value: object) -> None:
    """A value arrives as an equal value, nothing and an exception that was returned included."""
    kind, arrived = hosted(lambda: value)
    assert (kind, type(arrived)) == (VALUE, type(value))
    assert arrived == value or repr(arrived) == repr(value)


def test_shapes_that_hold_themselves_arrive() -> None:
    """A list that contains itself does so on the other side as well."""
    kind, arrived = hosted(ListWithItself.new)
    assert kind == VALUE
    assert arrived[0] is arrived


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 4096, 5_000_000])
def test_buffers_arrive_whole(size: int) -> None:
    """Buffers beside the pickle arrive byte for byte, whatever their size."""
    data = bytes(index % 251 for index in range(size))
    kind, arrived = hosted(lambda: [Buffer(data), Buffer(data[::-1])])
    assert kind == VALUE
    assert [bytes(item.data) for item in arrived] == [data, data[::-1]]


def test_buffers_of_wide_items_arrive() -> None:
    """A buffer is counted in bytes, even if its items are wider."""
    data = memoryview(bytes(range(64))).cast("Q")
    kind, arrived = hosted(lambda: Buffer(data))
    assert kind == VALUE
    assert bytes(arrived.data) == bytes(range(64))


def test_a_buffer_is_used_where_it_lies() -> None:
    """A result's buffers lie in the shared mapping still, and outlive the transfer."""
    channel = ResultChannel(trusted=True)
    channel.deliver(lambda: Buffer(bytes(1_000_000)), ())
    _, arrived = channel.take()
    assert isinstance(arrived.data, pickle.PickleBuffer | memoryview)
    assert memoryview(arrived.data).obj is channel
    del channel
    gc.collect()
    assert bytes(arrived.data) == bytes(1_000_000)


def test_what_was_raised_arrives() -> None:
    """An exception arrives with its class, its arguments, its notes and where it was raised."""
    error = KeyError("it", 3)
    error.add_note("a note")
    kind, arrived = hosted(raise_it(error))
    assert kind == RAISED
    assert (type(arrived), arrived.args) == (KeyError, ("it", 3))
    assert arrived.__notes__ == ["a note"]
    assert isinstance(arrived.__cause__, RemoteTraceback)
    assert "raise error" in str(arrived.__cause__)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit(), MemoryError()])
def test_whatever_can_be_raised_arrives(error: BaseException) -> None:
    """Exceptions outside of Exception arrive as well."""
    kind, arrived = hosted(raise_it(error))
    assert (kind, type(arrived)) == (RAISED, type(error))


def test_a_traceback_needs_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """What traceback imports late, and a child without descriptors cannot, costs no outcome."""

    def import_late(error: BaseException) -> NoReturn:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("traceback.format_exception", import_late)
    kind, raised = hosted(raise_it(LookupError("in the child")))
    assert (kind, type(raised)) == (RAISED, LookupError)
    assert "test_result_channel.py" in str(raised.__cause__)
    assert str(raised.__cause__).endswith(", in fn\nLookupError: in the child\n")


def test_an_exit_is_no_outcome() -> None:
    """SystemExit is for the exit code, and leaves no outcome."""
    channel = ResultChannel()
    assert channel.deliver(lambda: sys.exit(3), ()) == 3
    assert channel.take() == (NOTHING, None)


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (lambda: lambda: None, "cannot be sent"),
        (lambda: Loud(), "it stays here"),
        (lambda: OnlyThere(), "cannot be read"),
        (raise_it(TwoWords("one", "two")), "cannot be read"),
        (raise_it(ValueError(lambda: None)), "cannot be pickled"),
        (raise_it(ValueError(Loud())), "ValueError"),
    ],
)
def test_what_cannot_cross_says_so(fn: Callable[[], object], words: str) -> None:
    """A result or exception that pickle refuses is an error that tells what was the matter."""
    kind, arrived = hosted(fn)
    assert kind == RAISED
    assert isinstance(arrived, ResultError)
    assert words in str(arrived)


@pytest.mark.parametrize(
    ("fn", "code"), [(lambda: 1, 0), (lambda: lambda: 1, 1), (raise_it(ValueError()), 1)]
)
def test_the_exit_code_tells_of_success(fn: Callable[[], object], code: int) -> None:
    """The child's exit code is 0 when a result was written down, else 1."""
    assert ResultChannel().deliver(fn, ()) == code


def test_before_the_end_there_is_nothing() -> None:
    """A child that died before it had written anything has left nothing."""
    assert ResultChannel().take() == (NOTHING, None)


def test_only_its_maker_has_a_part_in_it() -> None:
    """In a fork of its maker there is nothing to take, and letting go of it unmaps nothing else's."""
    channel = ResultChannel()
    channel.deliver(lambda: 1, ())
    channel.keep_from_others()
    pid = os.fork()
    if pid == 0:
        try:
            taken = channel.take()
            others = [mmap.mmap(-1, 1 << 30) for _ in range(64)]  # one may lie where it lay
            del channel
            gc.collect()
            os._exit(0 if taken == (NOTHING, None) and not any(other[0] for other in others) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert channel.take() == (VALUE, 1)


def test_a_child_writes_and_its_parent_reads() -> None:
    """What is written in a fork is read in the parent."""
    channel = ResultChannel(trusted=True)
    pid = os.fork()
    if pid == 0:
        os._exit(channel.deliver(lambda: {"pid": os.getpid()}, ()))
    assert os.waitpid(pid, 0) == (pid, 0)
    assert channel.take() == (VALUE, {"pid": pid})


def test_a_result_too_large_for_the_mapping_says_so() -> None:
    """Where less memory could be had than the result needs, the error names both sizes."""
    kind, arrived = hosted(lambda: bytes(1 << 17), size=1 << 16)
    assert (kind, type(arrived)) == (RAISED, ResultError)
    assert "65536" in str(arrived)


def test_an_exception_that_cannot_be_printed_is_told_of() -> None:
    """The class of an exception may lack what a traceback needs: there is an outcome all the same."""
    odd = eval("type('Odd', (Exception,), {})", {})  # of no module
    kind, arrived = hosted(raise_it(odd("here")))
    assert kind == RAISED
    assert "Odd" in str(arrived)


def test_a_traceback_too_large_for_the_mapping_is_told_of() -> None:
    """Where not even the traceback fits, the parent still hears of an exception."""
    kind, arrived = hosted(raise_it(ValueError("x" * (1 << 17))), size=1 << 16)
    assert (kind, type(arrived)) == (RAISED, ResultError)
    assert "cannot be sent" in str(arrived)
