"""The requests to the kernel: every subset of the flags that can decide an errno."""

import signal
from collections.abc import Iterator

from ..flags import CloneFlag as F
from ..law import Caller, evaluate, make_request
from ..law.version import Version
from .trial import Case

SIGCHLD = signal.SIGCHLD.value

# Every flag by which two rules of bits differ. NEWUTS stands for all that need a privilege.
DECIDING = (
    *(F.VM, F.FS, F.SIGHAND, F.THREAD, F.PARENT, F.NEWNS, F.NEWUSER, F.NEWPID, F.NEWIPC),
    *(F.SYSVSEM, F.DETACHED, F.NEWUTS),
)
OF_CLONE3 = (*DECIDING, F.CLEAR_SIGHAND)
OF_CLONE = (*DECIDING, F.PIDFD, F.PARENT_SETTID)

# Bytes that clone() takes as exit signals, invalid ones too. Every signal is blocked.
_BYTES = (0, SIGCHLD, 10, 64, 65, 128 | SIGCHLD, 255)

# Flags that decide no errno are added, so that each is tried with each other; the second number
# says how seldom: a new network namespace takes a thousand times as long as a new uts namespace.
_RIDERS = (
    *((flag, 2) for flag in (F.FILES, F.IO, F.PIDFD, F.PARENT_SETTID, F.CHILD_SETTID)),
    *((flag, 2) for flag in (F.CHILD_CLEARTID, F.SETTLS, F.NEWCGROUP, F.NEWTIME)),
    *((flag, 4) for flag in (F.UNTRACED, F.PTRACE)),
    (F.VFORK, 16),
    (F.NEWNET, 64),
)
_GOLDEN = 0x9E3779B97F4A7C15
_64_BITS = (1 << 64) - 1


def of_clone3(caller: Caller, version: Version) -> Iterator[Case]:
    """Every subset, with no exit signal and with SIGCHLD."""
    for number, flags in enumerate(subsets(OF_CLONE3)):
        for exit_signal in (0, SIGCHLD):
            bare = Case(flags, exit_signal)
            yield _with_riders(bare, 2 * number + bool(exit_signal), caller, version)


def of_clone(caller: Caller, version: Version) -> Iterator[Case]:
    """Every subset through clone(), with many exit signals and bits that it ignores."""
    for number, flags in enumerate(subsets(OF_CLONE)):
        exit_signal = _BYTES[mixed(number) % len(_BYTES)]
        yield _with_riders(Case(flags, exit_signal, "clone"), number, caller, version)


def subsets(flags: tuple[F, ...]) -> Iterator[int]:
    """Every union of some of them."""
    bits = [flag.value for flag in flags]
    for chosen in range(1 << len(bits)):
        yield sum(bit for place, bit in enumerate(bits) if chosen >> place & 1)


def _with_riders(case: Case, number: int, caller: Caller, version: Version) -> Case:
    """The same with some more flags, where these change nothing about its errno."""
    chance = mixed(number)
    riders = 0
    for place, (flag, seldom) in enumerate(_RIDERS):
        if (chance >> 4 * place) % seldom == 0:
            riders |= flag.value
    if case.call == "clone":
        riders &= ~F.NEWTIME.value
    plain = make_request(case.flags, case.exit_signal, case.call, {})
    more = make_request(case.flags | riders, case.exit_signal, case.call, {})
    errno = evaluate(plain, caller, version).errno
    if evaluate(more, caller, version).errno == errno:
        case.flags |= riders
    return case


def mixed(number: int) -> int:
    """Pseudo-random bits, the same each time."""
    spread = (number + 1) * _GOLDEN & _64_BITS
    return (spread ^ spread >> 29) * _GOLDEN & _64_BITS
