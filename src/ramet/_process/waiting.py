"""Waiting for the first of many children."""

import errno
import signal
from collections.abc import Iterable
from typing import TypeVar

from .. import _core
from .._kernel.timeouts import checked_timeout, deadline_after, pauses, seconds_until
from .child import Child

C = TypeVar("C")  # with a bound, a list of several kinds would be one of object


def wait(children: Iterable[C], timeout: float | None = None) -> list[C]:
    """Wait until the first of many children has ended, and return which have: poll(2) on their pidfds.

    children: Child, Popen, objects whose fileno() is a pidfd, or pidfds. timeout: in seconds, None for
    ever.

    Returns those that have ended, in the given order; an empty list when the timeout is over, or when
    ``children`` is empty. It reaps none of them: their own wait() then returns at once. The result is a
    list as of multiprocessing.connection.wait, not the two sets of concurrent.futures.wait: the usual loop
    removes the few that have ended and goes on with the others, and the objects need not be hashable.

    It neither polls nor makes a thread, whatever their number. Only a child without a pidfd (a thread
    before Linux 6.9, any child before 5.3) is polled, every 50 ms at least.

    Raises, before it waits, TypeError for anything else among ``children``; ValueError for a descriptor
    that is not a pidfd, for a timeout that is negative or NaN, and without a timeout when all children wait
    for start().
    Needs: Linux 5.3.
    Source: pidfd_open(2), poll(2).
    """
    if isinstance(children, int) or hasattr(children, "fileno"):
        raise TypeError(
            "invalid children: expected a list or another collection, got one child: "
            "use wait([child]) or child.wait()"
        )
    timeout = checked_timeout(timeout)
    given = list(children)
    places = [_place(child) for child in given]
    if not given:
        return []
    if timeout is None and all(map(_waits_for_start, given)):
        raise ValueError(
            "all of these children wait for start() and none would ever end: start one first, "
            "or wait with a timeout"
        )
    if None in places:  # one has ended: look once for others, and do not wait
        timeout = 0.0
    ended = _first({place for place in places if place is not None}, timeout)
    return [
        child
        for child, place in zip(given, places, strict=True)
        if place is None or place in ended or _is_over(child)
    ]


def _place(child: object) -> "int | Child[object] | None":
    """The Child; a pidfd that is none of a Child; None when it has been waited for already."""
    handle = _handle(child)
    if isinstance(handle, Child):
        return handle if handle.exit_status is None else None
    descriptor = child if isinstance(child, int) else getattr(child, "fileno", bool)()
    if isinstance(descriptor, bool) or not isinstance(descriptor, int):
        kind, hint = type(child).__name__, ""
        if type(child).__module__ == "subprocess":
            kind, hint = f"subprocess.{kind}", "; os.pidfd_open(process.pid) gives one"
        raise TypeError(
            f"invalid children: expected each a Child, a ramet.Popen or a pidfd, got {kind}{hint}"
        )
    return _checked_pidfd(descriptor)


def _handle(child: object) -> object:
    return getattr(child, "_child", child)  # a Popen has one


def _waits_for_start(child: object) -> bool:
    handle = _handle(child)
    return isinstance(handle, Child) and handle._waits_for_start()


def _is_over(child: object) -> bool:
    """Whether another thread has waited for it meanwhile."""
    handle = _handle(child)
    return isinstance(handle, Child) and handle.exit_status is not None


def _checked_pidfd(descriptor: int) -> int:
    """ValueError for another kind of file: poll() would take it, and most are always readable."""
    try:
        signal.pidfd_send_signal(descriptor, 0)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise ValueError(
                f"invalid children: expected a pidfd, got {descriptor}, which is none; "
                "os.pidfd_open(pid) makes one"
            ) from None
    return descriptor


def _first(
    awaited: "set[int | Child[object]]", timeout: float | None
) -> "set[int | Child[object]]":
    bare = [child for child in awaited if isinstance(child, Child) and child.pidfd is None]
    others = tuple(awaited.difference(bare))
    if not bare:
        return _core.wait_any(others, timeout)
    deadline = deadline_after(timeout)
    ended: set[int | Child[object]] = set()
    for pause in pauses():
        ended.update(child for child in bare if child.poll() is not None)
        left = seconds_until(deadline)
        is_last = bool(ended) or left == 0
        most = pause if left is None else min(pause, left)
        ended.update(_core.wait_any(others, 0.0 if is_last else most))
        if ended or is_last:
            break
    return ended
