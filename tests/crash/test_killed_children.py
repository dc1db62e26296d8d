import random
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]


def kill_children(activity: str, number: int, flags: int, count: int) -> None:
    """Kill children in the midst of something, and see that this process is as before."""
    import ctypes
    import signal
    import threading
    import time

    import ramet
    from ramet import CloneFlag as F

    begun = threading.Event()
    libc = ctypes.CDLL(None)

    def spin() -> None:
        while True:
            pass

    def allocate() -> None:
        while True:
            [bytearray(number) for number in range(0, 3000, 7)]

    def call() -> None:
        while True:
            libc.getppid()

    def native_sleep() -> None:
        ctypes.PyDLL(None).sleep(1000)  # holds the GIL: somebody else must do the killing

    activities = {
        "sleep": lambda: time.sleep(1000),
        "spin": spin,
        "allocate": allocate,
        "call": call,
        "hold": native_sleep,
    }

    def fn() -> None:
        begun.set()
        activities[activity]()

    for _ in range(count):
        begun.clear()
        # An alarm goes with exec and its likes to the process that asked for it: to the child.
        child = ramet.clone(fn if activity != "hold" else hold_until(fn, number), flags=flags)
        if activity != "hold":
            begun.wait()
            child.send_signal(number)
        status = child.wait(30)
        assert status.signal == number, status
    assert ramet.clone(lambda: [1, 2], flags=F.VM).result(30) == [1, 2]
    assert ramet.clone(lambda: [3], flags=0).result(30) == [3]
    ran: list[int] = []
    thread = threading.Thread(target=ran.append, args=(1,))
    thread.start()
    thread.join()
    assert ran == [1]
    signal.getsignal(number)
