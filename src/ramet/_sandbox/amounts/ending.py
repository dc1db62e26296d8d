"""What ended a confined child: the reason, from its status and from what was counted."""

import signal
from collections.abc import Container
from typing import NamedTuple

from ...exit_status import ExitStatus

# The reason of each amount.
REASONS = {
    "timeout": "deadline",
    "output": "output",
    "cpu_time": "cpu time",
    "memory": "out of memory",
    "processes": "processes",
    "file_size": "file size",
}

# By these a program ends that gives up, or that goes wrong where it could not start a thread.
_OWN_FAULTS = frozenset(
    {signal.SIGABRT, signal.SIGTRAP, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS}
)
_AMOUNTS_OF_SIGNALS: dict[int, str] = {
    signal.SIGXCPU: "cpu_time",
    signal.SIGXFSZ: "file_size",
}
_CODE_OF_SIGNAL = 128  # a shell's exit code for a command that was killed


class Facts(NamedTuple):
    """What was seen and counted of a child.

    ``killed_for``: the amount for which the library has killed it. ``told``: a reason that the launcher
    knows, such as ``"forbidden call mount"``. ``signalled``: what amount_of_signal() says.
    """

    killed_for: str | None = None
    told: str | None = None
    was_oom_killed: bool = False
    refused_forks: bool = False
    used_cpu_time: bool = False
    signalled: str | None = None


def reason_of(status: ExitStatus, facts: Facts) -> str | None:
    """The reason that is more precise than the status, None where there is none.

    None for a child that ended with code 0, whatever it has reached: that is in ``Usage.limits_hit``. The
    first that applies, of: the amount for which the library killed it; what the launcher knows; a process
    of it that the kernel killed for want of memory, be it a grandchild; processor time that was used up,
    or the signal of RLIMIT_CPU; the signal of RLIMIT_FSIZE, or a shell's exit code for one of these
    signals; a process that could not be made, if the program gave up by an exit code or a fault of its own.
    """
    if status.success:
        return None
    if facts.killed_for is not None and status.code is None:
        return REASONS[facts.killed_for]
    if facts.told is not None:
        return facts.told
    amount = _amount_of(status, facts)
    return None if amount is None else REASONS[amount]


def _amount_of(status: ExitStatus, facts: Facts) -> str | None:
    gave_up = status.code is not None or status.signal in _OWN_FAULTS
    found = {
        "memory": facts.was_oom_killed,
        "cpu_time": facts.used_cpu_time or facts.signalled == "cpu_time",
        "file_size": facts.signalled == "file_size",
        "processes": facts.refused_forks and gave_up,
    }
    return next((amount for amount, is_it in found.items() if is_it), None)


def amount_of_signal(status: ExitStatus, limited: Container[str]) -> str | None:
    """The amount whose signal has ended the program, or a command of the shell that is the program.

    limited: the amounts that have limits; a shell's exit code is believed only for one of them.
    """
    if status.signal is not None:
        return _AMOUNTS_OF_SIGNALS.get(status.signal)
    amount = _AMOUNTS_OF_SIGNALS.get((status.code or 0) - _CODE_OF_SIGNAL)
    return amount if amount is not None and amount in limited else None
