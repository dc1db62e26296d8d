"""One call of the kernel, unchecked, and everything that can be seen of its child."""

import contextlib
import os
import select
import signal
import struct
from dataclasses import dataclass, field
from typing import Any

from .. import _core
from .._kernel import procfs
from .._kernel.clone_bits import NEWPID, PARENT, SETTLS, SIGHAND, THREAD, VFORK
from .._kernel.names import WALL
from .._preflight.this_machine import errno_name
from ..flags import CloneFlag
from ..law import SHARES, Call, Request, make_request
from ..lowlevel import KcmpType
from .page import UNTOUCHED, Page

_ARGS = struct.Struct("=11Q")
_PATIENCE_SECONDS = 10

_COMPARED = [
    (row.key, KcmpType[row.probe.removeprefix("KCMP_")])
    for row in SHARES
    if row.probe.startswith("KCMP_")
]
_LINKED = [
    (row.key, row.probe.rpartition("/")[2]) for row in SHARES if row.probe.startswith("/proc")
]
_AN_INIT_THAT_SHARES_HANDLERS = NEWPID | SIGHAND


@dataclass
class Seen:
    """The kernel's answer: its errno, or what could be seen of the child; None was not visible."""

    errno: str | None = None
    shares: dict[str, bool | None] = field(default_factory=dict)
    exit_signal: int | None = None
    getpid: object = None
    getppid: object = None
    writes: frozenset[str] = frozenset()
    clears_ctid: bool = False
    traced: bool = False


@dataclass
class Case:
    """A request, and the descriptor of the cgroup that it describes."""

    flags: int
    exit_signal: int = 0
    call: Call = "clone3"
    fields: dict[str, Any] = field(default_factory=dict)
    cgroup_fd: int = 0

    def request(self) -> Request:
        """The request for the law."""
        return make_request(self.flags, self.exit_signal, self.call, self.fields)


class Kernel:
    """Makes calls of the running kernel, from this process, which makes all the children."""

    def __init__(self) -> None:
        self.page = Page()
        self.pid = os.getpid()
        self.ppid = os.getppid()
        self.look_again()

    def look_again(self) -> None:
        """Read this process's namespaces again, after it entered others."""
        self._links = {key: self._link(self.pid, name) for key, name in _LINKED}

    def ask(self, case: Case) -> Seen:
        """Make the call, read the child's state, and wait until nothing of it is left."""
        request = case.request()
        structure = self._structure(request, case)
        self.page.clear()
        stays = not request.flags & VFORK
        legacy = request.call == "clone"
        pid = _core.trial_begin(structure, request.size, legacy, self.page.memory, 0, stays)
        if pid < 0:
            return Seen(errno=errno_name(-pid))
        seen = Seen()
        try:
            if stays:
                self._look(pid, seen)
        finally:
            _core.trial_end(self.page.memory, 0)
            with self._watched(pid, request.flags):
                pass
        self._read_words(pid, request, seen)
        return seen

    # ---- the request

    def _structure(self, request: Request, case: Case) -> bytes | int:
        if request.args is not None:
            return request.args
        page = self.page
        stack, stack_size = self._stack(request)
        pids = request.set_tid
        packed = _ARGS.pack(
            request.flags,
            page.pidfd if request.pidfd is None else request.pidfd,
            page.ctid if request.child_tid is None else request.child_tid,
            page.ptid if request.parent_tid is None else request.parent_tid,
            request.exit_signal,
            stack,
            stack_size,
            (page.tls if request.flags & SETTLS else 0) if request.tls is None else request.tls,
            page.lay_pids(pids) if isinstance(pids, tuple) and pids else pids or 0,
            request.set_tid_size,
            request.cgroup if isinstance(request.cgroup, int) else case.cgroup_fd,
        )
        # The last byte of the structure's given size.
        if request.beyond and request.size > len(packed):
            packed += bytes(request.size - len(packed) - 1) + b"\1"
        return packed

    def _stack(self, request: Request) -> tuple[int, int]:
        if request.call == "clone":
            top = self.page.stack + self.page.stack_size
            return (top if request.stack is None else request.stack), 0
        if request.stack is None and request.stack_size is None:
            return self.page.stack, self.page.stack_size
        return request.stack or 0, request.stack_size or 0

    # ---- what is seen

    def _look(self, pid: int, seen: Seen) -> None:
        reported = self.page.reported
        seen.getpid = _named(reported.pid, {self.pid: "caller", 1: 1})
        seen.getppid = _named(
            reported.ppid, {self.pid: "caller", self.ppid: "caller's parent", 0: 0}
        )
        seen.shares["same_tgid"] = reported.pid == self.pid
        for key, kind in _COMPARED:
            seen.shares[key] = self._same(pid, kind)
        for key, name in _LINKED:
            mine, its = self._links[key], self._link(pid, name)
            seen.shares[key] = mine == its if mine and its else None
        state = procfs.stat(pid)
        seen.exit_signal = int(state[procfs.EXIT_SIGNAL])
        seen.shares["same_ppid"] = int(state[1]) == self.ppid
        seen.traced = procfs.status(pid)["TracerPid"] != "0"

    def _same(self, pid: int, kind: int) -> bool | None:
        try:
            return _core.kcmp(self.pid, pid, kind, 0, 0) == 0
        except OSError:
            return None

    @staticmethod
    def _link(pid: int, name: str) -> str:
        try:
            return os.readlink(f"/proc/{pid}/ns/{name}")
        except OSError:
            return ""

    def _read_words(self, pid: int, request: Request, seen: Seen) -> None:
        words, reported = self.page.words, self.page.reported
        written = set()
        if words.ptid == pid and pid > 0:
            written.add("ptid")
        if words.ctid in {reported.tid, 0} and CloneFlag.CHILD_SETTID & request.flags:
            written.add("ctid")
        pidfd = words.ptid if request.call == "clone" else words.pidfd
        if CloneFlag.PIDFD & request.flags and pidfd not in {UNTOUCHED, pid}:
            os.close(pidfd)
            written.add("pidfd")
        seen.writes = frozenset(written)
        seen.clears_ctid = words.ctid == 0

    # ---- until nothing is left

    @contextlib.contextmanager
    def _watched(self, pid: int, flags: int) -> Any:
        yield
        if flags & THREAD:
            _wait_for_thread(pid)
        elif flags & PARENT:
            _wait_for_sibling(pid)
        else:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, WALL)
        if flags & _AN_INIT_THAT_SHARES_HANDLERS == _AN_INIT_THAT_SHARES_HANDLERS:
            # Its end has left SIGCHLD ignored for all that share the table (zap_pid_ns_processes).
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _named(number: int, names: dict[int, object]) -> object:
    return names.get(number, "new")


def _wait_for_thread(tid: int) -> None:
    """No event reports a thread's end; its entry in /proc vanishes."""
    place = f"/proc/self/task/{tid}"
    while os.path.exists(place):
        os.sched_yield()


def _wait_for_sibling(pid: int) -> None:
    """The parent reaps it; a pidfd shows its end."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([pidfd], [], [], _PATIENCE_SECONDS)
    finally:
        os.close(pidfd)
