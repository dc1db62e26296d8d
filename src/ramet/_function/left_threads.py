"""The threads of a function in shared memory: the one that it is, and those that it started."""

import os
import sys
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

from .. import _core
from .._kernel import procfs

_PAUSE_SECONDS = 0.0001  # no event tells that another thread sleeps, or that its task has ended
# After its function a thread of Python's has a few steps left, for which it needs no interpreter lock.
_LAST_STEPS_SECONDS = 1.0
_ASLEEP_SECONDS = 0.02
# How long others may compute by threads of its own: OpenBLAS's look for work for 20 ms and then sleep.
_POOL_SECONDS = 10.0
_PF_EXITING = 0x4

# Where a Thread has what C knows of it, since 3.13.
_HANDLE = "_os_thread_handle" if sys.version_info >= (3, 14) else "_handle"
_new_name: Any = threading._newname  # type: ignore[attr-defined]
_active: dict[int, Any] = threading._active  # type: ignore[attr-defined]
_limbo: dict[Any, Any] = threading._limbo  # type: ignore[attr-defined]


class TaskThread(threading._DummyThread):
    """threading.current_thread() in a function beside its caller.

    Python has one for a thread that it did not start, which is a daemon, and so would all be that
    it starts. This is none: a process waits for its threads at its end.
    """

    def __init__(self) -> None:
        threading.Thread.__init__(self, name=_new_name("Dummy-%d"), daemon=False)
        itself: Any = self
        itself._started.set()
        itself._set_ident()
        if sys.version_info >= (3, 13):
            handle = threading._make_thread_handle(itself._ident)  # type: ignore[attr-defined]
            setattr(self, _HANDLE, handle)

    @property
    def daemon(self) -> bool:  # type: ignore[override] # nobody sets it
        """None to itself, and so to whom it starts; one to all others, who cannot join it."""
        return threading.get_ident() != self.ident

    def _reset_internal_locks(self, is_alive: bool) -> None:
        """In a copy made by fork(), until 3.12: there it is the main thread, if it made the copy.

        That has a lock, which is held until the interpreter ends. Python 3.12.3 makes a main thread
        of such a one by itself (gh-102512), and finds it to be one already.
        """
        itself: Any = self
        threading.Thread._reset_internal_locks(itself, is_alive)  # type: ignore[attr-defined]
        if is_alive:
            itself.__class__ = threading._MainThread  # type: ignore[attr-defined]
            itself._name = "MainThread"
            itself._set_tstate_lock()


def join(_pid: int) -> None:
    """In the child: wait for its threads, but for daemons, as every Python program does at its end."""
    joined: set[int] = set()
    mine = _tasks_of("self")
    for thread in threading.enumerate():
        tid = mine.get(thread.native_id or 0)
        if tid and thread is not threading.current_thread() and not _is_spared(thread):
            joined.add(tid)
            thread.join()
    # A pool of a library's, in memory that is the caller's, too: that must not wait for these threads.
    if _others() - joined:
        _take_down_pools()
    if names := _names(_see_off()):
        warnings.warn(
            f"native threads end with the function that started them ({', '.join(names)}): their library "
            "may wait for them for ever when it is used again. Use it before, in the caller, or run the "
            "function in a memory of its own (no VM)",
            RuntimeWarning,
            stacklevel=1,
        )


def _is_spared(thread: threading.Thread) -> bool:
    return thread.daemon or isinstance(thread, threading._DummyThread)


def _tasks_of(process: int | str) -> dict[int, int]:
    """The tids of a process of /proc, as itself sees them and as /proc does, which may be another's."""
    tasks: dict[int, int] = {}
    for tid in map(int, os.listdir(f"/proc/{process}/task")):
        try:
            in_each = procfs.status(f"{process}/task/{tid}").get("NSpid", "").split()
        except OSError:  # it has ended
            continue
        tasks[int(in_each[-1]) if in_each else tid] = tid
    return tasks


def _others() -> "set[int]":
    """The other tasks, but for those that may end with this one: daemons, ours and their host threads."""
    me = threading.get_native_id()
    spared = {thread.native_id for thread in threading.enumerate() if _is_spared(thread)}
    return {
        tid
        for own, tid in _tasks_of("self").items()
        if own != me and own not in spared and not _core.lends(own)
    }


def _names(tids: "set[int]") -> list[str]:
    """What ps shows of each that is still there."""
    names = []
    for tid in sorted(tids):
        with suppress(OSError), open(f"/proc/self/task/{tid}/comm") as comm:
            names.append(comm.read().strip())
    return names


def _take_down_pools() -> None:
    """OpenMP's, which is the thread's own; others when all sleep: one that works for another task stays."""
    _core.end_openmp_pools()
    deadline = time.monotonic() + _POOL_SECONDS
    while not _core.run_fork_handlers(list(_others())) and time.monotonic() <= deadline:
        time.sleep(_PAUSE_SECONDS)


def _see_off() -> "set[int]":
    """Wait until the others have ended as tasks too: what a thread holds there would stay held for ever.

    Who sleeps there is none of Python's: it is a worker of some library's, and has no end. Returns
    those that are left.
    """
    deadline = time.monotonic() + _LAST_STEPS_SECONDS
    last_seen_awake = time.monotonic()
    while others := _others():
        now = time.monotonic()
        if any(procfs.state(tid) not in {"", "S"} for tid in others):
            last_seen_awake = now
        if now > deadline or now > last_seen_awake + _ASLEEP_SECONDS:
            return others
        time.sleep(_PAUSE_SECONDS)
    return set()


def are_native(pid: int) -> bool:
    """In the caller: whether a child has threads that are none of Python's."""
    known = {thread.native_id for thread in list(_active.values())}
    try:
        number = procfs.number_by_pid(pid)
        tasks = _tasks_of(number)
    except OSError:  # it has ended, or /proc does not show it
        return False
    return any(
        tid != number and own not in known and not _core.lends(own) for own, tid in tasks.items()
    )


def tell_lost(_: int) -> None:
    """In the caller: a function died with threads of a library's, which cannot do without them."""
    warnings.warn(
        "a function in shared memory died while it had native threads, and their library "
        "waits for them: its next use, and the next fork, may wait for ever. Compute once "
        "in the caller before, so that the pool is the caller's, or run what may be killed in a "
        "memory of its own (no VM)",
        RuntimeWarning,
        stacklevel=1,
    )


def recover(pid: int) -> None:
    """In the caller, when the child has ended with threads: mark them as ended for threading."""
    while _have_still_to_end(pid):
        time.sleep(_PAUSE_SECONDS)
    for listed in (_active, _limbo):
        for key, thread in list(listed.items()):
            # What libc keeps of a thread that Python did not start may be gone.
            if isinstance(thread, threading._DummyThread) or thread.ident is None:
                continue
            if _core.forget_dead(listed, key, thread, thread.ident):
                _end(thread)


def _have_still_to_end(pid: int) -> bool:
    """Its main thread is the first to be seen to end. If it lives, the others ended at its exec."""
    try:
        words = procfs.stat(procfs.number_by_pid(pid))
    except OSError:
        return False
    if not int(words[procfs.FLAGS]) & _PF_EXITING:
        return False
    return int(words[procfs.NUM_THREADS]) > 1


def _end(thread: Any) -> None:
    """What the thread does last of all, or its interpreter for it."""
    if sys.version_info >= (3, 13):
        handle = getattr(thread, _HANDLE)
        handle._set_done()
        _core.leave_shutdown(handle, thread.ident)
    else:
        lock = thread._tstate_lock
        if lock is not None and lock.locked():
            lock.release()
        thread._stop()
