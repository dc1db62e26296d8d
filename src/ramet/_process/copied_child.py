"""A child with a copy of the memory, and with what a request says."""

from collections.abc import Callable
from typing import Any, TypeVar

from .._kernel.clone_args import CloneArgs
from . import clone_call
from .child import Child
from .result_channel import ResultChannel, prepare
from .unreaped import reap_ended

T = TypeVar("T")


def copy_as_asked(
    child: Child[T],
    request: CloneArgs,
    fn: Callable[..., T],
    args: tuple[Any, ...],
    channel: ResultChannel,
) -> None:
    """A child with a memory of its own, and with what the request says; the library's own."""
    reap_ended()
    prepare()
    plainly = clone_call.is_plain_fork(request)
    clone_call.copy(child, channel, None if plainly else request, fn, args)
