"""Warnings of a test, from its clone to the summary of the session."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
    category: Any = getattr(sys.modules.get(data["module"]), data["class"], None)
    if not (isinstance(category, type) and issubclass(category, Warning)):
        category = UserWarning
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


def _made(category: type[Warning], text: str) -> Warning:
    try:
        return category(text)
    except Exception:  # its class takes other arguments
        return UserWarning(f"{category.__name__}: {text}")
