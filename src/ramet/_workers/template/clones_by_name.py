"""Clones of a template that no handle stands for: found by the name that its processes have, and ended.

They are children of this process. A template that was killed between a clone call and its answer has not
told of one; the descriptors of another may have been lost on their way.
"""

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from struct import error as StructError  # noqa: N812
from typing import Any

from ..._kernel import procfs
from ..._process.tree.pid_namespace import PidNamespace
from ..crossing.process_names import OF_INIT
from ..crossing.template_messages import PIDS
from .own_children import kill_and_reap

_MOST_PIDS = 1 << 22  # PID_MAX_LIMIT of linux/threads.h
_END_SECONDS = 1.0  # for all in a namespace to die


def end_those_named(name: str) -> None:
    """Kill what a process of that name has made as children of this one; it is reaped when it is dead."""
    for pid in procfs.children(os.getpid()):
        if _name_of(pid) in {name, name + OF_INIT}:
            PidNamespace(pid, -1).leave()


class ClonesByName:
    """Those of one template.

    name: that its clones have at first, and no other process; empty where they have none. is_doubted: it
    may name another process. is_confined: the pids that it tells are those of its namespace.
    """

    def __init__(self, name: str, *, is_doubted: bool, is_confined: bool) -> None:
        self._name = name
        self._is_doubted = is_doubted
        self._is_confined = is_confined
        self.lost: list[int] = []  # of a confined one: told, but with no descriptor; to be ended

    def are_its(self, parts: Sequence[Any]) -> bool:
        """Whether what it tells are clones of its. In a sandbox it tells numbers that are looked for."""
        try:
            pids = PIDS.unpack(bytes(parts[0]))
        except (IndexError, StructError):
            return False
        return pids[0] > 0 and (
            self._is_confined or all(map(self._has_its_name, filter(None, pids)))
        )

    def end_told(self, pids: Iterable[int]) -> None:
        """End and reap a clone and the init of its namespace, by what was told; 0 stands for none."""
        if self._is_confined:
            self.lost += filter(None, pids)
            self.end_found()
            return
        for pid in filter(None, pids):
            if not self._is_doubted or self._has_its_name(pid):
                self._end(pid)

    def end_found(self) -> None:
        """End those of ``lost``: their template has told the pids in its namespace.

        It is tried again later where there was no descriptor to look with.
        """
        with suppress(OSError):
            level = len(procfs.status("thread-self").get("NSpid", "").split())
            living = {
                _pid_at(level, pid): pid
                for pid in procfs.children(os.getpid())
                if self._has_its_name(pid)
            }
            found = [living[told] for told in self.lost if told in living]
            self.lost.clear()  # a number that nobody has may be that of a later clone
            for pid in found:
                self._end(pid)

    def _end(self, pid: int) -> None:
        """An init waits for all in its namespace to be reaped, which one that lies may keep from it."""
        if _name_of(pid) == self._name + OF_INIT:
            namespace = PidNamespace(pid, -1)
            namespace.leave()  # first: a signal handler may raise as it is waited for
            namespace.end(time.monotonic() + _END_SECONDS)  # nobody may come that reaps it later
        else:
            kill_and_reap(pid)

    def end_untold(self, last_told: int) -> None:
        """The template may have been killed between a clone call and its answer: end what it had made.

        That is one clone, and before it the init of its namespace. Their caller is their parent, and has
        been told of all that have pids before theirs. Of a call that runs for so long that the kernel has
        given all pids since it has a pidfd, as it has of all that it was told of.
        """
        if not self._name or not procfs.shows_own_pids():
            return
        ages = {pid: _pids_since(last_told, pid) for pid in procfs.children(os.getpid())}
        newer = [pid for pid, since in ages.items() if 0 < since < _pid_max() // 2]
        untold = [pid for pid in newer if self._has_its_name(pid)]
        told = procfs.numbers_of_all_pidfds() if untold else set()
        for pid in sorted(untold, key=ages.__getitem__, reverse=True):
            # The init waits for the clone.
            if pid not in told:
                kill_and_reap(pid)

    def _has_its_name(self, pid: int) -> bool:
        return _name_of(pid) in {self._name, self._name + OF_INIT}


def _pid_at(level: int, pid: int) -> int:
    """Its pid in the namespace so many levels below the outermost that can be seen; 0: it is in none."""
    return int(dict(enumerate(procfs.status(pid).get("NSpid", "").split())).get(level, 0))


def _name_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
            return comm.read().rstrip("\n")
    except OSError:  # it has been reaped meanwhile
        return ""


def _pids_since(told: int, pid: int) -> int:
    """How many the kernel has given since the one that was told; it begins again behind the largest."""
    return (pid - told) % _pid_max()


@lru_cache(1)
def _pid_max() -> int:
    try:
        with open("/proc/sys/kernel/pid_max", encoding="ascii") as number:
            return int(number.read())
    except FileNotFoundError:  # a /proc that was mounted with subset=pid has no /proc/sys
        return _MOST_PIDS
