"""What a process is started with, as pickles."""

import os
import pickle
import sys
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ramet.multiprocessing.crossing import Crossing
from ramet.multiprocessing.popen import Passed


class _Popen:
    """What objects ask for descriptors while they are pickled."""

    DupFd = Passed

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def duplicate_for_child(self, fd: int) -> int:
        self.descriptors.append(fd)
        return len(self.descriptors) - 1


@pytest.fixture
def popen() -> _Popen:
    return _Popen()


def crossing(popen: _Popen) -> Crossing:
    return Crossing(popen, popen.descriptors)


def loaded(parts: Any) -> Any:
    data, *buffers = parts
    return pickle.loads(data, buffers=buffers)


def test_what_has_a_name_crosses_by_name(popen: _Popen) -> None:
    """Without cloudpickle, and with nothing of a main program."""
    (data,) = crossing(popen).with_definitions(len, {})
    assert b"cloudpickle" not in data
    assert loaded((data,)) == (len, {}, {})


def test_arrays_lie_beside_the_pickle(popen: _Popen) -> None:
    """Their memory is sent as it is."""
    parts = crossing(popen).plain(np.arange(100_000))
    assert len(parts[0]) < 1000
    assert loaded(parts).sum() == 4_999_950_000


@pytest.mark.parametrize("by_value", [False, True])
def test_descriptors_are_counted_once(popen: _Popen, by_value: bool) -> None:
    """Also when the pickle by names was tried in vain before that by value."""
    reader, writer = (Connection(end) for end in os.pipe())
    with reader, writer:
        value: tuple[Any, ...] = (reader, writer, *([lambda: None] if by_value else []))
        crossing(popen).with_definitions(value, {"one": len} if by_value else {})
        assert popen.descriptors == [reader.fileno(), writer.fileno()]


def test_definitions_that_cannot_be_sent_are_named(popen: _Popen) -> None:
    """With the reason; the others are sent."""
    made: dict[str, Any] = {"__name__": "__main__", "frame": sys._getframe()}
    exec("def good(): return 5\ndef bad(): return frame", made)
    definitions = {name: made[name] for name in ("good", "bad")}
    value, sent, missing = loaded(crossing(popen).with_definitions(1, definitions))
    assert (value, sent["good"](), [*missing]) == (1, 5, ["bad"])
    assert "frame" in missing["bad"]


def test_without_cloudpickle_the_error_says_what_to_install(
    popen: _Popen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For what has no name, and for what a main program defines that does not run again."""
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(Exception, match="lambda") as raised:
        crossing(popen).with_definitions(lambda: None, {})
    assert "install ramet[workers]" in "\n".join(raised.value.__notes__)
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec("def work(): pass", vars(main))
    with pytest.raises(pickle.PicklingError) as refused:
        crossing(popen).with_definitions(main.work, {"work": main.work})
    assert "install ramet[workers]" in refused.value.__notes__[0]
    assert loaded(crossing(popen).with_definitions(len, {"work": main.work})) == (len, {}, {})
