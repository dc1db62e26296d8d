"""In a clone of the template: the warm-up, then the calls that come over its channel."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from ... import _core
from ..._core import wait_readable
from ..._process.result_layout import in_words
from ..crossing import outcome
from ..crossing.call_messages import CALL, read_plan
from ..crossing.call_options import FailedSetup, make_way
from ..crossing.messages import Channel, Message, channels, receive, send, understood
from ..crossing.pickling import loaded_call, pickled_call
from . import executor_calls  # noqa: F401 - calls name what is in it, and none is to import it
from .plan_of_call import carry_out_plan
from .reading_call import reading

# What Channel.serve_plain() says; the numbers are native/python/plain_calls.h's.
ENDED, ANOTHER, RETURNED, RAISED, ALONE, UNREAD, UNPREPARED, PICKLED, STEP_FAILED, FAILED_ALONE = (
    range(10)
)
_PLAN_AND_PICKLE = 2  # the first parts of a call
_CLOSED = (
    b"ramet: the call has closed the descriptor that its outcome goes by, and so it is lost; "
    b"let it close those alone that it has opened\n"
)
LET_GO_MILLISECONDS, UNTIL_LET_GO = 1, -1  # that it waits after the last call


def calls_to_warm_up(*, in_python: bool = False, by_value: bool = False) -> list[tuple[Any, ...]]:
    """Calls that a spare serves, written. in_python: one that Python serves, too; by_value: a lambda."""
    calls = [pickled_call(fn, args) for fn, args in ((_plain, (1, "a")), (divmod, (7, 2)))]
    if in_python:
        calls.append(pickled_call(_pickled, ([None],)))
    if by_value and "cloudpickle" in sys.modules:
        calls.append(pickled_call(lambda *given: given, (1, [None])))
    return calls


def warm_up(
    warm: Callable[[], object] | None, channel: Channel, calls: Sequence[tuple[Any, ...]]
) -> None:
    """Write to the pages that a call writes to, so that they are the clone's own already.

    A call that is there by now does not wait for that, but for warm.
    """
    ours, theirs = channels()
    for call in calls:
        if wait_readable(channel.fileno(), 0.0):
            break
        send(ours, CALL, (b"", *call))
        _serve_next(theirs, _NOTHING, os.getpid())
        receive(ours)
    ours.end()
    theirs.await_end(LET_GO_MILLISECONDS)
    if warm is not None:
        warm()


def _plain(*_: object) -> tuple[object, ...]:
    return 1.5, "an outcome that is plain"


def _pickled(*_: object) -> list[object]:
    return [["an outcome that is pickled"]]


Act = Callable[[], object]


class Around(NamedTuple):
    """What is done before the function of a call, after it, and at the end of its child.

    finish: after the function of the last call, while its outcome is not told. let_go_milliseconds: how
    long a child whose call is over waits to be let go.
    """

    before: Act | None = None
    after: Act | None = None
    finish: Act | None = None
    let_go_milliseconds: int = LET_GO_MILLISECONDS
    last: Act | None = None


_NOTHING = Around()


# What serve_plain() has said, or raised, to the core in a new clone, and in which process.
Served: TypeAlias = tuple[int, tuple[int, Any, bool] | BaseException]
served_channels: list[Channel] = []


def leave_channel() -> None:
    """A copy of this process must not keep the caller waiting for an outcome when this one has died."""
    while served_channels:
        served_channels.pop().close()


os.register_at_fork(after_in_child=leave_channel)


def serve(channel: Channel, around: Around, first: Served | None = None) -> int:
    """Serve calls until the caller lets this process go. Returns the exit code.

    first: where the core has begun with that, and has noted the channel.
    """
    code, (pid, said) = 0, first or (os.getpid(), None)
    if first is None:
        served_channels.append(channel)
    try:
        while (served := _serve_next(channel, around, pid, said)) is not None:
            (code, last), said = served, None
            if last:
                channel.await_end(around.let_go_milliseconds)
                if around.last is not None:
                    around.last()
                break
    except (BrokenPipeError, ConnectionResetError):
        pass  # the caller is gone, or wants nothing any more
    except OSError as error:
        code = _say_closed(error)
    except SystemExit:  # the end of this process is the outcome
        if around.finish is not None and os.getpid() == pid:
            around.finish()
        raise
    return code


def give_up(channel: Channel, error: BaseException) -> int:
    """Let this be the outcome of the first call. Returns the exit code."""
    with suppress(BrokenPipeError, ConnectionResetError):
        outcome.put_error(channel, error, None)
        while receive(channel) is not None:
            pass
    return 1


def give_up_unprepared(channel: Channel, label: str, file: bytes | None, number: int) -> int:
    """Let it be the outcome of the first call that this process cannot be confined: no call runs in it."""
    with suppress(BrokenPipeError, ConnectionResetError):
        outcome.put_unprepared(channel, label, number, None if file is None else os.fsdecode(file))
        channel.await_end(UNTIL_LET_GO)
    return 1


def _serve_next(
    channel: Channel,
    around: Around,
    pid: int,
    said: tuple[int, Any, bool] | BaseException | None = None,
) -> tuple[int, bool] | None:
    """The next call, after those that the core serves alone: the exit code, and whether it is the last.

    said: what serve_plain() has said or raised, if it was called already.
    """
    if isinstance(said, BaseException):
        raise said
    served, one, last = said or channel.serve_plain(around.before, around.after, around.finish)
    if served == ENDED:
        return None
    if served in {ALONE, FAILED_ALONE}:
        return int(served == FAILED_ALONE), True
    if served == ANOTHER:
        return _serve_one(channel, understood(one, done_with=_PLAN_AND_PICKLE), around)
    if served in _PUT:
        return _PUT[served](channel, one), last
    value, error = (None, one) if served == RAISED else (one, None)
    _leave_if_copied(pid, error)
    return _answer(channel, value, error, None), last


def _serve_one(channel: Channel, message: Message, around: Around) -> tuple[int, bool]:
    (_, parts, descriptors), plan = message, read_plan(message[1][0])
    trusted, last = plan.get("trusted"), plan.get("last", True)
    try:
        if "options" in plan:
            descriptors = make_way(channel, plan["options"][1], descriptors)
        carry_out_plan(plan, descriptors)
    except FailedSetup as failed:
        return outcome.put_unprepared(channel, *failed.args), True
    except Exception as error:
        return outcome.put_lost(channel, _unprepared(error)), True
    try:
        with reading():
            fn, args = loaded_call(parts[1:])
    except Exception as error:
        return outcome.put_lost(channel, _unreadable(error)), last
    return _call(channel, fn, args, trusted, around, last=last), last


def _call(
    channel: Channel,
    fn: Callable[..., object],
    args: tuple[Any, ...],
    trusted: bool | None,
    around: Around,
    *,
    last: bool,
) -> int:
    pid, value, error = os.getpid(), None, None
    if around.before is not None:
        around.before()
    try:
        value = fn(*args)
    except SystemExit:
        raise
    except BaseException as raised:
        error = raised
    _leave_if_copied(pid, error)
    if around.after is not None:
        around.after()
    if last and around.finish is not None:
        around.finish()
    return _answer(channel, value, error, trusted)


def call_once(
    channel: Channel, fn: Callable[..., object], args: tuple[Any, ...], around: Around
) -> int:
    """Run one function that is there already, and send what came of it. Returns the exit code."""
    code = 0
    try:
        code = _call(channel, fn, args, None, around, last=True)
        channel.await_end(around.let_go_milliseconds)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the caller is gone, or wants nothing any more
    except OSError as error:
        code = _say_closed(error)
    return code


def _say_closed(error: OSError) -> int:
    """Tell where it can be told that the function has closed the channel. Returns the exit code."""
    if error.errno not in {errno.EBADF, errno.ENOTSOCK}:  # another file may have its number
        raise error
    with suppress(OSError):
        os.write(2, _CLOSED)
    return 1


def _leave_if_copied(pid: int, error: BaseException | None) -> None:
    """End a fork made in the function, which came back as well."""
    if os.getpid() != pid:
        _core.flush_standard_streams()
        os._exit(0 if error is None else 1)


def _answer(
    channel: Channel, value: object, error: BaseException | None, trusted: bool | None
) -> int:
    _core.flush_standard_streams()  # before the outcome: whoever has that has seen all output
    if error is not None:
        return outcome.put_error(channel, error, trusted)
    return outcome.put_value(channel, value, trusted)


def _put_failed_step(channel: Channel, step: tuple[str, int, bytes | None]) -> int:
    label, number, file = step
    return outcome.put_unprepared(
        channel, label, number, None if file is None else os.fsdecode(file)
    )


# What is told of a call that the core has not answered; RETURNED and RAISED are Python's to answer.
_PUT: dict[int, Callable[[Channel, Any], int]] = {
    UNREAD: lambda channel, error: outcome.put_lost(channel, _unreadable(error)),
    UNPREPARED: lambda channel, error: outcome.put_lost(channel, _unprepared(error)),
    PICKLED: outcome.put_pickled,
    STEP_FAILED: _put_failed_step,
}


def _unprepared(error: Exception) -> str:
    return f"the child cannot begin the call: {in_words(error)}"


def _unreadable(error: Exception) -> str:
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        hint = (
            f"; the template does not find module {error.name!r}: put its directory on sys.path, "
            "or preload it"
        )
    elif isinstance(error, AttributeError):
        hint = "; the module has changed since the template imported it, or it was made at run time"
    return f"the call cannot be read in the template's child: {in_words(error)}{hint}"
