"""Writes docs/support.md from the outcomes of a matrix."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from .outcome import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "support.md"
_NOTICE = "<!-- Made by `make matrix` from what its guests told: run that. -->"
_LEAD = """\
The tests were run on each of these kernels, in a virtual machine that [emulates](guests.md) a machine with
two processors. "Tests" are those below `tests/kernel`, `tests/unit`, `tests/property`, `tests/crash` and
`tests/guest`. "The tour" is `make run`: how many of its rows show what the law says. "The law" is
`ramet law check`: how many of some 35,000 real calls were answered otherwise than the law says."""
_TOUR_LEAD = """\
Rows of the tour that a kernel cannot show, since a flag came later. A call with such a flag is refused by
name."""
_SANDBOX_LEAD = """\
By what each wish of a sandbox is met there, where that is not the same on all of them. A wish that cannot
be met is an error that names the way out, unless the sandbox has `require="best"`:
[sandbox_mechanisms.md](sandbox_mechanisms.md)."""
_SKIPS_LEAD = "Tests that cannot be run there, how many and why."


def page(outcomes: Iterable[Outcome]) -> str:
    """The text of the page."""
    outcomes = list(outcomes)
    guests = [outcome.title for outcome in outcomes]
    parts = ["# Kernels", _NOTICE, _LEAD, _table(_HEAD, map(_summary, outcomes))]
    parts += ["## Missing on older kernels", _TOUR_LEAD]
    parts += [_table(["guest", "too old for"], _too_old(outcomes))]
    parts += ["## Sandboxes", _SANDBOX_LEAD, _table(["wish", *guests], _wishes(outcomes))]
    parts += ["## Skipped tests", _SKIPS_LEAD, _table(["reason", *guests], _skips(outcomes))]
    return "\n\n".join(parts) + "\n"


_HEAD = ["guest", "kernel", "machine", "libc", "Python", "tests", "the tour", "the law"]


def _summary(outcome: Outcome) -> list[str]:
    machine = outcome.tour.get("machine", {})
    facts = [str(machine.get(name, "")) for name in ("kernel", "architecture", "libc", "python")]
    return [outcome.title, *facts, _tests(outcome), _tour(outcome), _law(outcome)]


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
    return f"{outcome.law['differing']} of {sum(outcome.law['requests'].values())} differ"


def _too_old(outcomes: list[Outcome]) -> Iterator[list[str]]:
    for outcome in outcomes:
        rows = [
            row for row in outcome.tour.get("rows", []) if row["verdict"] == "needs a newer Linux"
        ]
        yield [
            outcome.title,
            ", ".join(f"{row['id']} (Linux {row['needs']})" for row in rows) or "nothing",
        ]


def _wishes(outcomes: list[Outcome]) -> Iterator[list[str]]:
    wishes = dict.fromkeys(
        row["wish"] for outcome in outcomes for row in outcome.sandbox.get("rows", [])
    )
    for wish in wishes:
        cells = [_mechanism(outcome, wish) for outcome in outcomes]
        if len(set(cells)) > 1:
            yield [wish, *cells]


def _mechanism(outcome: Outcome, wish: str) -> str:
    for row in outcome.sandbox.get("rows", []):
        if row["wish"] == wish:
            return _met(row)
    return ""


def _met(row: dict[str, str]) -> str:
    if row["met"] == "fully":
        return row["mechanism"]
    return f"{row['met']}: {row['mechanism'] or row['shortfall']}"


def _skips(outcomes: list[Outcome]) -> Iterator[list[str]]:
    for reason in dict.fromkeys(
        reason for outcome in outcomes for reason in sorted(outcome.skipped)
    ):
        yield [reason, *(str(outcome.skipped[reason] or "") for outcome in outcomes)]


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    texts = [
        head,
        ["---"] * len(head),
        *([cell.replace("|", "\\|") for cell in line] for line in lines),
    ]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in texts)
