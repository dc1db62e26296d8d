"""Functions that are interrupted with a lock which their caller needs."""

from collections.abc import Callable
from typing import Any

import pytest

from ..constants import A_THREAD
from ..flag_values import VM

Start = Callable[..., Any]


def interrupted_with(kind: str, flags: int) -> None:
    import importlib
    import logging
    import os
    import threading
    from typing import Any

    import ramet

    bootstrap: Any = importlib._bootstrap
    handler: Any = logging.lastResort

    def take() -> Any:
        if kind == "import":
            manager = bootstrap._ModuleLockManager("of.no.such.name")
            manager.__enter__()
            return manager._lock
        lock: Any = {
            "logging": getattr(logging, "_lock", None),
            "handler": handler.lock,
            "threading": getattr(threading, "_active_limbo_lock", None),
        }[kind]
        for _ in range(2):
            lock.acquire()
        return lock

    def is_free(lock: Any) -> bool:
        return lock.owner is None if kind == "import" else lock.acquire(timeout=5)

    begun = threading.Event()
    taken: list[Any] = []

    def fn() -> None:
        taken.append(take())
        begun.set()
        while True:
            pass

    child = ramet.clone(fn, flags=flags)
    begun.wait()
    assert child.interrupt()
    child.wait()
    if not is_free(taken[0]):
        os._exit(1)  # at its end the interpreter would wait for it


@pytest.mark.parametrize("flags", [VM, A_THREAD], ids=["a process", "a thread"])
@pytest.mark.parametrize("kind", ["logging", "handler", "threading", "import"])
def test_what_its_caller_needs_is_given_back(in_new_python: Start, kind: str, flags: int) -> None:
    """An exception may come within a release() of a `finally`, which then gives nothing back."""
    in_new_python(interrupted_with, kind, flags).finish()
