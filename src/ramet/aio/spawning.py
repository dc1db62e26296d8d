"""The spawn of a command without blocking the loop."""

import asyncio
import itertools
import math
import sys
from collections.abc import Sequence
from typing import Unpack

from anyio import CancelScope, current_effective_deadline, move_on_after, sleep
from anyio.lowlevel import checkpoint

from .. import awaiting, pidfd
from ..child import Child
from ..exit_status import ExitStatus
from ..launching import LAUNCHED, Report, Sponsor
from ..options import Options, Text
from ..program import Command, Launch, begin

# Most births take a fiftieth of this. To stand still so long costs the loop less than to be told;
# a shorter patience costs more, since the kernel then has to set the timer of the processor for it.
_PATIENCE_SECONDS = 0.005
_MOST_IN_A_ROW = 8  # then the others have a turn
_AGAIN_SECONDS = 0.01
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.05
# Nobody is in a scope that is cancelled unless one of these is there; to ask costs half a hand-over.
_CANCEL_SCOPES = ("trio", "anyio._backends._asyncio")
_CANCELLED = -math.inf  # the deadline in such a scope

_births = itertools.count(1)


async def spawn(command: Command | Sequence[Text], **options: Unpack[Options]) -> Child[None]:
    """Spawn a command without blocking the loop: command.spawn(), by a thread kept for births.

    command: worked out already, or the words of one and, as options, its surroundings.

    The loop stands still for the few milliseconds at most in which nearly every child is born; for
    one that takes longer it goes on. Returns the Child, which is the caller's: await it, or use it
    as a context manager. A cancellation kills and reaps it, also in the midst of its birth.
    Raises as Command.spawn() does.
    Needs: what the command needs.
    Source: clone(2), execve(2).
    """
    if not isinstance(command, Command):
        command = Command(command, **options)
    elif options:
        raise TypeError("a Command has its options already")
    others_turn = next(_births) % _MOST_IN_A_ROW == 0
    if sys.modules.keys().isdisjoint(_CANCEL_SCOPES):
        if others_turn:
            await asyncio.sleep(0)
    elif others_turn or current_effective_deadline() == _CANCELLED:
        await checkpoint()
    begun = begin(command, IN_LOOP.patience())
    return begun if isinstance(begun, Child) else await _arrival(begun)


async def _arrival(launch: Launch) -> Child[None]:
    try:
        return await launch.arrive(IN_LOOP)
    except BaseException:
        launch.sponsor.cancel()
        if (child := launch.remains()) is not None:
            await awaiting.end(child)
        raise


class InLoop:
    """What a birth waits for, under asyncio or trio; see blocking.Waits."""

    def __init__(self) -> None:
        self._late: set[Sponsor] = set()

    def patience(self) -> float:
        """For how many seconds a loop may stand still; where one birth hangs, others may."""
        return 0.0 if self._late else _PATIENCE_SECONDS

    async def reach(self, sponsor: Sponsor, gate: int) -> Report:
        """Wait until the child is at that gate; a cancellation kills it."""
        report = sponsor.reach_within(gate, 0.0 if sponsor.is_late else self.patience())
        if report is not None:
            return report
        self._late.add(sponsor)
        try:
            return await (_over(sponsor) if gate == LAUNCHED else _seen(sponsor, gate))
        except BaseException:
            try:
                await _cancel(sponsor)
            finally:
                _cancel_now(sponsor)
            raise
        finally:
            self._late.discard(sponsor)

    async def run(self, command: Command) -> ExitStatus:
        """Run a program to its end; a cancellation kills it."""
        return await awaiting.conclude(await spawn(command), awaiting.end)


IN_LOOP = InLoop()


async def _over(sponsor: Sponsor) -> Report:
    await awaiting.readable(sponsor.event())
    return sponsor.reach(LAUNCHED)


async def _seen(sponsor: Sponsor, gate: int) -> Report:
    """A child at a gate has nothing left to tell it by but a futex, and no loop can wait for that."""
    pause = _FIRST_PAUSE_SECONDS
    while (report := sponsor.reach_within(gate, 0.0)) is None:
        await sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    return report


async def _cancel(sponsor: Sponsor) -> None:
    """Kill what is being born, and wait until it is over, whatever is cancelled meanwhile."""
    with CancelScope(shield=True):
        while True:
            sponsor.cancel()  # again, since it may not have come as far as to have a pidfd
            with move_on_after(_AGAIN_SECONDS):
                return await awaiting.readable(sponsor.event())


def _cancel_now(sponsor: Sponsor) -> None:
    """The same with the loop standing still: a shield is none against asyncio's own cancel."""
    while not pidfd.wait_readable(sponsor.event(), 0.0):
        sponsor.cancel()
        pidfd.wait_readable(sponsor.event(), _AGAIN_SECONDS)
