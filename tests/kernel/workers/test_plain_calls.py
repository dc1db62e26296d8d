"""Calls that need nothing but their function, on a spare that is there: the core begins and ends them."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ramet
from ramet._core import wait_readable
from ramet._workers.template.called_child import CalledChild
from ramet._workers.template.template import Template

from ...kernels import KERNEL
from ...waiting import alarm, nothing_unreaped, until
from ..sandbox.taken_away import needs_all

SECONDS = 10
LONG = "x" * 20_000
PPOLL = {"73", "271"}  # on aarch64 and x86_64


def same(value: object) -> object:
    """What a call gives back."""
    return value


def some() -> list[object]:
    """Which is plain as well."""
    return [1, (2, None)]


def nested() -> object:
    """What is no plain value."""
    return [{1}, {2}]


def long() -> str:
    """Nor this: it is too long."""
    return LONG


def after_a_while(value: object) -> object:
    """The value, later than whoever waits for it."""
    signal.sigtimedwait((), 0.3)
    return value


def fails() -> None:
    """Its exception is pickled."""
    raise KeyError("why")


def ends() -> None:
    """Without an outcome."""
    os._exit(7)


def as_before() -> None:
    """Have the environment that the template was made in: pytest writes there where it is."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)


@pytest.fixture(
    scope="module",
    params=[None, pytest.param(ramet.Sandbox(), marks=needs_all)],
    ids=["free", "confined"],
)
def template(request: pytest.FixtureRequest) -> Iterator[ramet.Template]:
    """With a spare."""
    sandbox = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST")
        made = ramet.Template(preload=[__name__], spares=1, sandbox=sandbox)
    with made:
        yield made


def await_spare(template: ramet.Template) -> None:
    """Until one waits here, or the template has told of it; a call is the core's then."""
    as_before()
    link = template._link
    until(lambda: bool(link._spares) or wait_readable(link._control.fileno(), 0.0))


def begun_by_python(template: ramet.Template) -> list[str]:
    """Of each call: before Linux 6.13 Python looks for the pids of a confined clone."""
    return ["_make_as_asked"] if template._link.is_confined and KERNEL < (6, 13) else []


@pytest.fixture
def left(template: ramet.Template, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the core leaves to Python."""
    noted: list[str] = []

    def noting(kind: type, name: str) -> None:
        method: Callable[..., Any] = getattr(kind, name)

        def note(self: Any, *given: Any) -> Any:
            noted.append(name)
            return method(self, *given)

        monkeypatch.setattr(kind, name, note)

    noting(Template, "_make_as_asked")
    noting(CalledChild, "_read")
    noting(Template, "_call_ended")
    return noted


PLAIN = [None, -1, 1.5, "text", b"bytes", (1, ("a", None))]


@pytest.mark.parametrize("value", PLAIN, ids=str)
def test_all_of_it_is_the_cores(template: ramet.Template, left: list[str], value: object) -> None:
    """It takes the spare, sends the call, reads what comes, and asks for another spare."""
    await_spare(template)
    assert template.clone(same, value).result() == value
    await_spare(template)
    assert template.clone(some).result() == some()
    assert left == 2 * begun_by_python(template)
    await_spare(template)
    assert template._link.spares == 1


@pytest.mark.parametrize("options", [{"name": "other"}, {"timeout": SECONDS}], ids=str)
def test_a_call_with_wishes_is_pythons(
    template: ramet.Template, left: list[str], options: dict[str, Any]
) -> None:
    """What there is to check or to pack, the core does not know. It reads the outcome."""
    await_spare(template)
    assert template.clone(same, 1, **options).result() == 1
    assert left == ["_make_as_asked"]


def test_what_has_changed_is_sent(
    template: ramet.Template, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time, as long as it is another than the template's."""
    await_spare(template)
    monkeypatch.setattr(sys, "argv", ["another"])
    assert template.clone(same, 1).result() == 1
    assert left == ["_make_as_asked"]


@pytest.mark.parametrize(
    ("fn", "kind", "expected"),
    [
        (nested, None, [{1}, {2}]),
        (long, None, LONG),
        (fails, KeyError, "why"),
        (ends, ramet.ChildDied, "7"),
    ],
)
def test_what_is_no_plain_value_is_pythons(
    template: ramet.Template,
    left: list[str],
    fn: Callable[[], object],
    kind: type[Exception] | None,
    expected: object,
) -> None:
    """Nothing of it is taken before Python reads it."""
    await_spare(template)
    child = template.clone(fn)
    if kind is None:
        assert child.result() == expected
    else:
        with pytest.raises((kind, ramet.RemoteError), match=str(expected)):
            child.result()
    assert left == [*begun_by_python(template), "_read", "_call_ended"]
    assert template.clone(same, 2).result() == 2


def test_a_spare_without_the_namespace_that_it_was_to_have(
    template: ramet.Template, left: list[str]
) -> None:
    """As where none may be made: it serves the call all the same, whose outcome Python reads."""
    await_spare(template)
    link = template._link
    spare = link.spare()
    assert spare is not None
    pid, in_namespace = spare.pid, bool(spare.init)
    link._spares.append(spare)
    del spare
    reader = template._reader(None, in_namespace=not in_namespace)
    link.allow_plain_calls(1, template._ended.ending, reader, in_namespace=not in_namespace)
    try:
        with template.clone(same, 5) as child:
            assert child.result() == 5
            assert child.pid == pid
        assert left == ["_make_as_asked", "_read", "_call_ended"]
    finally:
        template._allow_plain_calls()


def kill_spare(template: ramet.Template) -> int:
    """The one that waits, whose pid this returns. It waits still, as far as is known."""
    spare = template._link.spare()
    assert spare is not None
    os.kill(spare.pid, signal.SIGKILL)
    assert wait_readable(spare.pidfd, SECONDS)
    template._link._spares.append(spare)
    return spare.pid


@pytest.mark.filterwarnings("ignore:child .* was never waited for:ResourceWarning")
def test_a_spare_that_was_killed_is_left(template: ramet.Template) -> None:
    """Another child runs the call, and the spare is reaped."""
    await_spare(template)
    pid = kill_spare(template)
    child = template.clone(same, 1)
    assert child.result() == 1
    assert child.pid != pid
    child.wait()
    gc.collect()
    until(nothing_unreaped)


def test_many_threads_wait_for_one(template: ramet.Template) -> None:
    """All get what it returns."""
    with ThreadPoolExecutor(4) as threads:
        await_spare(template)
        child = template.clone(signal.sigtimedwait, (), 0.2)
        results = [threads.submit(child.result) for _ in range(4)]
        assert [one.result(SECONDS) for one in results] == [None] * 4


def test_a_handler_that_raises_costs_nothing(template: ramet.Template) -> None:
    """While the outcome is waited for: it is there afterwards."""

    def raises(*_: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, raises)
    try:
        await_spare(template)
        child = template.clone(signal.sigtimedwait, (), 0.3)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            child.result()
        assert child.result() is None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert template.clone(same, 3).result() == 3


def test_a_handler_may_ask_the_template_that_its_thread_asks() -> None:
    """It takes the answer for which its thread waits with its own, and the thread finds it."""
    main, entered = threading.get_native_id(), threading.Event()
    nested: list[int] = []

    def handler(*_: object) -> None:
        entered.set()
        with template.clone(abs, -2) as child:
            nested.append(child.result(SECONDS))

    def is_waiting() -> bool:
        with open(f"/proc/self/task/{main}/syscall") as syscall:
            return syscall.read().split()[0] in PPOLL

    def interrupt() -> None:
        until(is_waiting)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        entered.wait()
        until(is_waiting)
        process.send_signal(signal.SIGCONT)

    with ramet.Template(spares=0) as template:
        process = template._link.process
        before = signal.signal(signal.SIGUSR1, handler)
        process.send_signal(signal.SIGSTOP)
        interrupts = threading.Thread(target=interrupt)
        interrupts.start()
        try:
            with template.clone(abs, -1) as child:
                assert child.result(SECONDS) == 1
        finally:
            interrupts.join()
            signal.signal(signal.SIGUSR1, before)
        assert nested == [2]


@pytest.mark.parametrize("value", [None, (1, [[2]])], ids=["plain", "pickled"])
@pytest.mark.parametrize("timeout", [None, SECONDS])
def test_a_handler_may_read_the_same_outcome(
    template: ramet.Template, value: object, timeout: float | None
) -> None:
    """While its own thread waits for it: both get it."""
    found: list[object] = []
    former = signal.signal(signal.SIGUSR1, lambda *_: found.append(child.result(timeout)))
    try:
        with alarm(SECONDS):
            await_spare(template)
            child = template.clone(after_a_while, value)
            here = threading.get_ident()
            threading.Timer(0.05, signal.pthread_kill, [here, signal.SIGUSR1]).start()
            assert child.result(timeout) == value
        assert found == [value]
    finally:
        signal.signal(signal.SIGUSR1, former)


def test_a_closed_template_takes_no_part(template: ramet.Template) -> None:
    """The outcome of a call that runs is read all the same; no spare is asked for."""
    with ramet.Template(preload=[__name__], spares=1) as other:
        await_spare(other)
        child = other.clone(signal.sigtimedwait, (), 0.2)
        other.close()
        assert child.result() is None
    assert child.wait().code == 0
    assert template.clone(same, 4).result() == 4
