"""The tasks below a process, or of the whole system, and what they share."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from .._kernel import procfs
from .kernel_objects import task_without_objects
from .looks import Look, processes
from .looks import threads as threads_of
from .sharing import Sharing
from .tasks import HasPid, ended, pid_of
from .tree_report import Task, Tree


def tree(pid: int | HasPid | None = None, *, threads: bool = True, kernel: bool = False) -> Tree:
    """The tasks below a process, and what each shares with its parent and with the others.

    pid: a pid, or an object with one, such as a Child; None for all processes that /proc shows. threads:
    whether to look at threads as well. kernel: whether those of the kernel, too.

    Returns a Tree of Tasks. What may not be looked at is unknown, with the reason; a task that ends
    meanwhile is in the answer as one that has ended.

    Meanwhile this process has a child that has ended, which is not in the answer: a task that compares as
    equal to it has no I/O context, or no semaphore undo list. No signal tells of its end.

    Raises ProcessLookupError (ESRCH) when there is no such process; RuntimeError when there is no /proc of
    this pid namespace.
    Needs: PTRACE_MODE_READ for what a task shares, as one has for processes of one's own user.
    Source: kcmp(2), namespaces(7), cgroups(7), proc_pid_stat(5).
    """
    root = None if pid is None else pid_of(pid)
    if not procfs.shows_own_pids():
        raise RuntimeError(
            "there is no /proc of this pid namespace, in which the tasks could be looked at: mount one"
        )
    everything = processes()
    start = None if root is None else _process(root, everything)
    shown = list(_in_order(everything, start, threads=threads, kernel=kernel))
    looks = [one for one, _ in shown]
    if start is not None and (above := everything.get(everything[start].parent)) is not None:
        looks.insert(0, above)  # to compare the first one with, but not to be shown
    for one in looks:
        one.look_further()
    with task_without_objects() as nothing:
        sharing = Sharing(looks, nothing)
    for one in looks:
        one.look_again()
    return Tree(tuple(_told(one, depth, sharing) for one, depth in shown))


def _process(pid: int, everything: Mapping[int, Look]) -> int:
    """The pid of the process, also of one of its threads."""
    if pid not in everything:
        try:
            pid = int(procfs.status(pid)["Tgid"])
        except (OSError, KeyError):
            raise ended(pid) from None
    if pid not in everything:
        raise ended(pid)
    return pid


def _in_order(
    everything: Mapping[int, Look], start: int | None, *, threads: bool, kernel: bool
) -> Iterator[tuple[Look, int]]:
    """The tasks with their depths. A chain of thousands is no deep recursion."""
    children: defaultdict[int, list[Look]] = defaultdict(list)
    for one in sorted(everything.values(), key=lambda one: (one.start_time, one.pid)):
        children[one.parent if one.parent in everything else 0].append(one)
    roots = children[0] if start is None else [everything[start]]
    waiting = [(one, 0) for one in reversed(roots)]
    while waiting:
        one, depth = waiting.pop()
        if one.kernel and not kernel and start is None:
            continue
        yield one, depth
        if threads:
            yield from ((thread, depth + 1) for thread in threads_of(one))
        waiting += [(child, depth + 1) for child in reversed(children[one.pid])]


def _told(one: Look, depth: int, sharing: Sharing) -> Task:
    shares, unknown = sharing.with_parent(one)
    return Task(
        pid=one.pid,
        process=one.process,
        parent=one.parent,
        depth=depth,
        name=one.name,
        state=one.state,
        start_time=one.start_time,
        kernel=one.kernel,
        shares=MappingProxyType(shares),
        uses=MappingProxyType(sharing.uses(one)),
        namespaces=MappingProxyType(dict(one.namespaces)),
        cgroups=MappingProxyType(dict(one.cgroups)),
        unknown=MappingProxyType(unknown),
    )
