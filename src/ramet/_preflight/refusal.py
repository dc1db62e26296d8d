"""Errors for requests that are refused, by the library before the call or by the kernel after it."""

import errno
import functools
import os
from typing import Any

from ..errors import CloneError
from ..flags import CloneFlag, signal_name
from ..law import (
    Call,
    Caller,
    Rule,
    certainly_broken,
    evaluate,
    kernel_version,
    make_request,
    possibly_broken,
)
from ..law.library import FILTER, LIBRARY_RULES, library_rules
from ..law.version import Version
from .cgroup import cgroup_behind
from .this_machine import errno_name, running_kernel
from .this_thread import has_filter

_UNKNOWN_KERNEL: Version = (999, 0, 0)


# The answer depends on these arguments alone, and programs repeat requests.
@functools.lru_cache(maxsize=1024)
def _broken(flags: int, exit_signal: int, call: Call) -> tuple[Rule, ...]:
    own = library_rules(flags, exit_signal, call)
    return own or certainly_broken(flags, exit_signal, call, _version())


def _version() -> Version:
    """Of the running kernel; when its release cannot be parsed, one for which every rule holds."""
    try:
        return kernel_version(running_kernel())
    except ValueError:
        return _UNKNOWN_KERNEL


def check(flags: int, exit_signal: int, call: Call, asked: int | None = None) -> None:
    """Raise CloneError when no supported kernel can grant the request.

    asked: the flags as the caller gave them, if the library added some. Where kernels differ, nothing
    is raised: the running kernel decides, and ``refusal`` explains its answer.
    """
    if broken := _broken(flags, exit_signal, call):
        number: int = getattr(errno, str(broken[0].errno))
        raise CloneError(number, rules=broken, asked=_request(flags, exit_signal, asked))


def own_refusal(rule_id: str, flags: int, exit_signal: int = 0) -> CloneError:
    """The error for a request that the library cannot pass to the kernel."""
    rule = LIBRARY_RULES[rule_id]
    number: int = getattr(errno, str(rule.errno))
    return CloneError(number, rules=[rule], asked=_request(flags, exit_signal))


def refusal(
    error_number: int,
    flags: int,
    exit_signal: int,
    call: Call,
    asked: int | None = None,
    **fields: Any,
) -> CloneError:
    """The error for a request that the kernel refused, with the rules that explain its errno.

    asked: as for check(). fields: of the request, see law.Request. An errno that the law did not predict
    makes an ``unexpected`` error, with the rules that may be the reason.
    """
    name = errno_name(error_number)
    words = _request(flags, exit_signal, asked)
    if isinstance(cgroup := fields.get("cgroup"), int):
        fields["cgroup"] = cgroup_behind(cgroup)
    try:
        request = make_request(flags, exit_signal, call, fields)
    except ValueError:  # a request that the law cannot describe
        return CloneError(error_number, unexpected=True, asked=words)
    version = _version()
    outcome = evaluate(request, _caller(), version)
    if outcome.errno == name:
        rules = [rule for rule in outcome.broken if rule.errno == name]
        return CloneError(error_number, rules=rules, asked=words)
    maybe = [rule for rule in outcome.broken if rule.errno == name]
    maybe += [rule for rule in possibly_broken(request, version, name) if rule not in maybe]
    if _is_filtered():
        maybe.append(FILTER)
    return CloneError(error_number, possible_rules=maybe, unexpected=True, asked=words)


# The helper tasks that a child may need, by the core's names: what for, how to do without, and the flags of
# the clone call that makes the helper.
_MEMORY = CloneFlag.VM | CloneFlag.FS | CloneFlag.FILES | CloneFlag.SIGHAND
_HELPERS: dict[str, tuple[str, str, CloneFlag]] = {
    "host thread": (
        "the child needs a host thread, whose stack and thread-local block it uses",
        "vfork() needs none, nor does a child with a memory of its own (no VM)",
        _MEMORY | CloneFlag.THREAD,
    ),
    "deadline thread": (
        "the child needs a deadline thread, a thread of this process that kills it at its deadline",
        "without timeout= it needs none",
        _MEMORY | CloneFlag.THREAD,
    ),
    "watchdog": (
        "the child needs a watchdog, a process that kills it when the caller's process ends",
        "without SIGHAND, PARENT and NEWPID it needs none",
        CloneFlag.VM,
    ),
}


def no_helper(
    name: str, error_number: int, flags: int, exit_signal: int, asked: int | None = None
) -> CloneError:
    """The error for a clone call whose helper could not be made, with the rules that its clone call broke.

    name: as in _HELPERS. error_number: for the helper. The other arguments are those of refusal().
    """
    needed, without, helper_flags = _HELPERS[name]
    why = refusal(error_number, helper_flags, 0, "clone")
    reason = os.strerror(error_number) if why.unexpected else why.strerror
    sentence = f"{needed}, which cannot be made: {reason}"
    # EAGAIN is a limit on tasks: a child without a helper would exceed it as well.
    if error_number != errno.EAGAIN:
        sentence += f"; {without}"
    return CloneError(
        error_number,
        sentence,
        rules=why.rules,
        possible_rules=why.possible_rules,
        unexpected=why.unexpected,
        asked=_request(flags, exit_signal, asked),
    )


def _caller() -> Caller:
    try:
        return Caller.current()
    except OSError:  # no /proc, or no descriptor to read it with
        return Caller(privileged=os.geteuid() == 0)


def _is_filtered() -> bool:
    try:
        return has_filter()
    except OSError:
        return False


def _request(flags: int, exit_signal: int, asked: int | None = None) -> str:
    words = f"flags {CloneFlag(flags if asked is None else asked)}"
    return f"{words}, exit signal {signal_name(exit_signal)}" if exit_signal else words
