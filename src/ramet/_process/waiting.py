"""Waiting for the first of many children."""

import errno
import signal
import time
from collections.abc import Iterable
from typing import TypeVar

from .._kernel import pidfd
from .child import Child, checked_timeout

C = TypeVar("C")  # of a list of several kinds a type checker would see none but object

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0005, 0.05


def wait(children: Iterable[C], timeout: float | None = None) -> list[C]:
    """Wait for the first of many children to end, and tell which have: poll(2) on their pidfds.

    children: Child, Popen, anything whose fileno() is a pidfd, or a pidfd itself. timeout: in
    seconds, None for ever.

    Returns those that have ended, in the order in which they were given; an empty list when the
    time is up, or when there is nobody to wait for. None is reaped: each one's own wait() is
    without delay afterwards. A list as multiprocessing.connection.wait gives it, not the two sets
    of concurrent.futures.wait: the usual loop takes away the few that have ended and goes on
    with the others, and what is given need not be hashable.

    There is no polling and no thread, whatever their number. Only a child that has no pidfd (a
    thread before Linux 6.9, any child before 5.3) is looked at again and again, at most 50 ms
    apart.

    Raises TypeError for what cannot be waited for, and ValueError for a descriptor that is no
    pidfd, for a timeout that is negative or not a number, and without a timeout for children that
    all wait for their start(); before any waiting.
    Needs: Linux 5.3.
    Source: pidfd_open(2), poll(2).
    """
    if isinstance(children, int) or hasattr(children, "fileno"):
        raise TypeError(
            "children is a list or another collection: wait([child]), or child.wait() for the one"
        )
    timeout = checked_timeout(timeout)
    given = list(children)
    places = [_place(child) for child in given]
    descriptors = {place for place in places if isinstance(place, int)}
    bare = [place for place in places if isinstance(place, Child)]
    if not given:
        return []
    if timeout is None and all(map(_waits_for_start, given)):
        raise ValueError(
            "each of these children waits for start(), which would never come: start one first, "
            "or wait with a timeout"
        )
    if None in places:  # one is over: look once, for others that are
        timeout = 0.0
    ended = _first(descriptors, bare, timeout)
    return [
        child
        for child, place in zip(given, places, strict=True)
        if place is None or place in ended or _is_over(child)
    ]


def _place(child: object) -> "int | Child[object] | None":
    """Where to see its end: a pidfd, a Child that has none, or None when it is over already."""
    handle = _handle(child)
    if isinstance(handle, Child):
        if handle.exit_status is not None:
            return None
        descriptor = handle.pidfd
        return handle if descriptor is None else descriptor
    descriptor = child if isinstance(child, int) else getattr(child, "fileno", bool)()
    if isinstance(descriptor, bool) or not isinstance(descriptor, int):
        kind, hint = type(child).__name__, ""
        if type(child).__module__ == "subprocess":
            kind, hint = f"subprocess.{kind}", "; os.pidfd_open(process.pid) gives one"
        raise TypeError(f"waited for is a Child, a ramet.Popen or a pidfd, not {kind}{hint}")
    return _checked_pidfd(descriptor)


def _handle(child: object) -> object:
    return getattr(child, "_child", child)  # a Popen has one


def _waits_for_start(child: object) -> bool:
    handle = _handle(child)
    return isinstance(handle, Child) and handle.waits_for_start()


def _is_over(child: object) -> bool:
    """Whether somebody else waited for it meanwhile, and closed its descriptor."""
    handle = _handle(child)
    return isinstance(handle, Child) and handle.exit_status is not None


def _checked_pidfd(descriptor: int) -> int:
    """Any file can be polled, and most are always readable: so that is no proof."""
    try:
        signal.pidfd_send_signal(descriptor, 0)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise ValueError(f"{descriptor} is no pidfd (and a pid is none either)") from None
    return descriptor


def _first(
    descriptors: set[int], bare: "list[Child[object]]", timeout: float | None
) -> "set[int | Child[object]]":
    if not bare:
        return set(pidfd.wait_any(descriptors, timeout))
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = 0.0
    while True:
        ended: set[int | Child[object]] = {child for child in bare if child.poll() is not None}
        ended.update(pidfd.wait_any(descriptors, 0.0 if ended else pause))
        if ended or (deadline is not None and time.monotonic() >= deadline):
            return ended
        pause = min(max(2 * pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        if deadline is not None:
            pause = min(pause, max(0.0, deadline - time.monotonic()))
