"""An event of a trace in words, one line each."""

import os
import shlex
from collections.abc import Iterable, Iterator

from ..law import Rule
from ..observe.tracing import (
    Adopted,
    Begun,
    Call,
    Cost,
    End,
    Event,
    Exec,
    ExecRefused,
    Left,
    Made,
    Moved,
    Refused,
)

_MOST_COLUMNS = 120
_MIB = 1 << 20
_ESCAPES = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\x1b": r"\e"}


class Words:
    """What is said of each event. full: with all arguments, and the addresses in calls."""

    def __init__(self, *, full: bool) -> None:
        self._full = full

    def of(self, event: Event) -> str:
        """One line; empty for a Cost."""
        match event:
            case Made():
                return self._made(event)
            case Exec():
                return self._exec(event)
            case ExecRefused():
                return self._exec_refused(event)
            case Refused():
                return f"{self._call(event.call)}: {event.errno}"
            case Moved():
                return self._call(event.call)
        return _of_life(event)

    def reasons(self, event: Event) -> Iterator[str]:
        """The lines below a call that was refused."""
        if isinstance(event, Refused):
            yield from (_rule(rule, "") for rule in event.rules)
            yield from (_rule(rule, "perhaps ") for rule in event.possible)

    def _call(self, call: Call | None) -> str:
        if call is None:
            return "a call that was not seen"
        return shown(str(call) if self._full else call.short())

    def _made(self, event: Made) -> str:
        text = f"{self._call(event.call)} = {event.child}"
        if event.is_thread:
            text += ", a thread"
        elif event.parent != event.pid:
            text += f", a child of {event.parent}"
        if not event.is_traced:
            text += ", which is not traced (CLONE_UNTRACED)"
        return text

    def _exec(self, event: Exec) -> str:
        text = f"exec {self._program(event.path, event.argv, event.is_cut)}"
        if event.former != event.tid:
            text += f", by thread {event.former}"
        if event.tried:
            text += f", after {self._tried(event.tried)}"
        return text

    def _exec_refused(self, event: ExecRefused) -> str:
        text = f"exec {self._program(event.path, event.argv, event.is_cut)}: {event.errno}"
        return f"{text}, after {self._tried(event.tried)}" if event.tried else text

    def _tried(self, tried: tuple[tuple[str, str], ...]) -> str:
        if self._full:
            return ", ".join(f"{shown(path)} {errno}" for path, errno in tried)
        return f"{len(tried)} other path{'s' if len(tried) > 1 else ''}"

    def _program(self, path: str, argv: tuple[str, ...], is_cut: bool) -> str:
        first, *others = argv or ("",)
        own_name = first.rpartition("/")[2] == path.rpartition("/")[2]
        text = quoted([path, *others]) if own_name else f"{quoted([path])} as {quoted(argv)}"
        if not self._full and len(text) > _MOST_COLUMNS:
            return text[: _MOST_COLUMNS - 1] + "…"
        return f"{text} …" if is_cut else text


def quoted(argv: Iterable[str]) -> str:
    """A command line that bash reads as these words.

    What would move a cursor, or end the line, is escaped.
    """
    return " ".join(map(_quoted, argv))


def shown(text: str) -> str:
    """The same text, in one line: what is not printable, or no UTF-8, is escaped."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    text = "".join(f"\\{one}" if one in "\\'" else _escaped(one) for one in word)
    return f"$'{text}'"


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if character in _ESCAPES:
        return _ESCAPES[character]
    # In octal: more digits that follow do not belong to it.
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


def cost_in_words(cost: Cost) -> str:
    """The last line: what the trace has cost."""
    share = f" ({100 * cost.held / cost.time:.1f} % of {cost.time:.3f} s)" if cost.time > 0 else ""
    lost = f"; {cost.lost} events are lost for want of memory" if cost.lost else ""
    held = milliseconds(cost.held)
    return (
        f"traced with {cost.stops} stops, in which tasks waited {held} for the tracer{share}{lost}"
    )


def milliseconds(seconds: float) -> str:
    """A time."""
    return f"{seconds * 1000:.1f} ms"


def peak_of_memory(size: int | None) -> str:
    """What a process had resident at most; it is unknown where the kernel counts what ramet had with it."""
    return "unknown" if size is None else f"{size / _MIB:.1f} MiB"


def _of_life(event: Event) -> str:
    match event:
        case Begun():
            return _begun(event)
        case Adopted():
            return f"adopted by {'?' if event.parent is None else event.parent}"
        case End():
            return _end(event)
        case Left():
            return "goes on, no longer traced"
    return ""


def _begun(event: Begun) -> str:
    if event.how == "started":
        return "begins"
    name = f"{shown(event.name)}, " if event.name else ""
    if event.how == "attached":
        return f"attached to {name}" + (
            f"a thread of {event.pid}" if event.tid != event.pid else f"a child of {event.parent}"
        )
    return f"was there: {name}that was not seen being made"


def _end(event: End) -> str:
    text = str(event.status)
    if event.is_thread:
        return text
    user, system = milliseconds(event.user), milliseconds(event.system)
    return f"{text}; user {user}, system {system}, peak {peak_of_memory(event.peak)}"


def _rule(rule: Rule, before: str) -> str:
    return f"{before}rule {rule.id}: {rule.sentence}; {rule.remedy}"
