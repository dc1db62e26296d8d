"""A row of the tour: one statement, observed on the running kernel without and with what it speaks of."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What the running kernel made of a statement."""

    HOLDS = "holds"
    CHANGED = "changed"
    GONE = "gone"
    NOT_PERMITTED = "not permitted here"
    DIFFERS = "DIFFERS"


@dataclass(frozen=True)
class Seen:
    """What was observed: without the flag (or before), with it (or after), and what follows."""

    without: str
    with_: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Row:
    """One statement of the book, or one flag, and the experiment that puts it to the kernel."""

    id: str
    group: str
    statement: str
    experiment: Callable[[], Seen]


class NotPermitted(Exception):  # noqa: N818 - it tells what is so, not what went wrong
    """Raised by an experiment that this machine, or this user, cannot do: says what is missing."""


def verdict(as_expected: bool, today: Verdict = Verdict.HOLDS) -> Verdict:
    """`today` when the kernel did what our facts say, else DIFFERS."""
    return today if as_expected else Verdict.DIFFERS
