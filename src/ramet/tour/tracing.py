"""The flags for debuggers."""

import os
from functools import partial

import ramet
from ramet import CloneFlag

from .debugger import Event, debug
from .probes import proc_status
from .row import NotPermitted, Row, Seen, Verdict, verdict

_GROUP = "Tracing"


def _own_tracer() -> int:
    return int(proc_status(os.getpid(), "TracerPid"))


def _tracer_of_child(flags: int = 0, exit_signal: int | None = None) -> int:
    return ramet.clone(_own_tracer, flags=flags, exit_signal=exit_signal).result()


def _tracers_of_children(flags: int) -> list[int]:
    """Of three children, one of each kind for which a debugger has an event."""
    return [
        _tracer_of_child(flags),
        _tracer_of_child(flags | CloneFlag.VFORK),
        _tracer_of_child(flags, exit_signal=0),
    ]


def _require_no_tracer() -> None:
    if _own_tracer():
        raise NotPermitted("this process is traced itself, and a task has one tracer")


def _ptrace() -> Seen:
    _require_no_tracer()
    me = os.getpid()
    alone = _tracer_of_child(CloneFlag.PTRACE)
    without = debug(_tracer_of_child).result
    with_ = debug(partial(_tracer_of_child, CloneFlag.PTRACE)).result
    forced = debug(_tracer_of_child, [Event.FORK])
    return Seen(
        without=f"caller traced, child {_traced(without)}",
        with_=f"caller traced, child {_traced(with_)}",
        verdict=verdict(
            (alone, without, with_, forced.result) == (0, 0, me, me)
            and forced.events == [Event.FORK]
        ),
        detail=(
            f"caller not traced, child with the flag {_traced(alone)}; forced today by options: "
            f"PTRACE_O_TRACEFORK gives {_named(forced.events)}, child {_traced(forced.result)}"
        ),
    )


def _untraced() -> Seen:
    _require_no_tracer()
    me = os.getpid()
    without = debug(partial(_tracers_of_children, 0), Event)
    with_ = debug(partial(_tracers_of_children, CloneFlag.UNTRACED), Event)
    both = debug(partial(_tracers_of_children, CloneFlag.UNTRACED | CloneFlag.PTRACE), Event)
    return Seen(
        without=f"events {_named(without.events)}; {_count_traced(without.result)}",
        with_=f"events {_named(with_.events)}; {_count_traced(with_.result)}",
        verdict=verdict(
            without.events == [Event.FORK, Event.VFORK, Event.CLONE]
            and without.result == [me, me, me]
            and with_.events == []
            and with_.result == [0, 0, 0]
            and both.events == []
            and both.result == [me, me, me],
            Verdict.CHANGED,
        ),
        detail=(
            "any program may set it, against the debugger's options; PTRACE itself still works: "
            f"with both flags events {_named(both.events)}; {_count_traced(both.result)}"
        ),
    )


def _traced(tracer: int) -> str:
    return (
        f"traced by {'its tracer' if tracer == os.getpid() else tracer}" if tracer else "not traced"
    )


def _count_traced(tracers: list[int]) -> str:
    return f"{sum(map(bool, tracers))} of {len(tracers)} children traced"


def _named(events: list[Event]) -> str:
    return ", ".join(event.name for event in events) or "none"


ROWS = (
    Row(
        "PTRACE",
        _GROUP,
        "has the child traced if the caller is; a debugger that wants the child traced forces the flag",
        _ptrace,
    ),
    Row(
        "UNTRACED",
        _GROUP,
        "set by the kernel to cancel PTRACE, for tasks that must not be traced",
        _untraced,
    ),
)
