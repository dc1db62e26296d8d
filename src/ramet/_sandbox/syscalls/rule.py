"""A row of a filter: to which system calls, with which arguments, it gives which answer."""

import errno
from dataclasses import dataclass

# include/uapi/linux/seccomp.h: what the kernel does with a call. The lowest of several filters' counts.
KILL_PROCESS = 0x80000000
KILL_THREAD = 0x00000000
TRAP = 0x00030000
ERRNO = 0x00050000
USER_NOTIFICATION = 0x7FC00000
TRACE = 0x7FF00000
LOG = 0x7FFC0000
ALLOW = 0x7FFF0000
DATA = 0xFFFF  # the bits of an answer that hold an errno, or what a tracer is told

WORD = 0xFFFFFFFF
LONG = 0xFFFFFFFFFFFFFFFF


def error(number: int) -> int:
    """The answer that fails with this errno."""
    return ERRNO | number


EPERM = error(errno.EPERM)
ENOSYS = error(errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class ArgumentTest:
    """A condition on one argument: ``(argument & mask) comparison value``, all without a sign.

    ``mask`` is what the kernel reads of the argument: with WORD the upper half does not count, as where
    the kernel's function takes an int.
    """

    index: int
    comparison: str
    value: int
    mask: int = LONG


@dataclass(frozen=True, slots=True)
class Row:
    """What is answered to calls. Of several rows for a call the first whose tests all hold counts.

    ``names``: the calls, with spaces between them; ``answer``: as seccomp(2) has it; ``why``: in words;
    ``quiet``: whether the answer is the same where a forbidden call ends the process, since programs ask
    in the ordinary course and go on. ENOSYS, the answer of a kernel without the call, is always quiet.
    """

    names: str
    answer: int
    tests: tuple[ArgumentTest, ...] = ()
    why: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """All rows, and what is answered where there is none.

    ``otherwise``: to calls without a row; ``unassigned``: to numbers below ``newest`` that no call has;
    ``newest``: the last number that the author of the rows can have known, above which all is answered
    as by an older kernel, None for no such limit.
    """

    rows: tuple[Row, ...]
    otherwise: int
    unassigned: int
    newest: int | None
