"""The cgroup that a child was born in, as it was before."""

from typing import Self

from ..._kernel.oom_kills import OomKills
from .own_cgroup import OwnCgroup


class InitialCgroup:
    """The cgroup as the child's alone, if nobody else was there, and its kills for want of memory."""

    def __init__(self, own: OwnCgroup | None, oom_kills: OomKills | None) -> None:
        self.own = own
        self.oom_kills = oom_kills

    @classmethod
    def before_clone(cls, directory: int) -> Self:
        """By the descriptor of the directory, before the clone call."""
        return cls(OwnCgroup.before_clone(directory), OomKills.before_clone(directory))
