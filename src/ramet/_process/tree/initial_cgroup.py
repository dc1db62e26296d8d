"""The cgroup that a child was born in, as it was before."""

from typing import Self

from ..._kernel.oom_kills import OomKills
from .own_cgroup import OwnCgroup


class Birthplace:
    """The cgroup as the child's alone, if nobody else was there, and its kills for want of memory."""

    def __init__(self, own: OwnCgroup | None, oom_kills: OomKills | None) -> None:
        self.own = own
        self.oom_kills = oom_kills

    @classmethod
    def at_birth(cls, directory: int) -> Self:
        """By the descriptor of the directory, before the birth."""
        return cls(OwnCgroup.at_birth(directory), OomKills.at_birth(directory))
