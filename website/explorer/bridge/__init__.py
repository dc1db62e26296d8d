"""What the flag explorer asks of ramet.law: one request in JSON, and all that its page shows of it.

The page runs this in a browser, under Pyodide; it needs nothing but ramet.flags and ramet.law.
"""

import json
from typing import Any

from ramet.flags import CloneFlag
from ramet.law import SHARES, Explanation, Outcome, Rule, evaluate, explain
from ramet.law.kernels import Span
from ramet.law.mending import Change
from ramet.law.svg import Theme
from ramet.law.version import version_text

from .callers import CALLERS, id_of
from .spellings import spellings
from .state import explained, read_text, state_of


def answer(asked: str) -> str:
    """All that the page shows of one request.

    asked: a state in JSON, see state.py, and ``theme``, "light" or "dark". The answer has ``error``
    alone where the state is no request.
    """
    state = json.loads(asked)
    try:
        told = explained(state)
    except (TypeError, ValueError) as error:
        return json.dumps({"error": str(error)})
    return json.dumps(_answer(told, state.get("theme", "light")))


def read(text: str, kernel: str) -> str:
    """The state that a text stands for: names, a number, a line of strace; or ``error``."""
    try:
        return json.dumps(read_text(text, kernel))
    except (TypeError, ValueError) as error:
        return json.dumps({"error": str(error)})


def _answer(told: Explanation, theme: Theme) -> dict[str, Any]:
    outcome = told.outcome
    return {
        "asked": told.asked,
        "call": outcome.request.call,
        "kernel": version_text(outcome.kernel),
        "newer_than_known": told.is_newer,
        "recipe": told.recipe,
        "errno": outcome.errno,
        "traced_errno": told.traced_errno,
        "broken": [_rule(rule) for rule in outcome.broken],
        "notes": [_rule(rule) for rule in outcome.notes],
        "changes": [_change(change, told, theme) for change in _changes(told)],
        "shares": _shares(outcome),
        "child": _child(outcome),
        "svg": told.svg(theme),
        "kernels": [_span(span, outcome) for span in told.spans],
        "callers": _other_callers(outcome),
        "spellings": spellings(outcome, told.recipe),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "errno": rule.errno,
        "sentence": rule.sentence,
        "remedy": rule.remedy,
        "function": rule.kernel_function,
        "source": rule.source,
        "since": rule.since,
        "until": rule.until,
    }


def _changes(told: Explanation) -> list[Change]:
    """Those that keep what was asked for, and then the smallest of all."""
    keeping = told.changes_that_keep_flags
    return [*keeping, *(change for change in told.changes if change not in keeping)]


def _change(change: Change, told: Explanation, theme: Theme) -> dict[str, Any]:
    """The steps, each with the rule that it answers, the state after them, and its picture."""
    after = state_of(change, told)
    caller = id_of(change.caller)
    mended = explain(
        change.flags,
        exit_signal=change.exit_signal,
        call=change.call,
        caller=change.caller,
        kernel=version_text(told.outcome.kernel),
        **dict(change.fields),
    )
    return {
        "steps": [
            {"words": step, "rule": _rule(rule)}
            for step, rule in zip(change.steps, change.answers, strict=True)
        ],
        "state": None if caller is None else after | {"caller": caller},
        "svg": mended.svg(theme),
    }


def _shares(outcome: Outcome) -> list[dict[str, Any]]:
    return [
        {
            "key": row.key,
            "what": row.what,
            "shared": outcome.shares[row.key],
            "apart": row.apart_by(outcome.flags, outcome.request.call),
            "until_written": row.until_written,
        }
        for row in SHARES
        if row.key in outcome.shares
    ]


def _child(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.exit_signal is None:
        return None
    return {
        "exit_signal": outcome.exit_signal,
        "getpid": outcome.getpid,
        "getppid": outcome.getppid,
        "writes": sorted(outcome.writes),
        "clears_ctid": outcome.clears_ctid,
        "starts_stopped": outcome.starts_stopped,
        "suspends": outcome.suspends,
        "traced": outcome.traced,
    }


def _span(span: Span, reference: Outcome) -> dict[str, Any]:
    """Kernels with one answer, and where that is granted, what differs from the asked kernel's."""
    outcome = span.outcome
    asked = outcome.request.flags
    moved = outcome.flags & ~asked
    ignored = asked & ~outcome.flags & ~CloneFlag.CSIGNAL.value
    if moved and ignored.bit_count() == moved.bit_count():
        ignored = 0
    both = outcome.granted and reference.granted
    return {
        "since": version_text(span.since),
        "until": span.until and version_text(span.until),
        "asked": span.has(reference.kernel),
        "call": outcome.request.call,
        "errno": outcome.errno,
        "rule": _rule(outcome.broken[0]) if outcome.broken else None,
        "moved": str(CloneFlag(moved)) if moved and outcome.granted else None,
        "ignored": str(CloneFlag(ignored)) if ignored and outcome.granted else None,
        "differs": [
            {"key": row.key, "what": row.what, "shared": outcome.shares[row.key]}
            for row in SHARES
            if both and outcome.shares[row.key] != reference.shares[row.key]
        ],
        "exit_signal": outcome.exit_signal
        if both and outcome.exit_signal != reference.exit_signal
        else None,
    }


def _other_callers(outcome: Outcome) -> list[dict[str, Any]]:
    told = []
    for name, caller in CALLERS.items():
        answer = evaluate(outcome.request, caller, outcome.kernel)
        rule = _rule(answer.broken[0]) if answer.broken else None
        told.append({"id": name, "errno": answer.errno, "rule": rule})
    return told
