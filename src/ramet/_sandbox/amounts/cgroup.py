"""A cgroup for one confined child at a time: its limits, and what it counts."""

import contextlib
import os
import re
import signal
import time
from pathlib import Path
from typing import NamedTuple

from ..._kernel import pidfd
from ..._kernel.cgroups import CgroupPlace
from ..._kernel.timeouts import deadline_after, pauses, seconds_until
from ..._limits import cgroup_names, memory_files
from ..._limits.memory_files import VERSION_1, VERSION_2

PURPOSE = "sandbox"

_PERIOD_US, _LONGEST_PERIOD_US = 100_000, 1_000_000
_LEAST_QUOTA_US = 1000  # of the kernel's; so FEWEST_CPUS at the longest period
FEWEST_CPUS = _LEAST_QUOTA_US / _LONGEST_PERIOD_US
_COUNTS_KILLS = {VERSION_1: "memory.oom_control", VERSION_2: "memory.events"}
_LITTLE_BYTES = 1 << 20  # the kernel charges some in advance, for each processor
_SMALL_PART = 64
_LINKS_OF_EMPTY = 2  # of a directory without others in it
_MEMBERSHIP_BYTES = 64
_NANOSECONDS, _MICROSECONDS = 1e-9, 1e-6


class CgroupLimits(NamedTuple):
    """What cgroups limit: bytes, a number of processes, processors; None is no limit."""

    memory: int | None = None
    swap: int = 0
    processes: int | None = None
    cpus: float | None = None


class ChildCgroup:
    """One directory in one hierarchy. It is removed when it is dropped without having been closed.

    ``directory``: a descriptor of it; ``entry``: one of the file into which a new process writes ``b"0"``
    to be in it, whatever user it has become since. Both belong to this object, and are O_CLOEXEC.

    OSError where it cannot be made or does not take its limits; nothing is left of it then.
    Source: Documentation/admin-guide/cgroup-v2.rst; cgroup-v1/memory.rst, pids.rst, cpuacct.rst;
    scheduler/sched-bwc.rst.
    """

    _maker = 0  # the class attribute is seen by __del__ when __init__ did not run

    def __init__(
        self, place: CgroupPlace, controllers: frozenset[str], limits: CgroupLimits
    ) -> None:
        self.version = place.version
        self.controllers = controllers
        self.path = Path(place.path, cgroup_names.new(PURPOSE))
        self.entry_name = memory_files.NAMES[place.version].entry
        self._limits = limits
        self._files: list[int] = []
        self._peak_file = -1
        self._counts_peak = False
        self._missing: set[str] = set()
        self._kills_before = 0
        self._cpu_before = 0.0
        self._refused_before = self._most_before = 0
        self._written_before: int | None = None
        self.path.mkdir()
        self._maker = os.getpid()
        try:
            self._open()
            self._set_limits()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self.directory = self._opened(str(self.path), os.O_RDONLY | os.O_DIRECTORY)
        self.entry = self._opened(self.entry_name, os.O_RDWR)
        if "memory" in self.controllers:
            with contextlib.suppress(OSError):  # version 2 before 5.19
                self._peak_file = self._opened(memory_files.NAMES[self.version].peak, os.O_RDWR)

    def _opened(self, name: str, flags: int) -> int:
        folder = self._files[0] if self._files else None
        self._files.append(os.open(name, flags | os.O_CLOEXEC, dir_fd=folder))
        return self._files[-1]

    def _set_limits(self) -> None:
        limits = self._limits
        if limits.memory is not None and "memory" in self.controllers:
            memory_files.set_limit(self.directory, self.version, limits.memory, limits.swap)
        if limits.processes is not None and "pids" in self.controllers:
            self._write("pids.max", limits.processes)
        if limits.cpus is not None and "cpu" in self.controllers:
            self._set_cpus(limits.cpus)

    def _set_cpus(self, cpus: float) -> None:
        period = _PERIOD_US if cpus * _PERIOD_US >= _LEAST_QUOTA_US else _LONGEST_PERIOD_US
        quota = max(_LEAST_QUOTA_US, round(cpus * period))
        if self.version == VERSION_2:
            self._write("cpu.max", f"{quota} {period}")
        else:
            self._write("cpu.cfs_period_us", period)
            self._write("cpu.cfs_quota_us", quota)

    def counts_swap(self) -> bool:
        """Whether what is swapped out is limited: the kernel may not count it."""
        name = memory_files.NAMES[self.version].limit_of_swap
        return "memory" in self.controllers and self._read(name) is not None

    def is_there(self) -> bool:
        """Whether its directory is: who else may write to the place can remove it while it is idle."""
        return memory_files.is_there(self.directory)

    def begin(self) -> None:
        """Count from here, for the next child."""
        if "memory" in self.controllers:
            self._counts_peak = self._reset_peak()
        self._kills_before = self._kills()
        self._cpu_before = self._cpu_seconds() or 0.0
        self._refused_before = self._refused()
        self._most_before = self._most() or 0
        self._written_before = self._written()

    def _reset_peak(self) -> bool:
        if self._peak_file < 0:
            return False
        try:
            # Version 2 since 6.12, and only for this descriptor.
            os.write(self._peak_file, b"0" if self.version == VERSION_1 else b"reset")
        except OSError:
            return False
        return True

    # ---- what it has counted since

    def was_oom_killed(self) -> bool:
        """Whether the kernel has killed a process in it for want of memory."""
        return self._kills() > self._kills_before

    def peak_memory(self) -> int | None:
        """The most bytes that were charged to it."""
        if not self._counts_peak:
            return None
        try:
            return int(os.pread(self._peak_file, _MEMBERSHIP_BYTES, 0))
        except OSError:  # somebody else has removed it
            return None

    def cpu_seconds(self) -> float | None:
        """The processor time of all that was in it."""
        seconds = self._cpu_seconds()
        return None if seconds is None else max(0.0, seconds - self._cpu_before)

    def refused_forks(self) -> int:
        """How often a process or thread could not be made for pids.max."""
        return self._refused() - self._refused_before

    def peak_processes(self) -> int | None:
        """The most at once; None where it is not known, as an earlier child had as many. Needs: Linux 6.1.

        The kernel keeps the most that there ever were, and a new cgroup for each child takes a millisecond.
        Who was refused one had as many as there may be.
        """
        most = self._most()
        if most is None or most > self._most_before:
            return most
        return most if most == self._limits.processes and self.refused_forks() else None

    def bytes_written(self) -> int | None:
        """What went to storage. Needs: version 2 with the controller ``io``."""
        written = self._written()
        return None if written is None else written - (self._written_before or 0)

    def _cpu_seconds(self) -> float | None:
        if self.version == VERSION_2:
            used = self._field("cpu.stat", "usage_usec")
            return None if used is None else used * _MICROSECONDS
        used = self._number("cpuacct.usage") if "cpuacct" in self.controllers else None
        return None if used is None else used * _NANOSECONDS

    def _kills(self) -> int:
        if "memory" not in self.controllers:
            return 0
        return self._field(_COUNTS_KILLS[self.version], "oom_kill") or 0

    def _refused(self) -> int:
        return (self._field("pids.events", "max") or 0) if "pids" in self.controllers else 0

    def _most(self) -> int | None:
        return self._number("pids.peak") if "pids" in self.controllers else None

    def _written(self) -> int | None:
        if self.version == VERSION_1:
            # There, only what is written without the page cache is counted.
            return None
        text = self._read("io.stat")
        return None if text is None else sum(map(int, re.findall(r"\bwbytes=(\d+)", text)))

    def _field(self, file: str, name: str) -> int | None:
        found = re.search(rf"(?m)^{name} (\d+)$", self._read(file) or "")
        return None if found is None else int(found[1])

    def _number(self, file: str) -> int | None:
        text = self._read(file)
        return int(text) if text and text.isdigit() else None

    def _read(self, file: str) -> str | None:
        if file in self._missing:  # whether there is such a file depends on the kernel
            return None
        try:
            return memory_files.read(self.directory, file)
        except FileNotFoundError:
            self._missing.add(file)
        except OSError:
            pass
        return None

    def _write(self, file: str, value: object) -> None:
        memory_files.write(self.directory, file, value)

    # ---- its end

    def kill(self, patience_seconds: float) -> bool:
        """Kill all processes in it. Returns whether none is left in it by then.

        Version 2 does it at once (Linux 5.14). In version 1 each is killed by its pidfd until there is
        none; where there is a limit on processes, it is set to 0 first, so that none can be made meanwhile.
        """
        deadline = deadline_after(patience_seconds)
        try:
            self._write("cgroup.kill", 1)
            by_one = False
        except OSError:
            by_one = True
            if "pids" in self.controllers:
                with contextlib.suppress(OSError):
                    self._write("pids.max", 0)
        for pause in pauses(0.0001, 0.005):
            pids = self.processes()
            if not pids or seconds_until(deadline) == 0:
                break
            if by_one:
                for pid in pids:
                    self._kill(pid)
            time.sleep(pause)
        if by_one and "pids" in self.controllers:
            with contextlib.suppress(OSError):
                self._write("pids.max", self._limits.processes or "max")
        return not self.processes()

    def processes(self) -> list[int]:
        """The pids of those in it; 0 is one that this process's pid namespace does not show."""
        return [int(pid) for pid in (self._read("cgroup.procs") or "").split()]

    def _kill(self, pid: int) -> None:
        """Kill it if it is in it still: the pid may be another's by now, but the pidfd is one process's."""
        try:
            descriptor = os.pidfd_open(pid)
        except (OSError, ValueError, OverflowError):
            return
        try:
            if pid in self.processes():
                pidfd.send(descriptor, pid, signal.SIGKILL)
        except OSError:
            pass
        finally:
            os.close(descriptor)

    def empty(self) -> bool:
        """Free what the last child has left. Returns whether the next one has all of the amounts.

        What is in a tmpfs stays charged after the death of who wrote it, and so does memory of the kernel;
        a zombie counts as a process.
        """
        try:
            if self.processes() or self._has_others_below():
                return False
            if "pids" in self.controllers and self._number("pids.current"):
                return False
            if "memory" not in self.controllers or not self._is_charged():
                return True
            memory_files.reclaim(self.directory, self.version)
            return not self._is_charged()
        except OSError:
            return False

    def _has_others_below(self) -> bool:
        """Whether the child has made cgroups in it, after which version 2 may let no process in."""
        if os.fstat(self.directory).st_nlink > _LINKS_OF_EMPTY:
            return True
        return self.version == VERSION_2 and bool(self._read("cgroup.subtree_control"))

    def _is_charged(self) -> bool:
        allowed = max(_LITTLE_BYTES, (self._limits.memory or 0) // _SMALL_PART)
        return memory_files.usage(self.directory, self.version) > allowed

    def close(self) -> None:
        """Close the descriptors and remove the directory; later, where a process is still in it."""
        if not self._files:
            return
        while self._files:
            os.close(self._files.pop())
        self.directory = self.entry = self._peak_file = -1
        cgroup_names.remove_or_keep(self.path)

    def __del__(self) -> None:
        if self._maker == os.getpid() and self._files:
            self.close()
