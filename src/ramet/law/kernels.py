"""What other kernels answer to the same request."""

from dataclasses import dataclass

from ..flags import FACTS, CloneFlag
from .evaluate import evaluate
from .outcome import Outcome
from .request import Request
from .rows import RULES
from .sharing import SHARES
from .version import OLDEST, Version, parse_version, version_text

_CLONE3 = parse_version("5.3")


@dataclass(frozen=True)
class Span:
    """Kernels that give one answer: from ``since`` on, before ``until``."""

    since: Version
    until: Version | None
    outcome: Outcome

    def __str__(self) -> str:
        if self.until is None:
            return f"since Linux {version_text(self.since)}"
        if self.since == parse_version(OLDEST):
            return f"before Linux {version_text(self.until)}"
        return f"from Linux {version_text(self.since)} until {version_text(self.until)}"

    def has(self, version: Version) -> bool:
        """Whether this kernel is one of them."""
        return self.since <= version and (self.until is None or version < self.until)


def spans_of_answers(outcome: Outcome, before_clone3: Request | None = None) -> tuple[Span, ...]:
    """Every kernel from the oldest on, those with one answer together.

    ``before_clone3`` is the request to kernels that do not have that call.
    """
    asked = [request for request in (outcome.request, before_clone3) if request is not None]
    calls = {request.call for request in asked}
    turns = {OLDEST}
    for rule in RULES:
        if calls & rule.calls:
            turns |= {rule.since, rule.until or OLDEST}
    for row in FACTS:
        turns |= {row.since, row.until or OLDEST}
    oldest = parse_version(OLDEST)
    versions = sorted({max(parse_version(turn), oldest) for turn in turns})
    found: list[Span] = []
    for version, following in zip(versions, [*versions[1:], None], strict=True):
        request = asked[-1] if version < _CLONE3 else outcome.request
        answer = evaluate(request, outcome.caller, version)
        if found and _alike(found[-1].outcome, answer):
            found[-1] = Span(found[-1].since, following, found[-1].outcome)
        else:
            found.append(Span(version, following, answer))
    return tuple(found)


def _alike(one: Outcome, other: Outcome) -> bool:
    if one.request.call != other.request.call:
        return False
    if one.errno or other.errno:
        return (one.errno, one.broken[:1]) == (other.errno, other.broken[:1])
    return (one.flags, one.exit_signal, one.answer()) == (
        other.flags,
        other.exit_signal,
        other.answer(),
    )


def answer_in_words(outcome: Outcome, reference: Outcome) -> str:
    """The answer, and for a granted request what differs from the other."""
    words = _answer_in_words(outcome, reference)
    return words if outcome.request.call == reference.request.call else f"by clone(), {words}"


def _answer_in_words(outcome: Outcome, reference: Outcome) -> str:
    if outcome.errno:
        first = outcome.broken[0]
        return f"{outcome.errno}, rule {first.id}: {first.sentence}"
    asked = outcome.request.flags
    ignored = asked & ~outcome.flags & ~CloneFlag.CSIGNAL.value
    parts = []
    if moved := outcome.flags & ~asked:
        parts.append(f"reads a bit as {CloneFlag(moved)}")
        ignored &= 0 if ignored.bit_count() == moved.bit_count() else ignored
    if ignored:
        parts.append(f"does not know {CloneFlag(ignored)} and ignores it")
    if reference.granted:
        parts += [
            f"{row.what} {'shared' if outcome.shares[row.key] else 'not shared'}"
            for row in SHARES
            if outcome.shares[row.key] != reference.shares[row.key]
        ]
        if outcome.exit_signal != reference.exit_signal:
            parts.append(f"exit signal {outcome.exit_signal}")
    return "granted" + (": " + "; ".join(parts) if parts else "")
