"""Outcomes as a text for the terminal."""

from collections.abc import Iterable, Iterator

from .outcome import Outcome

_MOST_FAILURES = 60


def told(outcomes: Iterable[Outcome]) -> str:
    """A table, kernel by group of tests; below it what failed, and what was skipped and why."""
    outcomes = list(outcomes)
    groups = sorted({group for outcome in outcomes for group in outcome.counts()})
    head = ["", *(outcome.title for outcome in outcomes)]
    lines = [[group, *(_count(outcome, group) for outcome in outcomes)] for group in groups]
    parts = ["\n".join(_aligned([head, *lines]))]
    parts += [text for outcome in outcomes if (text := "\n".join(_details(outcome)))]
    return "\n\n".join(parts)


def _count(outcome: Outcome, group: str) -> str:
    counts = outcome.counts().get(group)
    if counts is None:
        return "-"
    bad = f", {counts['failed']} FAILED" if counts["failed"] else ""
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{counts['passed']}{bad}{skipped}"


def _aligned(lines: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()


def _details(outcome: Outcome) -> Iterator[str]:
    if outcome.reason or not outcome.tests:
        yield f"{outcome.title}: {outcome.reason or 'no test was run'}"
        yield outcome.last_words()
    for test in outcome.failed[:_MOST_FAILURES]:
        yield f"{outcome.title}: FAILED {test.name}: {' '.join(test.text.split())[:200]}"
    for reason, count in outcome.skipped.most_common():
        yield f"{outcome.title}: {count} skipped: {reason}"
