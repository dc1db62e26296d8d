"""Terminals of tests: what a person would type, and see."""

import contextlib
import os
import re
import select
import time
from collections.abc import Iterator

import pytest

import ramet

from .constants import PATIENT_SECONDS

INTERRUPT, SUSPEND = "\x03", "\x1a"


class Terminal:
    """The end of a terminal at which a person sits."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._seen = ""

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._master, text.encode())

    def see(self, pattern: str) -> str:
        """Wait until this is shown; all up to it has been seen then."""
        deadline = time.monotonic() + PATIENT_SECONDS
        while (match := re.search(pattern, self._seen)) is None:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._master], [], [], left)[0]:
                pytest.fail(f"{pattern!r} was not shown, but {self._seen!r}")
            self._seen += os.read(self._master, 65536).decode(errors="replace")
        before, self._seen = self._seen[: match.end()], self._seen[match.end() :]
        return before


@contextlib.contextmanager
def shell(*words: str, kind: str = "dumb") -> Iterator[Terminal]:
    """A shell that is the session leader of a terminal of its own."""
    master, slave = os.openpty()
    command = ramet.Command(
        words,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        controlling_terminal=slave,
        env={**os.environ, "PS1": "$ ", "TERM": kind, "HISTFILE": ""},
    )
    with command.spawn():
        os.close(slave)
        try:
            yield Terminal(master)
        finally:
            os.close(master)  # SIGHUP to all that are left
