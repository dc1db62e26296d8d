"""The spawn of a command without blocking the loop."""

import asyncio
import itertools
import math
import sys
from collections.abc import Sequence
from typing import Unpack

from anyio import CancelScope, current_effective_deadline, sleep
from anyio.lowlevel import checkpoint

from .._process import awaiting
from .._process.child import Child
from .._program.command import Command, begin
from .._program.launching import LAUNCHED, Report, Underway
from .._setup.checks import Text
from .._setup.options import Options
from .._setup.rows import OPTIONS
from .._setup.validate import unknown
from ..exit_status import ExitStatus

# Most clone calls take a fiftieth of this. To stand still so long costs the loop less than to look again;
# a shorter patience costs more, since the kernel then has to set the timer of the processor for it.
_PATIENCE_SECONDS = 0.005
_SHORT_PATIENCE_SECONDS = 0.0005  # beside one that takes longer: enough for most, too
_MOST_IN_A_ROW = 8  # then the others have a turn
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.05
# Nobody is in a scope that is cancelled unless one of these is there; to ask costs half a hand-over.
_CANCEL_SCOPES = ("trio", "anyio._backends._asyncio")
_CANCELLED = -math.inf  # the deadline in such a scope

_births = itertools.count(1)


async def spawn(command: Command | Sequence[Text], **options: Unpack[Options]) -> Child[None]:
    """Spawn a command without blocking the loop: command.spawn().

    command: worked out already, or the words of one and, as options, its surroundings.

    The calling thread makes the child, which has all that this thread has and lacks what it has given
    up. The loop stands still for the few milliseconds at most in which nearly every child comes to its
    program; for one that takes longer it goes on. Returns the Child, which is the caller's: await it,
    or use it as a context manager. A cancellation kills and reaps it, also on its way to the program.
    Raises as Command.spawn() does.
    Needs: what the command needs.
    Source: clone(2), execve(2).
    """
    if "argv" in options:  # which is Command's own first word
        raise unknown("argv", OPTIONS)
    if not isinstance(command, Command):
        command = Command(command, **options)
    elif options:
        raise TypeError("a Command has its options already")
    child = command.new_child()
    try:
        await launch(command, child)
        return child  # within, since a signal's handler may raise at this line as well
    except BaseException:
        await abandon(child)
        raise


async def launch(command: Command, child: Child[None]) -> None:
    """command.launch() without blocking the loop."""
    others_turn = next(_births) % _MOST_IN_A_ROW == 0
    if _is_plain_asyncio():
        if others_turn:
            await asyncio.sleep(0)
    elif others_turn or current_effective_deadline() == _CANCELLED:
        await checkpoint()
    rest = begin(command, child, IN_LOOP.patience())
    if rest is not None:
        await rest.arrive(child, IN_LOOP)


async def abandon(child: Child[None] | None) -> None:
    """Nobody will ever have it: kill and reap it, if it was born."""
    if child is not None and child.pid != 0:
        await awaiting.end(child)


def _is_plain_asyncio() -> bool:
    return sys.modules.keys().isdisjoint(_CANCEL_SCOPES)


class InLoop:
    """What a clone call waits for, under asyncio or trio; see blocking.Waits."""

    def __init__(self) -> None:
        self._late: set[Underway] = set()

    def patience(self) -> float:
        """For how many seconds a loop may stand still; where one clone call hangs, others may."""
        return min(_PATIENCE_SECONDS, _SHORT_PATIENCE_SECONDS) if self._late else _PATIENCE_SECONDS

    async def reach(self, child: Underway, gate: int) -> Report:
        """Wait until the child is at that gate; a cancellation kills it."""
        report = child.reach(gate, 0.0 if child.is_late else self.patience())
        if report is not None:
            return report
        self._late.add(child)
        try:
            return await _seen(child, gate)
        except BaseException:
            child.cancel()
            try:
                with CancelScope(shield=True):
                    await _seen(child, LAUNCHED)
            finally:
                child.reach(LAUNCHED)  # a shield is none against asyncio's own cancel
            raise
        finally:
            self._late.discard(child)

    async def run(self, command: Command) -> ExitStatus:
        """Run a program to its end; a cancellation kills it."""
        return await awaiting.conclude(await spawn(command), awaiting.end)


IN_LOOP = InLoop()


async def _seen(child: Underway, gate: int) -> Report:
    """A child on its way has nothing to tell it by but a futex, and no loop can wait for that."""
    pause = _FIRST_PAUSE_SECONDS
    while (report := child.reach(gate, 0.0)) is None:
        await (asyncio.sleep(pause) if _is_plain_asyncio() else sleep(pause))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    return report
