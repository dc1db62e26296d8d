"""The recovery can be off: by the switch, or as Python's structures are not what they should be."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]

PARTS = [
    "buffered files",
    "condition variables",
    "frames",
    "garbage collector",
    "interpreter lock",
    "list of interpreters",
    "malloc",
    "mutexes",
    "objects",
    "threads of libraries",
]
ALL_ON = dict.fromkeys(PARTS)


def die() -> None:
    from tests.crash.deaths import deaths

    deaths()


def test_all_is_on_here(in_new_python: Start) -> None:
    """This Python and this libc are known."""
    *_, status = in_new_python(die).finish().splitlines()
    assert ast.literal_eval(status) == ALL_ON


def look_while_the_collector_runs(threshold: int) -> None:
    import gc
    import sys
    import threading

    import ramet

    sys.setswitchinterval(1e-5)
    gc.set_threshold(threshold)
    over = threading.Event()

    def collect() -> None:
        while not over.is_set():
            gc.collect(0)

    thread = threading.Thread(target=collect)
    thread.start()
    print(ramet.recovery_status())
    over.set()
    thread.join()


@pytest.mark.parametrize("threshold", [1, 10, 0])
def test_a_collection_meanwhile_is_not_another_layout(in_new_python: Start, threshold: int) -> None:
    """What is compared with the collector's memory does not change in between."""
    status = in_new_python(look_while_the_collector_runs, threshold).finish()
    assert ast.literal_eval(status) == ALL_ON


def test_the_switch(in_new_python: Start) -> None:
    """Without the recovery nothing is given up or given back, and the losses are told."""
    *told, status = in_new_python(die, env={"RAMET_RECOVERY": "off"}).finish().splitlines()
    assert ast.literal_eval(status) == dict.fromkeys(PARTS, "RAMET_RECOVERY=off")
    assert len(told) == 8
    for line in told:
        assert "lost 1 frame with " in line
        assert "gave up" not in line


@pytest.mark.parametrize("value", ["OFF", "0", "nonsense"])
def test_another_value_of_the_switch_is_refused(value: str) -> None:
    """The import says what the switch can be; nothing is taken for on or off."""
    command = [sys.executable, "-c", "import ramet"]
    done = subprocess.run(
        command,
        check=False,
        env={**os.environ, "RAMET_RECOVERY": value},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert (
        f"invalid RAMET_RECOVERY in the environment: expected 'off' or 'on', got '{value}'"
        in done.stderr
    )


def die_where_python_tells_otherwise(word: int) -> None:
    import ctypes

    from tests.crash.deaths import deaths

    words = (ctypes.c_uint64 * 200).in_dll(ctypes.pythonapi, "_PyRuntime")
    words[word] += 8
    deaths()


# Numbers of words in Python's _Py_DebugOffsets, and what is not known when they are others: the cookie,
# runtime_state.interpreters_head, interpreter_state.gc, that of the interpreter lock's holder, and
# thread_state.current_frame.
WORDS = (0, 5, 10, 18, 23) if sys.version_info < (3, 14) else (0, 5, 11, 19, 26)
OFF = [
    ["frames", "garbage collector", "interpreter lock", "list of interpreters", "objects"],
    ["list of interpreters"],
    ["garbage collector", "objects"],
    ["interpreter lock"],
    ["frames", "objects"],
]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Python tells no offsets before 3.13")
@pytest.mark.parametrize(("word", "off"), list(zip(WORDS, OFF, strict=True)))
def test_what_python_tells_debuggers(in_new_python: Start, word: int, off: list[str]) -> None:
    """Where Python says that a structure is another, what reads it is off, and says why."""
    *_, status = in_new_python(die_where_python_tells_otherwise, word).finish().splitlines()
    found = ast.literal_eval(status)
    assert [part for part in PARTS if found[part] is not None] == off
    assert all("not laid out" in found[part] or "not known" in found[part] for part in off)
