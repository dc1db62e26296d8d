"""The tasks of a trace with all that was told of each, for what is drawn or counted at its end."""

from dataclasses import dataclass, field

from ...exit_status import ExitStatus
from .calls import Call
from .events import (
    Adopted,
    Begun,
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


@dataclass(slots=True)
class TaskLife:
    """One task. Times are in seconds from the begin of the trace; ``end`` None: its end was not seen.

    ``maker``: the tid that made it, of the process ``maker_pid``; ``call``: by which call. ``depth``: how
    many makers are above it. ``name``: of its program. ``programs``: from when on it ran each. ``marks``:
    what else happened to it.
    """

    tid: int
    pid: int
    parent: int | None
    maker: int | None
    maker_pid: int | None
    call: Call | None
    begin: float
    name: str
    depth: int = 0
    end: float | None = None
    ending: End | None = None
    programs: list[tuple[float, str, Exec | None]] = field(default_factory=list)
    marks: list[Event] = field(default_factory=list)

    @property
    def is_thread(self) -> bool:
        """Whether it does not lead its process."""
        return self.tid != self.pid

    @property
    def status(self) -> ExitStatus | None:
        """How it ended."""
        return None if self.ending is None else self.ending.status


class Tree:
    """All tasks, in the order in which they were made; a tid that was used twice stands for two.

    keeps_all: ``lives`` has them all. Without, only those that have not ended are known, so that a trace
    without end needs no memory without end.
    """

    def __init__(self, *, keeps_all: bool = True) -> None:
        self.lives: list[TaskLife] = []
        self._keeps_all = keeps_all
        self.cost: Cost | None = None
        self._now: dict[int, TaskLife] = {}
        self._gone: int | None = None  # with the last event, for which it is still known

    def add(self, event: Event) -> None:
        """What comes next."""
        if self._gone is not None:
            self._now.pop(self._gone, None)
            self._gone = None
        match event:
            case Begun():
                self._begin(
                    TaskLife(
                        event.tid, event.pid, event.parent, None, None, None, event.time, event.name
                    )
                )
            case Made():
                name = self.name_of(event.tid)
                self._begin(
                    TaskLife(
                        event.child,
                        event.child_pid,
                        event.parent,
                        event.tid,
                        event.pid,
                        event.call,
                        event.time,
                        name,
                    )
                )
            case Exec():
                self._exec(event)
            case End() | Left():
                self._end(event)
            case Adopted():
                self._mark(event)
                if event.tid in self._now:
                    self._now[event.tid].parent = event.parent
            case Cost():
                self.cost = event
            case Refused() | ExecRefused() | Moved():
                self._mark(event)

    def name_of(self, tid: int) -> str:
        """The program that a task runs now."""
        return self._now[tid].name if tid in self._now else ""

    def depth_of(self, tid: int) -> int:
        """How many tasks are above it: makers, up to the first that is known."""
        return self._now[tid].depth if tid in self._now else 0

    def _begin(self, life: TaskLife) -> None:
        life.programs.append((life.begin, life.name, None))
        if self._keeps_all:
            self.lives.append(life)
        if life.maker in self._now:
            life.depth = self._now[life.maker].depth + 1
        self._now[life.tid] = life

    def _exec(self, event: Exec) -> None:
        if event.former != event.tid and event.former in self._now:
            self._now.pop(event.former).end = event.time  # it has become the leader
        task = self._now.get(event.tid)
        if task is not None:
            task.name = event.path.rpartition("/")[2]
            if self._keeps_all:
                task.programs.append((event.time, task.name, event))

    def _end(self, event: End | Left) -> None:
        task = self._now.get(event.tid)
        if task is not None:
            task.end = event.time
            self._gone = event.tid
            if isinstance(event, End):
                task.ending = event

    def _mark(self, event: Event) -> None:
        if self._keeps_all and event.tid in self._now:
            self._now[event.tid].marks.append(event)
