import sys
import xml.etree.ElementTree as ET
from types import MappingProxyType
from typing import Any

import pytest

from ramet.cli.tree_changes import changes
from ramet.cli.tree_displays import of_shown
from ramet.cli.tree_lines import View, lines
from ramet.observe import Task, Tree
from ramet.observe.tree_notes import notes

from ...pictures import placed

ALL_SHARED = dict.fromkeys(("vm", "files", "fs", "sighand", "sysvsem"), True)
ALL_APART = dict.fromkeys(("vm", "files", "fs", "sighand", "sysvsem", "io"), False)
SAME_PLACES = {"ns_net": True, "ns_pid": True, "ns_pid_for_children": True, "cgroup": True}
INODES = {"ns_net": 40, "ns_pid": 50, "ns_pid_for_children": 50}
KINDS = ("vm", "files", "fs", "sighand", "sysvsem", "io")
NO_PID = 2**22 + 1  # no task can have this and more


def task(pid: int, **given: Any) -> Task:
    """A process as most are: it shares no objects with its parent, and all places."""
    values: dict[str, Any] = {
        "pid": pid,
        "process": pid,
        "parent": 1,
        "depth": 0,
        "name": "work",
        "state": "S",
        "start_time": pid,
        "kernel": False,
        "shares": ALL_APART | SAME_PLACES,
        "uses": dict.fromkeys(KINDS, pid),
        "namespaces": INODES,
        "cgroups": {"": "/"},
        "unknown": {},
    }
    values |= given
    frozen: dict[str, Any] = {
        name: MappingProxyType(value) if isinstance(value, dict) else value
        for name, value in values.items()
    }
    return Task(**frozen)


def thread(pid: int, process: int, **given: Any) -> Task:
    """A thread as most are: it shares all but the I/O context."""
    return task(
        pid,
        **{
            "process": process,
            "parent": process,
            "depth": 1,
            "shares": {**ALL_SHARED, "io": False, **SAME_PLACES},
            "uses": {**dict.fromkeys(KINDS, process), "io": pid},
            **given,
        },
    )


def words(one: Task, *others: Task) -> list[str]:
    return [note.words for note in notes(one, Tree((one, *others)))]


def told(*tasks: Task, threads: bool | None = None) -> list[str]:
    return [line.plain.rstrip() for line in lines(View(None, threads, False).rows(Tree(tasks)))]


# ---- what is said of a task


def test_nothing_is_said_of_what_is_so_as_a_rule() -> None:
    """A process with all its own, and a thread that shares all, have no notes."""
    assert words(task(10)) == []
    assert words(thread(11, 10), task(10)) == []


def test_what_a_process_shares_with_its_parent_is_said() -> None:
    """In the words of the law's rows."""
    shares = {**ALL_APART, **SAME_PLACES, "vm": True, "files": True}
    uses = {**dict.fromkeys(KINDS, 11), "vm": 10, "files": 10}
    child = task(11, parent=10, shares=shares, uses=uses)
    assert words(child, task(10)) == ["shares memory, descriptors"]
    assert words(task(10), child) == []


def test_what_two_share_and_their_parent_does_not_is_said_of_both() -> None:
    """Each names the other, but not those that have it from one of them."""
    one = task(11, parent=10)
    other = task(12, parent=10, uses={**dict.fromkeys(KINDS, 12), "fs": 11})
    below = task(
        13,
        parent=12,
        shares={**ALL_APART, **SAME_PLACES, "fs": True},
        uses={**dict.fromkeys(KINDS, 13), "fs": 11},
    )
    assert words(one, task(10), other, below) == ["directories, umask with 12"]
    assert words(other, task(10), one, below) == ["directories, umask with 11"]
    assert words(below, task(10), one, other) == ["shares directories, umask"]


def test_many_others_are_a_number() -> None:
    """Three are named."""
    several = [task(pid, uses={**dict.fromkeys(KINDS, pid), "io": 11}) for pid in range(11, 20)]
    assert words(*several) == ["I/O context with 12, 13, 14 and 5 more"]


def test_what_a_thread_does_not_share_is_said() -> None:
    """Its own descriptors; but not its I/O context, which every thread has of its own."""
    shares = {**ALL_SHARED, **SAME_PLACES, "files": False, "io": False}
    uses = {**dict.fromkeys(KINDS, 10), "files": 11, "io": 11}
    assert words(thread(11, 10, shares=shares, uses=uses), task(10)) == ["own descriptors"]


def test_other_namespaces_are_named_with_their_inodes() -> None:
    """As a link in /proc/PID/ns is: net:[40]. The pids of children are told where they are not its own."""
    apart = {"ns_net": False, "ns_pid": False, "ns_pid_for_children": False}
    new = task(11, shares=ALL_APART | SAME_PLACES | apart)
    assert words(new) == ["own net:[40], pid:[50]"]
    moved = task(11, namespaces={**INODES, "ns_pid_for_children": 51}, shares=ALL_APART | apart)
    assert words(moved) == ["own net:[40], pid:[50], pid_for_children:[51]"]


def test_another_control_group_is_told() -> None:
    """By its path; with its controllers, where it differs from hierarchy to hierarchy."""
    shares = {**ALL_APART, **SAME_PLACES, "cgroup": False}
    parent = task(10, cgroups={"": "/", "memory": "/"})
    for cgroups, expected in [
        ({"": "/jobs/7", "memory": "/"}, ["cgroup /jobs/7"]),
        ({"": "/", "memory": "/m"}, ["cgroup /m"]),
        ({"": "/jobs/7", "memory": "/m"}, ["cgroup /jobs/7", "cgroup memory:/m"]),
    ]:
        assert words(task(11, parent=10, shares=shares, cgroups=cgroups), parent) == expected


def test_what_may_not_be_looked_at_is_said_to_be_so() -> None:
    """Its own, or its parent's; another reason stands as it is."""
    shares = dict.fromkeys(KINDS)
    for reason, expected in [
        ("Operation not permitted", "not permitted"),
        ("Permission denied", "not permitted"),
        ("its parent: Operation not permitted", "parent not permitted"),
        ("its parent has ended", "its parent has ended"),
    ]:
        unknown = dict.fromkeys(KINDS, reason)
        assert words(task(11, shares=shares, uses={}, unknown=unknown)) == [expected]


def test_who_has_ended_is_said_to_have() -> None:
    """A zombie waits for its parent; X has ended while others were looked at."""
    assert words(task(11, state="Z", shares={}, uses={})) == ["ended, not waited for"]
    assert words(task(11, state="X", shares={}, uses={})) == ["ended"]


def test_with_everything_the_kinds_are_told_apart() -> None:
    """What is the parent's is shared, also a namespace; without a parent nobody can tell."""
    shares = {**ALL_APART, **SAME_PLACES, "ns_net": False}
    child, top = task(11, parent=10, shares=shares), task(10, shares={})
    tree = Tree((top, child))
    found = [tuple(note) for note in notes(child, tree, everything=True)]
    assert ("shared", "same pid:[50], pid_for_children:[50]") in found
    assert ("apart", "own net:[40]") in found
    assert ("shared", "cgroup /") in found
    assert ("unknown", "in net:[40], pid:[50], pid_for_children:[50]") in notes(top, tree, True)


# ---- the lines


def test_lines_lead_from_parents_to_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line goes on as long as a sibling comes, and a name cannot move the cursor."""
    tasks = [task(10), task(11, depth=1), task(12, depth=2, name="a\x1b[2Jb\n"), task(13, depth=1)]
    tasks += [task(14, depth=2), task(15)]
    assert told(*tasks) == [
        *("work 10", "├─ work 11", "│  └─ a\ufffd[2Jb\ufffd 12", "└─ work 13"),
        *("   └─ work 14", "work 15"),
    ]

    class Ascii:
        encoding = "ANSI_X3.4-1968"

    monkeypatch.setattr(sys, "stdout", Ascii())
    assert told(*tasks)[1] == "|- work 11"


def test_threads_are_counted_listed_or_left_out() -> None:
    """Those that share less are shown in any case, unless none is looked at."""
    shares = {**ALL_SHARED, **SAME_PLACES, "files": False, "io": False}
    own = thread(13, 10, shares=shares, uses={**dict.fromkeys(KINDS, 10), "files": 13, "io": 13})
    tasks = [task(10), thread(11, 10), thread(12, 10), own]
    assert told(*tasks) == ["work 10, 2 threads", "└─ {work} 13  own descriptors"]
    assert told(*tasks[:2]) == ["work 10, 1 thread"]
    assert told(*tasks, threads=True)[:3] == ["work 10", "├─ {work} 11", "├─ {work} 12"]


def test_a_long_chain_is_shown() -> None:
    """No recursion ends at its limit."""
    tasks = [task(pid, depth=pid - 10, parent=pid - 1) for pid in range(10, 1210)]
    shown = told(*tasks)
    assert len(shown) == 1200 > sys.getrecursionlimit()
    assert shown[-1].endswith("└─ work 1209")
    assert str(Tree(tuple(tasks))).splitlines() == shown
    assert "work 1209" in Tree(tuple(tasks)).svg()


def test_a_notebook_shows_the_picture_and_the_lines() -> None:
    """Names are shown, and are no markup."""
    found = Tree((task(10, name="<b>&"), task(11, depth=1)))
    root = ET.fromstring(found._repr_html_())
    assert "".join(root[1].itertext()).endswith("<b>& 10\n└─ work 11")
    assert ET.fromstring(found._repr_svg_()).tag.endswith("svg")
    assert repr(found) == "<b>& 10\n└─ work 11"


def test_notes_that_need_more_room_go_below_each_other() -> None:
    """Nothing in a picture is over another thing, however much is said of a task."""
    shares = {**ALL_APART, **SAME_PLACES, "cgroup": False, "vm": True, "ns_net": False}
    cgroups = {"": "/a" * 90, "memory": "/m" * 30, "cpu": "/c" * 40}
    long = [task(pid, depth=pid - 10, shares=shares, cgroups=cgroups) for pid in range(10, 50)]
    rects, texts = placed(Tree(tuple(long)).svg())
    solid = rects[1:]
    assert len(solid) > 100
    for number, rect in enumerate(solid):
        assert rects[0].holds(rect)
        assert not [other for other in solid[number + 1 :] if other.overlaps(rect)], rect
    for line in texts:
        assert not [rect for rect in solid if rect.overlaps(line) and not rect.holds(line)], line


# ---- what is new


def test_tasks_begin_end_and_change() -> None:
    """Another task with the same pid is one that has ended and one that has begun."""
    before = Tree((task(NO_PID), task(NO_PID + 1), task(NO_PID + 2), task(NO_PID + 3)))
    now = Tree(
        (
            task(NO_PID),
            task(NO_PID + 1, start_time=99),
            task(NO_PID + 2, name="other"),
            task(NO_PID + 4),
            task(NO_PID + 5, state="Z"),
        )
    )
    found = [(change.sign, change.task.pid - NO_PID) for change in changes(before, now)]
    assert found == [("-", 1), ("-", 3), ("+", 1), ("+", 4), ("~", 2)]
    assert changes(now, now) == []


def test_nothing_is_told_of_threads_that_are_only_counted() -> None:
    """What begins and ends is told of those that are lines: that share less, or all when asked for."""
    shares = {**ALL_SHARED, **SAME_PLACES, "fs": False, "io": False}
    uses = {**dict.fromkeys(KINDS, NO_PID), "fs": NO_PID + 2, "io": NO_PID + 2}
    usual = thread(NO_PID + 1, NO_PID)
    own = thread(NO_PID + 2, NO_PID, shares=shares, uses=uses)
    new = changes(Tree((task(NO_PID),)), Tree((task(NO_PID), usual, own)))
    for threads, expected in ((None, [own]), (True, [usual, own])):
        told_of = of_shown(new, View(None, threads, False))
        assert [change.task for change in told_of] == expected
