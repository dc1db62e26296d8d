"""The spawn of a command without blocking the loop."""

import asyncio
import itertools
import math
import sys
from collections.abc import Sequence
from typing import Unpack

from anyio import CancelScope, current_effective_deadline, sleep
from anyio.lowlevel import checkpoint

from .._kernel.timeouts import pauses
from .._process import awaiting
from .._process.child import Child
from .._process.launching import LAUNCHED, Report, Underway
from .._program.command import Command, begin
from .._setup.checks import Text
from .._setup.options import Options
from .._setup.rows import OPTIONS
from .._setup.validate import unknown
from ..exit_status import ExitStatus

# Most launches take a fiftieth of this. To block the loop so long takes less time than to poll; a shorter
# limit takes more, since the kernel then has to set the processor's timer.
_PATIENCE_SECONDS = 0.005
_SHORT_PATIENCE_SECONDS = 0.0005  # while another launch takes longer; enough for most
_MOST_IN_A_ROW = 8  # then other tasks run
_FIRST_PAUSE_SECONDS = 0.001
# A cancelled scope needs one of these modules; to ask for its deadline takes half as long as a task switch.
_CANCEL_SCOPES = ("trio", "anyio._backends._asyncio")
_CANCELLED = -math.inf  # the deadline in such a scope

_launches = itertools.count(1)


async def spawn(command: Command | Sequence[Text], **options: Unpack[Options]) -> Child[None]:
    """Spawn a command without blocking the loop: command.spawn().

    command: a Command, or a sequence of words with options as for a Command.

    The calling thread makes the child, which has the rights and namespaces of this thread. The loop is
    blocked for 5 milliseconds at most, in which nearly every child comes to its program; for one that takes
    longer it goes on. Returns the Child: await it, or use it as a context manager. A cancellation kills
    and reaps it, also before its program runs.
    Raises as Command.spawn() does.
    Needs: what the command needs.
    Source: clone(2), execve(2).
    """
    if "argv" in options:  # the name of Command's first parameter
        raise unknown("argv", OPTIONS)
    if not isinstance(command, Command):
        command = Command(command, **options)
    elif options:
        raise TypeError(f"a Command has its options already: leave out {', '.join(options)}")
    child = command._new_child()
    try:
        await launch(command, child)
        return child  # inside the try, since a signal handler may raise at this line, too
    except BaseException:
        await discard(child)
        raise


async def launch(command: Command, child: Child[None]) -> None:
    """command._launch() without blocking the loop."""
    others_turn = next(_launches) % _MOST_IN_A_ROW == 0
    if _is_plain_asyncio():
        if others_turn:
            await asyncio.sleep(0)
    elif others_turn or current_effective_deadline() == _CANCELLED:
        await checkpoint()
    rest = begin(command, child, IN_LOOP.patience())
    if rest is not None:
        await rest.arrive(child, IN_LOOP)


async def discard(child: Child[None] | None) -> None:
    """Kill and reap a child whose handle will not be returned, if it was made."""
    if child is not None and child.pid != 0:
        await awaiting.end(child)


def _is_plain_asyncio() -> bool:
    return sys.modules.keys().isdisjoint(_CANCEL_SCOPES)


class InLoop:
    """The waits of a launch under asyncio or trio; see blocking.Waits."""

    def __init__(self) -> None:
        self._late: set[Underway] = set()

    def patience(self) -> float:
        """For how many seconds a launch may block the loop; less while another takes long."""
        return min(_PATIENCE_SECONDS, _SHORT_PATIENCE_SECONDS) if self._late else _PATIENCE_SECONDS

    async def reach(self, child: Underway, gate: int) -> Report:
        """Wait until the child is at that gate; a cancellation kills it."""
        report = child.reach(gate, 0.0 if child.is_late else self.patience())
        if report is not None:
            return report
        self._late.add(child)
        try:
            return await _poll(child, gate)
        except BaseException:
            child.cancel()
            try:
                if not awaiting.waits_no_more():
                    with CancelScope(shield=True):
                        await _poll(child, LAUNCHED)
            finally:
                child.reach(LAUNCHED)  # a shield does not hold off asyncio's own cancellation
            raise
        finally:
            self._late.discard(child)

    async def run(self, command: Command) -> ExitStatus:
        """Run a program to its end; a cancellation kills it."""
        return await awaiting.conclude(await spawn(command), awaiting.end)


IN_LOOP = InLoop()


async def _poll(child: Underway, gate: int) -> Report:
    """Poll: a launched child reports through a futex, for which no loop can wait."""
    pause = pauses(_FIRST_PAUSE_SECONDS)
    while (report := child.reach(gate, 0.0)) is None:
        seconds = next(pause)
        await (asyncio.sleep(seconds) if _is_plain_asyncio() else sleep(seconds))
    return report
