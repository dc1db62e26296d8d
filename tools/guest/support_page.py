"""Writes docs/reference/support.md from the outcomes of a matrix."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from .fallbacks import FALLBACKS
from .outcome import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "support.md"
_NOTICE = "<!-- Made by `make matrix` from what its guests told: run that. -->"
_LEAD = """\
The tests were run on each of these kernels, in a virtual machine that
[emulates](../contributing/guests.md) a machine with one processor, as root or as a plain user. "The tour"
is `make run`: how many of its rows show what the law says. "The law" is `ramet law check`: how many of some
37,000 real calls were answered otherwise than the law says, and how many of its rules refused one."""
_TESTS_LEAD = """\
How many tests passed, by their folder below `tests`; a dash: not run there. What Python, its libc and
other libraries answer, and no kernel, is run outside of guests, but for aarch64. A guest may run them in
parts, with the sources of several commits."""
_TOUR_LEAD = """\
Rows of the tour that a kernel cannot show, since a flag came later. A call with such a flag is refused by
name."""
_FALLBACKS_LEAD = "What older kernels lack, and what the library does there."
_SANDBOX_LEAD = """\
By what each wish of a sandbox is met there, where that is not the same on all of them. A wish that cannot
be met is an error that names the way out, unless the sandbox has `require="best"`:
[sandbox_mechanisms.md](sandbox_mechanisms.md)."""
_SKIPS_LEAD = "Tests that cannot be run there: why, and how many."


def page(outcomes: Iterable[Outcome]) -> str:
    """The text of the page."""
    outcomes = list(outcomes)
    guests = [_short(outcome) for outcome in outcomes]
    parts = ["# Kernels", _NOTICE, _LEAD, _table(_HEAD, map(_summary, outcomes))]
    parts += ["## Tests", _TESTS_LEAD, _table(["tests", *guests], _groups(outcomes))]
    parts += ["## Missing on older kernels", _TOUR_LEAD]
    parts += [_table(["too old for", "on"], _too_old(outcomes))]
    parts += [_FALLBACKS_LEAD, _table(["before Linux", "lacking", "instead"], _fallbacks())]
    parts += ["## Sandboxes", _SANDBOX_LEAD, _table(["wish", "met by", "on"], _wishes(outcomes))]
    parts += ["## Skipped tests", _SKIPS_LEAD, _table(["reason", "tests", "on"], _skips(outcomes))]
    return "\n\n".join(parts) + "\n"


_HEAD = ["guest", "kernel", "machine", "libc", "Python", "commits", "tests", "the tour", "the law"]


def _summary(outcome: Outcome) -> list[str]:
    machine = outcome.tour.get("machine", {})
    facts = [str(machine.get(name, "")) for name in ("kernel", "architecture", "libc", "python")]
    return [
        outcome.title,
        *facts,
        ", ".join(outcome.commits),
        _tests(outcome),
        _tour(outcome),
        _law(outcome),
    ]


def _tests(outcome: Outcome) -> str:
    if outcome.reason:
        return "did not end"
    skipped = outcome.skipped.total()
    passed = len(outcome.tests) - len(outcome.failed) - skipped
    return f"{passed} passed, {len(outcome.failed)} failed, {skipped} skipped"


def _tour(outcome: Outcome) -> str:
    verdicts = [row["verdict"] for row in outcome.tour.get("rows", [])]
    return ", ".join(f"{verdicts.count(each)} {each}" for each in dict.fromkeys(verdicts))


def _law(outcome: Outcome) -> str:
    if not outcome.law:
        return "not asked"
    differing, asked = outcome.law["differing"], sum(outcome.law["requests"].values())
    return f"{differing} of {asked} differ, {len(outcome.law['rules'])} rules"


def _groups(outcomes: list[Outcome]) -> Iterator[list[str]]:
    for group in sorted({group for outcome in outcomes for group in outcome.counts()}):
        yield [group, *(_count(outcome.counts().get(group)) for outcome in outcomes)]


def _count(counts: Counter[str] | None) -> str:
    if counts is None:
        return "-"
    bad = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{counts['passed']}{bad}"


def _fallbacks() -> Iterator[list[str]]:
    for each in FALLBACKS:
        yield [each.since, each.lacking, each.instead]


def _too_old(outcomes: list[Outcome]) -> Iterator[list[str]]:
    yield from _grouped(outcomes, _flags_of_newer)


def _flags_of_newer(outcome: Outcome) -> str:
    rows = [row for row in outcome.tour.get("rows", []) if row["verdict"] == "needs a newer Linux"]
    return ", ".join(f"{row['id']} (Linux {row['needs']})" for row in rows) or "nothing"


def _wishes(outcomes: list[Outcome]) -> Iterator[list[str]]:
    wishes = dict.fromkeys(
        row["wish"] for outcome in outcomes for row in outcome.sandbox.get("rows", [])
    )
    for wish in wishes:
        told = [
            outcome for outcome in outcomes if _mechanism(wish, outcome)
        ]  # an older run has fewer
        groups = _grouped(told, partial(_mechanism, wish))
        if len(groups) > 1:
            yield from ([wish, *group] for group in groups)


def _mechanism(wish: str, outcome: Outcome) -> str:
    for row in outcome.sandbox.get("rows", []):
        if row["wish"] == wish:
            return _met(row)
    return ""


def _met(row: dict[str, str]) -> str:
    if row["met"] == "fully":
        return row["mechanism"]
    return f"{row['met']}: {row['mechanism'] or row['shortfall']}"


def _skips(outcomes: list[Outcome]) -> Iterator[list[str]]:
    reasons = {reason for outcome in outcomes for reason in outcome.skipped}
    for reason in sorted(reasons):
        concerned = [outcome for outcome in outcomes if outcome.skipped[reason]]
        groups = _guests_by_text(concerned, partial(_times_skipped, reason))
        for times, guests in groups.items():
            on = "all" if len(guests) == len(outcomes) else ", ".join(guests)
            yield [reason, times, on]


def _times_skipped(reason: str, outcome: Outcome) -> str:
    return str(outcome.skipped[reason])


# ---- tables


def _short(outcome: Outcome) -> str:
    """The name of a guest, without what most of them are."""
    return " ".join(part for part in outcome.title.split("-") if part not in {"x86_64", "root"})


def _guests_by_text(
    outcomes: Iterable[Outcome], text_of: Callable[[Outcome], str]
) -> dict[str, list[str]]:
    guests: dict[str, list[str]] = {}
    for outcome in outcomes:
        guests.setdefault(text_of(outcome), []).append(_short(outcome))
    return guests


def _grouped(outcomes: list[Outcome], text_of: Callable[[Outcome], str]) -> list[list[str]]:
    """Each text once, with the guests that have it; those of most guests last, as "the others"."""
    guests = _guests_by_text(outcomes, text_of)
    *few, (most, _) = sorted(guests.items(), key=lambda group: len(group[1]))
    return [
        *([text, ", ".join(names)] for text, names in few),
        [most, "the others" if few else "all"],
    ]


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    texts = [
        head,
        ["---"] * len(head),
        *([cell.replace("|", "\\|") for cell in line] for line in lines),
    ]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in texts)
