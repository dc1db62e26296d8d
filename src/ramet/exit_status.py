"""How a child ended."""

import os
from dataclasses import dataclass, field
from signal import Signals
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    from resource import struct_rusage


@dataclass(frozen=True, repr=False)
class ExitStatus:
    """How a child ended: with a code, by a signal, or in a way that the kernel does not tell.

    ``reason`` is ``"exited"``, ``"signaled"`` or ``"unknown"``, or says more where the library
    knows more. What the child used (``rusage``) has no part in a comparison.

    >>> ExitStatus.from_wstatus(0x300)
    <ExitStatus: exited with 3>
    """

    code: int | None = None
    signal: Signals | int | None = None
    core_dumped: bool = False
    rusage: "struct_rusage | None" = field(default=None, compare=False)
    reason: str = "unknown"

    @classmethod
    def from_waitid(
        cls, si_code: int, si_status: int, rusage: "struct_rusage | None" = None
    ) -> Self:
        """From the siginfo of waitid(2); ValueError when it does not tell of an end."""
        if si_code == os.CLD_EXITED:
            return cls(code=si_status, rusage=rusage, reason="exited")
        if si_code in (os.CLD_KILLED, os.CLD_DUMPED):
            return cls(
                signal=_named(si_status),
                core_dumped=si_code == os.CLD_DUMPED,
                rusage=rusage,
                reason="signaled",
            )
        raise ValueError(f"this si_code tells of no end: {si_code}")

    @classmethod
    def from_wstatus(cls, status: int, rusage: "struct_rusage | None" = None) -> Self:
        """From the status word of wait4(2); ValueError when it does not tell of an end."""
        if os.WIFEXITED(status):
            return cls(code=os.WEXITSTATUS(status), rusage=rusage, reason="exited")
        if os.WIFSIGNALED(status):
            return cls(
                signal=_named(os.WTERMSIG(status)),
                core_dumped=os.WCOREDUMP(status),
                rusage=rusage,
                reason="signaled",
            )
        raise ValueError(f"this wait status tells of no end: {status:#x}")

    @classmethod
    def unknown(cls) -> Self:
        """For a child whose status the kernel does not give: a thread, another's child."""
        return cls()

    @property
    def success(self) -> bool:
        """Whether the child ended with code 0."""
        return self.code == 0

    @property
    def returncode(self) -> int | None:
        """What subprocess would have: the code, or the negative signal; None when not known."""
        return self.code if self.signal is None else -self.signal

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "an ExitStatus is neither true nor false, since code 0 is success: ask .success"
        )

    def __str__(self) -> str:
        more = "" if self.reason in ("exited", "signaled", "unknown") else f" ({self.reason})"
        return self._ending() + more

    def __repr__(self) -> str:
        return f"<ExitStatus: {self}>"

    def _ending(self) -> str:
        if self.signal is not None:
            name = self.signal.name if isinstance(self.signal, Signals) else f"signal {self.signal}"
            return f"killed by {name}" + (", core dumped" if self.core_dumped else "")
        if self.code is not None:
            return f"exited with {self.code}"
        return "ended, how is not known"


def _named(number: int) -> Signals | int:
    try:
        return Signals(number)
    except ValueError:  # most real-time signals have no name
        return number
