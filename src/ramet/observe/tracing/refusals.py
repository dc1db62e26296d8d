"""Why a call of a tracee was refused: the rules of the law, for that task as its caller."""

from typing import NamedTuple

from ..._kernel.names import CAPABILITIES
from ..._preflight.this_machine import running_kernel
from ...law import Caller, Rule, evaluate, kernel_version, possibly_broken
from ...law.library import FILTER
from .calls import Call
from .records import Part

_ASKED_FOR = ("SYS_ADMIN", "SYS_RESOURCE", "CHECKPOINT_RESTORE")  # by the rules
_INITIAL_USER_NS = "user:[4026531837]"


class Reasons(NamedTuple):
    """The rules that say why, and those that may."""

    rules: tuple[Rule, ...]
    possible: tuple[Rule, ...]


def reasons_for(call: Call, errno: str, parts: tuple[Part, ...], own_filters: int) -> Reasons:
    """The rules that explain this errno.

    parts: the caller's /proc/TID/status and its user namespace, empty where they could not be read.
    own_filters: how many seccomp filters it has from the tracer.
    """
    status = _fields(parts[0].content) if parts else {}
    user_ns = parts[1].content.decode(errors="replace") if len(parts) > 1 else ""
    version = kernel_version(running_kernel())
    filtered = int(status.get("Seccomp_filters", "0")) > own_filters
    try:
        request = call.request()
    except (ValueError, TypeError):  # one that the law cannot describe
        return Reasons((), (FILTER,) if filtered else ())
    outcome = evaluate(request, caller_of(status, user_ns), version)
    broken = tuple(rule for rule in outcome.broken if rule.errno == errno)
    if outcome.errno == errno:
        return Reasons(broken, ())
    more = [rule for rule in possibly_broken(request, version, errno) if rule not in broken]
    return Reasons((), (*broken, *more, *((FILTER,) if filtered else ())))


def caller_of(status: dict[str, str], user_ns: str) -> Caller:
    """The tracee as the law asks for it, as far as its status says."""
    effective = int(status.get("CapEff", "0"), 16)
    held = frozenset(f"CAP_{name}" for name in _ASKED_FOR if effective >> CAPABILITIES[name] & 1)
    return Caller(
        privileged="CAP_SYS_ADMIN" in held,
        capabilities=held,
        user_ns_depth=int(user_ns not in {"", _INITIAL_USER_NS}),
        pid_ns_depth=max(0, len(status.get("NSpid", "1").split()) - 1),
        pid_ns_init=status.get("NSpid", "").split()[-1:] == ["1"],
        traced=True,
        threads=int(status.get("Threads", "1")),
    )


def _fields(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: " ".join(value.split()) for name, _, value in lines}
