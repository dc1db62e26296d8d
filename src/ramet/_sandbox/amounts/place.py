"""What keeps the amounts of one confined child: where it enters, what watches it, what it has used."""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple, TypeVar

from ..._core import Held
from ..._kernel import pidfd as pidfds
from ..._limits.memory_files import VERSION_2
from ..._limits.resident_watch import SECONDS_BETWEEN_LOOKS, ResidentWatch
from ..._process.watch_thread import watch_thread
from ...exit_status import ExitStatus
from .cgroup import ChildCgroup
from .ending import Facts, amount_of_signal, reason_of
from .processor_time import tree_seconds
from .usage import Usage

_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.002, 1.0
_KILL_SECONDS, _SHORT_KILL_SECONDS = 1.0, 0.1
_LIMITS = {"cpu_time": "CPU", "file_size": "FSIZE"}  # whose signals end a program
_BLOCK_BYTES = 512  # of ru_oublock


class Watched(NamedTuple):
    """The amounts that a thread of this process looks at; None where that is not needed."""

    memory: int | None = None
    cpu_time: float | None = None
    timeout: float | None = None
    output: int | None = None


_NOTHING_WATCHED = Watched()


class Place:
    """What keeps the amounts of one child; made by Amounts.new_place().

    ``joins``: directories, by descriptor, and the name of the file there into which the newborn writes
    ``b"0"`` itself; ``entries``: descriptors of the same files, which it can write to even when its user
    may not open them. ``clone_cgroup``: the descriptor that the clone call takes with INTO_CGROUP, or
    None. ``rlimits``: as the option of that name takes them, soft and hard. ``affinity``: the processors
    to run on, None for the caller's. The descriptors belong to this object.
    """

    def __init__(
        self,
        cgroups: list[ChildCgroup],
        give_back: Callable[[list[ChildCgroup]], None],
        watched: Watched,
        *,
        rlimits: Mapping[str | int, tuple[int, int]],
        affinity: list[int] | None,
        clones_into: bool,
    ) -> None:
        self._cgroups = cgroups
        self._give_back = give_back
        self._watched = watched
        self.is_watched = watched != _NOTHING_WATCHED
        """Whether this process looks at what it uses."""
        self.rlimits = dict(rlimits)
        self.affinity = affinity
        self.clone_cgroup: int | None = None
        self.joins: list[tuple[int, bytes]] = []
        self.entries: list[int] = []
        for each in cgroups:
            if each.version == VERSION_2 and clones_into:
                if self.clone_cgroup is None:
                    self.clone_cgroup = each.directory
            else:
                self.joins.append((each.directory, each.entry_name.encode()))
                self.entries.append(each.entry)
        self._lock = threading.RLock()
        self._maker = os.getpid()
        self._pid = self._root = self._pidfd = -1
        self._kill: Callable[[], object] | None = None
        self._deadline: float | None = None
        self._resident: ResidentWatch | None = None
        self._number: int | None = None
        self._is_over = self._is_closed = False
        self._killed_for: str | None = None
        self._told: str | None = None
        self._signalled: str | None = None
        self._output = 0
        self._most_resident: int | None = None
        self._seen_seconds: float | None = None
        self._hits: dict[str, None] = {}
        self._usage: Usage | None = None
        # What is used is counted from it, when that is asked for.
        self._status: ExitStatus | None = None

    # ---- while it runs

    def begin(
        self,
        pid: int,
        pidfd: int,
        kill: Callable[[], object] | None = None,
        root: int | None = None,
        copied_from: int | None = None,
    ) -> None:
        """The child runs its program from now on: its deadline counts, and it is watched.

        pid, pidfd: of the child, which is not reaped yet. kill: ends the whole tree; it is called in a
        thread of this process and must wait for nothing that the caller may hold. The child and all in its
        cgroups are killed besides, and alone where it is None. root: the process below which all of the
        tree is, such as the init of its pid namespace; None: the child. copied_from: the pid of what it is
        a copy of, whose memory is not its own; None for a program, after whose exec this is to be called.
        """
        watched = self._watched
        if not self.is_watched:
            return
        with Held(self._lock) as take:
            take()
            self._pid, self._root, self._kill = pid, pid if root is None else root, kill
            self._pidfd = fcntl.fcntl(pidfd, fcntl.F_DUPFD_CLOEXEC, 0)
            if watched.timeout is not None:
                self._deadline = time.monotonic() + watched.timeout
            if watched.memory is not None:
                with suppress(ProcessLookupError):  # it has ended
                    self._resident = ResidentWatch(
                        *(pid, watched.memory, copied_from),
                        from_zero=copied_from is None,
                        root=self._root,
                    )
        seconds = self._look()
        if seconds is not None:
            with Held(self._lock) as take:
                take()
                self._number = watch_thread.add(self._look, seconds)

    def count_output(self, count: int) -> bool:
        """The caller has read so many bytes more of its output or error.

        Returns whether it may write more; if not, it has been killed.
        """
        with Held(self._lock) as take:
            take()
            self._output += count
            most = self._watched.output
            if most is None or self._output <= most:
                return True
        self._exceed("output")
        return False

    def because(self, reason: str) -> None:
        """Give the reason for an end that the caller knows of, such as ``"forbidden call mount"``."""
        self._told = reason

    def kill(self) -> bool:
        """Kill all in its cgroups. Returns whether none is left there; False where there is no cgroup.

        A process of the tree that is in none of them is not killed by this.
        """
        return self._kill_cgroups(_KILL_SECONDS)

    def _kill_cgroups(self, patience_seconds: float) -> bool:
        with Held(self._lock) as take:
            take()
            if self._is_closed or not self._cgroups or self._maker != os.getpid():
                return False
            # One of version 2 is the last.
            return self._cgroups[-1].kill(patience_seconds)

    def _look(self) -> float | None:
        """Kill it if it has used too much. Returns in how many seconds to look again; None: no more."""
        with Held(self._lock) as take:
            take()
            if self._is_over or self._pidfd < 0:
                return None
            pauses = self._looked()
            is_over = self._killed_for is not None or self._is_over
            return None if is_over else min(pauses, default=None)

    def _looked(self) -> list[float]:
        """In how many seconds to look at each again; a look may be the end, and the last."""
        pauses = []
        for look in (self._look_at_clock, self._look_at_cpu, self._look_at_memory):
            pause = look()
            if self._killed_for is not None or self._is_over:
                break
            if pause is not None:
                pauses.append(pause)
        return pauses

    def _look_at_clock(self) -> float | None:
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._exceed("timeout")
        return max(left, 0)

    def _look_at_cpu(self) -> float | None:
        most = self._watched.cpu_time
        if most is None:
            return None
        self._seen_seconds = used = self._cpu_seconds()
        if used >= most:
            self._exceed("cpu_time")
        # It cannot be used up before, even on all processors.
        soonest = (most - used) / (os.cpu_count() or 1)
        return min(max(soonest, _SHORTEST_SECONDS), _LONGEST_SECONDS)

    def _cpu_seconds(self) -> float:
        counted = _first(each.cpu_seconds() for each in self._cgroups)
        return tree_seconds(self._pid, self._root) if counted is None else counted

    def _look_at_memory(self) -> float | None:
        if self._resident is None:
            return None
        used = self._resident.excess()
        self._most_resident = max(self._most_resident or 0, used)
        if used > self._resident.budget_bytes:
            self._exceed("memory")
        return SECONDS_BETWEEN_LOOKS

    def _exceed(self, amount: str) -> None:
        """Kill the tree for that, unless it has ended."""
        with Held(self._lock) as take:
            take()
            self._hits[amount] = None
            if self._is_over or self._pidfd < 0 or self._killed_for is not None:
                return
            if pidfds.wait_readable(self._pidfd, 0.0):
                return
            self._killed_for = amount
            try:
                if self._kill is not None:
                    self._kill()
            finally:
                if self._pidfd >= 0:  # else its last handle went meanwhile, with that of the kill
                    with suppress(ProcessLookupError, PermissionError):
                        pidfds.send(self._pidfd, self._pid, signal.SIGKILL)
                self._kill_cgroups(_SHORT_KILL_SECONDS)  # the thread has others to look at

    # ---- when it has ended

    def ended(self, status: ExitStatus) -> ExitStatus:
        """The status with a more precise reason, where there is one; to be called when it is reaped.

        The reasons are those of ExitStatus.reason, see ending.reason_of(). From here on nothing is killed.
        """
        self._stop()
        with Held(self._lock) as take:
            take()
            if status.success and not self._cgroups:
                self._status = status
                return status
            if self._usage is None:
                self._usage = self._counted(status)
            reason = reason_of(status, self._facts())
        return status if reason is None else status.because(reason)

    def _stop(self) -> None:
        with Held(self._lock) as take:
            take()
            if self._is_over:
                return
            self._is_over = True
            number, self._number = self._number, None
            if number is not None:
                watch_thread.remove(number)
            resident, self._resident = self._resident, None
            if resident is not None:
                resident.close()
            descriptor, self._pidfd = self._pidfd, -1
            if descriptor >= 0:
                os.close(descriptor)

    def _counted(self, status: ExitStatus) -> Usage:
        rusage, cgroups = status.rusage, self._cgroups
        seconds = _first(each.cpu_seconds() for each in cgroups)
        written = _first(each.bytes_written() for each in cgroups)
        if rusage is not None:
            seconds = rusage.ru_utime + rusage.ru_stime if seconds is None else seconds
            written = max(written or 0, rusage.ru_oublock * _BLOCK_BYTES)
        peak = _first(each.peak_memory() for each in cgroups)
        most = self._watched.cpu_time
        spent = max(seconds or 0.0, self._seen_seconds or 0.0)
        limited = [amount for amount, name in _LIMITS.items() if name in self.rlimits]
        self._signalled = signalled = amount_of_signal(status, limited)
        found = {
            "memory": any(each.was_oom_killed() for each in cgroups),
            "processes": any(each.refused_forks() for each in cgroups),
            "cpu_time": (most is not None and spent >= most) or signalled == "cpu_time",
            "file_size": signalled == "file_size",
        }
        self._hits |= dict.fromkeys(amount for amount, is_hit in found.items() if is_hit)
        return Usage(
            peak_memory=self._most_resident if peak is None else peak,
            cpu_seconds=seconds,
            bytes_written=written,
            peak_processes=_first(each.peak_processes() for each in cgroups),
        )

    def _facts(self) -> Facts:
        hits = self._hits
        return Facts(
            killed_for=self._killed_for,
            told=self._told,
            was_oom_killed="memory" in hits,
            refused_forks="processes" in hits,
            used_cpu_time="cpu_time" in hits,
            signalled=self._signalled,
        )

    def usage(self) -> Usage:
        """What the child has used. RuntimeError before ended()."""
        with Held(self._lock) as take:
            take()
            if self._usage is None and self._status is not None:
                self._usage = self._counted(self._status)
            if self._usage is None:
                raise RuntimeError("invalid use of usage(): expected ended() to be called first")
            # What it has written may be read when it has ended.
            return replace(self._usage, output=self._output, limits_hit=tuple(self._hits))

    def close(self) -> None:
        """Give the cgroups back, which removes them or keeps them for the next child; once."""
        if not self._is_over:
            self._stop()
        with Held(self._lock) as take:
            take()
            if self._is_closed:
                return
            self._is_closed = True
            self.joins, self.entries, self.clone_cgroup = [], [], None
            cgroups, self._cgroups = self._cgroups, []
        if cgroups:
            self._give_back(cgroups)


_Count = TypeVar("_Count", int, float)


def _first(counts: Iterable[_Count | None]) -> _Count | None:
    """The first that was counted."""
    return next((count for count in counts if count is not None), None)
