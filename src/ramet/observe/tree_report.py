"""What is told of the tasks of a tree."""

import functools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..law import SHARES
from ..law.svg import Theme

# What kcmp compares, and what a link in /proc/PID/ns shows.
OBJECTS = tuple(row.key for row in SHARES if row.probe.startswith("KCMP_"))
NAMESPACES = tuple(row.key for row in SHARES if row.probe.startswith("/proc/PID/ns/"))
CGROUP = "cgroup"


@dataclass(frozen=True)
class Task:
    """One task of a tree: a process or a thread.

    ``pid`` (for a thread its tid) and ``start_time`` (in clock ticks since boot) identify it. ``process``:
    the pid of its process, which is its own unless it is a thread. ``parent``: for a process the pid of
    its parent, for a thread ``process``; 0 for none. ``depth``: how many tasks of the tree are above it.
    ``name`` and ``state`` are those of proc_pid_stat(5), X where it has ended meanwhile. ``kernel``:
    whether it is a thread of the kernel.

    ``shares``: whether it has the same as its parent of what ramet.relation() compares, and of its
    control groups (``cgroup``): True, False, or None where ``unknown`` says why. Empty without a parent.
    ``uses``: of each kernel object that kcmp(2) compares, the pid of the first task that uses the same one;
    None where it has none. Tasks with the same pid there share the object, whoever made it.
    ``namespaces``: the inode numbers of its namespaces. ``cgroups``: the path of its control group in
    each hierarchy, by controllers, "" for that of version 2. What may not be looked at is missing.
    """

    pid: int
    process: int
    parent: int
    depth: int
    name: str
    state: str
    start_time: int
    kernel: bool
    shares: Mapping[str, bool | None]
    uses: Mapping[str, int | None]
    namespaces: Mapping[str, int]
    cgroups: Mapping[str, str]
    unknown: Mapping[str, str]

    @property
    def is_thread(self) -> bool:
        """Whether it is a thread beside the first one of its process."""
        return self.pid != self.process

    @property
    def has_ended(self) -> bool:
        """Whether it is a zombie, or has ended meanwhile."""
        return self.state in {"Z", "X"}

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            field.name: dict(value) if isinstance(value, Mapping) else value
            for field in fields(self)
            for value in [getattr(self, field.name)]
        }


@dataclass(frozen=True, repr=False)
class Tree:
    """Tasks, each before those below it: its threads, then its children, the oldest first.

    ``str()`` has a line for each, and says what is not so as a rule; threads that share all with their
    process are counted. The answer is not of one moment: tasks begin and end while others are looked at.
    """

    tasks: tuple[Task, ...]

    def __str__(self) -> str:
        from .tree_rows import rows  # which needs this module

        return "\n".join(map(str, rows(self)))

    def __repr__(self) -> str:
        return str(self)  # at a prompt, all of it

    def svg(self, theme: Theme = "auto") -> str:
        """A picture of the same.

        theme: light, dark, or auto: which of the two is up to the one who looks at it.
        Returns an SVG document. Raises ValueError for another theme.
        """
        from .tree_picture import picture
        from .tree_rows import rows

        return picture(rows(self), "processes and what they share", theme)

    def _repr_svg_(self) -> str:
        return self.svg()  # in a notebook

    def _repr_html_(self) -> str:
        from ..law.notebook import picture_and_words

        return picture_and_words(self.svg(), str(self))

    @functools.cached_property
    def by_pid(self) -> Mapping[int, Task]:
        """The tasks by their pids."""
        return {task.pid: task for task in self.tasks}

    @functools.cached_property
    def users(self) -> Mapping[tuple[str, int], list[int]]:
        """Which tasks use an object: by its kind, and the first of them as in ``uses``."""
        found: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for task in self.tasks:
            for kind, first in task.uses.items():
                if first is not None:
                    found[kind, first].append(task.pid)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"tasks": [task.to_dict() for task in self.tasks]}
