"""How the child's descriptors come from the caller's."""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from .checks import DEVNULL
from .order import Steps

LAST_DESCRIPTOR = (1 << 32) - 1

_F_SETFD = 2
_LAST_STANDARD = 2
_STANDARD = tuple(range(_LAST_STANDARD + 1))
_MOST_SENT = 32  # RAMET_MOST_SENT in native/child/descriptor_message.h
_LEAST_TABLE = 64  # that a sandbox allows whose children are confined ahead
_FAR = 256  # to copy a table up to here costs no more than to ask for three descriptors


class Moves:
    """How the child's descriptors come from the caller's, in any order, cycles included.

    A source that some other move would overwrite is saved out of the way first, and so is what is
    opened for the child. Sources far up in the caller's table are fetched from there instead of
    copying all that is open below them, where the clone call allows it.
    """

    def __init__(
        self,
        validated: Mapping[str, Any],
        *,
        may_fetch: bool = False,
        keeps_standard: bool = True,
    ) -> None:
        self._keeps_standard = keeps_standard
        self.targets: dict[int, int] = dict(validated.get("fds", ()))
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if name in validated:
                self.targets[number] = validated[name]
        self.kept: frozenset[int] = frozenset(validated.get("pass_fds", ()))
        self.close_others: bool = validated.get("close_fds", True)
        numbers = {_LAST_STANDARD, *self.targets, *self.kept}
        sources = {source for source in self.targets.values() if source >= 0}
        self.fetched: list[int] = []
        if may_fetch and self.close_others and max(numbers) < _FAR:
            self.fetched = sorted(source for source in sources if source >= _FAR)
        # From here on nothing is needed: in the caller's table, and in one without what is fetched,
        # in which whatever is saved lies above the others.
        self.above = max(numbers | sources) + 1
        self.near = max(numbers | sources.difference(self.fetched)) + 1
        self.saved = sorted(
            {s for t, s in self.targets.items() if s != t and (s in self.targets or s == DEVNULL)}
        )

    def __bool__(self) -> bool:
        return bool(self.targets or self.kept or self.close_others)

    def prepare(self, steps: Steps) -> None:
        """Before anything is moved: open and save."""
        for slot, source in enumerate(self.saved):
            if source == DEVNULL:
                path = os.fsencode(os.devnull)
                steps.add("open", "OPEN", path, os.O_RDWR, slot, self.near, file=path)
            else:
                steps.add("fcntl(F_DUPFD)", "SAVE", source, slot, self.near)
        for slot, source in enumerate(self.fetched, len(self.saved)):
            steps.add("pidfd_getfd", "FETCH", source, slot, self.near)

    def carry_out(self, steps: Steps, end: int, also: Sequence[int] = ()) -> None:
        """Each descriptor under its number, the others closed: the table had none from `end` on.

        also: what more stays.
        """
        in_slots = [*self.saved, *self.fetched]
        for target, source in sorted(self.targets.items()):
            if source == target:
                steps.add("fcntl(F_SETFD)", "FCNTL", target, _F_SETFD, 0)
            elif source in in_slots:
                steps.add("dup3", "RESTORE", in_slots.index(source), target)
            else:
                steps.add("dup3", "DUP", source, target, 0)
        for number in sorted(self.kept):
            steps.add("fcntl(F_SETFD)", "FCNTL", number, _F_SETFD, 0)
        if self.close_others:
            self.close(steps, end=LAST_DESCRIPTOR if in_slots else end, also=also)

    def close(self, steps: Steps, *, end: int = LAST_DESCRIPTOR, also: Sequence[int] = ()) -> None:
        """Close what shall not stay; also: what more stays. The table had none from `end` on."""
        for first, last in self._gaps(also):
            if first < end:
                steps.add("close_range", "CLOSE_RANGE", first, last)

    def _gaps(self, also: Sequence[int]) -> list[tuple[int, int]]:
        """What lies between and above the descriptors that stay."""
        staying = {*self.targets, *self.kept, *also}
        if self._keeps_standard:
            staying = {*staying, _LAST_STANDARD} - {0, 1}
        bounds = [*([] if self._keeps_standard else [-1]), *sorted(staying), LAST_DESCRIPTOR + 1]
        return [(a + 1, b - 1) for a, b in itertools.pairwise(bounds) if a + 1 <= b - 1]


class Received:
    """How the descriptors of a child that has none come from those that it is sent, in slots.

    moves: what they would come from in a child that has copied the caller's. inherited: what
    inherited() has told. nothing: a descriptor of /dev/null. ``sent``: the caller's, in the order of the
    slots.
    """

    def __init__(self, moves: Moves, inherited: tuple[int, ...], nothing: int) -> None:
        self._targets = {number: number for number in inherited}
        self._targets |= {number: number for number in moves.kept}
        for target, source in moves.targets.items():
            self._targets[target] = nothing if source == DEVNULL else source
        self.sent = tuple(sorted(set(self._targets.values())))
        self._above = max(self._targets, default=0) + 1

    @property
    def are_few(self) -> bool:
        """Whether one message takes them, and any table has room for them."""
        return len(self.sent) <= _MOST_SENT and self._above + len(self.sent) < _LEAST_TABLE

    def carry_out(self, steps: Steps) -> None:
        """Each under its number; those that came are closed by the exec."""
        for slot in range(len(self.sent)):
            steps.add("fcntl(F_DUPFD)", "RAISE", slot, self._above)
        for target, source in sorted(self._targets.items()):
            steps.add("dup3", "RESTORE", self.sent.index(source), target)


def inherited() -> tuple[int, ...]:
    """The standard descriptors that a program would have of this process now."""
    try:
        if all(map(os.get_inheritable, _STANDARD)):
            return _STANDARD
    except OSError:  # one is closed
        pass
    return tuple([number for number in _STANDARD if _is_inherited(number)])


def _is_inherited(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # it is closed
        return False
