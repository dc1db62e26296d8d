"""Writes docs/reference/sandbox_escapes.md from the rows of the escapes, so that the page cannot drift.

`make pages` runs it; a test compares what it would write with what is there.
"""

import ast
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

TREE = Path(__file__).parents[1]
sys.path.insert(0, str(TREE))

from tests.crash.escapes.exceptions import WeakPoint, weak_points  # noqa: E402
from tests.crash.escapes.rows import FOLDER, Escape, escapes  # noqa: E402

PAGE = TREE / "docs" / "reference" / "sandbox_escapes.md"
RESULTS = TREE / "tests" / "kernel" / "workers" / "test_untrusted_templates.py"
LAYERS = ("rights", "namespaces", "landlock", "filter")
NOTICE = (
    "<!-- Made by build-aux/escape_page.py from the rows in tests/crash/escapes: change those. -->"
)
LEAD = """\
These are the {count} attempts to escape from a sandbox that are tests of this project
(`tests/crash/escapes`). Each is run without a sandbox, to show that it works there; in a sandbox with
all that the machine grants; and in the weakest one, which has Landlock, a filter of system calls and
limits, and neither namespaces nor control groups. All are run as root and as a plain user, and in a
sandbox that is a subordinate id of a plain user's, on x86_64.
For most, a process outside looks whether something of its own was changed or printed.

The kernel is shared. A mistake in the kernel itself can be used by what is confined, as far as it
reaches it: the filter of system calls makes that less, and nothing here makes it nothing. A virtual
machine has a kernel of its own, and its escapes are mistakes in a much smaller part. Time, the load of
the processors and what caches tell are not hidden either.

The columns say which layer stops an attempt alone, as measured for a plain user:

* rights: no capability, no new privileges, no inherited descriptor, a cleared environment, resource
  limits. For root an id that nobody has comes to that.
* namespaces: with those, namespaces with a root directory of its own.
* landlock: with those, Landlock (ABI 6 or later).
* filter: with those, the filter of system calls.

Where no column has a mark, it takes two of them, or a control group. An attempt that no one gets
through with on an ordinary machine has a mark in all."""
WEAKEST_LEAD = """\
Without namespaces and control groups these get through; those with *now and then* are stopped at times,
or depend on the machine. A sandbox that has to do without says so: `require="all"` refuses to start."""
RESULTS_LEAD = """\
What is confined also sends its caller a result, and may write there what it likes. These are tests of
their own, of functions whose process has all of a call's memory and its channel; a million mutated
results are another (`tests/soak/test_mutated_results.py`). In each case the caller gets a value of data
or a `ResultError`, in time, and nothing is loaded, lost or left:
[what is data](../explanation/trust.md#what-is-data)."""
CONFINED_LEAD = """\
In a sandbox with all that the machine grants nothing gets through but this:"""


def page() -> str:
    """The text of the page."""
    rows = escapes()
    parts = ["# Escapes from a sandbox", NOTICE, LEAD.format(count=len(rows))]
    parts += ["## What remains", CONFINED_LEAD, weak_table(rows, "confined")]
    parts += ["## What the weakest sandbox cannot stop", WEAKEST_LEAD, weak_table(rows, "weakest")]
    stoppers = measured()
    for group, found in groupby(rows, key=lambda row: row.group):
        lines = (cells(row, stoppers[row.name]) for row in found)
        parts += [f"## {group.rstrip('.')}", table(["escape", "what it does", *LAYERS], lines)]
    parts += ["## Through the result", RESULTS_LEAD, table(["test", "what it shows"], results())]
    return "\n\n".join(parts) + "\n"


def results() -> Iterator[list[str]]:
    """The tests of hostile results."""
    for node in ast.parse(RESULTS.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            told = " ".join((ast.get_docstring(node) or "").split())
            yield [node.name.removeprefix("test_").replace("_", " "), told]


def measured() -> dict[str, list[str]]:
    """The layers that stop each escape alone."""
    lines = (FOLDER / "layers.txt").read_text().splitlines()
    pairs = (line.split(":") for line in lines if line and not line.startswith("#"))
    return {name: layers.split() for name, layers in pairs}


def table(head: list[str], lines: Iterator[list[str]]) -> str:
    texts = [head, ["---"] * len(head), *lines]
    return "\n".join(
        f"| {' | '.join(line)} |".replace("|  |", "| |").replace("|  |", "| |") for line in texts
    )


def cells(row: Escape, layers: list[str]) -> list[str]:
    marks = ["x" if layer in layers else "" for layer in LAYERS]
    return [f"`{row.name}`", row.sentence.replace("|", "\\|"), *marks]


def weak_table(rows: list[Escape], where: str) -> str:
    weak = [one for one in weak_points() if one.where == where]
    return table(["escape", "when", "why"], (weak_cells(rows, one, weak) for one in weak))


def weak_cells(rows: list[Escape], weak: WeakPoint, others: list[WeakPoint]) -> list[str]:
    names = [f"`{row.name}`" for row in rows if weak.names.fullmatch(row.name)]
    words = (word.replace("landlock<", "before Landlock ABI ") for word in sorted(weak.when))
    whom = ", ".join(words) or "all"
    why = weak.why
    for before in reversed(others[: others.index(weak)]):
        if not why.startswith("as above"):
            break
        why = before.why
    return [", ".join(names), f"{whom}, now and then" if weak.by_chance else whom, why]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
