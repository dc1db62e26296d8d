"""What is different between two looks at a tree."""

from typing import Final, NamedTuple

from .._kernel import procfs
from ..observe import Task, Tree

WORDS: Final = {"+": "begun", "-": "ended", ">": "left", "~": "changed"}


class Change(NamedTuple):
    """A task that has begun (+), ended (-) or changed (~), with the tree in which it is.

    It has left (>) when it lives on, and its parent's end has made it the child of a task elsewhere.
    """

    sign: str
    task: Task
    tree: Tree


def changes(before: Tree, now: Tree) -> list[Change]:
    """Of a pid that another task has got meanwhile, one has ended and one has begun."""
    old, new = _living(before), _living(now)
    return [
        *(Change(_gone(task), task, before) for key, task in old.items() if key not in new),
        *(Change("+", task, now) for key, task in new.items() if key not in old),
        *(
            Change("~", task, now)
            for key, task in new.items()
            if key in old and _told(old[key]) != _told(task)
        ),
    ]


def _living(tree: Tree) -> dict[tuple[int, int], Task]:
    return {(task.pid, task.start_time): task for task in tree.tasks if not task.has_ended}


def _gone(task: Task) -> str:
    words = procfs.stat_if_any(task.pid)
    lives = words and words[procfs.STATE] not in "ZX"
    return ">" if lives and int(words[procfs.START_TIME]) == task.start_time else "-"


def _told(task: Task) -> tuple[object, ...]:
    """What is a change when it is another. ``uses`` is not: another may be the first user."""
    return task.name, task.parent, task.shares, task.namespaces, task.cgroups
