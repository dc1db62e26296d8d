"""Functions by value that come again are kept by the template, and named by the calls."""

import gc
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import ramet
from ramet._workers.template.kept_functions import KeptFunctions
from ramet._workers.template.link import Link
from ramet._workers.template.telling import CALLS_BEFORE

from . import told_calls
from .test_calls_interrupted import ASKING, Heard, codes_of, raising_at

pytest.importorskip("cloudpickle")
pytestmark = pytest.mark.usefixtures("nothing_left")

ENOUGH = CALLS_BEFORE + 1
_KEEPING = ASKING | codes_of(
    Link.keep,
    Link._tell,
    ramet.Template._keep_function,
    KeptFunctions.is_due,
    KeptFunctions.next_name,
    KeptFunctions.is_kept,
    KeptFunctions.named,
)


@pytest.mark.parametrize("spares", [0, 1, 2])
@pytest.mark.parametrize("options", [{}, {"sandbox": ramet.Sandbox()}], ids=["free", "sandbox"])
def test_the_same_function_is_kept(spares: int, options: dict[str, Any]) -> None:
    """Each call has its result, also the one by which it is kept; others are not taken for it."""
    with ramet.Template(preload=[told_calls.__name__], spares=spares, **options) as template:
        one, other = told_calls.adding(1), told_calls.adding(2)
        for value in range(2 * ENOUGH):
            assert template.clone(one, value).result() == value + 1
        assert template.clone(told_calls.kept).result() == ["function_0"]
        for value in range(2 * ENOUGH):
            assert template.clone(other, value).result() == value + 2
            assert template.clone(one, value).result() == value + 1
        assert template.clone(told_calls.kept).result() == ["function_0", "function_1"]


def test_a_function_that_has_changed_is_another() -> None:
    """What it refers to is as it is at each call."""
    with ramet.Template(preload=[told_calls.__name__]) as template:
        number = 0

        def read() -> int:
            return number

        for number in range(3):
            for _ in range(ENOUGH):
                assert template.clone(read).result() == number


def test_each_call_has_its_own_copy() -> None:
    """As it was when it was sent, whatever another call does to it."""

    def append(found: list[int] = []) -> list[int]:  # noqa: B006 - which calls must not share
        found.append(1)
        return found

    with ramet.Template(preload=[told_calls.__name__]) as template:
        for _ in range(2 * ENOUGH):
            assert template.clone(append).result() == [1]


def test_keywords_and_lists_go_with_it() -> None:
    """And an executor's processes that run several calls."""
    with ramet.Executor(1, preload=[told_calls.__name__], reuse=3) as executor:

        def told(*args: object, **keywords: object) -> tuple[object, object]:
            return args, keywords

        for number in range(4 * ENOUGH):
            future = executor.submit(told, [number], a={"b": number})
            assert future.result() == (([number],), {"a": {"b": number}})


def test_what_is_more_than_a_function_is_not_kept() -> None:
    """An object of a class, and a module that the template has not imported; the calls hold."""
    number = Decimal(1)

    def add(value: int) -> object:
        return value + number

    import colorsys  # that no template has imported

    def imports() -> str:
        return colorsys.__name__

    with ramet.Template(preload=[told_calls.__name__]) as template:
        for value in range(2 * ENOUGH):
            assert template.clone(add, value).result() == value + 1
            assert template.clone(imports).result() == "colorsys"
            assert template.clone(told_calls.kept).result() == []


def test_another_process_in_its_place_has_it_anew() -> None:
    """A call by a name that nobody has there would fail."""
    with ramet.Template(preload=[told_calls.__name__], spares=0) as template:
        one = told_calls.adding(1)
        for _ in range(2):
            for value in range(2 * ENOUGH):
                assert template.clone(one, value).result() == value + 1
            assert template.clone(told_calls.kept).result() == ["function_0"]
            os.kill(template.pid, signal.SIGKILL)
            template._link.process.wait()
            with pytest.warns(ramet.TemplateRestarted):
                assert template.clone(one, 5).result() == 6
            assert template.clone(told_calls.kept).result() == []


def test_a_derived_template_has_functions_of_its_own() -> None:
    """Those of its base are there, under names that it does not take for its own."""
    with ramet.Template(preload=[told_calls.__name__]) as template:
        one, other = told_calls.adding(1), told_calls.adding(2)
        for value in range(ENOUGH):
            assert template.clone(one, value).result() == value + 1
        with template.derive() as derived:
            for value in range(2 * ENOUGH):
                assert derived.clone(other, value).result() == value + 2
                assert derived.clone(one, value).result() == value + 1


def test_threads_that_send_functions_at_once() -> None:
    """Each call runs its own."""
    wrong: list[object] = []
    with ramet.Template(preload=[told_calls.__name__], spares=2) as template:

        def call(number: int) -> None:
            fn = told_calls.adding(number)
            for value in range(3 * ENOUGH):
                found = template.clone(fn, value).result()
                if found != value + number:
                    wrong.append((found, value, number))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(template.clone(told_calls.kept).result()) == 4
    assert wrong == []


@pytest.mark.parametrize("spares", [0, 1])
def test_a_handler_that_raises_meanwhile_leaves_it_right(spares: int) -> None:
    """At whatever line: later calls of all functions have their results."""
    with ramet.Template(preload=[told_calls.__name__], spares=spares) as template:
        for step in itertools.count(1):
            fn = told_calls.adding(step)
            for _ in range(CALLS_BEFORE - 1):
                _require(template, fn, step)
            was_interrupted = _is_interrupted(template, fn, step)
            for _ in range(2):
                _require(template, fn, step)
            if not was_interrupted:
                break
        assert step > 20
    gc.collect()


def _require(template: ramet.Template, fn: Callable[[int], int], number: int) -> None:
    with template.clone(fn, 1) as call:
        assert call.result() == 1 + number


def _is_interrupted(template: ramet.Template, fn: Callable[[int], int], number: int) -> bool:
    """Whether there was such a line of what lets it be kept."""
    before = sys.gettrace()
    sys.settrace(raising_at(number, _KEEPING))
    try:
        _require(template, fn, number)
    except Heard:
        return True
    finally:
        sys.settrace(before)
    return False
