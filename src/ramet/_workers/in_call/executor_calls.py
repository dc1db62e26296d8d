"""What a call of an executor calls in the place of its caller's function, where that is not all.

Calls name these functions. They are not beside what begins calls: each process would import all that, anew.
"""

from collections.abc import Callable
from typing import Any


def call_fully(
    initializer: tuple[Callable[..., object], tuple[Any, ...]] | None,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """A call with keyword arguments, or the first of a process that has an initializer."""
    if initializer is not None:
        prepare, arguments = initializer
        prepare(*arguments)
    return fn(*args, **kwargs)


def call_for_items(fn: Callable[..., Any], items: list[tuple[Any, ...]]) -> list[Any]:
    """What one call of map() does for several items."""
    return [fn(*item) for item in items]
