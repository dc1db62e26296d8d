"""ramet trace --html: a timeline, with a row for each task; script and style are in trace_page.html."""

import json
from collections import defaultdict
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from ..observe.tracing import Exec, ExecRefused, Refused
from ..observe.tracing.tree import TaskLife, Tree
from .trace_words import Words, cost_in_words, milliseconds, peak_of_memory, quoted

_PAGE = Path(__file__).with_name("trace_page.html")


def page_text(tree: Tree, what: str) -> str:
    """The page. What comes from the tracees is data of the script, which it shows as text alone."""
    cost = tree.cost
    over = 0.0 if cost is None else cost.time
    rows = [_row(life, depth, over) for depth, life in _by_family(tree)]
    data = {"what": what, "over": over, "rows": rows}
    text = _PAGE.read_text(encoding="utf-8")
    text = text.replace("{{title}}", escape(f"ramet trace: {what}"))
    text = text.replace("{{cost}}", escape("" if cost is None else cost_in_words(cost)))
    # "<" would let a program's argument end the script.
    return text.replace("{{data}}", json.dumps(data).replace("<", "\\u003c"))


def _by_family(tree: Tree) -> Iterator[tuple[int, TaskLife]]:
    """Each task below its maker, with its depth; in the order in which they were made."""
    made: dict[int, list[int]] = defaultdict(list)
    latest: dict[int, int] = {}
    first = []
    for number, life in enumerate(tree.lives):
        if life.maker in latest:
            made[latest[life.maker]].append(number)
        else:
            first.append(number)
        latest[life.tid] = number
    left = [(0, number) for number in reversed(first)]
    while left:
        depth, number = left.pop()
        yield depth, tree.lives[number]
        left += [(depth + 1, one) for one in reversed(made[number])]


def _row(life: TaskLife, depth: int, over: float) -> dict[str, Any]:
    words = Words(full=True)
    end = over if life.end is None else life.end
    begins = [time for time, _, _ in life.programs]
    return {
        "tid": life.tid,
        "name": life.name or "?",
        "depth": depth,
        "thread": life.is_thread,
        "begin": life.begin,
        "end": end,
        "parts": [
            [begin, until, name or "?", _command(exec_)]
            for (begin, name, exec_), until in zip(life.programs, [*begins[1:], end], strict=True)
        ],
        "marks": [
            [
                mark.time,
                words.of(mark),
                list(words.reasons(mark)),
                isinstance(mark, Refused | ExecRefused),
            ]
            for mark in life.marks
        ],
        "call": "" if life.call is None else str(life.call),
        "made": "" if life.maker is None else f"made by {life.maker}, child of {life.parent}",
        "ending": _ending(life),
        "failed": life.status is not None and not life.status.success,
    }


def _command(exec_: Exec | None) -> str:
    if exec_ is None:
        return ""
    return quoted([exec_.path, *exec_.argv[1:]]) + (" …" if exec_.is_cut else "")


def _ending(life: TaskLife) -> str:
    if life.ending is None:
        return "its end was not seen"
    if life.is_thread:
        return str(life.ending.status)
    used = life.ending
    return (
        f"{used.status}; user {milliseconds(used.user)}, system {milliseconds(used.system)}, "
        f"peak {peak_of_memory(used.peak)}"
    )
