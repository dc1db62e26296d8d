"""What a trace tells: one event for each clone call, exec and end, and for what else concerns them."""

from dataclasses import dataclass, fields
from typing import Any

from ...exit_status import ExitStatus
from ...law import Rule
from .calls import Call


@dataclass(frozen=True, slots=True)
class Event:
    """``time``: in seconds from the begin of the trace. ``tid``: the task. ``pid``: its process."""

    time: float
    tid: int
    pid: int


@dataclass(frozen=True, slots=True)
class Begun(Event):
    """The first that is known of a task that was not seen being made.

    ``how``: "started", the program of the trace; "attached", a task that was there before; "untold", one
    whose maker hid its clone call (CLONE_UNTRACED), or was killed in it. ``name``: as ps calls it, empty
    when it has ended.
    """

    parent: int | None
    how: str
    name: str


@dataclass(frozen=True, slots=True)
class Made(Event):
    """A task was made by ``tid``; ``child`` is its tid.

    ``call``: None where it was not seen. ``parent``: the process that is its parent, another than its
    maker's with CLONE_PARENT. ``is_thread``: it belongs to its maker's process. ``is_traced``: False where
    nothing more will be told of it.
    """

    call: Call | None
    child: int
    parent: int | None
    is_thread: bool
    is_traced: bool

    @property
    def child_pid(self) -> int:
        """The process that it belongs to."""
        return self.pid if self.is_thread else self.child


@dataclass(frozen=True, slots=True)
class Exec(Event):
    """A program has begun.

    ``path`` as it was given to execve(2), ``argv`` as far as it was read; ``is_cut``: there is more of it.
    ``tried``: paths that were refused before, with their errnos, as in a search along PATH. ``former``: the
    tid before, which is another where a thread other than the leader made the call.
    """

    path: str
    argv: tuple[str, ...]
    is_cut: bool
    tried: tuple[tuple[str, str], ...]
    former: int


@dataclass(frozen=True, slots=True)
class ExecRefused(Event):
    """No program has begun: the last path that was tried, with the errno, and those before."""

    path: str
    argv: tuple[str, ...]
    is_cut: bool
    errno: str
    tried: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """A call was refused.

    ``rules``: of the law, that say why; ``possible``: those that may be the reason, where that cannot be
    known.
    """

    call: Call
    errno: str
    rules: tuple[Rule, ...]
    possible: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Moved(Event):
    """unshare() or setns() has succeeded."""

    call: Call


@dataclass(frozen=True, slots=True)
class Adopted(Event):
    """A process has another parent, since its own has ended; None where it has itself ended meanwhile."""

    parent: int | None


@dataclass(frozen=True, slots=True)
class End(Event):
    """A task has ended.

    ``user``, ``system``: processor time in seconds, ``peak``: of resident memory in bytes. A process has
    its own and those of the children that it has waited for, as in time(1); a thread those of its process.
    The program that was started with the trace was in the tracing process's memory until its exec: its peak
    is None unless it is an eighth above that one's.
    """

    status: ExitStatus
    is_thread: bool
    user: float
    system: float
    peak: int | None


@dataclass(frozen=True, slots=True)
class Left(Event):
    """It is traced no longer, and goes on."""


@dataclass(frozen=True, slots=True)
class Cost(Event):
    """The last event: what the trace has cost.

    ``stops``: of tracees. ``held``: seconds that they stood still for the tracer, all together. ``lost``:
    events that are missing for want of memory.
    """

    stops: int
    held: float
    lost: int


def to_dict(event: Event) -> dict[str, Any]:
    """The event for machines, ready for JSON."""
    found: dict[str, Any] = {"event": _NAMES[type(event)], "time": round(event.time, 9)}
    if not isinstance(event, Cost):
        found |= {"tid": event.tid, "pid": event.pid}
    for name in _FIELDS[type(event)]:
        found[name] = _plain(getattr(event, name))
    if isinstance(event, End):
        found |= found.pop("status")
    return found


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, Call):
        return value.to_dict() | {"time": round(value.time, 9)}
    if isinstance(value, ExitStatus):
        signal = None if value.signal is None else getattr(value.signal, "name", str(value.signal))
        return {"code": value.code, "signal": signal, "core_dumped": value.core_dumped}
    if isinstance(value, Rule):
        return {"id": value.id, "why": value.sentence, "remedy": value.remedy}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


_NAMES = {
    Begun: "begun",
    Made: "made",
    Exec: "exec",
    ExecRefused: "exec refused",
    Refused: "refused",
    Moved: "moved",
    Adopted: "adopted",
    End: "end",
    Left: "left",
    Cost: "cost",
}
_FIELDS = {
    kind: tuple(field.name for field in fields(kind) if field.name not in {"time", "tid", "pid"})
    for kind in _NAMES
}
