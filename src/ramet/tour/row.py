"""A row of the tour: one statement, tried on the running kernel without and with its subject."""

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Whether a statement holds on the running kernel."""

    HOLDS = "holds"
    CHANGED = "changed"
    GONE = "gone"
    NOT_PERMITTED = "not permitted here"
    TOO_OLD = "needs a newer Linux"
    DIFFERS = "DIFFERS"


@dataclass(frozen=True)
class Seen:
    """What was observed: without the flag (or before), with it (or after), and what follows.

    ``needs``: the first Linux that can show it, where this one is too old.
    """

    without: str
    with_: str
    verdict: Verdict
    detail: str = ""
    needs: str = ""

    @property
    def verdict_told(self) -> str:
        """The verdict in words, with the version that it is about."""
        return f"needs Linux {self.needs}" if self.needs else self.verdict.value


@dataclass(frozen=True)
class Row:
    """One statement of the book, or one flag, and its experiment.

    ``word``: a statement's subject in one word; a flag has its id.
    """

    id: str
    group: str
    statement: str
    experiment: Callable[[], Seen]
    word: str = ""


class NotPermitted(Exception):  # noqa: N818 - it states a fact, and is no error
    """This machine, or this user, cannot do the experiment; the text says what is missing."""


class TooOld(NotPermitted):
    """The kernel cannot do it: ``needs`` is the first Linux that can."""

    def __init__(self, needs: str) -> None:
        release = platform.release()
        super().__init__(f"needs Linux {needs}: this kernel is {release}")
        self.needs = needs


def parse_release(release: str) -> tuple[int, int]:
    """The first two numbers of a kernel's release, (0, 0) when it has none."""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def lacking(since: str, answer: str) -> NotPermitted:
    """The exception for a request that needs that Linux and got this answer: an old kernel, or a filter."""
    if parse_release(platform.release()) < parse_release(since):
        return TooOld(since)
    return NotPermitted(
        f"is refused here ({answer}) though this kernel has it: perhaps by a seccomp filter"
    )


def verdict(as_expected: bool, today: Verdict = Verdict.HOLDS) -> Verdict:
    """`today` when the kernel did what our facts say, else DIFFERS."""
    return today if as_expected else Verdict.DIFFERS
