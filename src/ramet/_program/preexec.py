"""preexec_fn: a Python function that the child calls before its exec, as in subprocess.

The child is a copy of this process, made by libc's fork with all its handlers. It carries out the options'
steps, calls the function, closes descriptors, and execs: the order of subprocess. It reports a failure
through a pipe that the exec closes, as numbers and text: a child that has given up rights must not send
a pickle.
"""

import fcntl
import gc
import os
import struct
import subprocess
from _thread import get_ident
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NoReturn

from .. import _core
from .._core import Plan
from .._kernel.descriptors import copied_beside
from .._preflight.hints import warn_at_caller
from .._process.child import Child
from .._process.clone_call import copy_as_asked
from .._process.request import requested
from .._process.result_channel import ResultChannel
from .._setup.descriptor_moves import Moves
from .._setup.order import Steps
from .._setup.steps import steps_of
from .._setup.validate import in_place_of_preexec_fn
from ..errors import CloneError, PreexecWarning, spawn_error
from ..flags import CloneFlag
from .command import Command

_SHARED = (
    CloneFlag.VM | CloneFlag.FILES | CloneFlag.SIGHAND | CloneFlag.VFORK | CloneFlag.STOPPED
).value
_EXIT_NOT_LAUNCHED = 127  # native/child/plan.h
_REPORT = struct.Struct("=ii")  # the step, and its errno
_IN_FUNCTION = -1  # the step of one whose function raised; its traceback follows
_MOST_TEXT_BYTES = 1 << 12


# The write end of the pipe and its inode, by the thread that makes a child. A copy of this process that
# another thread makes closes it: else the first thread would wait as long as that copy lives. The inode
# tells whether the number is still that pipe, since the copy may be made just when it is closed.
_ends: dict[int, tuple[int, int]] = {}
_NO_THREAD = 0


def _close_others_ends() -> None:
    for thread in [thread for thread in _ends if thread != get_ident()]:
        descriptor, inode = _ends.pop(thread)
        with suppress(OSError):
            if os.fstat(descriptor).st_ino == inode:
                os.close(descriptor)


os.register_at_fork(after_in_child=_close_others_ends)


def refuse_sandbox(options: Mapping[str, object]) -> None:
    """ValueError where there is one: it is asked before the sandbox makes what it keeps."""
    if options.get("sandbox") is not None:
        raise ValueError(
            "preexec_fn cannot be combined with sandbox: the child would be confined before the function "
            "runs; use the options that do what the function does, or a function that ends with "
            "os.execv(): ramet.clone(fn, sandbox=...)"
        )


def warn() -> None:
    """Warn, and name the options to use instead."""
    warn_at_caller(
        "preexec_fn copies this process for each program, and in the copy locks of other threads "
        f"may stay locked; options do nearly all that it is used for: {in_place_of_preexec_fn()}",
        PreexecWarning,
    )


def launch(command: Command, preexec_fn: Callable[[], object], child: Child[None]) -> None:
    """command._launch() with a copy of this process as child, which calls the function before its exec.

    Raises SubprocessError when the function raises, with its traceback as a note; ValueError for options
    that cannot be combined with it; else as Command.spawn() does.
    Source: fork(2), execve(2).
    """
    way = _Launch(command, preexec_fn)
    pipe: list[int] = []
    try:
        pipe += os.pipe2(os.O_CLOEXEC)
        way.move_up(pipe)
        way.copy(child)
        os.close(pipe.pop())
        del _ends[get_ident()]  # after the close: a copy by another thread closes it by this entry
        report = _all_of(pipe[0])
        os.close(pipe.pop())
    finally:
        while pipe:
            os.close(pipe.pop())
        _ends.pop(get_ident(), None)
    if report:
        child.wait()
        way.fail(report)


class _Launch:
    """What the child will do, prepared before the clone call."""

    def __init__(self, command: Command, preexec_fn: Callable[[], object]) -> None:
        self._command = command
        self._fn = preexec_fn
        self._preparation = preparation = command._preparation
        if shared := preparation.flags & _SHARED:
            raise ValueError(
                f"preexec_fn cannot be combined with {CloneFlag(shared)}: it needs a copy as child"
            )
        if preparation.has_gates_or_enters or preparation.manner.follows_process:
            raise ValueError(
                "preexec_fn cannot be combined with start=False, die_with_parent, a pid namespace to join, "
                "or an id map that a helper program writes"
            )
        self._moves = Moves(preparation.validated)
        first = Moves({**preparation.validated, "close_fds": False})
        self._steps = steps_of(preparation.setup._replace(shared_table=False, moves=first))
        self._plan = Plan(self._steps.steps)
        self._report = -1
        self._closing = Steps()

    def move_up(self, pipe: list[int]) -> None:
        """Move the write end of the pipe above all descriptors that the child will have, if it can be."""
        try:
            pipe.append(fcntl.fcntl(pipe[1], fcntl.F_DUPFD_CLOEXEC, self._moves.above))
        except OSError:  # no number is free there
            pipe.append(copied_beside(pipe[1], self._moves.targets))
        self._report = pipe[2]
        os.close(pipe.pop(1))
        if self._moves.close_others:
            self._moves.close(self._closing, also=(self._report,))

    def copy(self, child: Child[None]) -> None:
        """Make the child, the only process with a write end of the pipe."""
        _ends[get_ident()] = self._report, os.fstat(self._report).st_ino
        preparation = self._command._preparation
        request = requested(preparation.flags)
        request.set_tid = preparation.validated.get("set_tid")
        request.cgroup = preparation.wanted.cgroup
        try:
            copy_as_asked(child, ResultChannel(), request, self._become, ())
        except CloneError as error:
            if preparation.flags:
                raise
            raise spawn_error("fork", error.errno or 0, reason=error.strerror or "") from None
        # Its outcome is an exec.
        child._outcome = None

    def _become(self) -> None:
        """In the child: become the program, or report why not."""
        gc.disable()  # finalizers belong to the caller's process
        # A copy that the function makes has no part in it.
        _ends[_NO_THREAD] = _ends.pop(get_ident())
        report = self._step()
        with open(self._report, "wb", buffering=0, closefd=False) as reports:
            reports.write(report)
        os._exit(_EXIT_NOT_LAUNCHED)

    def _step(self) -> bytes:
        step, number = _core.do_steps(self._plan)
        if step >= 0:
            return _REPORT.pack(step, number)
        try:
            self._fn()
            # Now, since the function may have changed the environment.
            last = Plan([*self._closing.steps, self._command._exec])
        except BaseException as error:
            return _REPORT.pack(_IN_FUNCTION, 0) + _text_of(error)
        step, number = _core.do_steps(last)
        return _REPORT.pack(len(self._steps.steps) + step, number)

    def fail(self, report: bytes) -> NoReturn:
        """Raise the error that the child reported."""
        step, number = _REPORT.unpack_from(report)
        if step == _IN_FUNCTION:
            error = subprocess.SubprocessError("Exception occurred in preexec_fn.")
            error.add_note(report[_REPORT.size :].decode(errors="replace"))
            raise error
        labels: list[tuple[str, bytes | None]] = [
            *self._steps.labels,
            *self._closing.labels,
            ("execve", None),
        ]
        label, file = labels[step]
        raise self._command._error_of(label, file, number)


def _all_of(descriptor: int) -> bytes:
    report = b""
    while more := os.read(descriptor, _MOST_TEXT_BYTES):
        report += more
    return report


def _text_of(error: BaseException) -> bytes:
    """The last part of its traceback."""
    import traceback

    try:
        text = "".join(traceback.format_exception(error))
    except Exception:
        text = type(error).__name__
    return text.encode(errors="backslashreplace")[-_MOST_TEXT_BYTES:]
