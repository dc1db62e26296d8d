"""How a child ended."""

import os
from signal import Signals
from struct import Struct
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from resource import struct_rusage

_RUSAGE = Struct("@18l")  # the kernel's struct rusage: two times of two words, and fourteen counts
_MICROSECOND = 1e-6
_CLD_EXITED = os.CLD_EXITED


def _read(words: bytes) -> "struct_rusage":
    from resource import struct_rusage

    numbers = _RUSAGE.unpack(words)
    utime, stime = (numbers[at] + numbers[at + 1] * _MICROSECOND for at in (0, 2))
    return struct_rusage((utime, stime, *numbers[4:]))


class ExitStatus:
    """How a child ended: with a code, by a signal, or in a way that the kernel does not tell.

    ``reason`` is ``"exited"``, ``"signaled"`` or ``"unknown"``, or says more where the library
    knows more: ``"deadline"`` of a function in shared memory whose ``timeout=`` was over, ``"out of
    memory"`` of a child with a ``cgroup=`` that counts such kills. What the child used (``rusage``)
    has no part in a comparison; its ``ru_maxrss`` is never below what its maker had resident, where
    the child shared that memory until its exec.

    >>> ExitStatus.from_wstatus(0x300)
    <ExitStatus: exited with 3>
    """

    # Written out: the module that would write it costs an import as long as half of this library.
    __slots__ = ("_end",)

    # Code, signal, whether it dumped core, the reason, and what it used; one is made with every child.
    _end: "tuple[int | None, Signals | int | None, bool, str, struct_rusage | bytes | None]"

    def __init__(
        self,
        code: int | None = None,
        signal: Signals | int | None = None,
        core_dumped: bool = False,
        rusage: "struct_rusage | bytes | None" = None,
        reason: str = "unknown",
    ) -> None:
        _set_end(self, (code, signal, core_dumped, reason, rusage))

    @property
    def code(self) -> int | None:
        """The exit code, None where it did not end with one."""
        return self._end[0]

    @property
    def signal(self) -> Signals | int | None:
        """The signal that killed it; a number where it has no name, None where none did."""
        return self._end[1]

    @property
    def core_dumped(self) -> bool:
        """Whether the kernel wrote a core file."""
        return self._end[2]

    @property
    def reason(self) -> str:
        """How it ended, in a word or two."""
        return self._end[3]

    @property
    def rusage(self) -> "struct_rusage | None":
        """What the child used, None where the kernel does not tell."""
        used = self._end[4]
        if isinstance(used, bytes):  # few ask, and it takes half as long as a clone call
            used = _read(used)
            _set_end(self, (*self._end[:4], used))
        return used

    def because(self, reason: str) -> "ExitStatus":
        """The same end, with what more is known of its reason."""
        return ExitStatus(self.code, self.signal, self.core_dumped, self._end[4], reason)

    @classmethod
    def from_waitid(
        cls, si_code: int, si_status: int, rusage: "struct_rusage | bytes | None" = None
    ) -> "ExitStatus":
        """From the siginfo of waitid(2); ValueError when it does not tell of an end.

        rusage: also as the kernel's bytes.
        """
        return from_waitid(si_code, si_status, rusage)

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
        code, number = self._end[:2]
        return code if number is None else -number

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an ExitStatus does not change: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an ExitStatus does not change: {name}")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            raise TypeError(
                f"an ExitStatus is no number: compare .code with {other}, or ask .success"
            )
        if not isinstance(other, ExitStatus):
            return NotImplemented
        return self._end[:4] == other._end[:4]

    def __hash__(self) -> int:
        return hash(self._end[:4])

    def __reduce__(self) -> tuple[Any, ...]:
        return ExitStatus, (self.code, self.signal, self.core_dumped, self.rusage, self.reason)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "an ExitStatus is neither true nor false, since code 0 is success: ask .success; "
            "whether the child has ended is `poll() is not None`"
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


_blank = object.__new__
# An ExitStatus does not change: only here is it written.
END: MemberDescriptorType = ExitStatus.__dict__["_end"]
_set_end = END.__set__


def from_waitid(
    si_code: int, si_status: int, rusage: "struct_rusage | bytes | None" = None
) -> ExitStatus:
    """ExitStatus.from_waitid(), on the way that every child's goes."""
    status = _blank(ExitStatus)
    if si_code == _CLD_EXITED:
        _set_end(status, (si_status, None, False, "exited", rusage))
    elif si_code in (os.CLD_KILLED, os.CLD_DUMPED):
        dumped = si_code == os.CLD_DUMPED
        _set_end(status, (None, _named(si_status), dumped, "signaled", rusage))
    else:
        raise ValueError(f"this si_code tells of no end: {si_code}")
    return status


def _named(number: int) -> Signals | int:
    try:
        return Signals(number)
    except ValueError:  # most real-time signals have no name
        return number
