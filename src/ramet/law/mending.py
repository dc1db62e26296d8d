"""The smallest changes that make a refused request legal."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..flags import SIGNAL_BITS, CloneFlag
from .caller import Caller
from .evaluate import evaluate
from .outcome import Outcome
from .request import Call, make_request
from .rule import Rule
from .version import Version

_MOST_CHANGES = 4
_MOST_ANSWERS = 8
_MOST_TRIED = 3000


@dataclass(frozen=True)
class _State:
    """A request and its caller after some changes."""

    flags: int
    exit_signal: int
    call: Call
    fields: tuple[tuple[str, Any], ...]
    caller: Caller

    def ask(self, version: Version) -> Outcome | None:
        """None when the call does not take such fields."""
        low = self.exit_signal if self.call in {"clone", "clone3"} else None
        try:
            request = make_request(self.flags, low, self.call, dict(self.fields))
        except ValueError:
            return None
        return evaluate(request, self.caller, version)


@dataclass(frozen=True)
class Change:
    """The steps to take, and the request and its caller after them.

    ``answers`` has for each step the rule that it is an answer to: one that the request breaks, or
    only breaks after the steps before.
    """

    steps: tuple[str, ...]
    answers: tuple[Rule, ...]
    flags: int
    exit_signal: int
    call: Call
    fields: tuple[tuple[str, Any], ...]
    caller: Caller

    def __str__(self) -> str:
        return ", and ".join(self.steps)


def smallest_changes(outcome: Outcome, *, keep_flags: bool = False) -> tuple[Change, ...]:
    """All that need the fewest steps; none for a granted request, or where no change helps.

    keep_flags: only those after which every flag that was asked for is still there.
    """
    if outcome.granted:
        return ()
    request = outcome.request
    start = _State(
        request.flags,
        request.exit_signal,
        request.call,
        tuple(request.fields().items()),
        outcome.caller,
    )
    layer: dict[_State, tuple[tuple[str, Rule], ...]] = {start: ()}
    seen = {start}
    for _ in range(_MOST_CHANGES):
        following: dict[_State, tuple[tuple[str, Rule], ...]] = {}
        found = []
        for state, steps in layer.items():
            answer = state.ask(outcome.kernel)
            if answer is None or answer.granted:
                continue
            for step, changed in _steps(state, answer):
                if changed in seen or len(seen) > _MOST_TRIED:
                    continue
                if keep_flags and request.flags & ~changed.flags & ~SIGNAL_BITS:
                    continue
                seen.add(changed)
                following[changed] = (*steps, (step, answer.broken[0]))
                after = changed.ask(outcome.kernel)
                if after is not None and after.granted:
                    found.append(_change(changed, following[changed]))
        if found:
            return tuple(found[:_MOST_ANSWERS])
        layer = following
    return ()


def _change(after: _State, steps: tuple[tuple[str, Rule], ...]) -> Change:
    return Change(
        tuple(step for step, _ in steps),
        tuple(rule for _, rule in steps),
        after.flags,
        after.exit_signal,
        after.call,
        after.fields,
        after.caller,
    )


def _steps(state: _State, answer: Outcome) -> Iterator[tuple[str, _State]]:
    """The changes that may satisfy the first broken rule."""
    rule = answer.broken[0]
    yield from _other_flags(state, rule)
    if state.exit_signal:
        yield "pass no exit signal", replace(state, exit_signal=0)
    if state.call in {"clone", "clone3"}:
        yield from _other_call(state)
    for name, _ in state.fields:
        left = tuple(pair for pair in state.fields if pair[0] != name)
        if name == "set_tid":
            left = tuple(pair for pair in left if pair[0] != "set_tid_size")
        yield f"omit {name}", replace(state, fields=left)
    yield from _other_caller(state, rule)


def _other_flags(state: _State, rule: Rule) -> Iterator[tuple[str, _State]]:
    wanted = rule.none_of & ~state.flags
    for flag in CloneFlag(wanted):
        yield f"add {flag}", replace(state, flags=state.flags | flag.value)
    named = (rule.all_of | rule.any_of) & state.flags
    if signal := named & 0x7F:
        yield (
            "pass the signal as exit_signal",
            replace(state, flags=state.flags & ~0x7F, exit_signal=signal),
        )
    for flag in CloneFlag(named & ~0x7F):
        yield f"drop {flag}", replace(state, flags=state.flags & ~flag.value)
    known = sum(flag.value for flag in CloneFlag(named))
    if unknown := named & ~known & ~0x7F:
        yield f"drop {unknown:#x}", replace(state, flags=state.flags & ~unknown)


def _other_call(state: _State) -> Iterator[tuple[str, _State]]:
    if state.call == "clone":
        yield "use clone3", replace(state, call="clone3")
    elif state.flags >> 32 == 0 and not state.flags & CloneFlag.CSIGNAL.value:
        yield "use clone()", replace(state, call="clone")


def _other_caller(state: _State, rule: Rule) -> Iterator[tuple[str, _State]]:
    """A caller that is not in that state; the rule's remedy says how."""
    for name, ordinary in Caller()._asdict().items():
        if getattr(state.caller, name) == ordinary or name == "capabilities":
            continue
        words = "be privileged (CAP_SYS_ADMIN)" if name == "privileged" else rule.remedy
        yield words, replace(state, caller=state.caller._replace(**{name: ordinary}))
