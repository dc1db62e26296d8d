"""The cgroup that a child was born in, as it was before."""

from typing import NamedTuple, Self

from .cgroup import OwnCgroup
from .oom import OomKills


class Birthplace(NamedTuple):
    """The cgroup as the child's alone, if nobody else was there, and its kills for want of memory."""

    own: OwnCgroup | None
    oom_kills: OomKills | None

    @classmethod
    def at_birth(cls, directory: int) -> Self:
        """By the descriptor of the directory, before the birth."""
        return cls(OwnCgroup.at_birth(directory), OomKills.at_birth(directory))
