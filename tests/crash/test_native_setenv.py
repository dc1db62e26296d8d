"""libc's environment is changed by native code, without the interpreter lock, as commands copy it."""

from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]


def copy_it_as_it_changes(turns: int) -> None:
    """The changes are made by qsort(), which compares words by setenv() and unsetenv()."""
    import ctypes
    import threading

    import ramet

    libc = ctypes.CDLL(None)
    size, count = 16, 3000
    words = ctypes.create_string_buffer(
        b"".join(b"V%06d".ljust(size, b"\0") % i for i in range(count))
    )
    over = threading.Event()
    rounds = 0

    def change() -> None:
        nonlocal rounds
        while not over.is_set():
            libc.qsort(words, count, size, libc.setenv)
            libc.qsort(words, count, size, libc.unsetenv)
            rounds += 1

    thread = threading.Thread(target=change)
    thread.start()
    while rounds == 0:
        libc.sched_yield()
    for _ in range(turns):
        ramet.Command(["true"])
    began = rounds
    while rounds < began + 2:
        ramet.Command(["true"])
    over.set()
    thread.join()


def test_commands_are_made_while_native_code_changes_it(in_new_python: Start) -> None:
    """A command takes what is in the environment at one moment, and writes no further than that."""
    in_new_python(copy_it_as_it_changes, 20_000).finish()


def what_a_command_takes() -> None:
    import os

    import ramet

    os.environ.clear()
    expected = {f"N{i}": "x" * i for i in range(0, 3000, 7)} | {"EMPTY": ""}
    os.environ.update(expected)
    shown = ramet.check_output(["/usr/bin/env", "-0"]).decode()
    assert dict(line.split("=", 1) for line in shown.split("\0")[:-1]) == expected
    os.environ.clear()
    assert ramet.check_output(["/usr/bin/env", "-0"]) == b""


def test_the_whole_of_it_is_taken(in_new_python: Start) -> None:
    """Long words, empty words, and an environment without any."""
    in_new_python(what_a_command_takes).finish()
