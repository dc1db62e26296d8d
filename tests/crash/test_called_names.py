"""The core calls ramet's Python code by name."""

from collections.abc import Callable
from typing import Any

import pytest

from ..flag_values import VM

Start = Callable[..., Any]

IN_SHARED_MEMORY = [
    ("recovery", "Losses"),
    ("recovery", "take_stock"),
    ("recovery", "give_back_after_interrupt"),
    ("left_threads", "_active"),
    ("left_threads", "TaskThread"),
    ("left_threads", "join"),
    ("left_threads", "recover"),
    ("left_threads", "are_native"),
    ("left_threads", "tell_lost"),
    ("left_open", "close"),
    ("left_open", "abandon"),
]
IN_COPIES = [
    ("result_channel", "prepare"),
    ("result_channel", "ResultChannel.put_error"),
    ("result_channel", "ResultChannel.put_object"),
    ("result_channel", "ResultChannel.put_data_or_object"),
    ("result_channel", "ResultChannel.put_data"),
    ("result_channel", "ResultChannel.compare_rights"),
    ("child", "Child._forget"),
    ("child", "Child._has_no"),
]


def miss(module: str, path: str, flags: int) -> None:
    import sys
    from importlib import import_module

    import ramet

    class Broken:
        def flush(self) -> None:
            raise ValueError

    owner = import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    delattr(owner, name)
    if name == "stream_failed":
        sys.stdout = Broken()
    for _ in range(2):
        try:
            ramet.clone(int, flags=flags)
        except ImportError as error:
            assert f"{module}.{path}, which does not exist" in str(error), error
        else:
            raise AssertionError("it was made")
    sys.stdout = sys.__stdout__


@pytest.mark.parametrize(("module", "path"), IN_SHARED_MEMORY)
def test_a_name_that_a_function_in_shared_memory_needs(
    in_new_python: Start, module: str, path: str
) -> None:
    """Where it is gone, the call raises an ImportError that names it, and makes no child."""
    in_new_python(miss, f"ramet._function.{module}", path, VM).finish()


@pytest.mark.parametrize(("module", "path"), [*IN_COPIES, ("standard_streams", "stream_failed")])
def test_a_name_that_a_copy_needs(in_new_python: Start, module: str, path: str) -> None:
    """Likewise; and what is asked of a stream that cannot be flushed."""
    in_new_python(miss, f"ramet._process.{module}", path, 0).finish()
