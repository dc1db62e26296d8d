"""A drawing of caller and child: what they share in one box between them, what not in two."""

import textwrap
from collections.abc import Iterator
from html import escape

from ..flags import signal_name
from .outcome import Outcome
from .sharing import SHARES, Share
from .version import version_text

_WIDTH = 960
_MARGIN = 24
_TASK_WIDTH = 130
_BOX_HEIGHT, _GAP = 34, 10
_LEFT, _RIGHT = _MARGIN + _TASK_WIDTH + 40, _WIDTH - _MARGIN - _TASK_WIDTH - 40
_HALF = (_RIGHT - _LEFT - 90) // 2
_TOP = 120
_GROUP_GAP = 34

_STYLE = """
text { font-family: 'DejaVu Sans', Verdana, sans-serif; font-size: 14px; fill: #1b1f24; }
.title { font-size: 17px; font-weight: bold; }
.small { font-size: 12px; fill: #57606a; }
.task { fill: #e7ecf3; stroke: #33475b; stroke-width: 1.5; }
.shared { fill: #d5efdc; stroke: #1a7f37; stroke-width: 1.5; }
.apart { fill: #fdf3d8; stroke: #9a6700; stroke-width: 1.5; }
.line { stroke: #33475b; stroke-width: 1.2; fill: none; }
.copy { stroke: #9a6700; stroke-width: 1.2; stroke-dasharray: 5 4; fill: none; }
.refused { fill: #ffe2e0; stroke: #b42318; stroke-width: 1.5; }
.red { fill: #b42318; font-weight: bold; }
"""

# The namespaces of its children are shown only where they are not its own.
_GROUPS = (
    ("What a task works with", ("vm", "files", "fs", "sighand", "sysvsem", "io")),
    (
        "Namespaces",
        ("ns_mnt", "ns_uts", "ns_ipc", "ns_user", "ns_pid", "ns_net", "ns_cgroup", "ns_time"),
    ),
    ("Identity", ("same_tgid", "same_ppid")),
)
_ROWS = {row.key: row for row in SHARES}


def draw(outcome: Outcome, asked: str, verdict: str) -> str:
    """The drawing, as a whole SVG document."""
    body, height = _refused(outcome) if outcome.errno else _granted(outcome)
    title = list(_lines(asked, _MARGIN, 36, "title", 74))
    where = f"Linux {version_text(outcome.kernel)}: {verdict}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(asked)}</title>",
            f"<style>{_STYLE}</style>",
            _MARKER,
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            *title,
            _text(_MARGIN, 36 + 24 * len(title), where, "small"),
            *body,
            "</svg>",
            "",
        ]
    )


_MARKER = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#9a6700"/></marker></defs>'
)


def _granted(outcome: Outcome) -> tuple[list[str], int]:
    body: list[str] = []
    y = _TOP
    for title, keys in _GROUPS:
        body.append(_text(_LEFT, y + 14, title, "small"))
        y += 24
        for key in _shown(keys, outcome):
            row = _ROWS[key]
            body += _resource(row, outcome.shares[key], row.apart_by(outcome.flags), y)
            y += _BOX_HEIGHT + _GAP
        y += _GROUP_GAP - _GAP
    bottom = y - _GROUP_GAP + _GAP
    tasks = [
        *_task(_MARGIN, *_caller(outcome), bottom),
        *_task(_RIGHT + 40, *_child(outcome), bottom),
    ]
    return [*tasks, *body, *_legend(bottom + 30)], bottom + 64


def _shown(keys: tuple[str, ...], outcome: Outcome) -> Iterator[str]:
    for key in keys:
        yield key
        future = f"{key}_for_children"
        if future in _ROWS and outcome.shares[future] != outcome.shares[key]:
            yield future


def _caller(outcome: Outcome) -> tuple[str, list[str]]:
    if outcome.exit_signal is None:
        return "caller", ["before the call"]
    return "caller", ["suspended until the", "child's exec or end"] if outcome.suspends else []


def _child(outcome: Outcome) -> tuple[str, list[str]]:
    if outcome.exit_signal is None:
        return "caller", ["after the call"]
    pids = {"caller": "the caller's pid", "new": "a pid of its own", 1: "pid 1"}
    notes = [pids[outcome.getpid]] if outcome.getpid else []
    if outcome.starts_stopped:
        notes.append("starts stopped")
    if outcome.exit_signal > 0:
        notes.append(f"ends with {signal_name(outcome.exit_signal)}")
    else:
        notes.append("no exit signal")
    return ("thread" if outcome.exit_signal < 0 else "child"), notes


def _task(x: int, name: str, notes: list[str], bottom: int) -> Iterator[str]:
    height = bottom - _TOP
    middle, y = x + _TASK_WIDTH // 2, _TOP + height // 2
    yield (
        f'<rect class="task" x="{x}" y="{_TOP}" width="{_TASK_WIDTH}" height="{height}" rx="10"/>'
    )
    yield _text(middle, y, name, "title", "middle")
    for number, note in enumerate(notes, 1):
        yield _text(middle, y + 4 + 18 * number, note, "small", "middle")


def _resource(row: Share, shared: bool, apart: str, y: int) -> Iterator[str]:
    middle, text = y + _BOX_HEIGHT // 2, y + _BOX_HEIGHT // 2 + 5
    left, right = _MARGIN + _TASK_WIDTH, _RIGHT + 40
    yield f'<path class="line" d="M{left} {middle} H{_LEFT}"/>'
    yield f'<path class="line" d="M{_RIGHT} {middle} H{right}"/>'
    if shared:
        yield _box("shared", _LEFT, y, _RIGHT - _LEFT)
        yield _text((_LEFT + _RIGHT) // 2, text, row.what, "", "middle")
        return
    yield _box("apart", _LEFT, y, _HALF)
    yield _box("apart", _RIGHT - _HALF, y, _HALF)
    yield _text(_LEFT + _HALF // 2, text, row.what, "", "middle")
    yield _text(_RIGHT - _HALF // 2, text, f"{row.what}: {apart}", "", "middle")
    if apart == "a copy":
        yield (
            f'<path class="copy" d="M{_LEFT + _HALF + 4} {middle} H{_RIGHT - _HALF - 4}" '
            'marker-end="url(#tip)"/>'
        )


def _box(kind: str, x: int, y: int, width: int) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{_BOX_HEIGHT}" rx="6"/>'


def _legend(y: int) -> Iterator[str]:
    x = _LEFT
    for kind, words in (("shared", "one, shared by both"), ("apart", "two, one for each")):
        yield f'<rect class="{kind}" x="{x}" y="{y - 12}" width="24" height="16" rx="3"/>'
        yield _text(x + 32, y, words, "small")
        x += 220
    yield f'<path class="copy" d="M{x} {y - 4} h30" marker-end="url(#tip)"/>'
    yield _text(x + 40, y, "copied at the call", "small")


def _refused(outcome: Outcome) -> tuple[list[str], int]:
    """No child: the broken rules in a box each."""
    body = []
    y = _TOP
    for rule in outcome.broken:
        lines = textwrap.wrap(rule.sentence, 104)
        lines += textwrap.wrap(f"Remedy: {rule.remedy}", 104)
        height = 34 + 20 * len(lines)
        body.append(
            f'<rect class="refused" x="{_MARGIN}" y="{y}" width="{_WIDTH - 2 * _MARGIN}" '
            f'height="{height}" rx="8"/>'
        )
        body.append(_text(_MARGIN + 14, y + 22, f"Rule {rule.id}: {rule.errno}", "red"))
        body += [
            _text(_MARGIN + 14, y + 44 + 20 * number, line) for number, line in enumerate(lines)
        ]
        y += height + 14
    return body, y + 10


def _lines(words: str, x: int, y: int, style: str, width: int) -> Iterator[str]:
    # A long list of flags may break behind any of its bars.
    broken = textwrap.wrap(words.replace("|", "| "), width, break_long_words=False)
    for number, line in enumerate(broken[:2]):
        more = " ..." if number == 1 and len(broken) > 2 else ""  # noqa: PLR2004 - two lines fit
        yield _text(x, y + 24 * number, line.replace("| ", "|") + more, style)


def _text(x: int, y: int, words: str, style: str = "", anchor: str = "start") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x}" y="{y}"{kind} text-anchor="{anchor}">{escape(words)}</text>'
