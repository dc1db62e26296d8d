from collections.abc import Iterator

from ramet.observe.tracing import Begun, Cost, End, Event, Exec, ExecRefused, Made
from ramet.observe.tracing.family import Family
from ramet.observe.tracing.records import Kind, Number, Part, Record
from ramet.observe.tracing.tree import Tree

SHELL, CHILD, GRANDCHILD = 4194400, 4194401, 4194402  # pids that no process has


def record(
    kind: Kind, tid: int, other: int = 0, call: int = 0, result: int = 0, arg: int = 0
) -> Record:
    record.time += 1_000_000  # type: ignore[attr-defined]
    time: int = record.time  # type: ignore[attr-defined]
    parts = (Part(b"/bin/x", is_cut=False), Part(b"x", is_cut=False)) if call in EXECS else ()
    return Record(kind, call, tid, other, time, result, (arg, 0, 0, 0, 0, 0, 0), parts)


record.time = 0  # type: ignore[attr-defined]
EXECS = {Number.EXECVE, Number.EXECVEAT}


def events(*records: Record) -> Iterator[Event]:
    family = Family(0, SHELL, own_filters=1)
    for one in (record(Kind.SEEN, SHELL, arg=1), *records, record(Kind.OVER, 0)):
        yield from family.read(one)


def kinds(found: Iterator[Event]) -> list[str]:
    return [f"{type(event).__name__} {event.tid}" for event in found if not isinstance(event, Cost)]


def test_a_child_that_is_seen_before_it_is_told() -> None:
    """What it does before the event of its clone call follows that event."""
    found = events(
        record(Kind.CALL, SHELL, call=Number.FORK),
        record(Kind.SEEN, CHILD),
        record(Kind.CALL, CHILD, call=Number.EXECVE),
        record(Kind.EXECED, CHILD, CHILD),
        record(Kind.ENDED, CHILD),
        record(Kind.MADE, SHELL, CHILD),
        record(Kind.ENDED, SHELL),
    )
    assert kinds(found) == [
        *(f"Begun {SHELL}", f"Made {SHELL}", f"Exec {CHILD}", f"End {CHILD}", f"End {SHELL}"),
    ]


def test_a_grandchild_that_is_seen_before_both_are_told() -> None:
    """However many are not told yet, each follows its maker."""
    found = events(
        record(Kind.CALL, SHELL, call=Number.FORK),
        record(Kind.SEEN, CHILD),
        record(Kind.CALL, CHILD, call=Number.VFORK),
        record(Kind.MADE, CHILD, GRANDCHILD),
        record(Kind.ENDED, GRANDCHILD),
        record(Kind.MADE, SHELL, CHILD),
    )
    assert kinds(found) == [
        *(f"Begun {SHELL}", f"Made {SHELL}", f"Made {CHILD}", f"End {GRANDCHILD}"),
    ]


def test_a_task_that_is_never_told_is_untold_at_the_end() -> None:
    """With CLONE_UNTRACED|CLONE_PTRACE, or a maker that is killed, there is no event."""
    found = list(events(record(Kind.SEEN, CHILD), record(Kind.ENDED, CHILD)))
    untold = found[1]
    assert isinstance(untold, Begun)
    assert (untold.tid, untold.how) == (CHILD, "untold")
    assert isinstance(found[2], End)


def test_a_tid_that_is_used_again_is_another_task() -> None:
    """After an end the same number is a new task."""
    once = (
        record(Kind.CALL, SHELL, call=Number.FORK),
        record(Kind.MADE, SHELL, CHILD),
        record(Kind.ENDED, CHILD),
    )
    tree = Tree()
    for event in events(*once, *once):
        tree.add(event)
    assert [life.tid for life in tree.lives] == [SHELL, CHILD, CHILD]
    assert all(life.ending is not None for life in tree.lives[1:])


def test_refused_paths_belong_to_the_exec_that_follows() -> None:
    """They are no refusal of their own then."""
    refused = (
        record(Kind.CALL, SHELL, call=Number.EXECVE),
        record(Kind.RETURNED, SHELL, call=Number.EXECVE, result=-2),
    )
    exec_ = record(Kind.CALL, SHELL, call=Number.EXECVE), record(Kind.EXECED, SHELL, SHELL)
    (found,) = (event for event in events(*refused, *exec_) if isinstance(event, Exec))
    assert found.tried == (("/bin/x", "ENOENT"),)
    (alone,) = (
        event
        for event in events(*refused, *refused, record(Kind.ENDED, SHELL))
        if isinstance(event, ExecRefused)
    )
    assert (alone.errno, len(alone.tried)) == ("ENOENT", 1)


def test_a_call_that_the_kernel_makes_again_is_one() -> None:
    """ERESTARTNOINTR is no refusal."""
    found = list(
        events(
            record(Kind.CALL, SHELL, call=Number.FORK),
            record(Kind.RETURNED, SHELL, call=Number.FORK, result=-513),
            record(Kind.CALL, SHELL, call=Number.FORK),
            record(Kind.MADE, SHELL, CHILD),
        )
    )
    assert [type(event) for event in found] == [Begun, Made, Cost]


def test_a_tree_that_keeps_none_forgets_what_has_ended() -> None:
    """A trace without end needs no memory for tasks of the past, and each task knows how deep it is."""
    tree = Tree(keeps_all=False)
    depths = []
    for event in events(
        record(Kind.CALL, SHELL, call=Number.FORK),
        record(Kind.MADE, SHELL, CHILD),
        record(Kind.CALL, CHILD, call=Number.FORK),
        record(Kind.MADE, CHILD, GRANDCHILD),
        record(Kind.ENDED, CHILD),
        record(Kind.ENDED, GRANDCHILD),
        record(Kind.ENDED, SHELL),
    ):
        tree.add(event)
        if isinstance(event, End):
            depths.append((event.tid, tree.depth_of(event.tid)))
    assert depths == [(CHILD, 1), (GRANDCHILD, 2), (SHELL, 0)]
    assert (tree.lives, tree._now) == ([], {})
