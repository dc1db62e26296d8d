"""A child with a copy of the memory, and with what a request says."""

from collections.abc import Callable
from typing import Any, TypeVar

from .._kernel.clone_args import CloneArgs
from . import clone_call
from .child import Child
from .request import is_plain_fork, request_for
from .result_channel import ResultChannel
from .unreaped import reap_ended

T = TypeVar("T")


def copy_as_asked(
    child: Child[T],
    args: CloneArgs,
    fn: Callable[..., T],
    arguments: tuple[Any, ...],
    channel: ResultChannel,
) -> None:
    """A child with a memory of its own, and with what ``args`` say; the library's own."""
    reap_ended()
    request = None if is_plain_fork(args) else request_for(args, "copy")
    clone_call.copy(child, channel, request, fn, arguments)
