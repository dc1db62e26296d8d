"""What a task shows of itself in /proc."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .._kernel import procfs
from ..law import SHARES

_LINKS: Final = {
    row.key: row.probe.rpartition("/")[2] for row in SHARES if row.probe.startswith("/proc/PID/ns/")
}


@dataclass
class Look:
    """A task, and what is known of it so far. ``why``: the reason where it may not be looked at."""

    pid: int
    process: int
    parent: int
    name: str
    state: str
    start_time: int
    kernel: bool
    namespaces: Mapping[str, int] = field(default_factory=dict)
    cgroups: Mapping[str, str] = field(default_factory=dict)
    why: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether it is a zombie, or has ended since."""
        return self.state in {"Z", "X"}

    @property
    def is_thread(self) -> bool:
        """Whether it is a thread beside the first one."""
        return self.pid != self.process

    def look_further(self) -> None:
        """Read its namespaces and control groups."""
        if self.has_ended:
            return
        try:
            self.namespaces = {key: _inode(self.pid, _LINKS[key]) for key in _links_here()}
        except PermissionError as error:
            self.why = error.strerror or ""
        except OSError:
            self.look_again()
        try:
            self.cgroups = _read_cgroups(procfs.text_of(f"/proc/{self.pid}/cgroup"))
        except OSError:
            self.look_again()

    def look_again(self) -> None:
        """Note that it has ended since. Another task may have its pid by now, and started later."""
        now = look(self.pid)
        if now is None or now.start_time != self.start_time or now.has_ended:
            self.state = "X" if now is None or now.start_time != self.start_time else now.state
            self.namespaces, self.cgroups, self.why = {}, {}, ""


def look(pid: int, process: int | None = None) -> Look | None:
    """A process, or a thread of one; None when there is none."""
    place = str(pid) if process is None else f"{process}/task/{pid}"
    try:
        name, words = procfs.named_stat(place)
    except OSError:
        return None
    if len(words) <= procfs.START_TIME:
        return None
    return Look(
        pid=pid,
        process=process or pid,
        parent=process or int(words[procfs.PPID]),
        name=name,
        state=words[procfs.STATE],
        start_time=int(words[procfs.START_TIME]),
        kernel=procfs.is_of_kernel(words),
    )


def processes() -> dict[int, Look]:
    """All processes that /proc shows, each with a parent that is older, or that is not among them."""
    found = {one.pid: one for pid in procfs.processes() if (one := look(pid)) is not None}
    for one in list(found.values()):
        if _is_doubtful(one, found):  # the parent has ended since, or its pid is another's
            again = look(one.pid)
            if again is None or again.start_time != one.start_time:
                del found[one.pid]
                continue
            one.parent = again.parent
            if _is_doubtful(one, found):
                one.parent = 0
    return found


def _is_doubtful(one: Look, found: Mapping[int, Look]) -> bool:
    parent = found.get(one.parent)
    return one.parent != 0 and (parent is None or parent.start_time > one.start_time)


def threads(process: Look) -> list[Look]:
    """The other threads of a process, the oldest first."""
    tids = [int(tid) for tid in procfs.threads(process.pid)]
    found = [one for tid in tids if tid != process.pid and (one := look(tid, process.pid))]
    return sorted(found, key=lambda one: (one.start_time, one.pid))


def _links_here() -> list[str]:
    """Those that this kernel has: clocks have a namespace since Linux 5.6."""
    global _here
    if not _here:
        there = os.listdir("/proc/self/ns")
        _here = [key for key, name in _LINKS.items() if name in there]
    return _here


_here: list[str] = []


def _inode(pid: int, name: str) -> int:
    """That of a link to "net:[4026531840]"."""
    return int(os.readlink(f"/proc/{pid}/ns/{name}").rpartition("[")[2].rstrip("]"))


def _read_cgroups(text: str) -> dict[str, str]:
    """The paths by controllers. Source: cgroups(7) /proc/PID/cgroup."""
    fields = (line.split(":", 2) for line in text.splitlines())
    return {controllers: path for _, controllers, path in fields}
