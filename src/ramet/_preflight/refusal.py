"""The library's refusals, in the words of the law: before the kernel is asked, and after it."""

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
from .this_machine import cgroup_behind, errno_name, has_filter, running_kernel

_UNKNOWN_KERNEL: Version = (999, 0, 0)


# The answer depends on the bits alone, and a program makes the same request again and again.
@functools.lru_cache(maxsize=1024)
def _broken(flags: int, exit_signal: int, call: Call) -> tuple[Rule, ...]:
    own = library_rules(flags, exit_signal, call)
    return own or certainly_broken(flags, exit_signal, call, _version())


def _version() -> Version:
    """Of the running kernel; where its name says nothing, one that is asked about everything."""
    try:
        return kernel_version(running_kernel())
    except ValueError:
        return _UNKNOWN_KERNEL


def check(flags: int, exit_signal: int, call: Call, asked: int | None = None) -> None:
    """Raise CloneError when no supported kernel can grant the request.

    asked: the flags as the caller has said them, where the library has added some. Where kernels
    differ, nothing is raised: the kernel that runs is the judge, and ``refusal`` explains its answer.
    """
    if broken := _broken(flags, exit_signal, call):
        number: int = getattr(errno, str(broken[0].errno))
        raise CloneError(number, rules=broken, asked=_request(flags, exit_signal, asked))


def own_refusal(rule_id: str, flags: int, exit_signal: int = 0) -> CloneError:
    """The error for what the library cannot put to the kernel at all."""
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
    """The error for what the kernel refused, with the rules that can explain its errno.

    asked: as for check(). ``fields`` are those of the request, see law.Request. What the model did
    not foresee is marked as such, with the rules that may be behind it.
    """
    name = errno_name(error_number)
    told = _request(flags, exit_signal, asked)
    if isinstance(cgroup := fields.get("cgroup"), int):
        fields["cgroup"] = cgroup_behind(cgroup)
    try:
        request = make_request(flags, exit_signal, call, fields)
    except ValueError:  # what the law cannot even read
        return CloneError(error_number, unexpected=True, asked=told)
    version = _version()
    outcome = evaluate(request, _caller(), version)
    if outcome.errno == name:
        rules = [rule for rule in outcome.broken if rule.errno == name]
        return CloneError(error_number, rules=rules, asked=told)
    maybe = [rule for rule in outcome.broken if rule.errno == name]
    maybe += [rule for rule in possibly_broken(request, version, name) if rule not in maybe]
    if _is_filtered():
        maybe.append(FILTER)
    return CloneError(error_number, possible_rules=maybe, unexpected=True, asked=told)


# What a child may need besides itself, by the names that the core gives them: what it is, and what
# does without. Each is made by clone() in its turn, with these flags of note.
_MEMORY = CloneFlag.VM | CloneFlag.FS | CloneFlag.FILES | CloneFlag.SIGHAND
_HELPERS: dict[str, tuple[str, str, CloneFlag]] = {
    "host thread": (
        "the child needs a host thread, which lends it a stack and a thread-local block",
        "vfork() needs none, nor does a memory of its own (no VM)",
        _MEMORY | CloneFlag.THREAD,
    ),
    "deadline thread": (
        "the child needs a deadline thread, a thread of this process that keeps its deadline",
        "without timeout there is none",
        _MEMORY | CloneFlag.THREAD,
    ),
    "watchdog": (
        "the child needs a watchdog, a process that ends it with its caller",
        "without SIGHAND, PARENT and NEWPID there is none",
        CloneFlag.VM,
    ),
}


def no_helper(
    name: str, error_number: int, flags: int, exit_signal: int, asked: int | None = None
) -> CloneError:
    """The error for a clone call whose helper could not be made; the rules are those of the helper.

    name: as in _HELPERS. error_number: for the helper. The other arguments are those of refusal().
    """
    needed, without, helper_flags = _HELPERS[name]
    why = refusal(error_number, helper_flags, 0, "clone")
    reason = os.strerror(error_number) if why.unexpected else why.strerror
    sentence = f"{needed}, and none can be made: {reason}"
    # Where the limit is of tasks, another way would need one as well.
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
