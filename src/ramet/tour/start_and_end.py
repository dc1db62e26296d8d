"""The flags that decide how the child starts, and what happens at its end."""

import ctypes
import errno
import os
import signal
import socket
import struct
from typing import NamedTuple

import ramet
from ramet import CloneFlag, lowlevel

from . import linux_7_1
from .cgroup import cgroups_of, fresh_cgroup
from .kinship import have_undo_list, in_words, shared_by
from .probes import PATIENCE_SECONDS, ask, exit_code, namespace_id, proc_stat
from .row import NotPermitted, Row, Seen, Verdict, lacking, verdict
from .scene import Body, Scene, become_program, caller_and_child

_GROUP = "Start and end"
_STATE_FIELD, _EXIT_SIGNAL_FIELD = 3, 38
_STACK_BYTES = 256 * 1024


# ---- VFORK


class Call(NamedTuple):
    """One call as it looked from outside."""

    suspended: bool
    state: str
    came_back: bool
    child_goes_on: bool


def _look_on(flags: CloneFlag, last_act: Body) -> Call:
    def make_child(body: Body) -> ramet.Child[object]:
        return ramet.clone(body, flags=flags)

    with caller_and_child(make_child, last_act) as scene:
        return _follow_to_its_end(scene)


def _follow_to_its_end(scene: Scene) -> Call:
    came_back = scene.let_child_go()
    return Call(
        suspended=not scene.caller_goes_on,
        state=scene.caller_state,
        came_back=came_back,
        child_goes_on=scene.child_runs_program(),
    )


def _return() -> None:
    pass


def _vfork() -> Seen:
    both = CloneFlag.VM | CloneFlag.VFORK
    without = _look_on(CloneFlag(0), _return)
    with_exit = _look_on(CloneFlag.VFORK, _return)
    with_exec = _look_on(CloneFlag.VFORK, become_program)
    shared_exit = _look_on(both, _return)
    shared_exec = _look_on(both, become_program)
    at_exit = Call(suspended=True, state="D", came_back=True, child_goes_on=False)
    at_exec = at_exit._replace(child_goes_on=True)
    return Seen(
        without=_call_told(without),
        with_=f"{_call_told(with_exit)} at the child's exit{_exec_told(with_exec)}",
        verdict=verdict(
            not without.suspended
            and with_exit == shared_exit == at_exit
            and with_exec == shared_exec == at_exec
        ),
        detail=f"with VM as well {_call_told(shared_exit)} at the exit{_exec_told(shared_exec)}",
    )


def _call_told(call: Call) -> str:
    if not call.suspended:
        return f"the caller goes on (state {call.state}) while the child lives"
    comes_back = "comes back" if call.came_back else "does not come back"
    return f"the caller is suspended (state {call.state}) and {comes_back}"


def _exec_told(call: Call) -> str:
    return " or exec" if call.came_back and call.child_goes_on else ", but not at its exec"


# ---- STOPPED

_OLD_STOPPED_BIT = 0x2000000


def _stopped() -> Seen:
    with ramet.clone(os.getpid, flags=CloneFlag.STOPPED) as child:
        state = proc_stat(child.pid, _STATE_FIELD)
        child.resume()
        ran = child.result(PATIENCE_SECONDS) == child.pid
    given = _old_stopped_bit()
    return Seen(
        without=f"bit {_OLD_STOPPED_BIT:#x} as it is today: {given}",
        with_=f"the library stops the child: state {state}, "
        f"{'runs' if ran else 'does not run'} after SIGCONT",
        verdict=verdict("cgroup namespace" in given and state == "T" and ran, Verdict.GONE),
        detail="dropped in 2.6.38, and NEWCGROUP has its bit since 4.6",
    )


def _old_stopped_bit() -> str:
    """What the kernel does with the bit: a namespace for root, a refusal for a plain user."""

    def look() -> tuple[str, int]:
        me = os.getpid()
        return proc_stat(me, _STATE_FIELD), namespace_id(me, "cgroup")

    try:
        state, namespace = ask(_OLD_STOPPED_BIT, look)
    except ramet.CloneError as error:
        return f"{_errno_name(error)}, as for a new cgroup namespace"
    own = namespace != namespace_id(os.getpid(), "cgroup")
    return f"a child that runs (state {state}) in {'a new' if own else 'the same'} cgroup namespace"


def _errno_name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error.errno))


# ---- DETACHED

_CLONE3_NUMBER = 435  # of every architecture with a native/arch folder
_CODE = 5


class Ending(NamedTuple):
    """What its caller can see of a child."""

    exit_signal: int
    shared: tuple[str, ...] | None
    code: int


def _ending(flags: CloneFlag) -> Ending:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stack = lowlevel.Stack(_STACK_BYTES)
        pid = lowlevel.clone(_end_when_told, theirs, flags | signal.SIGCHLD, stack)
        exit_signal = int(proc_stat(pid, _EXIT_SIGNAL_FIELD))
        shared = shared_by(pid, os.getpid())
        ours.sendall(b"!")
        return Ending(exit_signal, shared, exit_code(pid))


def _end_when_told(line: socket.socket) -> int:
    line.recv(1)
    return _CODE


def _detached() -> Seen:
    have_undo_list()
    without, with_ = _ending(CloneFlag(0)), _ending(CloneFlag.DETACHED)
    by_clone3 = _clone3_of_kernel(CloneFlag.DETACHED)
    with_pidfd = _clone_of_libc(CloneFlag.DETACHED | CloneFlag.PIDFD)
    return Seen(
        without=_ending_told(without),
        with_=_ending_told(with_),
        verdict=verdict(
            with_ == without
            and (with_.exit_signal, with_.code) == (signal.SIGCHLD, _CODE)
            and not with_.shared
            and by_clone3 == with_pidfd == "EINVAL"
        ),
        detail=f"clone3 (since 5.3) answers {by_clone3}, clone() with PIDFD (since 5.2) "
        f"{with_pidfd}",
    )


def _ending_told(ending: Ending) -> str:
    return (
        f"exit signal {signal.Signals(ending.exit_signal).name}, {in_words(ending.shared)}, "
        f"exit code {ending.code}"
    )


def _clone3_of_kernel(flags: CloneFlag) -> str:
    """The kernel's own answer, where the library would refuse before asking it."""
    args = struct.pack("=8Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    # In case the kernel makes a child, no other thread of ours may run in between.
    libc = ctypes.PyDLL(None, use_errno=True)
    pid = libc.syscall(ctypes.c_long(_CLONE3_NUMBER), args, ctypes.c_long(len(args)))
    if pid == 0:
        os._exit(0)
    return _answer(pid)


def _clone_of_libc(flags: CloneFlag) -> str:
    """The answer to libc's wrapper, which has the argument order of every machine."""
    stack, pidfd = lowlevel.Stack(_STACK_BYTES), ctypes.c_int(-1)
    libc = ctypes.PyDLL(None, use_errno=True)
    top, end = ctypes.c_void_p(stack.top), ctypes.cast(libc._exit, ctypes.c_void_p)
    bits = ctypes.c_int(int(flags) | signal.SIGCHLD)
    return _answer(libc.clone(end, top, bits, None, ctypes.byref(pidfd), None, None))


def _answer(pid: int) -> str:
    if pid == -1:
        return errno.errorcode[ctypes.get_errno()]
    os.waitpid(pid, 0)
    return "a child"


# ---- INTO_CGROUP


def _own_cgroup() -> str:
    return cgroups_of(os.getpid())["0"]


def _into_cgroup() -> Seen:
    with fresh_cgroup() as (folder, path):
        mine = _own_cgroup()
        without = ramet.clone(_own_cgroup).result(PATIENCE_SECONDS)
        try:
            with_ = ramet.clone(_own_cgroup, cgroup=folder).result(PATIENCE_SECONDS)
        except ramet.CloneError as error:
            if error.errno not in (errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            if error.errno == errno.ENOSYS:
                raise lacking("5.7", "ENOSYS") from None
            raise NotPermitted(f"needs the right to move tasks ({error.strerror})") from None
    return Seen(
        without=f"starts in {without}, the caller's",
        with_=f"starts in {with_}",
        verdict=verdict(without == mine and with_ == path != mine),
        detail="the cgroup was made for this row and is removed again",
    )


ROWS = (
    Row("VFORK", _GROUP, "set when the call is vfork()", _vfork),
    Row("STOPPED", _GROUP, "makes the child start in the stopped state", _stopped),
    Row("DETACHED", _GROUP, "has no effect: the kernel ignores it", _detached),
    Row("INTO_CGROUP", _GROUP, "makes the child start in a cgroup (since 5.7)", _into_cgroup),
    Row(
        "AUTOREAP",
        _GROUP,
        "leaves no zombie and sends no signal at the child's end (since 7.1)",
        linux_7_1.autoreap,
    ),
    Row("NNP", _GROUP, "sets no_new_privs in the child (since 7.1)", linux_7_1.no_new_privs),
    Row(
        "PIDFD_AUTOKILL",
        _GROUP,
        "kills the child when the pidfd of the call is closed (since 7.1)",
        linux_7_1.pidfd_autokill,
    ),
    Row(
        "EMPTY_MNTNS",
        _GROUP,
        "gives the child a mount namespace with nothing in it (since 7.1)",
        linux_7_1.empty_mount_namespace,
    ),
)
