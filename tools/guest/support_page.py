"""docs/reference/support.md, made of what was kept of each guest."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from .fallbacks import FALLBACKS
from .record import Record

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "support.md"
_NOTICE = "<!-- Made by `make matrix` from tools/guest/kept, what its guests told: run that. -->"
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


def page(records: Iterable[Record]) -> str:
    """The text of the page."""
    records = list(records)
    guests = [_short(record) for record in records]
    parts = ["# Kernels", _NOTICE, _LEAD, _table(_HEAD, map(_summary, records))]
    parts += ["## Tests", _TESTS_LEAD, _table(["tests", *guests], _groups(records))]
    parts += ["## Missing on older kernels", _TOUR_LEAD]
    parts += [_table(["too old for", "on"], _too_old(records))]
    parts += [_FALLBACKS_LEAD, _table(["before Linux", "lacking", "instead"], _fallbacks())]
    parts += ["## Sandboxes", _SANDBOX_LEAD, _table(["wish", "met by", "on"], _wishes(records))]
    parts += ["## Skipped tests", _SKIPS_LEAD, _table(["reason", "tests", "on"], _skips(records))]
    return "\n\n".join(parts) + "\n"


_HEAD = ["guest", "kernel", "machine", "libc", "Python", "commits", "tests", "the tour", "the law"]


def _summary(record: Record) -> list[str]:
    facts = [record.machine.get(name, "") for name in ("kernel", "architecture", "libc", "python")]
    commits = ", ".join(record.commits)
    return [record.title, *facts, commits, _tests(record), _tour(record), _law(record)]


def _tests(record: Record) -> str:
    skipped = record.skipped.total()
    return f"{record.passed} passed, {len(record.failed)} failed, {skipped} skipped"


def _tour(record: Record) -> str:
    verdicts = [row["verdict"] for row in record.tour]
    return ", ".join(f"{verdicts.count(each)} {each}" for each in dict.fromkeys(verdicts))


def _law(record: Record) -> str:
    if not record.law:
        return "not asked"
    differing, asked, rules = (record.law[name] for name in ("differing", "asked", "rules"))
    return f"{differing} of {asked} differ, {rules} rules"


def _groups(records: list[Record]) -> Iterator[list[str]]:
    for group in sorted({group for record in records for group in record.groups()}):
        yield [group, *(_count(record.groups().get(group)) for record in records)]


def _count(counts: Counter[str] | None) -> str:
    if counts is None:
        return "-"
    bad = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{counts['passed']}{bad}"


def _fallbacks() -> Iterator[list[str]]:
    for each in FALLBACKS:
        yield [each.since, each.lacking, each.instead]


def _too_old(records: list[Record]) -> Iterator[list[str]]:
    yield from _grouped(records, _flags_of_newer)


def _flags_of_newer(record: Record) -> str:
    rows = [row for row in record.tour if row["verdict"] == "needs a newer Linux"]
    return ", ".join(f"{row['id']} (Linux {row['needs']})" for row in rows) or "nothing"


def _wishes(records: list[Record]) -> Iterator[list[str]]:
    wishes = dict.fromkeys(row["wish"] for record in records for row in record.sandbox)
    for wish in wishes:
        told = [record for record in records if _mechanism(wish, record)]  # an older run has fewer
        groups = _grouped(told, partial(_mechanism, wish))
        if len(groups) > 1:
            yield from ([wish, *group] for group in groups)


def _mechanism(wish: str, record: Record) -> str:
    for row in record.sandbox:
        if row["wish"] == wish:
            return _met(row)
    return ""


def _met(row: dict[str, str]) -> str:
    if row["met"] == "fully":
        return row["mechanism"]
    return f"{row['met']}: {row['mechanism'] or row['shortfall']}"


def _skips(records: list[Record]) -> Iterator[list[str]]:
    reasons = {reason for record in records for reason in record.skipped}
    for reason in sorted(reasons):
        concerned = [record for record in records if record.skipped[reason]]
        groups = _guests_by_text(concerned, partial(_times_skipped, reason))
        for times, guests in groups.items():
            on = "all" if len(guests) == len(records) else ", ".join(guests)
            yield [reason, times, on]


def _times_skipped(reason: str, record: Record) -> str:
    return str(record.skipped[reason])


# ---- tables


def _short(record: Record) -> str:
    """The name of a guest, without what most of them are."""
    return " ".join(part for part in record.title.split("-") if part not in {"x86_64", "root"})


def _guests_by_text(
    records: Iterable[Record], text_of: Callable[[Record], str]
) -> dict[str, list[str]]:
    guests: dict[str, list[str]] = {}
    for record in records:
        guests.setdefault(text_of(record), []).append(_short(record))
    return guests


def _grouped(records: list[Record], text_of: Callable[[Record], str]) -> list[list[str]]:
    """Each text once, with the guests that have it; those of most guests last, as "the others"."""
    guests = _guests_by_text(records, text_of)
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
