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
        self.forget()

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
        # In parts: with -n it is long until none runs, and adding to a text would copy all of it.
        self._written: dict[str, list[str]] = {"stdout": [], "stderr": [], "log": []}

    def place(self) -> Place:
        """How much there is so far."""
        return {name: len(parts) for name, parts in self._written.items()}

    def sections(self, since: Place) -> list[tuple[str, str]]:
        """What was written since then, as sections of a report."""
        texts = {name: "".join(parts[since[name] :]) for name, parts in self._written.items()}
        return [(f"Captured {name} of the session", text) for name, text in texts.items() if text]

    def _keep(self) -> None:
        found = {"log": self._logs.stream.getvalue()}
        self._logs.reset()
        if self._capture is not None:
            found["stdout"], found["stderr"] = self._capture.read_global_capture()
        for name, text in found.items():
            if text:
                self._written[name].append(text)
