"""Draws the pictures of docs/explanation/measured.md from measured.json, which one run has written.

    make bench ARGS="--json benchmarks/measured.json"
    python -m benchmarks.plots

A picture is one job: a bar for each contender, its length the time on a logarithmic scale.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from .floors import ROOT
from .table import shown

DATA = Path(__file__).with_name("measured.json")
FOLDER = ROOT / "docs" / "explanation" / "pictures"
SMALL, LARGE, HUGE = 10, 1024, 8192  # megabytes of the measuring process
FEW = 10
WIDTH, LEFT, RIGHT, ROW, TOP = 736, 262, 112, 24, 34
MARKS = {1e4: "10 us", 1e5: "100 us", 1e6: "1 ms", 1e7: "10 ms", 1e8: "100 ms", 1e9: "1 s"}

# As in the other pictures of docs/explanation; in a page of the site those of site.css hold.
STYLE = """<style>
    .soft { fill: #c4dbd0; }
    .other { fill: #ead2ba; }
    .mark { fill: #1b6b52; }
    .grid { stroke: #d5dcd8; stroke-width: 1; }
    text { fill: #1e2723; font: 13px system-ui, sans-serif; }
    .small { font-size: 11.5px; }
    .strong { font-weight: 600; }
    .middle { text-anchor: middle; }
    .end { text-anchor: end; }
    @media (prefers-color-scheme: dark) {
      .soft { fill: #2f5a4b; }
      .other { fill: #54402c; }
      .mark { fill: #6fd3ae; }
      .grid { stroke: #3b4742; }
      text { fill: #e6ece9; }
    }
  </style>"""


class Plot(NamedTuple):
    """A picture: its file, the job, and the sizes of the measuring process that are shown."""

    file: str
    job: str
    sizes: tuple[int, ...] = (SMALL,)


PLOTS = (
    Plot("measured_program", "start and wait"),
    Plot("measured_options", "the same with identity, limits, pdeathsig", (SMALL, LARGE, HUGE)),
    Plot("measured_asyncio", "start and wait under asyncio"),
    Plot("measured_shared", "a function in shared memory"),
    Plot("measured_copy", "a function in a copy of the memory", (SMALL, LARGE, HUGE)),
    Plot("measured_call", "a call now and then, typical"),
    Plot("measured_fresh", "a fresh process for each call"),
    Plot("measured_kept", "calls in one process"),
    Plot("measured_array", "100 MB there and back"),
    Plot("measured_sandbox", "a program in a sandbox"),
)


def pictures() -> dict[str, str]:
    """Each picture by the name of its file."""
    told = json.loads(DATA.read_text("utf-8"))
    return {f"{plot.file}.svg": drawn(plot, told["results"]) for plot in PLOTS}


def drawn(plot: Plot, results: list[dict[str, Any]]) -> str:
    """One picture, whose file is itself readable in the light and the dark."""
    rows = [row for row in results if row["job"] == plot.job and row["descriptors"] == FEW]
    chosen = [row for row in rows if row["megabytes"] in plot.sizes]
    names = list(dict.fromkeys(row["contender"] for row in chosen))
    scale = Scale.of([row["value"] for row in chosen])
    height = TOP + len(names) * (ROW * len(plot.sizes) + 6) + 8
    body = [*grid(scale, height)]
    y = float(TOP)
    for name in names:
        bars = [row for row in chosen if row["contender"] == name]
        middle = y + ROW * len(bars) / 2 + 4
        body.append(text(LEFT - 10, middle, name, "end strong" if is_ours(name) else "end"))
        for row in bars:
            body += bar(row, y, scale, with_size=len(plot.sizes) > 1)
            y += ROW
        y += 6
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(plot.job)}">\n  <title>{escape(plot.job)}</title>\n  {STYLE}\n'
        + "\n".join(f"  {line}" for line in body)
        + "\n</svg>\n"
    )


class Scale(NamedTuple):
    """From nanoseconds to a place: a power of ten of them at the left, and so many to the right."""

    low: float
    decades: float

    @classmethod
    def of(cls, values: list[float]) -> "Scale":
        low = 10 ** math.floor(math.log10(min(values)))
        return cls(low, max(1.0, math.log10(max(values) / low)))

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(value / self.low) / self.decades


def grid(scale: Scale, height: int) -> Iterator[str]:
    for value, label in MARKS.items():
        if scale.low <= value <= scale.low * 10**scale.decades * 1.01:
            x = scale.x(value)
            yield f'<path d="M{x:.1f} {TOP - 8} V{height - 8}" class="grid"/>'
            yield text(x, TOP - 14, label, "small middle")


def bar(row: dict[str, Any], y: float, scale: Scale, *, with_size: bool) -> Iterator[str]:
    end = scale.x(row["value"])
    kind = "mark" if is_ours(row["contender"]) else "other"
    kind = "soft" if row["ratio"] == 1 and kind == "other" else kind
    yield (
        f'<rect x="{LEFT}" y="{y + 3:.1f}" width="{max(2, end - LEFT):.1f}" height="{ROW - 7}" '
        f'rx="2" class="{kind}"/>'
    )
    size = f" at {size_name(row['megabytes'])}" if with_size else f"  ({row['ratio']:.2f})"
    yield text(end + 6, y + ROW - 8, f"{shown(row['value'], row['unit'])}{size}", "small")


def size_name(megabytes: int) -> str:
    gigabytes = megabytes // 1024
    return f"{gigabytes} GB" if gigabytes else f"{megabytes} MB"


def is_ours(contender: str) -> bool:
    return contender.startswith("ramet")


def text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'


if __name__ == "__main__":
    for file, drawing in pictures().items():
        (FOLDER / file).write_text(drawing, encoding="utf-8")
    sys.exit(0)
