"""How a confined program ended and what it used, in words and as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from .._sandbox.description import Sandbox
from .._sandbox.overlay.changes import Changes
from .._sandbox.supervision import SandboxReport
from ..exit_status import ExitStatus
from .program_command import words

_PLAIN = ("exited", "signaled", "unknown")  # what an exit status tells as well
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_AMOUNTS_OF_REASONS = {
    "deadline": "timeout",
    "out of memory": "memory",
    "cpu time": "cpu_time",
    "processes": "processes",
    "output": "output",
    "file size": "file_size",
}


def told(argv: Sequence[str], status: ExitStatus, report: SandboxReport, seconds: float) -> str:
    """All that is known, on a few lines."""
    lines = [f"{argv[0]}: {_ended(status, report)} after {seconds:.3f} s"]
    used = {
        "memory": report.peak_memory is not None and f"{_bytes(report.peak_memory)} at most",
        "processor time": report.cpu_seconds is not None and f"{report.cpu_seconds:.3f} s",
        "processes": report.peak_processes is not None and f"{report.peak_processes} at most",
        "written": report.bytes_written is not None and _bytes(report.bytes_written),
        "output": bool(report.output) and _bytes(report.output),
        "limits reached": ", ".join(report.limits_hit),
    }
    lines += [f"{name}: {text}" for name, text in used.items() if text]
    if report.changes is not None:
        lines += _changed(report.changes)
    lines += [f"not met in full: {row.wish}: {row.shortfall}" for row in report.lost]
    return "\n".join(["ramet sandbox: " + lines[0], *(f"  {line}" for line in lines[1:])])


def told_as_json(
    argv: Sequence[str], status: ExitStatus, report: SandboxReport, seconds: float
) -> str:
    """The same as an object, on one line; bytes and seconds, null for what was not counted."""
    facts: dict[str, Any] = {
        "argv": list(argv),
        "reason": report.reason,
        "code": status.code,
        "signal": getattr(status.signal, "name", status.signal),
        "seconds": round(seconds, 6),
        "peak_memory": report.peak_memory,
        "cpu_seconds": report.cpu_seconds,
        "bytes_written": report.bytes_written,
        "peak_processes": report.peak_processes,
        "output": report.output,
        "limits_hit": list(report.limits_hit),
        **_changes_as_data(report.changes),
        "lost": [{"wish": row.wish, "shortfall": row.shortfall} for row in report.lost],
    }
    return json.dumps(facts)


def _changed(changes: Changes) -> Iterable[str]:
    lines = str(changes).splitlines()
    return [f"changed: {line}" for line in lines] if _why_unread(changes) is None else lines


def _changes_as_data(changes: Changes | None) -> dict[str, Any]:
    why = None if changes is None else _why_unread(changes)
    listed = None if changes is None or why else [asdict(each) for each in changes]
    return {"changes": listed, "changes_unread": why}


def _why_unread(changes: Changes) -> str | None:
    """A child may have made more than is read, which is no failure of the command."""
    try:
        len(changes)
    except OSError as error:
        return words(error)
    return None


def told_in_short(report: SandboxReport, description: Sandbox) -> Iterable[str]:
    """Lines for what is not seen otherwise: a reason beyond the exit status, wishes that are not met."""
    if report.reason not in _PLAIN:
        amount = _AMOUNTS_OF_REASONS.get(report.reason)
        limit = "" if amount is None else f" ({amount} {_limit(amount, description)})"
        yield f"ended by: {report.reason}{limit}"
    short = [row for row in report.lost if row.is_short]
    if short:
        yield f"not met in full: {', '.join(dict.fromkeys(row.wish for row in short))}; --report tells more"


def _limit(amount: str, description: Sandbox) -> str:
    value = getattr(description, amount)
    return _bytes(value) if amount in ("memory", "output", "file_size") else f"{value:g}"


def _ended(status: ExitStatus, report: SandboxReport) -> str:
    how = (
        f"exited with {status.code}"
        if status.code is not None
        else f"killed by {getattr(status.signal, 'name', status.signal)}"
    )
    return how if report.reason in _PLAIN else f"{how}, ended by: {report.reason}"


def _bytes(count: int) -> str:
    for name, unit in reversed(_UNITS.items()):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
