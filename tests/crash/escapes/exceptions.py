"""What gets through all the same, read from weak_points.txt: `names | where | when | why`."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from ramet._sandbox.planning.machine import this_machine

FILE = Path(__file__).with_name("weak_points.txt")
_FIELDS, _NEWEST_ABI = 4, 9


class WeakPoint(NamedTuple):
    """An escape, or several by `*`, that a confinement cannot stop.

    where: confined or weakest; when: words that must all hold: root, user, landlock<6 (an older ABI of
    Landlock's than that); by chance: it may be stopped as well.
    """

    names: re.Pattern[str]
    where: str
    when: frozenset[str]
    by_chance: bool
    why: str

    def concerns(self, name: str, where: str) -> bool:
        """Whether it is of that escape and that confinement."""
        return self.where == where and self.names.fullmatch(name) is not None


def weak_points() -> list[WeakPoint]:
    """All of them."""
    lines = [
        line for line in FILE.read_text().splitlines() if line.strip() and not line.startswith("#")
    ]
    return [_read(line) for line in lines]


def _read(line: str) -> WeakPoint:
    fields = [field.strip() for field in line.split("|")]
    assert len(fields) == _FIELDS, f"not `names | where | when | why`: {line}"
    names, where, when, why = fields
    pattern = re.compile(".*".join(map(re.escape, names.split("*"))))
    words = frozenset(when.split())
    return WeakPoint(pattern, where, words - {"chance"}, "chance" in words, why)


def weak_point(name: str, where: str, *, by_user: bool | None = None) -> WeakPoint | None:
    """That of an escape in a confinement; by_user: whether a plain user's, None for who runs this."""
    holds = {"user" if (os.geteuid() if by_user is None else by_user) else "root"}
    holds |= {f"landlock<{abi}" for abi in range(this_machine().landlock_abi + 1, _NEWEST_ABI + 1)}
    found = (one for one in weak_points() if one.concerns(name, where) and one.when <= holds)
    return next(found, None)
