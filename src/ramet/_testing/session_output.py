"""What threads and programs of the session write while clones run: a server of a wider fixture, say."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import pytest
from _pytest.logging import LogCaptureHandler, catching_logs

Place: TypeAlias = dict[str, int]


class SessionOutput:
    """Captured, with what they log, for the reports of the tests that run meanwhile.

    pytest captures within the phases of a test, and those are in the clone.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")
        self._logging: Any = config.pluginmanager.get_plugin("logging-plugin")
        self._logs = LogCaptureHandler()
        if self._logging is not None:
            self._logs.setFormatter(self._logging.formatter)
        self._held = ExitStack()
        self._written = dict.fromkeys(("stdout", "stderr", "log"), "")

    @contextmanager
    def captured(self) -> Iterator[None]:
        """In this block. What it leaves unread as it raises pytest shows at the end of the session."""
        with ExitStack() as self._held:
            if self._capture is not None:
                self._capture.resume_global_capture()
                self._held.callback(self._capture.suspend_global_capture)
            if self._logging is not None:
                self._held.enter_context(catching_logs(self._logs, level=self._logging.log_level))
            yield
        self._keep()

    def leave(self) -> None:
        """In a clone that was made in such a block: its test begins outside of it."""
        self._held.close()

    def forget(self) -> None:
        """No test runs to which it could belong."""
        self._written = dict.fromkeys(self._written, "")

    def place(self) -> Place:
        """How much there is so far."""
        return {name: len(text) for name, text in self._written.items()}

    def sections(self, since: Place) -> list[tuple[str, str]]:
        """What was written since then, as sections of a report."""
        parts = {name: text[since[name] :] for name, text in self._written.items()}
        return [(f"Captured {name} of the session", text) for name, text in parts.items() if text]

    def _keep(self) -> None:
        if self._capture is not None:
            out, err = self._capture.read_global_capture()
            self._written["stdout"] += out
            self._written["stderr"] += err
        self._written["log"] += self._logs.stream.getvalue()
        self._logs.reset()
