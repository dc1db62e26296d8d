"""The results as a picture: a bar for each contender, its length the ratio, on a logarithmic scale."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias
from xml.sax.saxutils import escape

from .measure import Result
from .setting import Setting

LEFT, WIDTH, ROW, GAP, TOP = 270, 520, 15, 30, 60
COLOURS = ("#2a6f97", "#61a5c2", "#a9d6e5", "#c9ada7", "#9a8c98", "#4a4e69")
LOW = 0.3
MARKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

Scale: TypeAlias = Callable[[float], float]


def svg(results: Mapping[Setting, Sequence[Result]], machine: str) -> str:
    """A whole SVG document."""
    settings = list(results)
    high = max(row.ratio for rows in results.values() for row in rows)
    scale = WIDTH / math.log(max(high, 2) / LOW)

    def x(ratio: float) -> float:
        return LEFT + scale * math.log(max(ratio, LOW) / LOW)

    body: list[str] = []
    y, job = float(TOP), ""
    for rows in zip(*results.values(), strict=True):
        if rows[0].job != job:
            job = rows[0].job
            y += GAP
            body.append(_text(10, y - 6, job, "bold"))
        body += _contender(rows, y, x)
        y += ROW * len(settings) + 5
    title = f"Time as a ratio to the first of each group; red: the bar. {machine}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 70}" '
        f'height="{y + 30:.0f}" font-family="sans-serif">'
        f'<rect width="100%" height="100%" fill="white"/>{_text(10, 22, title)}'
        f"{_legend(settings)}{''.join(body)}{_grid(x, high, y)}</svg>\n"
    )


def _contender(rows: Sequence[Result], top: float, x: Scale) -> list[str]:
    first, height = rows[0], ROW * len(rows)
    own = first.contender.startswith("ramet")
    weight = "bold" if own else ""
    parts = [_text(LEFT - 8, top + height / 2 + 4, first.contender, weight, "end")]
    for n, (colour, row) in enumerate(zip(COLOURS, rows, strict=False)):
        y = top + n * ROW
        parts.append(
            f'<rect x="{LEFT}" y="{y:.1f}" width="{max(1, x(row.ratio) - LEFT):.1f}" '
            f'height="{ROW - 3}" fill="{colour}" opacity="{1 if own else 0.55}"/>'
        )
        parts.append(_text(x(row.ratio) + 5, y + ROW - 5, f"{row.ratio:.2f}", size=10))
    if first.bar is not None:
        parts.append(_line(x(first.bar), top - 2, top + height, "#c1121f", 1))
    return parts


def _legend(settings: Sequence[Setting]) -> str:
    return "".join(
        f'<rect x="{LEFT + 150 * n}" y="34" width="12" height="12" fill="{colour}"/>'
        + _text(LEFT + 150 * n + 17, 44, str(setting), size=11)
        for n, (colour, setting) in enumerate(zip(COLOURS, settings, strict=False))
    )


def _grid(x: Scale, high: float, bottom: float) -> str:
    return "".join(
        _line(x(mark), TOP, bottom, "#000", 0.35 if mark == 1 else 0.1)
        + _text(x(mark), bottom + 14, f"{mark:g}", anchor="middle", size=10)
        for mark in MARKS
        if mark <= high * 1.1
    )


def _line(x: float, top: float, bottom: float, colour: str, opacity: float) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" stroke="{colour}" '
        f'stroke-opacity="{opacity}" stroke-width="1.5"/>'
    )


def _text(
    x: float, y: float, text: str, weight: str = "", anchor: str = "start", size: int = 12
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{bold}>'
        f"{escape(text)}</text>"
    )
