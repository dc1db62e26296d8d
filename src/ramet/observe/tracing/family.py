"""From records to events: who is whose child, which call made whom, and what a refused call broke."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..._kernel import procfs
from ...exit_status import ExitStatus
from ...flags import CloneFlag
from .calls import Call, errno_of, is_restarted, read_call, text_of
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
from .records import Kind, Number, Record
from .refusals import reasons_for

_MICROSECOND, _NANOSECOND, _KIB = 1e-6, 1e-9, 1024
_EXECS = frozenset({Number.EXECVE, Number.EXECVEAT})


@dataclass(slots=True)
class _Program:
    """What an exec asks for."""

    path: str
    argv: tuple[str, ...]
    is_cut: bool


@dataclass(slots=True)
class _Task:
    """A task that is known: its process, and what it is about to do."""

    tid: int
    pid: int
    parent: int | None
    call: Call | None = None
    program: _Program | None = None
    refused: list[tuple[_Program, str]] = field(default_factory=list)
    refused_at: float = 0.0

    @property
    def is_thread(self) -> bool:
        return self.tid != self.pid


class Family:
    """All tasks of a trace; ``read()`` makes events of records, in their order.

    started: the program of the trace, None where it attaches to what is there. own_filters: how many
    seccomp filters a task has from the tracer. own_peak: of this process's resident memory, in bytes, when
    the program had been started.
    """

    def __init__(
        self, begin: int, started: int | None, own_filters: int, own_peak: int = 0
    ) -> None:
        self._begin = begin
        self._started = started
        self._own_peak = own_peak
        self._own_filters = own_filters
        self._tasks: dict[int, _Task] = {}
        # Of tasks whose making has not been told yet.
        self._early: dict[int, list[Record]] = {}
        self._steps: dict[int, Callable[[Record, _Task], Iterator[Event]]] = {
            Kind.CALL: self._called,
            Kind.RETURNED: self._returned,
            Kind.MADE: self._made,
            Kind.EXECED: self._execed,
            Kind.ENDED: self._ended,
            Kind.LEFT: self._left,
        }

    def read(self, record: Record) -> Iterator[Event]:
        """The events that it gives; none where it only prepares another."""
        if record.kind == Kind.OVER:
            yield from self._untold()
            stops, held, lost = record.args[:3]
            yield Cost(self._time(record), 0, 0, stops, held * _NANOSECOND, lost)
            return
        task = self._tasks.get(record.tid)
        if task is None and record.kind == Kind.SEEN and record.args[0]:
            yield self._begun(record, "attached" if self._started is None else "started")
        elif task is None:
            self._early.setdefault(record.tid, []).append(record)
        elif record.kind != Kind.SEEN:
            yield from self._steps[record.kind](record, task)

    def _time(self, record: Record) -> float:
        return (record.time - self._begin) * _NANOSECOND

    # ---- how tasks come to be known

    def _begun(self, record: Record, how: str) -> Begun:
        status = {} if how == "started" else _status(record.tid)
        pid = int(status.get("Tgid", record.tid))
        parent = os.getpid() if how == "started" else procfs.parent(record.tid)
        self._tasks[record.tid] = _Task(record.tid, pid, parent)
        return Begun(self._time(record), record.tid, pid, parent, how, status.get("Name", ""))

    def _untold(self) -> Iterator[Event]:
        for tid in list(self._early):
            yield self._begun(self._early[tid][0], "untold")
            yield from self._late(tid)

    def _late(self, tid: int) -> Iterator[Event]:
        """What a task did before its making was told."""
        for record in self._early.pop(tid, ()):
            yield from self.read(record)

    def _new_task(
        self, record: Record, maker: _Task, child: int, *, is_traced: bool
    ) -> Iterator[Event]:
        call, maker.call = maker.call, None
        flags = CloneFlag(0) if call is None else call.flags
        is_thread = bool(flags & CloneFlag.THREAD)
        parent = maker.parent if flags & (CloneFlag.PARENT | CloneFlag.THREAD) else maker.pid
        if is_traced:
            self._tasks[child] = _Task(child, maker.pid if is_thread else child, parent)
        where = self._time(record), maker.tid, maker.pid
        yield Made(*where, call, child, parent, is_thread, is_traced)
        yield from self._late(child)

    def _made(self, record: Record, task: _Task) -> Iterator[Event]:
        yield from self._new_task(record, task, record.other, is_traced=True)

    # ---- calls

    def _called(self, record: Record, task: _Task) -> Iterator[Event]:
        if record.call in _EXECS:
            task.program = _program(record)
        else:
            yield from self._give_up_search(task)
            task.call = read_call(record, self._time(record))

    def _returned(self, record: Record, task: _Task) -> Iterator[Event]:
        error = None if is_restarted(record.result) else errno_of(record.result)
        if record.call in _EXECS:
            program, task.program = task.program, None
            if program is not None and error is not None:
                task.refused.append((program, error))
                task.refused_at = self._time(record)
            return
        call = task.call
        if call is None or is_restarted(record.result):
            return
        if error is not None:
            task.call = None
            reasons = reasons_for(call, error, record.parts, self._own_filters)
            yield Refused(self._time(record), task.tid, task.pid, call, error, *reasons)
        elif call.name in {"unshare", "setns"}:
            task.call = None
            yield Moved(self._time(record), task.tid, task.pid, call)
        else:  # without an event: CLONE_UNTRACED
            is_traced = bool(call.flags & CloneFlag.PTRACE)
            yield from self._new_task(record, task, record.result, is_traced=is_traced)

    def _execed(self, record: Record, task: _Task) -> Iterator[Event]:
        caller = task if record.other == record.tid else self._tasks.pop(record.other, task)
        program, caller.program = caller.program, None
        tried, caller.refused = tuple((one.path, error) for one, error in caller.refused), []
        known = program or _Program("?", (), is_cut=True)  # it was made before the trace began
        yield Exec(
            self._time(record),
            task.tid,
            task.pid,
            known.path,
            known.argv,
            known.is_cut,
            tried,
            record.other,
        )

    def _give_up_search(self, task: _Task) -> Iterator[Event]:
        """It has done something else: what was refused was no search along PATH."""
        if task.refused:
            *before, (last, error) = task.refused
            task.refused = []
            tried = tuple((one.path, one_error) for one, one_error in before)
            where = task.refused_at, task.tid, task.pid
            yield ExecRefused(*where, last.path, last.argv, last.is_cut, error, tried)

    # ---- ends

    def _ended(self, record: Record, task: _Task) -> Iterator[Event]:
        yield from self._give_up_search(task)
        del self._tasks[task.tid]
        user, system, peak = record.args[:3]
        yield End(
            self._time(record),
            task.tid,
            task.pid,
            ExitStatus.from_wstatus(record.result),
            task.is_thread,
            user * _MICROSECOND,
            system * _MICROSECOND,
            self._peak(task, peak * _KIB),
        )
        if not task.is_thread:
            yield from self._adoptions(record, task)

    def _peak(self, task: _Task, peak: int) -> int | None:
        """Until its exec the program was in this process's memory, which the kernel counts (fs/exec.c).

        It counts pages for each processor apart: two reads differ (include/linux/mm.h, get_mm_counter()).
        """
        most_of_own = self._own_peak + (self._own_peak >> 3)
        return None if task.pid == self._started and peak <= most_of_own else peak

    def _adoptions(self, record: Record, gone: _Task) -> Iterator[Event]:
        for task in self._tasks.values():
            if task.parent == gone.pid:
                task.parent = procfs.parent(task.pid)
                if not task.is_thread:
                    yield Adopted(self._time(record), task.tid, task.pid, task.parent)

    def _left(self, record: Record, task: _Task) -> Iterator[Event]:
        del self._tasks[task.tid]
        yield Left(self._time(record), task.tid, task.pid)


def _program(record: Record) -> _Program:
    parts = list(record.parts)
    directory = text_of(parts.pop(0)) if record.call == Number.EXECVEAT else ""
    path, *arguments = parts
    name = text_of(path)
    if directory and not name.startswith("/"):
        name = f"{directory}/{name}" if name else directory
    is_cut = bool(record.args[3]) or any(part.is_cut for part in arguments)
    return _Program(name, tuple(map(text_of, arguments)), is_cut)


def _status(tid: int) -> dict[str, str]:
    try:
        return procfs.status(tid)
    except OSError:
        return {}
