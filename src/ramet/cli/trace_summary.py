"""ramet trace --summary: clone calls by kind, what was refused, and what took longest."""

from collections import Counter
from collections.abc import Iterator

from ..observe.tracing import ExecRefused, Refused
from ..observe.tracing.tree import TaskLife, Tree
from .trace_words import milliseconds, peak_of_memory, shown

_SHOWN = 5


def summary_lines(tree: Tree) -> Iterator[str]:
    """The lines, plain."""
    made = Counter(_kind(life) for life in tree.lives if life.maker is not None)
    yield f"{made.total()} tasks made"
    yield from _table(made)
    yield f"{sum(len(_execs(life)) for life in tree.lives)} execs"
    yield from _table(Counter(name for life in tree.lives for name in _execs(life)))
    refused = Counter(text for life in tree.lives for text in _refusals(life))
    if refused:
        yield f"{refused.total()} refused"
        yield from _table(refused)
    yield from _longest(tree)


def _kind(life: TaskLife) -> str:
    if life.call is None:
        return "a call that was not seen"
    return f"{life.call.short()}{', a thread' if life.is_thread else ''}"


def _execs(life: TaskLife) -> list[str]:
    return [exec_.path for _, _, exec_ in life.programs if exec_ is not None]


def _refusals(life: TaskLife) -> Iterator[str]:
    for mark in life.marks:
        if isinstance(mark, Refused):
            rules = ", ".join(rule.id for rule in mark.rules)
            yield f"{mark.call.short()}: {mark.errno}" + (f", rule {rules}" if rules else "")
        elif isinstance(mark, ExecRefused):
            yield f"exec {mark.path}: {mark.errno}"


def _table(counts: Counter[str]) -> Iterator[str]:
    common = counts.most_common(_SHOWN)
    yield from (f"{count:>8}  {shown(text)}" for text, count in common)
    if rest := counts.total() - sum(count for _, count in common):
        yield f"{rest:>8}  others"


def _longest(tree: Tree) -> Iterator[str]:
    """By processor time of their own; an end tells it with that of the children that were waited for."""
    of_children: Counter[int] = Counter()
    for life in tree.lives:
        if life.ending is not None and not life.is_thread and life.parent is not None:
            of_children[life.parent] += _microseconds(life)
    own = [
        (max(0, _microseconds(life) - of_children[life.pid]), life)
        for life in tree.lives
        if life.ending is not None and not life.is_thread
    ]
    own.sort(key=lambda one: -one[0])
    if own:
        yield "the most processor time of their own"
    for time, life in own[:_SHOWN]:
        assert life.ending is not None
        assert life.end is not None
        lived = milliseconds(life.end - life.begin)
        peak = peak_of_memory(life.ending.peak)
        yield f"{milliseconds(time / 1e6):>12}  {shown(life.name)} ({life.pid}), lived {lived}, peak {peak}"


def _microseconds(life: TaskLife) -> int:
    assert life.ending is not None
    return round((life.ending.user + life.ending.system) * 1e6)
