"""Templates: processes that have loaded what calls need, and are cloned for each."""

import math
import os
from pathlib import Path
from typing import Any

import pytest

from ramet import Template

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def template() -> Any:
    with Template() as made:
        yield made


def test_a_call_runs_in_a_new_child_of_the_caller(template: Template) -> None:
    """The pid that the function sees is its child's, whose parent is the caller."""
    with template.clone(os.getpid) as child, template.clone(os.getppid) as other:
        assert child.result() == child.pid != template.pid
        assert other.result() == os.getpid()
        assert child.wait().code == 0


@pytest.mark.parametrize("spares", [0, 1, 3])
def test_calls_return_what_their_functions_return(spares: int) -> None:
    """With spares and without, several at once."""
    with Template(spares=spares) as template:
        children = [template.clone(math.factorial, n) for n in range(8)]
        assert [child.result() for child in children] == [math.factorial(n) for n in range(8)]


@pytest.mark.parametrize("spares", [0, 2])
def test_a_clone_has_no_channel_of_another(spares: int) -> None:
    """Whatever its template was told meanwhile, and whatever the clone before has not read yet."""
    with Template([__name__], spares=spares) as template:
        children = [template.clone(_sockets, bytes(40_000)) for _ in range(16)]
        assert [child.result() for child in children] == [1] * 16


def _sockets(_: bytes) -> int:
    names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.readlink(name).startswith("socket:") for name in names if os.path.lexists(name))


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -(1 << 80), 1.5, "é\udc80", b"\0x", (1, [2]), {"a": {3}}, Path("/x")],
    ids=repr,
)
def test_values_cross_in_both_directions(template: Template, value: object) -> None:
    """What comes back is equal, and of the same type."""
    with template.clone(_same, value) as child:
        result = child.result()
    assert result == value
    assert type(result) is type(value)


def _same(value: Any) -> Any:
    return value
