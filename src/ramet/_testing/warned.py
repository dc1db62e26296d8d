"""Warnings of a test, from its clone to the summary of the session."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import pytest


@contextmanager
def recorded_warnings(config: pytest.Config) -> Iterator[list[warnings.WarningMessage]]:
    """In the clone: those of the block, under the filters that pytest has set; none with -p no:warnings."""
    if not config.pluginmanager.has_plugin("warnings"):
        yield []
        return
    with warnings.catch_warnings(record=True) as recorded:
        yield recorded


def warning_as_data(warning: warnings.WarningMessage) -> dict[str, Any]:
    """What crosses."""
    category = warning.category
    return {
        "text": str(warning.message),
        "module": category.__module__,
        "class": category.__qualname__,
        "filename": warning.filename,
        "lineno": warning.lineno,
    }


def warn_again(item: pytest.Item, data: dict[str, Any]) -> None:
    """In the session: pytest takes it as if it had come from the test there."""
    category = _category(data["module"], data["class"])
    _record(item, _made(category, data["text"]), data["filename"], data["lineno"])


def warn_of(item: pytest.Item, text: str) -> None:
    """Have pytest show a warning of ours, whatever its filters make of warnings of tests."""
    path, line, _ = item.location
    _record(item, pytest.PytestWarning(text), path, (line or 0) + 1)


def _record(item: pytest.Item, warning: Warning, filename: str, lineno: int) -> None:
    item.ihook.pytest_warning_recorded.call_historic(
        kwargs={
            "warning_message": warnings.WarningMessage(warning, type(warning), filename, lineno),
            "nodeid": item.nodeid,
            "when": "runtest",
            "location": None,
        }
    )


def _category(module: str, qualified_name: str) -> type[Warning]:
    """That class; one of its name where the session does not find it, as of a class within a function."""
    try:
        found: Any = attrgetter(qualified_name)(sys.modules[module])
    except (AttributeError, KeyError):
        found = None
    if isinstance(found, type) and issubclass(found, Warning):
        return found
    return type(qualified_name.rpartition(".")[2], (UserWarning,), {"__module__": module})


def _made(category: type[Warning], text: str) -> Warning:
    try:
        return category(text)
    except Exception:  # its class takes other arguments
        return UserWarning(f"{category.__name__}: {text}")
