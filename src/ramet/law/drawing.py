"""The picture of a request: caller and child with what lies between them, or the broken rules."""

from collections.abc import Iterator

from ..flags import signal_name
from .outcome import Outcome
from .sharing import SHARES, Share
from .svg import MARGIN, WIDTH, Theme, box, document, lines, text
from .two_tasks import Group, Row, Task, draw_tasks
from .version import version_text

# The namespaces of its children are shown only where they are not its own.
GROUPS = (
    ("What a task works with", ("vm", "files", "fs", "sighand", "sysvsem", "io")),
    (
        "Namespaces",
        ("ns_mnt", "ns_uts", "ns_ipc", "ns_user", "ns_pid", "ns_net", "ns_cgroup", "ns_time"),
    ),
    ("Identity", ("same_tgid", "same_ppid")),
)
_ROWS = {row.key: row for row in SHARES}
_INNER = WIDTH - 2 * MARGIN


def draw(outcome: Outcome, asked: str, verdict: str, name: str | None, theme: Theme) -> str:
    """A whole SVG document. ``name``: the word that was asked for, where it was one."""
    head, top = _head(outcome, asked, verdict, name)
    body, height = _refused(outcome, top) if outcome.errno else _granted(outcome, top)
    title = f"{name}: {asked}" if name else asked
    return document(title, [*head, *body], height, theme)


def _head(outcome: Outcome, asked: str, verdict: str, name: str | None) -> tuple[list[str], int]:
    head, y = [], 36
    if name:
        head.append(text(MARGIN, y, name, "title"))
        y += 24
    for line in lines(asked, _INNER, "code"):
        head.append(text(MARGIN, y, line, "code"))
        y += 19
    y += 4
    head.append(text(MARGIN, y, f"Linux {version_text(outcome.kernel)}: {verdict}", "small"))
    return head, y + 24


def _granted(outcome: Outcome, top: int) -> tuple[list[str], int]:
    groups = [
        Group(title, [_row(_ROWS[key], outcome) for key in _shown(keys, outcome)])
        for title, keys in GROUPS
    ]
    return draw_tasks(_caller(outcome), _child(outcome), groups, top)


def _row(row: Share, outcome: Outcome) -> Row:
    if outcome.shares[row.key]:
        return Row("shared", row.what)
    if row.until_written:
        return Row("until", f"{row.what}: shared until one of the two writes")
    apart = row.apart_by(outcome.flags, outcome.request.call)
    return Row("apart", row.what, f"{row.what}: {apart}", copied=apart == "a copy")


def _shown(keys: tuple[str, ...], outcome: Outcome) -> Iterator[str]:
    for key in keys:
        yield key
        future = f"{key}_for_children"
        if future in _ROWS and outcome.shares[future] != outcome.shares[key]:
            yield future


def _caller(outcome: Outcome) -> Task:
    if outcome.exit_signal is None:
        return Task("caller", ["before the call"])
    return Task("caller", ["suspended until the child's exec or end"] if outcome.suspends else [])


def _child(outcome: Outcome) -> Task:
    if outcome.exit_signal is None:
        return Task("caller", ["after the call"])
    pids = {"caller": "the caller's pid", "new": "a pid of its own", 1: "pid 1"}
    notes = [pids[outcome.getpid]] if outcome.getpid else []
    if outcome.starts_stopped:
        notes.append("starts stopped")
    if outcome.exit_signal > 0:
        notes.append(f"ends with {signal_name(outcome.exit_signal)}")
    else:
        notes.append("no exit signal")
    return Task("thread" if outcome.exit_signal < 0 else "child", notes)


def _refused(outcome: Outcome, top: int) -> tuple[list[str], int]:
    """No child: the broken rules in a box each."""
    body = []
    y = top
    for rule in outcome.broken:
        words = [
            *lines(rule.sentence, _INNER - 28),
            *lines(f"Remedy: {rule.remedy}", _INNER - 28),
        ]
        height = 34 + 20 * len(words)
        body.append(box("refused", MARGIN, y, _INNER, height, radius=8))
        body.append(text(MARGIN + 14, y + 22, f"Rule {rule.id}: {rule.errno}", "red"))
        body += [text(MARGIN + 14, y + 44 + 20 * number, line) for number, line in enumerate(words)]
        y += height + 14
    return body, y + 10
