"""A function in a sandbox: in a clone of the caller, which another copy of the caller has made outside.

No task enters a pid namespace, and few may make a sibling there: so a copy of the caller leaves
the caller's namespaces, makes a new pid namespace and a sibling in it, and ends. The sibling is
the caller's child.
"""

import errno
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from ... import _core
from ..._core import new_child, waitid
from ..._function.clone import checked_name, clone
from ..._function.setup import FunctionSetup
from ..._kernel import clone_bits
from ..._kernel.clone_args import CloneArgs
from ..._kernel.names import PR_SET_NAME, WALL
from ..._kernel.timeouts import checked_timeout
from ..._process.child import Child, make_child
from ..._process.clone_call import CheckedCall, deadline_thread_for
from ..._process.request import is_by_clone
from ..._process.tree import pid_namespace
from ..._sandbox.kept import confinement_of, forget
from ..._sandbox.of_python import CloneSteps, OfClone, with_path
from ..._sandbox.supervision import Supervision
from ..._setup.conflicts import refuse_beside_sandbox
from ..._setup.rows import FUNCTION_OPTIONS
from ..._setup.validate import validate
from ...errors import SandboxError
from ..crossing.call_options import make_way
from ..crossing.messages import Channel, channels, send
from ..crossing.outcome import Reader, rights
from ..crossing.process_names import new_name
from ..crossing.template_messages import MADE, PIDS
from ..in_call.binding import TO_BIND, bind
from ..in_call.confining import carry_out_steps, failed_step
from ..in_call.serving import UNTIL_LET_GO, Around, call_once, give_up_unprepared
from ..in_template import own_mappings
from .called_child import CalledChild
from .clones_by_name import end_those_named
from .owned_clone import Clone

_PATIENCE = None  # the copy of the caller is trusted, and ends in any case


class _Call(NamedTuple):
    """What the sibling is to do."""

    fn: Callable[..., object]
    args: tuple[Any, ...]
    steps: CloneSteps
    options: Mapping[str, Any]
    environment: Mapping[bytes, bytes]
    entries: tuple[int, ...]  # of its cgroups
    name: bytes | None
    channel: Channel
    caller: int
    name_until_then: str  # the maker's, which what it makes takes over


def clone_confined(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    sandbox: Any,
    timeout: float | None,
    name: str | None,
    options: Mapping[str, Any],
) -> CalledChild[Any]:
    """ramet.clone() with sandbox=; see there."""
    refuse_beside_sandbox(options)
    FunctionSetup(options, 0)  # what is invalid is refused here
    confinement = confinement_of(OfClone, with_path(sandbox), sandbox)
    confinement.make_current()
    options = {**options, **confinement.options_beside(validate(options, FUNCTION_OPTIONS))}
    limit, shown = checked_timeout(timeout), checked_name(name)
    child: CalledChild[Any] = new_child(CalledChild, fn, 0, False)
    return make_child(child, _make, confinement, (fn, args, options, shown), limit)


def _make(
    child: CalledChild[Any], confinement: OfClone, call: tuple[Any, ...], timeout: float | None
) -> None:
    fn, args, options, name = call
    deadline_thread = None if timeout is None else deadline_thread_for()
    place = confinement.new_place()
    layer = None if confinement.layers is None else confinement.layers.new()
    supervision = Supervision(place, confinement.plan.lost, layer)
    ours, theirs = channels()
    made, maker = Clone(), None
    until_then = new_name()
    try:
        environment = dict(word.split(b"=", 1) for word in confinement.environment())
        entries = tuple(place.entries)
        asked = _Call(
            *(fn, args, confinement.steps(layer), options, environment, entries),
            name=None if name is None else os.fsencode(name),
            channel=theirs,
            caller=os.getpid(),
            name_until_then=until_then,
        )
        maker = clone(_make_sibling, asked, ours)
        theirs.close()
        pidfd = -1 if maker.pidfd is None else maker.pidfd
        told = ours.receive_clone(made, _PATIENCE, pidfd)
        if told is not True:
            _end_unowned(told)
            raise _refusal(maker)  # noqa: TRY301 - the cleaning is the same
        maker.wait()
        child._own_belongings().supervision = supervision
        child._connect(made, Reader(False, True, by_template=True), lambda _: None)
    except BaseException:
        _end_untold(made, maker, ours, until_then)
        supervision.give_up()
        raise
    finally:
        ours.close()
    supervision.begin(child, os.getpid())
    if deadline_thread is not None:
        child._expire_after(deadline_thread, timeout)  # type: ignore[arg-type]


def _end_untold(made: Clone, maker: Child[Any] | None, ours: Channel, name: str) -> None:
    """Own what the maker has made, children of this process: it is ended with ``made``.

    maker: None where there is none, or where a handler has raised before it came here: it is dead then.
    """
    if maker is not None:
        maker.wait()  # it is not killed, since it could not tell any more
    if not made.owns:
        _end_unowned(ours.receive_clone(made, 0.0, -1))
    if not made.owns:  # somebody else has killed it
        end_those_named(name)


def _end_unowned(told: object) -> None:
    """End and reap what was made in vain, or whose descriptors found no place: children of this process."""
    if not isinstance(told, tuple) or told[0] != MADE:
        return
    made, init = PIDS.unpack(told[1][0])
    with suppress(ProcessLookupError):
        os.kill(init, signal.SIGKILL)
    for pid in filter(None, (made, init)):
        # The kernel keeps an init until all in its namespace are reaped.
        with suppress(ChildProcessError):
            waitid(os.P_PID, pid, os.WEXITED | WALL)


def _refusal(maker: Child[Any]) -> BaseException:
    error = maker.exception()
    if error is not None:
        return error
    match maker.result():
        case int(number), str(words):
            what = f"the function cannot be confined: {words}"
            return SandboxError(number, what, wish="sandbox")
    return RuntimeError("the copy of this process that was to make the child has ended")


def _own_name() -> bytes:
    """The calling thread's, which a copy of the caller has from the thread that has made it."""
    with open("/proc/thread-self/comm", "rb") as comm:
        return comm.read().rstrip(b"\n")


def _take_name(name: bytes) -> None:
    """The kernel cuts it to 15 bytes. Not by /proc, which a sandbox may be without."""
    _core.do_steps(_core.Plan([("PRCTL", PR_SET_NAME, name, 0, 0, 0)]))


# ---- in the copy that makes it


def _make_sibling(call: _Call, callers: Channel) -> tuple[int, str] | None:
    """Returns the errno and the words of what refuses it, as data: it may be less trusted by then."""
    callers.close()
    try:
        _make_confined(call)
    except OSError as error:
        return error.errno or errno.EIO, str(error).removeprefix(f"[Errno {error.errno}] ")
    return None


def _make_confined(call: _Call) -> None:
    name = _own_name() if call.name is None else call.name
    _take_name(call.name_until_then.encode())
    proc = own_mappings.open_proc()
    own_mappings.replace_those_of_files(proc)
    carry_out_steps(*call.steps.leave)
    bind(TO_BIND, call.caller)  # not before: a change of ids clears it
    init, pidfd_of_init = pid_namespace.new()
    try:
        pid_namespace.join_for_children(init, pidfd_of_init)
        theirs, ours = channels()
        args = CloneArgs(clone_bits.PARENT | clone_bits.PIDFD, exit_signal=0)
        made = CheckedCall(args, legacy=is_by_clone(args))
        pid, _ = made.make(_run, (call, name, ours, theirs, proc))
        pid_namespace.begin(init)
    except BaseException:
        send(call.channel, MADE, (PIDS.pack(0, init),))  # it is the caller's child
        raise
    descriptors = (made.args.pidfd.value, theirs.fileno(), pidfd_of_init)  # type: ignore[union-attr]
    send(call.channel, MADE, (PIDS.pack(pid, init),), descriptors)


# ---- in the child


def _run(given: tuple[_Call, bytes, Channel, Channel, int]) -> int:
    call, name, channel, theirs, proc = given
    theirs.close()
    call.channel.close()
    rights.trusted = False
    try:
        make_way(channel, call.options, ())
        try:
            own_mappings.replace_all(proc)
        except OSError as error:
            return give_up_unprepared(channel, "mmap", None, error.errno or errno.EIO)
        failed = _confine(call, name, channel.fileno())
        if failed is not None:
            label, number, file = failed
            return give_up_unprepared(
                channel, label, None if file is None else os.fsencode(file), number
            )
        return call_once(channel, call.fn, call.args, Around(let_go_milliseconds=UNTIL_LET_GO))
    finally:
        _core.flush_standard_streams()


def _confine(call: _Call, name: bytes, channel: int) -> tuple[str, int, str | None] | None:
    """The label, errno and file of a step that failed."""
    for entry in call.entries:
        os.write(entry, b"0")
    passed = [*(call.options.get("pass_fds") or ()), channel]
    options = {"close_fds": True, **call.options, "pass_fds": passed}
    failed = failed_step(*call.steps.enter) or FunctionSetup(options, 0).do()
    if failed is not None:
        return failed
    os.set_inheritable(channel, False)
    os.environb.clear()
    os.environb.update(call.environment)
    _take_name(name)
    failed = failed_step(*call.steps.finish)
    forget()
    return failed
