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

    numbers = _RUSAGE.unpack_from(words)  # musl's struct has room for more
    utime, stime = (numbers[at] + numbers[at + 1] * _MICROSECOND for at in (0, 2))
    return struct_rusage((utime, stime, *numbers[4:]))


class ExitStatus:
    """How a child ended: with a code, by a signal, or in a way that the kernel did not report.

    ``reason``: ``"exited"``, ``"signaled"`` or ``"unknown"``; ``"deadline"`` for a function that was
    killed at its ``timeout=``; ``"out of memory"`` for a child with a ``cgroup=`` that counts such kills.
    For a child with a ``sandbox=`` it names what ended it: ``"deadline"``, ``"out of memory"`` (also when a
    process that it started was killed for that), ``"cpu time"``, ``"processes"`` (it gave up when one
    could not be made), ``"output"``, ``"file size"``, or ``"forbidden call "`` and its name, without a
    name where that is not known. A child that exited with 0 has none of these reasons.
    ``rusage``, what the child used, is ignored in comparisons; its ``ru_maxrss`` is at least the caller's
    resident size if the child shared the caller's memory until its exec.

    >>> ExitStatus.from_wstatus(0x300)
    <ExitStatus: exited with 3>
    """

    # Written out: importing dataclasses takes half as long as importing this library.
    __slots__ = ("_end",)

    # Code, signal, whether it dumped core, reason, rusage: one tuple, since one is made for every child.
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
        """The exit code; None when it did not exit."""
        return self._end[0]

    @property
    def signal(self) -> Signals | int | None:
        """The signal that killed it, a plain number if it has no name; None when none did."""
        return self._end[1]

    @property
    def core_dumped(self) -> bool:
        """Whether the kernel wrote a core file."""
        return self._end[2]

    @property
    def reason(self) -> str:
        """How it ended, in one of the words above."""
        return self._end[3]

    @property
    def rusage(self) -> "struct_rusage | None":
        """The resources that the child used; None when the kernel did not report them."""
        used = self._end[4]
        if isinstance(used, bytes):  # decoded when asked for: it takes half as long as a clone call
            used = _read(used)
            _set_end(self, (*self._end[:4], used))
        return used

    def because(self, reason: str) -> "ExitStatus":
        """The same status with a more precise reason."""
        return ExitStatus(self.code, self.signal, self.core_dumped, self._end[4], reason)

    @classmethod
    def from_waitid(
        cls, si_code: int, si_status: int, rusage: "struct_rusage | bytes | None" = None
    ) -> "ExitStatus":
        """From the siginfo of waitid(2); ValueError when the task has not ended.

        rusage: a struct_rusage, or the kernel's structure as bytes.
        """
        return from_waitid(si_code, si_status, rusage)

    @classmethod
    def from_wstatus(cls, status: int, rusage: "struct_rusage | None" = None) -> Self:
        """From the status word of wait4(2); ValueError when the task has not ended."""
        if os.WIFEXITED(status):
            return cls(code=os.WEXITSTATUS(status), rusage=rusage, reason="exited")
        if os.WIFSIGNALED(status):
            return cls(
                signal=_named(os.WTERMSIG(status)),
                core_dumped=os.WCOREDUMP(status),
                rusage=rusage,
                reason="signaled",
            )
        raise ValueError(f"invalid wait status: expected that of an ended task, got {status:#x}")

    @classmethod
    def unknown(cls) -> Self:
        """For a task whose status the kernel does not report: a thread, the child of another process."""
        return cls()

    @property
    def success(self) -> bool:
        """Whether the child ended with code 0."""
        return self.code == 0

    @property
    def returncode(self) -> int | None:
        """As in subprocess: the code, or the negative signal; None when unknown."""
        code, number = self._end[:2]
        return code if number is None else -number

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an ExitStatus is immutable: cannot change {name}")

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            raise TypeError(
                f"an ExitStatus is not a number: compare .code with {other}, or use .success"
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
            "an ExitStatus has no truth value, since code 0 means success: use .success; "
            "to ask whether the child has ended, use `poll() is not None`"
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
        return "ended in an unknown way"


_blank = object.__new__
# An ExitStatus is immutable: only from_waitid(), __init__ and the core set its slot.
END: MemberDescriptorType = ExitStatus.__dict__["_end"]
_set_end = END.__set__


def from_waitid(
    si_code: int, si_status: int, rusage: "struct_rusage | bytes | None" = None
) -> ExitStatus:
    """ExitStatus.from_waitid() without a call of __init__: every child passes here."""
    status = _blank(ExitStatus)
    if si_code == _CLD_EXITED:
        _set_end(status, (si_status, None, False, "exited", rusage))
    elif si_code in (os.CLD_KILLED, os.CLD_DUMPED):
        dumped = si_code == os.CLD_DUMPED
        _set_end(status, (None, _named(si_status), dumped, "signaled", rusage))
    else:
        raise ValueError(f"invalid si_code: expected that of an ended task, got {si_code}")
    return status


def _named(number: int) -> Signals | int:
    try:
        return Signals(number)
    except ValueError:  # most real-time signals have no name
        return number
