"""ramet trace --chrome: the Trace Event Format, which ui.perfetto.dev and chrome://tracing read."""

import json
from collections.abc import Iterator
from typing import Any

from ..observe.tracing import to_dict
from ..observe.tracing.tree import TaskLife, Tree
from .trace_words import Words

_MICROSECONDS = 1_000_000


def chrome_text(tree: Tree) -> str:
    """The whole file: a slice for each program of a task, an arrow for each clone call, marks."""
    over = tree.cost.time if tree.cost is not None else 0.0
    events = [event for number, life in enumerate(tree.lives) for event in _of(life, number, over)]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})


def _of(life: TaskLife, number: int, over: float) -> Iterator[dict[str, Any]]:
    where = {"pid": life.pid, "tid": life.tid}
    kind = "thread_name" if life.is_thread else "process_name"
    yield {"ph": "M", "name": kind, **where, "args": {"name": life.name}}
    if not life.is_thread:
        yield {"ph": "M", "name": "process_sort_index", **where, "args": {"sort_index": number}}
    yield from _slices(life, where, over)
    if life.maker is not None:
        yield from _arrow(life, where, number)
    words = Words(full=True)
    for mark in life.marks:
        yield {"ph": "i", "s": "t", "name": words.of(mark), "cat": "refused", "ts": _time(mark.time),
            **where, "args": to_dict(mark)}  # fmt: skip


def _slices(life: TaskLife, where: dict[str, int], over: float) -> Iterator[dict[str, Any]]:
    """From exec to exec, and to the end."""
    end = over if life.end is None else life.end
    begins = [time for time, _, _ in life.programs]
    for (begin, name, exec_), until in zip(life.programs, [*begins[1:], end], strict=True):
        told: dict[str, Any] = {}
        if exec_ is not None:
            told = {"path": exec_.path, "argv": list(exec_.argv)}
        elif life.call is not None:
            told = {"call": str(life.call)}
        if until == end and life.status is not None:
            told["end"] = str(life.status)
        yield {"ph": "X", "name": name or "?", "cat": "program" if exec_ else "task", "ts": _time(begin),
            "dur": max(_time(until) - _time(begin), 0), **where, "args": told}  # fmt: skip


def _arrow(life: TaskLife, where: dict[str, int], number: int) -> Iterator[dict[str, Any]]:
    """From the maker's slice to the first of its child."""
    name = "made" if life.call is None else life.call.name
    shared = {"name": name, "cat": "clone", "id": number, "ts": _time(life.begin)}
    yield {"ph": "s", **shared, "pid": life.maker_pid, "tid": life.maker}
    yield {"ph": "f", "bp": "e", **shared, **where}


def _time(seconds: float) -> float:
    return round(seconds * _MICROSECONDS, 3)
