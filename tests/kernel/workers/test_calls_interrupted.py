"""An exception of a signal handler while a call is asked for costs that call alone."""

import gc
import itertools
import os
import signal
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import pytest

import ramet
from ramet._kernel import procfs
from ramet._process.tree.pid_namespace import PidNamespace
from ramet._process.unreaped import reap_ended
from ramet._workers.template import (
    called_child,
    clones_by_name,
    current_process,
    ended_calls,
    link,
    own_children,
    owned_clone,
)

from ...waiting import alarm, until
from ..sandbox.taken_away import needs_all


def codes_of(*functions: Any) -> frozenset[CodeType]:
    """By which a tracer knows them."""
    return frozenset(one.__code__ for one in functions)


# What asks the template, and stands for what it has made; each by its code.
ASKING = codes_of(
    link.Link._answered,
    link.Link._ask,
    link.Link._read,
    owned_clone.taken_over,
    owned_clone.Clone.take_own_numbers,
    owned_clone.Clone.require_own_child,
    link.Link._correct,
    link.Link.ask_for_spare,
    link.Link.clone,
    link.Link.spare,
    link.Link.__dict__["_spares_asked"],
    called_child.CalledChild._connect,
)
SECONDS = 10


class Heard(BaseException):
    """What the handler raises."""


def raising_at(
    step: int, codes: frozenset[CodeType] = ASKING
) -> Callable[[FrameType, str, Any], Any]:
    """Raises at the so manyth line of these functions, by default of what asks."""
    left = step

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code not in codes:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Heard
        return trace

    return trace


def interrupted(template: ramet.Template, step: int) -> bool:
    """Whether a call was interrupted at that line; it has fewer else."""
    before = sys.gettrace()
    sys.settrace(raising_at(step))
    try:
        with template.clone(abs, -1) as child:
            assert child.result(SECONDS) == 1
    except Heard:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("spares", [0, 1])
@pytest.mark.usefixtures("nothing_left")
def test_the_next_call_does_not_wait_for_an_answer_that_never_comes(spares: int) -> None:
    """Wherever the call before was interrupted: before its request was sent, or after."""
    with ramet.Template(spares=spares) as template:
        for step in itertools.count(1):
            was_interrupted = interrupted(template, step)
            with template.clone(abs, -2) as child:
                assert child.result(SECONDS) == 2
            if not was_interrupted:
                break
        assert step > 10
    gc.collect()


class Interrupting:
    """A signal comes as it is pickled."""

    def __call__(self) -> None: ...

    def __reduce__(self) -> Any:
        signal.raise_signal(signal.SIGALRM)
        return Interrupting, ()


def asks_by_executor(template: ramet.Template) -> None:
    """Submit a call, which is begun at once, as a process waits."""
    with ramet.Executor(1, template=template) as executor:
        assert executor.submit(abs, -2).result(SECONDS) == 2
        until(executor._pool._template._has_spare)
        try:
            executor.submit(id, Interrupting())
        finally:
            assert executor.submit(abs, -2).result(SECONDS) == 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda template: template.clone(id, Interrupting()),
        lambda template: template.derive(setup=Interrupting()),
        asks_by_executor,
    ],
    ids=["clone", "derive", "submit"],
)
@pytest.mark.usefixtures("nothing_left")
def test_what_a_handler_raises_as_a_call_is_pickled(
    ask: Callable[[ramet.Template], object],
) -> None:
    """It is raised as it is, also an Exception: the call is not said to be what cannot be pickled."""
    with ramet.Template() as template:
        with pytest.raises(TimeoutError) as raised, alarm(10 * SECONDS, TimeoutError):
            ask(template)
        assert "pickled" not in str(raised.value)
        assert template.clone(abs, -2).result(SECONDS) == 2


@needs_all
@pytest.mark.usefixtures("nothing_left")
def test_a_confined_call_that_is_interrupted_leaves_nothing() -> None:
    """Also where it was told by a pid of its namespace, and that of this process was not read yet."""
    with ramet.Template(sandbox=ramet.Sandbox(), spares=0) as template:
        before = children_after_reaping()
        for step in itertools.count(1):
            if not interrupted(template, step):
                break
            with template.clone(abs, -2) as child:  # which reads an answer that nobody waits for
                assert child.result(SECONDS) == 2
            gc.collect()
            until(lambda: children_after_reaping() == before)
        assert step > 20


# What ends a clone that nobody has.
DROPPING = codes_of(
    owned_clone.Clone.drop,
    owned_clone.Clone.discard,
    owned_clone.Clone._kill,
    owned_clone.Clone._reaped_by_pidfds,
    own_children.kill,
    own_children.reap,
    PidNamespace.leave,
    PidNamespace.leave_to_end,
)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("options", "knows_its_pids"),
    [
        ({}, True),
        pytest.param({"sandbox": ramet.Sandbox()}, True, marks=needs_all),
        pytest.param({"sandbox": ramet.Sandbox()}, False, marks=needs_all),
    ],
    ids=["plain", "confined", "by pidfds"],
)
def test_a_clone_is_ended_though_a_handler_raises_in_its_finalizer(
    options: dict[str, Any], knows_its_pids: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python tells of what was raised, and nothing of the clone is left."""
    told: list[type] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_type))
    with ramet.Template(spares=0, **options) as template:
        before = children_after_reaping()
        for step in itertools.count(1):
            clone = template._link.clone(template._link.of_spares)
            clone.has_own_numbers = knows_its_pids
            sys.setprofile(raising_after(step))
            del clone
            sys.setprofile(None)
            until(lambda: children_after_reaping() == before)
            if len(told) < step:
                break
        assert step > 5
        assert set(told) == {Heard}


CLOSING = codes_of(
    ramet.Template.close,
    ramet.Template._end,
    ended_calls.EndedCalls.end_all,
    ended_calls.EndedCalls._end_left,
    ended_calls.__dict__["_end_all"],
    current_process.close_all,
    link.Link.close,
    link.Link._end_namespace,
    clones_by_name.ClonesByName.end_untold,
    called_child.CalledChild._end_in_time,
)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("is_repeated", [True, False], ids=["repeated", "dropped"])
@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"sandbox": ramet.Sandbox()}, marks=needs_all)],
    ids=["plain", "confined"],
)
def test_a_close_that_was_interrupted_goes_on(options: dict[str, Any], is_repeated: bool) -> None:
    """At whatever line: nothing is left when it is repeated, or when nobody has the template any more."""
    with ramet.Template(spares=0, **options) as base:
        before = children_after_reaping()
        for step in itertools.count(1):
            template = base.derive(spares=1)
            assert template.clone(abs, -1).result(SECONDS) == 1
            was_interrupted, traced_by = False, sys.gettrace()
            sys.settrace(raising_at(step, CLOSING))
            try:
                template.close()
            except Heard:
                was_interrupted = True
            finally:
                sys.settrace(traced_by)
            if is_repeated:
                template.close()
            del template
            gc.collect()  # what was raised refers to it
            until(lambda: children_after_reaping() == before)
            if not was_interrupted:
                break
    assert step > 20


def raising_after(step: int) -> Callable[[FrameType, str, Any], None]:
    """Raises when the so manyth of these functions, or call of C in them, begins or returns.

    There the interpreter looks for signals.
    """
    left = step

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        if event in {"call", "c_return"} and frame.f_code in DROPPING:
            left -= 1
            if left == 0:
                raise Heard

    return profile


def children_after_reaping() -> list[int]:
    """Those of this process, without what has ended and nobody waits for."""
    reap_ended()
    return procfs.children(os.getpid())
