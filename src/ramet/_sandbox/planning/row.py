"""A row of a plan: one wish, and by what it is met."""

from typing import Literal, NamedTuple, TypeAlias

from .questions import Answer

Met: TypeAlias = Literal["fully", "partly", "not"]


class Row(NamedTuple):
    """One wish and by what it is met.

    ``wish``: the field of the Sandbox, or what is always wished; ``text``: it in words. ``mechanism``:
    empty where nothing meets it. ``shortfall``: what is not met of it. ``remedy``: what the administrator
    or the caller changes to have all of it. ``refused``: the kernel's answer behind it. ``announced``: the
    description says that so much is done where no more can be. ``path``: the one that is meant.
    ``mistaken``: the description is in error, and not this machine.
    """

    wish: str
    text: str
    met: Met
    mechanism: str = ""
    shortfall: str = ""
    remedy: str = ""
    refused: Answer | None = None
    announced: bool = False
    path: str = ""
    mistaken: bool = False

    @property
    def is_short(self) -> bool:
        """Whether ``require="all"`` refuses it."""
        return self.met == "not" or (self.met == "partly" and not self.announced)
