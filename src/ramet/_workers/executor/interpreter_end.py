"""The end of the interpreter: calls that were submitted are done first, or killed at an interrupt."""

import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pool import Pool

pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()
is_begun = False  # then no pool takes calls any more


def _end_all() -> None:
    """Like concurrent.futures: what was submitted is done first. An interrupt ends that, and all calls."""
    global is_begun
    is_begun = True
    all_pools = _all()
    if _has_been_interrupted():
        _kill_all(all_pools)
    try:
        for pool in all_pools:
            pool.close(cancels=False)
        for pool in all_pools:
            pool.join()
    except KeyboardInterrupt:
        _kill_all(all_pools)
        raise


def _all() -> "list[Pool]":
    while True:
        try:
            return list(pools)
        except RuntimeError:  # another thread has made one meanwhile
            continue


def _has_been_interrupted() -> bool:
    """Whether an interrupt has ended the program; at a prompt one may have ended any line before."""
    has_prompt = hasattr(sys, "ps1") or sys.flags.interactive
    return not has_prompt and getattr(sys, "last_type", None) is KeyboardInterrupt


def _kill_all(all_pools: "list[Pool]") -> None:
    for pool in all_pools:
        pool.close(cancels=True)
        pool.signal(signal.SIGKILL)


threading._register_atexit(_end_all)  # type: ignore[attr-defined]
