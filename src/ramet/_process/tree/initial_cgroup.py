"""The cgroup in which a child is made, as it was before the clone call."""

from typing import Self

from ..._kernel.oom_kills import OomKills
from .own_cgroup import OwnCgroup


class InitialCgroup:
    """The cgroup as the child's own, if no process was in it, and its count of out-of-memory kills."""

    def __init__(self, own: OwnCgroup | None, oom_kills: OomKills | None) -> None:
        self.own = own
        self.oom_kills = oom_kills

    @classmethod
    def before_clone(cls, directory: int) -> Self:
        """For the cgroup behind a descriptor of its directory."""
        return cls(OwnCgroup.before_clone(directory), OomKills.before_clone(directory))
