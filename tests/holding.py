"""A program, one of whose new processes is held before it has done anything: as a debugger can."""

import os
import signal
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

import ramet
from ramet._kernel import procfs

from .constants import SECONDS
from .ptraced import EVENT_STOP, Told, let_go_on, next_told, seize
from .waiting import alarm


class Ended(NamedTuple):
    """How a program has ended, all of whose processes have."""

    code: int | None  # minus its signal; None where it was a child of nobody here
    held: bool  # whether one was held: else it has made fewer


class _Held:
    """The program writes a line, is traced from then on, and is given one; and another when one is held."""

    def __init__(self, argv: Sequence[str], number: int, kill: str | None) -> None:
        self._number = number
        self._kill = kill
        self._known: set[int] = set()
        self._held: Told | None = None
        self._program = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._known.add(self._program.pid)
        assert self._program.stdout is not None
        assert self._program.stdout.readline()
        seize(self._program.pid)
        self._say()

    def _say(self) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(b"go on\n")
        self._program.stdin.flush()

    def follow(self) -> Ended:
        """Until all have ended."""
        code, victim = None, 0
        while True:
            try:
                told = next_told()
            except ChildProcessError:
                return Ended(code, self._held is not None)
            if told.is_over:
                code = told.code if told.tid == self._program.pid else code
                if told.tid == victim and self._held is not None:
                    let_go_on(self._held)
            elif self._is_to_be_held(told):
                self._held = told
                victim = self._end_who_made(told.tid)
            else:
                let_go_on(told)

    def _is_to_be_held(self, told: Told) -> bool:
        """A process that has begun nothing: a new task stops before its first instruction."""
        if told.event != EVENT_STOP or told.tid in self._known:
            return False
        self._known.add(told.tid)
        if self._held is not None or procfs.status(told.tid)["Tgid"] != str(told.tid):
            return False
        self._number -= 1
        return self._number == 0

    def _end_who_made(self, held: int) -> int:
        """Whom it has killed; 0: nobody, that is for the program to do."""
        if self._kill is None:
            self._say()
            return 0
        victim = self._program.pid
        if self._kill == "its maker":
            victim = int(procfs.status(held)["PPid"])
        os.kill(victim, signal.SIGKILL)
        return victim


def hold(argv: Sequence[str], number: int, kill: str | None) -> Ended:
    """Run it, hold that one of its new processes, and come back when all have ended.

    It is traced from when it has written a line, and is given one then.
    kill: "the program" or "its maker" is killed while it is held, and then it goes on; None: the program
    gets a line of input then, and the one that is held never goes on.
    """

    def follow() -> Ended:
        ramet.set_subreaper(True)
        with alarm(SECONDS, TimeoutError):
            return _Held(argv, number, kill).follow()

    with ramet.clone(follow) as child:
        return child.result()
