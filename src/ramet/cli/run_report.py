"""How a program ended, as an object of JSON."""

import json
import time
from collections.abc import Sequence
from signal import SIGINT
from typing import TYPE_CHECKING, Any

from .._kernel import procfs
from ..errors import SpawnError
from ..exit_status import ExitStatus

if TYPE_CHECKING:
    from resource import struct_rusage


class Report:
    """Filled in as it goes; the wall time counts from its making.

    ``interrupted``: the program was killed by SIGINT.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.interrupted = False
        self._begun = time.monotonic()
        self._facts: dict[str, Any] = {
            "argv": list(argv),
            "pid": None,
            "reason": "not started",
            "code": None,
            "signal": None,
            "core_dumped": False,
            "timed_out": False,
            "exit_status": None,
            "seconds": None,
            "rusage": None,
            "failed_step": None,
            "error": None,
        }

    def started(self, pid: int) -> None:
        """The program has been started."""
        self._facts["pid"] = pid

    def ended(self, status: ExitStatus, *, timed_out: bool) -> None:
        """The program has ended."""
        self.interrupted = status.signal == SIGINT
        self._facts |= {
            "reason": "timed out" if timed_out else status.reason,
            "code": status.code,
            "signal": getattr(status.signal, "name", status.signal),
            "core_dumped": status.core_dumped,
            "timed_out": timed_out,
            "rusage": None if status.rusage is None else _used(status.rusage),
        }

    def failed(self, error: Exception, words: str) -> None:
        """The program could not be started."""
        self._facts["failed_step"] = error.step if isinstance(error, SpawnError) else None
        self._facts["error"] = words

    def text(self, exit_status: int) -> str:
        """The object, on one line; the exit status is that of ramet itself."""
        self._facts["exit_status"] = exit_status
        self._facts["seconds"] = round(time.monotonic() - self._begun, 6)
        return json.dumps(self._facts) + "\n"


def _used(rusage: "struct_rusage") -> dict[str, float | None]:
    # Until its exec the program was in our memory, and the kernel counts that too (exec_mmap in
    # fs/exec.c): a peak that is not above ours is none of its own.
    peak = rusage.ru_maxrss
    return {
        "user_seconds": rusage.ru_utime,
        "system_seconds": rusage.ru_stime,
        "max_rss_kib": peak if peak > procfs.own_peak_kib() else None,
        "minor_faults": rusage.ru_minflt,
        "major_faults": rusage.ru_majflt,
        "blocks_in": rusage.ru_inblock,
        "blocks_out": rusage.ru_oublock,
        "voluntary_switches": rusage.ru_nvcsw,
        "involuntary_switches": rusage.ru_nivcsw,
    }
