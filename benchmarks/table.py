"""The results as one table of ratios."""

from collections.abc import Mapping, Sequence

from .measure import Result
from .setting import FEW, Setting

NAME_WIDTH, BAR_WIDTH, CELL_WIDTH = 36, 6, 18


def lines(results: Mapping[Setting, Sequence[Result]]) -> list[str]:
    """A line for each contender, a column for each setting; over a bar it has a mark."""
    settings = list(results)
    text = [
        f"{'':{NAME_WIDTH}}{'bar':>{BAR_WIDTH}}" + "".join(f"{s!s:>{CELL_WIDTH}}" for s in settings)
    ]
    job = ""
    for rows in zip(*results.values(), strict=True):
        first = rows[0]
        if first.job != job:
            job = first.job
            text += ["", job]
        bar = "" if first.bar is None else f"{first.bar:.2f}"
        cells = "".join(
            f"{_cell(row, first, setting):>{CELL_WIDTH}}"
            for row, setting in zip(rows, settings, strict=True)
        )
        text.append(f"  {first.contender:{NAME_WIDTH - 2}}{bar:>{BAR_WIDTH}}{cells}")
    return text


def _cell(row: Result, first: Result, setting: Setting) -> str:
    over = "!" if row.bar is not None and _is_over(row, first, setting) else " "
    return f"{row.ratio:.2f}{over}{shown(row.value, row.unit):>10}"


def _is_over(row: Result, first: Result, setting: Setting) -> bool:
    growth = row.ratio / first.ratio
    if setting.descriptors > FEW and row.by_descriptors is not None:
        return growth > row.by_descriptors
    too_slow = row.bar is not None and row.ratio > row.bar
    return too_slow or (row.by_size is not None and growth > row.by_size)


def shown(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1e6:.1f} MB"
    microseconds = value / 1000
    whole, _ = divmod(microseconds, 1000)
    return f"{microseconds / 1000:.1f} ms" if whole else f"{microseconds:.0f} us"
