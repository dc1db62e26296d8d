"""Walks the rules for one request.

No flag is named here: what is forbidden, and why, stands in the rows.
"""

import errno
import functools
from typing import Literal, TypeAlias, get_args

from ..errors import CloneError
from ..flags import CloneFlag, signal_name
from .rules import RULES, Rule

Call: TypeAlias = Literal["clone", "clone3"]


# The answer depends on the request alone, and a program makes the same request again and again.
@functools.lru_cache(maxsize=256)
def broken_rules(flags: int, exit_signal: int, call: Call) -> tuple[Rule, ...]:
    """Every rule that the request breaks, in the order in which the kernel looks.

    In clone() the low byte of ``flags`` is the exit signal, whole, and may also be given as
    ``exit_signal``; in clone3 it is part of the flags. Rules that are not ``certain`` hold on some
    kernels only.
    """
    if call not in get_args(Call):
        raise ValueError(f"the law knows clone and clone3, not {call!r}")
    return tuple(rule for rule in RULES if call in rule.calls and _holds(rule, flags, exit_signal))


def check(flags: int, exit_signal: int, call: Call) -> None:
    """Raise CloneError when no supported kernel can grant the request.

    Where kernels differ, nothing is raised: the kernel that runs is the judge, and ``refusal``
    explains its answer.
    """
    certain = [rule for rule in broken_rules(flags, exit_signal, call) if rule.certain]
    if certain:
        error_number: int = getattr(errno, certain[0].errno)
        raise CloneError(error_number, rules=certain, asked=_asked(flags, exit_signal))


def refusal(error_number: int, flags: int, exit_signal: int, call: Call) -> CloneError:
    """The error for what the kernel refused, with the rules that can explain its errno."""
    name = errno.errorcode.get(error_number)
    rules = [rule for rule in broken_rules(flags, exit_signal, call) if rule.errno == name]
    return CloneError(error_number, rules=rules, asked=_asked(flags, exit_signal))


def _holds(rule: Rule, flags: int, exit_signal: int) -> bool:
    return (
        flags & rule.all_of == rule.all_of
        and (rule.any_of == 0 or flags & rule.any_of != 0)
        and flags & rule.none_of == 0
        and (rule.when is None or rule.when(exit_signal))
    )


def _asked(flags: int, exit_signal: int) -> str:
    flags_asked = f"flags {CloneFlag(flags)}"
    return f"{flags_asked}, exit signal {signal_name(exit_signal)}" if exit_signal else flags_asked
