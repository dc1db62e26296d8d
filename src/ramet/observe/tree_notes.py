"""What is worth saying of a task in a tree: what is not so of most children and threads."""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from ..law import SHARES
from .tree_report import CGROUP, NAMESPACES, OBJECTS, Task, Tree

_MOST_PIDS: Final = 3
_WHAT: Final = {row.key: row.what for row in SHARES}
_LINK: Final = {row.key: row.probe.rpartition("/")[2] for row in SHARES if row.key in NAMESPACES}
# A thread has one of its own as a rule, since pthread_create() does not ask to share it.
_NOT_OF_THREADS: Final = "io"
_OF_CHILDREN: Final = "_for_children"


Kind: TypeAlias = Literal["shared", "apart", "unknown"]
_AS_PARENT: Final[dict[bool | None, tuple[Kind, str]]] = {
    True: ("shared", "same"),
    False: ("apart", "own"),
    None: ("unknown", "in"),
}


class Note(NamedTuple):
    """Words about a task: of what it shares, what it has of its own, or what is not known."""

    kind: Kind
    words: str


def notes(task: Task, tree: Tree, everything: bool = False) -> list[Note]:
    """All that is to be said of it. everything: also what is so as a rule."""
    if task.has_ended:
        return [Note("unknown", "ended" if task.state == "X" else "ended, not waited for")]
    found = [*_shared(task, everything), *_with_others(task, tree), *_own(task, tree, everything)]
    return [
        *found,
        *_namespaces(task, everything),
        *_cgroups(task, tree, everything),
        *_unknown(task),
    ]


def _shared(task: Task, everything: bool) -> Iterator[Note]:
    """With its parent. A thread shares everything with its process as a rule."""
    same = [_WHAT[key] for key in OBJECTS if task.shares.get(key)]
    if same and (everything or not task.is_thread):
        yield Note("shared", f"shares {', '.join(same)}")


def _with_others(task: Task, tree: Tree) -> Iterator[Note]:
    """What it does not share with its parent, but with tasks that have it neither from theirs."""
    for key, others in _partners(task, tree).items():
        if others:
            more = len(others) - _MOST_PIDS
            pids = ", ".join(map(str, others[:_MOST_PIDS]))
            yield Note(
                "shared", f"{_WHAT[key]} with {pids}{f' and {more} more' if more > 0 else ''}"
            )


def _partners(task: Task, tree: Tree) -> dict[str, list[int]]:
    """By kind, for the objects that it does not share with its parent."""
    objects = {key: first for key, first in task.uses.items() if first and not task.shares.get(key)}
    return {
        key: [
            pid
            for pid in tree.users[key, first]
            if pid != task.pid and not tree.by_pid[pid].shares.get(key)
        ]
        for key, first in objects.items()
    }


def _own(task: Task, tree: Tree, everything: bool) -> Iterator[Note]:
    """What a thread does not share with its process."""
    if not everything and not task.is_thread:
        return
    own = [
        _WHAT[key]
        for key, others in _partners(task, tree).items()
        if task.shares.get(key) is False and not others
        if everything or key != _NOT_OF_THREADS
    ]
    if own:
        yield Note("apart", f"own {', '.join(own)}")


def _namespaces(task: Task, everything: bool) -> Iterator[Note]:
    shown: dict[bool | None, list[str]] = {True: [], None: [], False: []}
    for key, inode in task.namespaces.items():
        whose = key.removesuffix(_OF_CHILDREN)
        is_its_own = key != whose and inode == task.namespaces.get(whose)
        is_shared = task.shares.get(key)
        if everything or (is_shared is False and not is_its_own):
            shown[is_shared].append(f"{_LINK[key]}:[{inode}]")
    for is_shared, links in shown.items():
        if links:
            kind, word = _AS_PARENT[is_shared]
            yield Note(kind, f"{word} {', '.join(links)}")


def _cgroups(task: Task, tree: Tree, everything: bool) -> Iterator[Note]:
    is_shared = task.shares.get(CGROUP)
    if not everything and is_shared is not False:
        return
    parent = tree.by_pid.get(task.parent)
    usual = parent.cgroups if parent and not everything else {}
    places: dict[str, list[str]] = {}
    for controllers, path in task.cgroups.items():
        if usual.get(controllers, None if everything else "/") != path:
            places.setdefault(path, []).append(controllers)
    for path, hierarchies in places.items():
        # One path stands for all hierarchies where it is the only one, as with version 2.
        named = "" if len(places) == 1 else " ".join(filter(None, hierarchies))
        yield Note(_AS_PARENT[is_shared][0], f"cgroup {named + ':' if named else ''}{path}")


def _unknown(task: Task) -> Iterator[Note]:
    reasons = {why for key, why in task.unknown.items() if key != CGROUP}
    for why in sorted(reasons):
        whose, _, reason = why.rpartition(": ")
        if reason in {"Permission denied", "Operation not permitted"}:
            reason = "not permitted"
        yield Note("unknown", f"parent {reason}" if whose else reason)
