"""What the tests have started and nobody ends any more, after the last of them."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ramet._kernel import procfs
from ramet._kernel.pidfd import wait_readable

_MARK = "RAMET_TESTS_PID"
_ARG_START = 45  # of the words of /proc/PID/stat that procfs.stat() gives
_PATIENCE_SECONDS = 5.0  # for one that is ending


class LeftProcesses:
    """Fails a run after which a process is left that is below no process of the run.

    A program inherits a mark in its environment; a copy of the process that runs the tests has its command
    line at the same place in memory. What has neither is not found: a program with an environment of its
    own that has left its parent.
    """

    def __init__(self) -> None:
        os.environ[_MARK] = str(os.getpid())
        self._mark = f"{_MARK}={os.getpid()}".encode()
        self._command = _command_line("self")
        self._left: list[str] = []

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a run that passed into one that failed, and end what is left."""
        self._left = [told for pid in self._orphans() if (told := _ended(pid))]
        if self._left and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name them."""
        if self._left:
            terminalreporter.section("processes left behind, killed now", red=True)
            for line in self._left:
                terminalreporter.line(line)

    def _orphans(self) -> Iterator[int]:
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            if self._is_of_tests(pid) and not _is_below(os.getpid(), pid):
                yield pid

    def _is_of_tests(self, pid: int) -> bool:
        if self._mark in _read(pid, "environ").split(b"\0"):
            return True
        return _command_line(pid) == self._command


def _command_line(pid: int | str) -> tuple[list[str], bytes]:
    """Where it is, which is chosen at random at each exec, and what it is."""
    return procfs.stat_if_any(pid)[_ARG_START : _ARG_START + 1], _read(pid, "cmdline")


def _is_below(top: int, pid: int) -> bool:
    while pid > 1 and pid != top:
        try:
            pid = int(procfs.status(pid)["PPid"])
        except OSError:  # it has ended
            return True
    return pid == top


def _ended(pid: int) -> str:
    """Kill it; what it was, or nothing if it was about to end."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return ""
    try:
        if wait_readable(pidfd, _PATIENCE_SECONDS):
            return ""
        command = " ".join(_read(pid, "cmdline").decode(errors="replace").split("\0"))
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return f"{pid}: {command}"
    finally:
        os.close(pidfd)


def _read(pid: int | str, name: str) -> bytes:
    """Nothing of a process that has ended or may not be looked at."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
