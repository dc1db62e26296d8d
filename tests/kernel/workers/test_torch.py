"""Tensors and random numbers of torch: of itself where it is installed, else of what looks like it."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet._workers.crossing.pickling import loaded, pickled

from ...conftest import LeakCheck
from ...constants import SECONDS

pytest.importorskip("numpy", reason="numpy is not installed")


@pytest.fixture(name="torch")
def _torch(monkeypatch: pytest.MonkeyPatch, nothing_left: LeakCheck) -> Iterator[Any]:
    if importlib.util.find_spec("torch") is None:
        monkeypatch.syspath_prepend(str(Path(__file__).with_name("like_torch")))
    was_loaded = "torch" in sys.modules
    torch = importlib.import_module("torch")
    torch.full((1 << 20,), 1.0)  # it has its threads and memory from here on
    nothing_left.start_again()
    yield torch
    if not was_loaded and "like_torch" in str(sys.modules["torch"].__file__):
        del sys.modules["torch"]


def more(tensor: Any) -> Any:
    """The same memory, changed."""
    tensor.numpy()[...] += 1
    return tensor


def a_random_number() -> float:
    import torch  # type: ignore[import-not-found]

    return float(torch.rand(1).numpy()[0])


def test_a_large_one_crosses_and_comes_back(torch: Any) -> None:
    """As an array does; changed in place, it is changed for the caller's result alone."""
    tensor = torch.full((1 << 10, 1 << 10), 1.0)
    with ramet.Executor(1, preload=["torch"], timeout=SECONDS) as executor:
        for change in (more, lambda tensor: more(tensor)):
            got = executor.submit(change, tensor).result()
            assert type(got) is type(tensor)
            assert (got.dtype, tuple(got.shape)) == (tensor.dtype, (1 << 10, 1 << 10))
            assert float(got.numpy().min()) == float(got.numpy().max()) == 2.0
            more(got)  # it can be written
    assert float(tensor.numpy().max()) == 1.0


def test_its_memory_lies_outside_of_the_pickle(torch: Any) -> None:
    """Which is short; and a view crosses without what it is a view of."""
    tensor = torch.full((1 << 20,), 1.0)
    data, memory = pickled([tensor, tensor])
    assert len(data) < 1000
    assert memory.nbytes == 4 << 20
    first, second = loaded([data, bytearray(memory)])
    assert first is second
    data, memory = pickled(tensor[:2] if hasattr(tensor, "__getitem__") else torch.full((2,), 1.0))
    assert memory.nbytes == 8


def test_what_it_is_besides_numbers(torch: Any) -> None:
    """Whether it is to have a gradient."""
    data, memory = pickled(torch.full((2, 3), 1.0, requires_grad=True))
    assert loaded([data, bytearray(memory)]).requires_grad
    assert not loaded(pickled(torch.full((2, 3), 1.0))).requires_grad


@pytest.mark.parametrize("offset", [0, 1, 2], ids="{} bytes on".format)
def test_memory_that_cannot_be_used_as_it_is(torch: Any, offset: int) -> None:
    """Read-only, or not at a multiple of the size of its numbers: the tensor is in a copy."""
    data, memory = pickled(torch.full((5,), 3.0))
    moved = memoryview(bytes(offset) + bytes(memory))[offset:]
    tensor = loaded([data, moved])
    assert more(tensor).numpy().tolist() == [4.0] * 5


def test_random_numbers_differ(torch: Any) -> None:
    """Those of each call begin anew, with spares and without."""
    assert torch is sys.modules["torch"]
    for spares in (0, 2):
        with ramet.Template(preload=["torch"], spares=spares) as template:
            numbers = [template.clone(a_random_number).result(SECONDS) for _ in range(8)]
        assert len(set(numbers)) == 8


def test_another_module_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without tensors, or a generator: it changes nothing."""
    monkeypatch.setitem(sys.modules, "torch", type(sys)("torch"))
    assert loaded(pickled([b"anything", {1: 2}])) == [b"anything", {1: 2}]
    assert ramet.clone(dict, {1: 2}).result(SECONDS) == {1: 2}
