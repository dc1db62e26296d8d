"""Large arguments of calls: memory that the function changes in place, and that goes back as it is."""

import os
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from ramet import Template

pytestmark = pytest.mark.usefixtures("nothing_left")

SIZE = 5 << 20


@pytest.fixture
def template() -> Iterator[Template]:
    """With a spare."""
    with Template() as made:
        yield made


def changed(view: Any) -> Any:
    """The same memory with another first byte, as a buffer outside of the pickle."""
    view[0] = 1
    return pickle.PickleBuffer(view)


def changed_by_a_fork(view: Any) -> tuple[int, int]:
    """What the child finds when a fork of it and then the child itself have written to the memory."""
    pid = os.fork()
    if pid == 0:
        view[0] = 1
        os._exit(view[1])
    view[1] = 2
    _, status = os.waitpid(pid, 0)
    return view[0], os.waitstatus_to_exitcode(status)


def test_an_argument_that_is_changed_goes_back(template: Template) -> None:
    """The caller's own stays as it was, and what came back can be written to."""
    sent = bytearray(os.urandom(SIZE))
    sent[0] = 0
    with template.clone(changed, pickle.PickleBuffer(sent)) as child:
        back = child.result()
    assert sent[0] == 0
    assert back[0] == 1
    assert back[1:] == sent[1:]
    back[1] = sent[1] ^ 1
    assert back[1] != sent[1]


def test_a_fork_in_the_function_has_memory_of_its_own(template: Template) -> None:
    """Neither sees what the other writes to an argument."""
    with template.clone(changed_by_a_fork, pickle.PickleBuffer(bytearray(SIZE))) as child:
        assert child.result() == (0, 0)


def test_two_arguments_and_results_are_told_apart(template: Template) -> None:
    """Of several, each arrives as it was left."""
    first, second = bytearray(b"a" * SIZE), bytearray(b"b" * SIZE)
    with template.clone(_swapped, pickle.PickleBuffer(first), pickle.PickleBuffer(second)) as child:
        back = child.result()
    assert bytes(back[0]) == bytes(b"b" * SIZE)
    assert bytes(back[1]) == b"1" + bytes(first[1:])


def _swapped(first: Any, second: Any) -> Any:
    first[0] = ord("1")
    return pickle.PickleBuffer(second), pickle.PickleBuffer(first)
