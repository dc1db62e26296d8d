"""The four flags of Linux 7.1, for kernels that have them."""

import errno
import os
import platform
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, TypeVar

import ramet
from ramet import CloneError, CloneFlag, lowlevel

from .namespaces import permitted
from .probes import PATIENCE_SECONDS, WALL, namespace_id, proc_stat, proc_status
from .row import Seen, lacking, parse_release, verdict

T = TypeVar("T")

_SINCE = "7.1"


def _where_known(act: Callable[[], T]) -> T:
    """What act returns, where the kernel has the flags that it uses."""
    try:
        return act()
    except CloneError as error:
        # Later kernels have the flags: their EINVAL is about the request.
        too_old = parse_release(platform.release()) < parse_release(_SINCE)
        if error.errno != errno.ENOSYS and not (too_old and error.errno == errno.EINVAL):
            raise
        raise lacking(_SINCE, errno.errorcode[error.errno]) from None


def _make(flags: CloneFlag, fn: Callable[[object], int], exit_signal: int = 0) -> tuple[int, int]:
    """A child's pid, and a pidfd of it that the caller closes."""
    args = lowlevel.CloneArgs(flags=flags | CloneFlag.PIDFD, exit_signal=exit_signal)
    word = args.pidfd = lowlevel.TidWord(-1)
    return lowlevel.clone3(args, fn), word.value


def _ends(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], PATIENCE_SECONDS)[0])


# ---- AUTOREAP


class Remains(NamedTuple):
    """What is left of a child that has ended: its state, and whether one can wait for it."""

    state: str
    waited_for: bool


def _remains(flags: CloneFlag, exit_signal: int) -> Remains:
    pid, pidfd = _make(flags, lambda _: 0, exit_signal)
    _ends(pidfd)
    os.close(pidfd)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | WALL)
    except ChildProcessError:
        return Remains(_state(pid), waited_for=False)
    state = _state(pid)
    os.waitpid(pid, WALL)
    return Remains(state, waited_for=True)


def _state(pid: int) -> str:
    try:
        state = proc_stat(pid, 3)
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    return "gone" if state == "X" else state


def autoreap() -> Seen:
    """A child without the flag leaves a zombie, one with it nothing."""
    with_ = _where_known(lambda: _remains(CloneFlag.AUTOREAP, 0))
    without = _remains(CloneFlag(0), signal.SIGCHLD)
    return Seen(
        without=_remains_told(without),
        with_=_remains_told(with_),
        verdict=verdict(
            without == Remains("Z", waited_for=True) and with_ == Remains("gone", waited_for=False)
        ),
    )


def _remains_told(remains: Remains) -> str:
    wait = "gives its status" if remains.waited_for else "gives ECHILD"
    left = "a zombie is left" if remains.state == "Z" else f"its state is: {remains.state}"
    return f"{left}; wait {wait}"


# ---- NNP


def _own_no_new_privs() -> int:
    return int(proc_status(os.getpid(), "NoNewPrivs"))


def no_new_privs() -> Seen:
    """Only the child with the flag has no_new_privs set."""

    def of_child(flags: CloneFlag) -> int:
        return ramet.clone(_own_no_new_privs, flags=flags).result()

    with_ = _where_known(lambda: of_child(CloneFlag.NNP))
    without, mine = of_child(CloneFlag(0)), _own_no_new_privs()
    return Seen(
        without=f"NoNewPrivs {without}",
        with_=f"NoNewPrivs {with_}",
        verdict=verdict(without == mine and with_ == 1),
        detail="the caller has it set, and every child inherits it" if mine else "",
    )


# ---- PIDFD_AUTOKILL


@contextmanager
def _pidfd_of_call_closed(flags: CloneFlag) -> Iterator[tuple[int, socket.socket]]:
    """A child whose call's pidfd was closed: another pidfd of it, and a socket to it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid, pidfd = _make(flags | CloneFlag.AUTOREAP, partial(_echo, theirs, ours))
        other = os.pidfd_open(pid)
        try:
            theirs.close()
            os.close(pidfd)
            yield other, ours
        finally:
            _kill(other)
            os.close(other)


def _echo(line: socket.socket, other_end: socket.socket, _: object) -> int:
    other_end.close()
    while said := line.recv(1):
        line.sendall(said)
    return 0


def _kill(pidfd: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return
    _ends(pidfd)


def _answers(line: socket.socket) -> bool:
    try:
        line.sendall(b"?")
        return bool(line.recv(1))
    except (BrokenPipeError, ConnectionResetError):
        return False


def pidfd_autokill() -> Seen:
    """Closing the pidfd ends the child that has the flag, and no other."""

    def with_flag() -> tuple[bool, bool]:
        # A plain user may use it only with NNP, since it could kill a program that gained rights.
        with _pidfd_of_call_closed(CloneFlag.PIDFD_AUTOKILL | CloneFlag.NNP) as (other, line):
            ended = _ends(other)
            return ended, _answers(line)

    ended, answers = _where_known(with_flag)
    with _pidfd_of_call_closed(CloneFlag(0)) as (_, line):
        lives_on = _answers(line)
    return Seen(
        without=f"the pidfd closed, the child {'goes on' if lives_on else 'is gone'}",
        with_=f"the pidfd closed, the child {'is killed' if ended and not answers else 'goes on'}",
        verdict=verdict(lives_on and ended and not answers),
    )


# ---- EMPTY_MNTNS


class Mounts(NamedTuple):
    """A child's mount namespace: its number, its mounts, and the entries of its root directory."""

    namespace: int
    mounts: int
    root_entries: int


def _mounts_of_child(flags: CloneFlag) -> Mounts:
    """Read from outside, since an empty namespace has no /proc."""
    ours, theirs = socket.socketpair()

    def list_root() -> int:
        entries = len(os.listdir("/"))
        theirs.sendall(b"!")
        theirs.recv(1)
        return entries

    with ours, theirs, ramet.clone(list_root, flags=flags, trusted=True) as child:
        ours.settimeout(PATIENCE_SECONDS)
        ours.recv(1)
        with open(f"/proc/{child.pid}/mountinfo") as lines:
            count = len(lines.readlines())
        namespace = namespace_id(child.pid, "mnt")
        ours.sendall(b"!")
        return Mounts(namespace, count, child.result(PATIENCE_SECONDS))


def empty_mount_namespace() -> Seen:
    """NEWNS gives a copy of all mounts, EMPTY_MNTNS a root with nothing in it."""

    def of_child(flag: CloneFlag) -> tuple[Mounts, str]:
        return permitted(lambda needed: _mounts_of_child(flag | needed))

    with_, how = _where_known(lambda: of_child(CloneFlag.EMPTY_MNTNS))
    without, _ = of_child(CloneFlag.NEWNS)
    mine = namespace_id(os.getpid(), "mnt")
    return Seen(
        without=f"NEWNS: {_mounts_told(without, mine)}",
        with_=_mounts_told(with_, mine),
        verdict=verdict(
            mine not in (without.namespace, with_.namespace)
            and without.root_entries > 0
            and (with_.mounts, with_.root_entries) == (1, 0)
        ),
        detail=how,
    )


def _mounts_told(mounts: Mounts, mine: int) -> str:
    link = "is the same" if mounts.namespace == mine else "is new"
    return f"ns/mnt {link}; mounts {mounts.mounts}, entries in / {mounts.root_entries}"
