"""What a call has left in /dev/shm and /tmp by multiprocessing and loky: removed before the call is killed.

Pools and queues that were not closed unlink their named semaphores in finalizers, which no process runs
that is killed. loky, and joblib with it, has besides a tracker: a process that removes them, and the
folders of large arrays, when it sees the end of all others.

A SharedMemory that was not unlinked stays: its name may be the result of the call.
"""

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import FunctionType
from typing import Any

from ..._core import wait_readable
from ..._kernel import procfs
from ..._kernel.timeouts import deadline_after, seconds_until
from ..._process.tree.walk import Walk

_UTIL = "multiprocessing.util"
_OF_MULTIPROCESSING = ("multiprocessing.resource_tracker",)
_OF_LOKY = ("loky.backend.resource_tracker", "joblib.externals.loky.backend.resource_tracker")
_EXECUTORS_OF_LOKY = ("loky.process_executor", "joblib.externals.loky.process_executor")
_JOBLIB = "joblib._memmapping_reducer"
_FINALIZERS_SECONDS = 1.0
_OTHERS_SECONDS = 1.0
_REMOVAL_SECONDS = 2.0
# A call that has used up its threads, descriptors or memory has an outcome all the same.
_NO_ROOM = (OSError, RuntimeError, MemoryError)


def registered_finalizers() -> frozenset[Any]:
    """Those of the template, of which its calls run none.

    multiprocessing tells them by the pid, which may be 2 in a container, as in each call's namespace.
    """
    return frozenset(getattr(sys.modules.get(_UTIL), "_finalizer_registry", ()))


def let_remove(*, of_template: frozenset[Any], in_namespace: bool) -> None:
    """Run the finalizers; where loky has a tracker, end all that this process has started, that one last.

    of_template: the registered_finalizers() of what this process is a clone of. in_namespace: whether this
    one is alone in its pid namespace with what it has started.
    """
    trackers = _own_trackers(_OF_LOKY)
    if not trackers and not _own_trackers(_OF_MULTIPROCESSING):
        return
    managers = _end_workers_of_loky() if trackers else []
    with suppress(*_NO_ROOM):
        _finalize(of_template)
    if trackers:
        _await_threads(managers)
        with suppress(*_NO_ROOM):  # then they see no end, and are not waited for long
            _end_others({tracker._pid for tracker in trackers}, in_namespace=in_namespace)
        _remove_folders()
        _await_removal(trackers)
    with suppress(Exception):
        _remove_temporary_directory(sys.modules[_UTIL])


def _own_trackers(modules: Iterable[str]) -> list[Any]:
    """Those that this process has started: what it has from its template outlives the call."""
    found = [getattr(sys.modules.get(name), "_resource_tracker", None) for name in modules]
    return [
        tracker
        for tracker in found
        if getattr(tracker, "_fd", None) is not None and _is_child(getattr(tracker, "_pid", None))
    ]


def _is_child(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _end_workers_of_loky() -> list[threading.Thread]:
    """Before the finalizers: one that still starts would tell that it finds no semaphore.

    Returns the threads that manage them, which end for it.
    """
    managers = []
    for name in _EXECUTORS_OF_LOKY:
        with suppress(Exception):
            for thread in list(getattr(sys.modules.get(name), "_threads_wakeups", ())):
                managers.append(thread)
                for pid in list(thread.processes):
                    if _is_child(pid):
                        os.kill(pid, signal.SIGKILL)
    return managers


def _await_threads(managers: Iterable[threading.Thread]) -> None:
    """They run some of the finalizers: a tracker whose end comes before says that a semaphore leaks."""
    deadline = deadline_after(_FINALIZERS_SECONDS)
    for thread in managers:
        with suppress(RuntimeError):  # the call runs in it
            thread.join(seconds_until(deadline))


def _finalize(of_template: Iterable[Any]) -> None:
    """As multiprocessing does at the end of a process. In a thread: functions of others may not return."""
    util: Any = sys.modules.get(_UTIL)
    if util is not None:
        for key in of_template:
            util._finalizer_registry.pop(key, None)
        thread = threading.Thread(target=_run, args=(util,), daemon=True)
        thread.start()
        thread.join(_FINALIZERS_SECONDS)


def _run(util: Any) -> None:
    with suppress(Exception):
        util._run_finalizers(0)


def _remove_temporary_directory(util: Any) -> None:
    """Multiprocessing's, of sockets above all; at the end of a process this comes after all others."""
    for finalizer in list(util._finalizer_registry.values()):
        if finalizer._callback is util._remove_temp_dir:
            finalizer()


def _end_others(trackers: set[int], *, in_namespace: bool) -> None:
    """All that this process has started but those, which wait as long as one of the others lives."""
    if in_namespace and os.getppid() == 0:
        # Its parent is outside: all that can be meant is its own.
        os.kill(-1, signal.SIGTERM)  # which a tracker ignores
        return

    def others() -> list[int]:
        return [pid for pid in procfs.children(os.getpid()) if pid not in trackers]

    Walk(others).end(deadline_after(_OTHERS_SECONDS))


def _remove_folders() -> None:
    """As joblib does at an interpreter's exit. Of those that are left the tracker says that they leak.

    What it has registered for that is known to the collector alone: atexit names none of its functions.
    Those of the template are frozen, and not among them.
    """
    if _JOBLIB not in sys.modules:
        return
    made = [one for one in gc.get_objects() if isinstance(one, FunctionType)]
    for function in made:
        if function.__module__ == _JOBLIB and function.__name__ == "_cleanup":
            with suppress(Exception):
                function()


def _await_removal(trackers: Iterable[Any]) -> None:
    deadline = deadline_after(_REMOVAL_SECONDS)
    for tracker in trackers:
        with suppress(*_NO_ROOM):
            os.close(tracker._fd)
            _await_end(tracker._pid, seconds_until(deadline))
        tracker._fd = tracker._pid = None


def _await_end(pid: int, timeout: float | None) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        wait_readable(pidfd, timeout)
    finally:
        os.close(pidfd)
