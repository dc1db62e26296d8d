"""A request in words: what it shares, which rules it breaks, and what would mend it."""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..flags import SIGNAL_BITS, CloneFlag, signal_name
from .caller import Caller
from .drawing import draw
from .evaluate import evaluate, predict
from .kernels import Span, answer_in_words, spans_of_answers
from .mending import Change, smallest_changes
from .notebook import picture_and_words
from .outcome import Outcome
from .reading import Reading, complete, read
from .request import CSIGNAL, Call, Request
from .rule import Rule
from .sharing import SHARES
from .svg import Theme
from .version import NEWEST, is_newer_than_rows, version_text

_CLONE3_ALONE = CSIGNAL | 0xFFFF_FFFF_0000_0000
# Descriptors and sizes are read more easily in tens, addresses not.
_LARGEST_SHOWN_DECIMAL = 0xFFFF


@dataclass(frozen=True)
class FlagWords:
    """One flag of a request: what it does, since when, and a note."""

    name: str
    does: str
    since: str
    note: str


class Line(NamedTuple):
    """A line: its subject, which may be empty, and the text."""

    about: str
    words: str


class Section(NamedTuple):
    """Lines of one kind."""

    title: str
    lines: list[Line]
    gap: int = 2  # columns after the subjects

    @property
    def width(self) -> int:
        """Of the column of subjects."""
        return max(len(line.about) for line in self.lines)

    def __str__(self) -> str:
        gap = " " * self.gap if self.width else ""
        lines = [f"  {line.about:{self.width}}{gap}{line.words}" for line in self.lines]
        return "\n".join([self.title, *lines])


class Explanation:
    """A request in words. ``str()`` is for people, ``to_dict()`` for machines, ``svg()`` a picture.

    ``outcome`` is the answer itself; ``changes`` the smallest that make a refused request legal, and
    ``changes_that_keep_flags`` the smallest that drop no flag; ``spans`` what every kernel answers;
    ``unprivileged`` what a caller without privileges gets. ``call_is_named``: the call was asked
    for, and is not the one that Ramet would make.
    """

    def __init__(self, outcome: Outcome, reading: Reading) -> None:
        self.outcome = outcome
        self.recipe = reading.recipe
        self.traced_errno = reading.traced_errno
        self.call_is_named = reading.call_is_named

    @functools.cached_property
    def changes(self) -> tuple[Change, ...]:
        """The smallest changes that make the request legal."""
        return smallest_changes(self.outcome)

    @functools.cached_property
    def changes_that_keep_flags(self) -> tuple[Change, ...]:
        """The smallest changes after which every flag that was asked for is still there."""
        return smallest_changes(self.outcome, keep_flags=True)

    @functools.cached_property
    def spans(self) -> tuple[Span, ...]:
        """What every kernel answers; where clone3 is missing Ramet uses clone()."""
        return spans_of_answers(self.outcome, self._before_clone3())

    def _before_clone3(self) -> Request | None:
        """None where the call was named, or where only clone3 takes the request."""
        request = self.outcome.request
        if self.call_is_named or request.fields() or request.flags & _CLONE3_ALONE:
            return None
        if request.exit_signal > CSIGNAL:
            return None
        return Request(request.flags, request.exit_signal, "clone", {})

    @functools.cached_property
    def unprivileged(self) -> Outcome:
        """The answer to a caller without privileges."""
        plain = Caller(privileged=False)
        return evaluate(self.outcome.request, plain, self.outcome.kernel)

    @property
    def flags(self) -> tuple[FlagWords, ...]:
        """Each flag of the request."""
        asked = self.outcome.request.flags & ~SIGNAL_BITS
        seen = self.outcome.flags
        words = [_words_of(flag) for flag in CloneFlag(seen & ~SIGNAL_BITS)]
        # A bit that was another flag in this kernel is shown as that one.
        moved = (seen & ~asked).bit_count()
        strange = CloneFlag(asked & ~seen)
        if not moved:
            words += [_words_of(flag, unknown=True) for flag in strange]
        if nameless := strange.value & ~sum(flag.value for flag in strange):
            words.append(FlagWords(f"{nameless:#x}", "a flag that Ramet does not know", "?", ""))
        return tuple(words)

    @property
    def asked(self) -> str:
        """The request, written as a call."""
        request = self.outcome.request
        parts = [f"flags={CloneFlag(request.flags)}"]
        if request.exit_signal:
            parts.append(f"exit_signal={signal_name(request.exit_signal)}")
        parts += [f"{name}={_shown(value)}" for name, value in request.fields().items()]
        return f"{request.call}({', '.join(parts)})"

    @property
    def verdict(self) -> str:
        """The answer in one line."""
        if self.outcome.granted:
            return "granted"
        return f"refused: {self.outcome.errno}, by rule {self.outcome.broken[0].id}"

    def svg(self, theme: Theme = "auto") -> str:
        """A picture of caller and child: what they share in one box and what not in two.

        theme: light, dark, or auto: which of the two is up to the one who looks at it.
        Returns an SVG document. Raises ValueError for another theme.
        """
        return draw(self.outcome, self.asked, self.verdict, self.recipe, theme)

    def _repr_svg_(self) -> str:
        return self.svg()  # in a notebook

    def _repr_html_(self) -> str:
        return picture_and_words(self.svg(), str(self), is_open=not self.outcome.granted)

    def to_dict(self) -> dict[str, Any]:
        """The same for machines: numbers, names and words, ready for JSON."""
        outcome = self.outcome
        return {
            "asked": self.asked,
            "call": outcome.request.call,
            "flags": outcome.request.flags,
            "exit_signal_asked": outcome.request.exit_signal,
            "kernel": version_text(outcome.kernel),
            "newer_than_known": self.is_newer,
            "recipe": self.recipe,
            "errno": outcome.errno,
            "traced_errno": self.traced_errno,
            "broken": [_rule_dict(rule) for rule in outcome.broken],
            "notes": [_rule_dict(rule) for rule in outcome.notes],
            "shares": dict(outcome.shares),
            "exit_signal": outcome.exit_signal,
            "getpid": outcome.getpid,
            "getppid": outcome.getppid,
            "writes": sorted(outcome.writes),
            "clears_ctid": outcome.clears_ctid,
            "starts_stopped": outcome.starts_stopped,
            "meaning": [vars(words) for words in self.flags],
            "changes": [
                {
                    "steps": list(change.steps),
                    "call": change.call,
                    "flags": change.flags,
                    "exit_signal": change.exit_signal,
                }
                for change in self.changes
            ],
            "kernels": [
                {
                    "since": version_text(span.since),
                    "until": span.until and version_text(span.until),
                    "errno": span.outcome.errno,
                    "answer": answer_in_words(span.outcome, outcome),
                }
                for span in self.spans
            ],
            "unprivileged_errno": self.unprivileged.errno,
        }

    def sections(self) -> tuple[Section, ...]:
        """The parts of the explanation that have lines."""
        outcome = self.outcome
        sections = (
            Section("Flags", self._flag_lines()),
            Section("Broken rules", [_rule_line(rule) for rule in outcome.broken], 1),
            Section("Smallest changes", [Line("", str(change)) for change in self.changes]),
            Section("Shared", [Line("", line) for line in self._shares(True)]),
            Section("Not shared", [Line("", line) for line in self._shares(False)]),
            Section("The child", [Line("", line) for line in self._child()]),
            Section("Ignored", [_rule_line(rule) for rule in outcome.notes], 1),
            Section("Other callers", [Line("", line) for line in self._others()]),
            Section("Other kernels", self._kernels()),
        )
        return tuple(section for section in sections if section.lines)

    def __str__(self) -> str:
        return "\n\n".join(["\n".join(self.head()), *map(str, self.sections())])

    def __repr__(self) -> str:
        return str(self)  # at a prompt, all of it

    def head(self) -> list[str]:
        """The first lines: the request, and the verdict."""
        who = "a privileged caller" if self.outcome.caller.privileged else "a plain caller"
        lines = [f"{self.recipe}():" if self.recipe else "", self.asked]
        lines.append(f"on Linux {version_text(self.outcome.kernel)}, {who}: {self.verdict}")
        if self.is_newer:
            lines.append(
                f"This kernel is newer than {NEWEST}, the newest whose rules are known here: it may "
                "have more flags and other rules."
            )
        if self.traced_errno and self.traced_errno != self.outcome.errno:
            lines.append(f"The trace shows {self.traced_errno}, which no rule predicts here.")
        return [line for line in lines if line]

    @property
    def is_newer(self) -> bool:
        """Whether the kernel is newer than those whose rules are known."""
        return is_newer_than_rows(self.outcome.kernel)

    def _flag_lines(self) -> list[Line]:
        return [
            Line(words.name, words.does + (f" ({words.note})" if words.note else ""))
            for words in self.flags
        ]

    def _shares(self, shared: bool) -> list[str]:
        shares, asked = self.outcome.shares, (self.outcome.flags, self.outcome.request.call)
        return [
            row.what if shared else f"{row.what}: {row.apart_by(*asked)}"
            for row in SHARES
            if shares.get(row.key, not shared) is shared
        ]

    def _child(self) -> list[str]:
        outcome = self.outcome
        if outcome.exit_signal is None:
            return []
        lines = [
            f"getpid() is {_PIDS[outcome.getpid]}, getppid() is {_PARENTS[outcome.getppid]}",
            {
                -1: "its end sends no signal, and no wait returns it",
                0: "its end sends no signal",
            }.get(outcome.exit_signal, f"its end sends {signal_name(outcome.exit_signal)}"),
        ]
        if outcome.writes:
            lines.append(f"the kernel writes {', '.join(sorted(outcome.writes))}")
        if outcome.clears_ctid:
            lines.append("the kernel clears ctid at its end or exec, and wakes one waiter")
        if outcome.starts_stopped:
            lines.append("it starts stopped")
        if outcome.suspends:
            lines.append("the caller is suspended until its exec or end")
        return lines

    def _others(self) -> list[str]:
        if not self.outcome.caller.privileged or self.unprivileged == self.outcome:
            return []
        words = answer_in_words(self.unprivileged, self.outcome)
        return [f"without privileges: {words}"]

    def _kernels(self) -> list[Line]:
        return [
            Line("", f"{span}: {answer_in_words(span.outcome, self.outcome)}")
            for span in self.spans
            if not span.has(self.outcome.kernel)
        ]


def _words_of(flag: CloneFlag, unknown: bool = False) -> FlagWords:
    facts = flag.facts
    note = f"not known to this kernel, since {facts.since}" if unknown else facts.note
    return FlagWords(str(flag), facts.shared_when_set, facts.since, note)


_PIDS = {"caller": "the caller's", "new": "a new one", 1: "1", None: "?"}
_PARENTS = {"caller": "the caller", "caller's parent": "the caller's parent", 0: "0", None: "?"}


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value > _LARGEST_SHOWN_DECIMAL:
        return f"{value:#x}"
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _rule_line(rule: Rule) -> Line:
    where = "" if rule.kernel_function == "none" else f" [{rule.kernel_function}, {rule.source}]"
    errno = f" {rule.errno}" if rule.errno else ""
    return Line(f"{rule.id}{errno}:", f"{rule.sentence}{where}; {rule.remedy}")


def _rule_dict(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "errno": rule.errno,
        "why": rule.sentence,
        "remedy": rule.remedy,
        "kernel_function": rule.kernel_function,
        "source": rule.source,
        "since": rule.since,
        "until": rule.until,
    }


def explain(
    request: int | str,
    *,
    exit_signal: int | None = None,
    call: Call | None = None,
    caller: Caller | None = None,
    kernel: str | None = None,
    **fields: Any,
) -> Explanation:
    """Explain a request for a new task in words.

    request: flags, by number or by name; a line of strace for clone, clone3, unshare or setns; or
    one of fork, vfork, pthread_create, posix_spawn and docker. The rest as in predict(). Without
    a call it is the one that Ramet would make, and the low seven bits are the exit signal.

    Raises UnknownFlagError (a ValueError) with the nearest known name, and as predict() does.

    >>> print(explain("SIGHAND").changes[0])
    add CLONE_VM

    Source: clone(2), unshare(2), setns(2), kernel/fork.c.
    """
    reading = read(request)
    reading.call = call or reading.call
    if exit_signal is not None:
        reading.exit_signal = exit_signal
    reading = complete(reading, kernel)
    assert reading.call is not None
    outcome = predict(
        reading.flags,
        exit_signal=reading.exit_signal,
        call=reading.call,
        caller=caller,
        kernel=kernel,
        **(reading.fields | fields),
    )
    return Explanation(outcome, reading)
