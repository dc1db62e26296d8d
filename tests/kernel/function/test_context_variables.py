"""What a function finds in context variables, and what it leaves in them."""

import contextvars
import decimal
from collections.abc import Callable
from typing import Any

import pytest

import ramet
from ramet import Child
from ramet import CloneFlag as F

from ...constants import SECONDS

Verb = Callable[..., Child[Any]]

VERBS = [
    pytest.param(ramet.clone, id="copying"),
    pytest.param(lambda fn, *args: ramet.clone(fn, *args, flags=F.VM), id="sharing"),
    pytest.param(ramet.vfork, id="vfork"),
]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="of nobody")


@pytest.mark.parametrize("verb", VERBS)
def test_they_begin_as_the_callers_and_go_their_own_way(verb: Verb, nothing_left: object) -> None:
    """The function finds what its maker had set at the clone call, and what it sets is not the maker's."""

    def fn() -> str:
        found = variable.get()
        variable.set("of the child")
        return found

    token = variable.set("of the maker")
    assert verb(fn).result(SECONDS) == "of the maker"
    assert verb(fn).result(SECONDS) == "of the maker"
    assert variable.get() == "of the maker"
    variable.reset(token)


@pytest.mark.parametrize("verb", VERBS)
def test_the_decimal_context_too(verb: Verb, nothing_left: object) -> None:
    """Precision and flags begin as the maker's; what the function does to them stays with it."""

    def fn() -> tuple[int, bool, str]:
        context = decimal.getcontext()
        found = context.prec, bool(context.flags[decimal.Inexact])
        context.prec = 3
        return *found, str(decimal.Decimal(1) / decimal.Decimal(3))

    with decimal.localcontext() as context:
        context.prec = 7
        context.clear_flags()
        for _ in range(2):
            assert verb(fn).result(SECONDS) == (7, False, "0.333")
        assert decimal.getcontext() is context
        assert context.prec == 7
        assert not context.flags[decimal.Inexact]
    assert verb(lambda: decimal.getcontext().prec).result(SECONDS) == decimal.getcontext().prec


@pytest.mark.parametrize("verb", VERBS)
def test_a_decimal_context_does_not_outlive_its_child(verb: Verb, nothing_left: object) -> None:
    """Also where the maker has no variables at all."""

    def fn() -> int:
        found = decimal.getcontext().prec
        decimal.getcontext().prec = 3
        return found

    def make_two() -> list[int]:
        return [verb(fn).result(SECONDS) for _ in range(2)]

    assert contextvars.Context().run(make_two) == [decimal.DefaultContext.prec] * 2
