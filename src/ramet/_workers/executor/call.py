"""A call of an executor, from its submission to the end of its process."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from ..._core import named_call
from ..._limits.python_stack import without_callers
from ..._process.remote_error import printable
from ..._process.result_layout import shortened
from .. import in_call, in_template
from ..crossing.pickling import handed_over, pickled_call
from ..in_call.executor_calls import call_for_items, call_fully
from .call_future import CallFuture

if TYPE_CHECKING:
    from .worker import Worker

# Whose code calls the function of a call, or has called the core, which calls it.
_CALLERS = (*in_call.__path__, *in_template.__path__)
# What reads the function, and imports its module: a frame of ours, or the core, which has none.
_READS, _IMPORTS = "in loaded_call", " in _find_and_load"
_MOST_LETTERS = 1 << 16  # of a stack


class Call:
    """A call, from its submission to the end of its process."""

    def __init__(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.future: CallFuture[Any] = CallFuture()
        self.fn, self.args, self.kwargs = fn, args, kwargs
        self.number = 0
        self.worker: Worker | None = None
        self.is_done = False
        self.is_counted = False  # among those that are done
        self.attempt = 0  # to begin it, which one thread makes; 0: it waits
        self.is_put_back = False  # its future is told to run, and it waits for room
        self.reason = ""  # why it was killed
        self.stack = ""  # where it was when it was killed
        # Its function had not begun then: its module was still imported.
        self.was_being_read = False

    def pickled(
        self, initializer: tuple[Callable[..., object], tuple[Any, ...]] | None
    ) -> tuple[Any, ...]:
        """The call for its process, with an initializer for one that has none yet."""
        if initializer is None and not self.kwargs:
            return pickled_call(self.fn, self.args, self._handed_over)
        named = named_call(self.fn, self.args, self.kwargs) if initializer is None else None
        if named is not None:
            return (named,)
        call = (initializer, self.fn, self.args, self.kwargs)
        return pickled_call(call_fully, call, partial(self._handed_over, initializer))

    def _handed_over(
        self, initializer: tuple[Callable[..., object], tuple[Any, ...]] | None = None
    ) -> Iterator[tuple[str, object]]:
        """What crosses, as the caller has named it."""
        if initializer is not None:
            for what, value in handed_over(*initializer, {}):
                yield f"the initializer's {what.removeprefix('the ')}", value
        if self.fn is call_for_items:
            fn, items = self.args
            for item in items:
                yield from handed_over(fn, item, {})
        else:
            yield from handed_over(self.fn, self.args, self.kwargs)

    def may_begin(self) -> bool:
        """Whether it was not cancelled; from here on its future runs."""
        if self.is_put_back:
            return not self.future.cancelled()
        return self.future.set_running_or_notify_cancel()

    @property
    def what(self) -> Callable[..., Any]:
        """The caller's function, also of a call of map() that has several items."""
        return self.args[0] if self.fn is call_for_items else self.fn

    def note_stack(self, stack: str) -> None:
        """Where it was when it was killed, as it said itself."""
        own = without_callers(stack, _CALLERS)
        is_read = _READS in stack or own.endswith(_IMPORTS)
        self.was_being_read = is_read and isinstance(self.fn.__module__, str)
        if "\n" not in own:  # the function is one of C's, or has not begun: who calls it is told
            own = "\n".join(stack.splitlines()[:2])
        self.stack = _readable(own)

    def __str__(self) -> str:
        from reprlib import repr as shortened

        try:
            name = getattr(self.fn, "__qualname__", None) or repr(self.fn)
            named = [f"{name}={shortened(value)}" for name, value in self.kwargs.items()]
            return f"{name}({', '.join([*map(shortened, self.args), *named])})"
        except Exception:  # of a __repr__ of the caller's
            return f"{object.__repr__(self.fn)}(...)"


def _readable(stack: str) -> str:
    """What the call may have written itself; escaping makes it longer."""
    return shortened(printable(shortened(stack, _MOST_LETTERS)), _MOST_LETTERS)
