"""Calls of clones made for them, which the core serves from the clone on: they end as those of Python."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import ramet
from ramet import Sandbox, Template
from ramet._core import Plan
from ramet._kernel import clone_bits
from ramet._workers.crossing.template_messages import MAKE
from ramet.errors import UnpreparedError

from ...constants import SECONDS
from ..sandbox.taken_away import needs_all
from .test_known_requests import answer

pytestmark = pytest.mark.usefixtures("nothing_left")

ENOUGH = 4  # calls, so that the core makes the next alone
SPARES = 8  # the same, where there are spares: Python looks what the first of them copy

SANDBOXES = pytest.mark.parametrize(
    "sandbox", [None, pytest.param(Sandbox(), marks=needs_all)], ids=["free", "confined"]
)


def count_in_python() -> None:
    """In the template: its clones can tell whether Python has begun their call."""
    from ramet._workers.in_template.clones_for_calls import ClonesForCalls

    begins = ClonesForCalls._begin

    def counted(self: Any, begun: Any) -> int:
        if begun[0].kind == MAKE:  # a tuple, where the core has made it
            os.environ["BEGUN_IN_PYTHON"] = "yes"
        return begins(self, begun)

    ClonesForCalls._begin = counted  # type: ignore[method-assign]


def forks() -> int:
    """The copy comes back as well, and its outcome is nobody's."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return -1


def raises(error: BaseException) -> None:
    """That one."""
    raise error


def closes_its_channel() -> None:
    """And all other files."""
    os.closerange(3, 1000)


def prints() -> None:
    """And does not flush it."""
    sys.stdout.write("printed\n")


def numbers() -> tuple[int | None, int]:
    """What threading says of this thread, and the kernel."""
    return threading.main_thread().native_id, threading.get_native_id()


def outcome_of(template: Template, fn: Callable[..., Any], *args: object) -> tuple[object, object]:
    """Of one call: what came of it, and how its process has ended."""
    with template.clone(fn, *args) as child:
        try:
            value = child.result(SECONDS)
            result: object = value if isinstance(value, int) else type(value)
        except Exception as error:
            result = type(error), str(error).replace(str(child.pid), "PID")
        return result, child.wait(SECONDS).code


@SANDBOXES
def test_python_begins_the_first_alone(sandbox: Sandbox | None) -> None:
    """As the core learns from it how the next are made."""
    with Template([__name__], setup=count_in_python, spares=0, sandbox=sandbox) as template:
        told = [answer(template, os.getenv, "BEGUN_IN_PYTHON") for _ in range(ENOUGH)]
    assert told == ["yes", None, None, None]


@SANDBOXES
@pytest.mark.parametrize(
    "call",
    [
        lambda template: template.clone(timedelta, 1),
        lambda template: template.clone(str, b"a", "ascii", stdout=ramet.DEVNULL),
        lambda template: template.clone(len, [object()]),
    ],
    ids=["the outcome", "a wish", "an argument"],
)
def test_a_spare_is_the_cores_until_a_call_is_pythons(
    sandbox: Sandbox | None, call: Callable[[Template], ramet.Child[object]]
) -> None:
    """Then it is warm for such ones."""

    def told() -> list[str | None]:
        return [answer(template, os.getenv, "BEGUN_IN_PYTHON") for _ in range(SPARES)]

    with Template([__name__], setup=count_in_python, spares=1, sandbox=sandbox) as template:
        assert told()[-1] is None
        with call(template) as child:
            child.result(SECONDS)
        assert told()[-1] == "yes"


@pytest.mark.parametrize(
    ("sandbox", "spares"),
    [(None, 0), (None, 1), pytest.param(Sandbox(), 1, marks=needs_all)],
    ids=["free", "free spare", "confined spare"],
)
@pytest.mark.parametrize(
    ("fn", "args"),
    [
        (abs, (-1,)),
        (raises, (KeyError("k"),)),
        (raises, (SystemExit(3),)),
        (raises, (SystemExit("with words"),)),
        (os._exit, (4,)),
        (signal.raise_signal, (signal.SIGKILL,)),
        (forks, ()),
        (closes_its_channel, ()),
        (object, ()),
        (slice, (1, 2)),
    ],
    ids=str,
)
def test_it_ends_as_the_first(
    sandbox: Sandbox | None, fn: Callable[..., Any], args: tuple[Any, ...], spares: int
) -> None:
    """Which Python has served."""
    count = SPARES if spares else ENOUGH
    with Template([__name__], spares=spares, sandbox=sandbox) as template:
        first = outcome_of(template, fn, *args)
        others = [outcome_of(template, fn, *args) for _ in range(count)]
    assert others == [first] * count


def test_what_it_prints_is_there_before_its_outcome(capfd: pytest.CaptureFixture[str]) -> None:
    """As its function may print to a buffer."""
    with Template([__name__], spares=0) as template:
        for _ in range(ENOUGH):
            template.clone(prints).result(SECONDS)
            assert capfd.readouterr().out == "printed\n"


def test_its_thread_has_its_own_number() -> None:
    """Not its template's."""
    with Template([__name__], spares=0) as template:
        told = [template.clone(numbers).result(SECONDS) for _ in range(ENOUGH)]
    assert all(known == own for known, own in told)
    assert len(set(told)) == ENOUGH


def test_a_caller_that_wants_nothing_any_more_is_left() -> None:
    """The process ends, before a call has come."""
    with Template([__name__], spares=0) as template:
        for _ in range(ENOUGH):
            template.clone(abs, -1).result(SECONDS)
        _, clone = template._clone(template._request())
        clone.channel.end()
        assert os.waitstatus_to_exitcode(os.waitpid(clone.pid, 0)[1]) == 0
        clone.owns = False
        os.close(clone.pidfd)


def let_a_step_fail() -> None:
    """In the template: the first, of clones that the core makes alone."""
    from ramet._workers.in_template.clones_for_calls import ClonesForCalls

    made = ClonesForCalls.at_once

    def failing(self: Any, *arguments: Any, **options: Any) -> Any:
        plans = (Plan([("SETNS", -1, clone_bits.NEWPID)]),)
        return made(self, *arguments, **options)._replace(plans=plans)  # type: ignore[union-attr]

    ClonesForCalls.at_once = failing  # type: ignore[method-assign]


@needs_all
def test_a_step_that_fails_is_told() -> None:
    """As the kernel has said it; no call runs then."""
    with Template([__name__], setup=let_a_step_fail, spares=0, sandbox=Sandbox()) as template:
        assert template.clone(abs, -1).result(SECONDS) == 1
        with pytest.raises(UnpreparedError) as caught:
            template.clone(abs, -1).result(SECONDS)
    assert os.strerror(errno.EBADF) in str(caught.value)
