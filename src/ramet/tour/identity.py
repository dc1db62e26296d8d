"""The flags that decide the child's parent, process and descriptor."""

import errno
import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import ramet
from ramet import CloneFlag, ExitStatus, lowlevel

from .probes import PATIENCE_SECONDS, WALL, proc_stat
from .row import Row, Seen, Verdict, verdict

_GROUP = "Identity of the child"
_EXIT_SIGNAL_FIELD = 38
_STACK_BYTES = 256 * 1024


@contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """Block the signal; discard what is still pending at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        yield
    finally:
        while signal.sigtimedwait([number], 0):
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number > 0 else str(number)


# ---- PARENT


class Ancestry(NamedTuple):
    """A caller, its child, and what the child reports of itself."""

    caller: int
    child: int
    parent: int
    exit_signal: int


def _own_fields() -> tuple[int, int]:
    me = os.getpid()
    return os.getppid(), int(proc_stat(me, _EXIT_SIGNAL_FIELD))


def _make_child(flags: CloneFlag) -> Ancestry:
    child = ramet.clone(_own_fields, flags=flags)
    return Ancestry(os.getpid(), child.pid, *child.result())


def _ancestry(flags: CloneFlag) -> tuple[Ancestry, int]:
    """Of a grandchild of ours, and of the task whose end sent us the first SIGUSR1."""
    with _blocked(signal.SIGUSR1):
        caller = ramet.clone(_make_child, flags, flags=0, exit_signal=signal.SIGUSR1)
        seen = caller.result()
        told = signal.sigtimedwait([signal.SIGUSR1], PATIENCE_SECONDS)
    if seen.parent == os.getpid():
        os.waitpid(seen.child, WALL)
    return seen, told.si_pid if told else 0


def _parent() -> Seen:
    me = os.getpid()
    without, _ = _ancestry(CloneFlag(0))
    with_, sender = _ancestry(CloneFlag.PARENT)
    return Seen(
        without=_ancestry_told(without, me),
        with_=_ancestry_told(with_, me),
        verdict=verdict(
            (without.parent, without.exit_signal) == (without.caller, signal.SIGCHLD)
            and (with_.parent, with_.exit_signal) == (me, signal.SIGUSR1)
            and sender == with_.child
        ),
        detail="the exit signal is the caller's own, and "
        f"{'came' if sender == with_.child else 'did not come'} to the caller's parent",
    )


def _ancestry_told(seen: Ancestry, me: int) -> str:
    names = {seen.caller: "the caller", me: "the caller's parent"}
    return (
        f"getppid() is {names.get(seen.parent, seen.parent)}; "
        f"exit signal {_signal_name(seen.exit_signal)}"
    )


# ---- THREAD


class Task(NamedTuple):
    """What a new task reports of itself, and whether a signal to the caller's process is pending for it."""

    pid: int
    tid: int
    parent: int
    listed: bool
    signalled: bool


def _describe(caller: int) -> Task:
    tid = threading.get_native_id()
    return Task(
        pid=os.getpid(),
        tid=tid,
        parent=os.getppid(),
        listed=os.path.exists(f"/proc/{caller}/task/{tid}"),
        signalled=signal.SIGUSR1 in signal.sigpending(),
    )


def _thread() -> Seen:
    me = os.getpid()
    sharing = CloneFlag.VM | CloneFlag.SIGHAND
    with _blocked(signal.SIGUSR1):
        os.kill(me, signal.SIGUSR1)
        without = ramet.clone(_describe, me, flags=sharing).result()
        thread = ramet.clone(_describe, me, flags=sharing | CloneFlag.THREAD)
        with_ = thread.result()
    return Seen(
        without=_task_told(without, me),
        with_=_task_told(with_, me),
        verdict=verdict(
            without == Task(without.pid, without.pid, me, listed=False, signalled=False)
            and with_ == Task(me, with_.tid, os.getppid(), listed=True, signalled=True)
            and me not in (without.pid, with_.tid)
            and thread.wait() == ExitStatus.unknown()
        ),
        detail=f"the thread's parent is {_parent_name(with_.parent)}; wait gives: {thread.wait()}",
    )


def _parent_name(pid: int) -> str:
    return "the caller's" if pid == os.getppid() else str(pid)


def _task_told(task: Task, me: int) -> str:
    pid = "the caller's" if task.pid == me else "its own"
    tid = "the caller's" if task.tid == me else "its own"
    listed = "" if task.listed else "not "
    signalled = "is for it too" if task.signalled else "is not for it"
    return (
        f"getpid() {pid}, gettid() {tid}; {listed}in the caller's task folder; "
        f"a signal to the caller {signalled}"
    )


# ---- PIDFD


class Descriptor(NamedTuple):
    """What a pidfd shows: its task, and whether it was readable before and after the end."""

    names_child: bool
    before: bool
    after: bool


def _pause(_: object) -> int:
    while True:
        signal.pause()


def _readable(fd: int, seconds: float) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])


def _made(flags: CloneFlag) -> tuple[int, int]:
    """A child's pid, and what the kernel wrote where a pidfd would go: -1 when nothing."""
    word = lowlevel.TidWord(-1)
    stack = lowlevel.Stack(_STACK_BYTES)
    return lowlevel.clone(_pause, None, flags | signal.SIGCHLD, stack, ptid=word), word.value


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _observe(pid: int, pidfd: int) -> Descriptor:
    """Watch the pidfd through the child's end."""
    with open(f"/proc/self/fdinfo/{pidfd}") as lines:
        names_child = f"Pid:\t{pid}\n" in lines
    before = _readable(pidfd, 0)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    return Descriptor(names_child, before, _readable(pidfd, PATIENCE_SECONDS))


def _pidfd() -> Seen:
    pid, nothing = _made(CloneFlag(0))
    _end(pid)
    pid, pidfd = _made(CloneFlag.PIDFD)
    try:
        seen = _observe(pid, pidfd)
    finally:
        _end(pid)
        os.close(pidfd)
    return Seen(
        without="no descriptor is written" if nothing == -1 else f"{nothing} is written",
        with_=f"a descriptor {'of the child' if seen.names_child else 'of another task'}; "
        f"{_readability(seen.before)} while it runs, {_readability(seen.after)} at its end",
        verdict=verdict(nothing == -1 and seen == Descriptor(True, before=False, after=True)),
        detail="the child was killed through it, by pidfd_send_signal(2)",
    )


def _readability(readable: bool) -> str:
    return "readable" if readable else "not readable"


# ---- PID

_OLD_PID_BIT = 0x1000


def _pid() -> Seen:
    pid, pidfd = _made(CloneFlag(_OLD_PID_BIT))
    _end(pid)
    if pidfd >= 0:
        os.close(pidfd)
    refusal = _refusal()
    given = "a pidfd" if pidfd >= 0 else "nothing"
    return Seen(
        without=f"bit {_OLD_PID_BIT:#x} as it is today: {given}, and a child with its own pid",
        with_=f"the library refuses: {refusal}",
        verdict=verdict(pidfd >= 0 and pid != os.getpid() and refusal == "EINVAL", Verdict.GONE),
        detail="dropped in 2.5.16, and PIDFD has its bit since 5.2; THREAD is the nearest",
    )


def _refusal() -> str:
    try:
        child = ramet.clone(os.getpid, flags=CloneFlag.PID)
    except ramet.CloneError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    with child:
        return f"not refused: it made task {child.pid}"


ROWS = (
    Row(
        "PARENT",
        _GROUP,
        "makes the caller's parent the child's parent, and real parent",
        _parent,
    ),
    Row(
        "THREAD",
        _GROUP,
        "puts the child into the caller's thread group, with its signal descriptor; needs SIGHAND",
        _thread,
    ),
    Row("PIDFD", _GROUP, "gives the caller a descriptor of the child", _pidfd),
    Row("PID", _GROUP, "gives the child the caller's own pid", _pid),
)
