"""What ends the trees of sandboxes without a pid namespace is entered again in the middle.

By a signal handler, or where a collector of garbage comes upon the handle of a child.
"""

import threading
from collections.abc import Callable

import pytest

from ramet._process.tree.subreaper import Subreaper, is_subreaper
from ramet._sandbox import whole_tree
from ramet._sandbox.identity.marks import new_mark
from ramet._sandbox.whole_tree import Tree, TreeOfOrphans

from ...constants import SECONDS


def finished(act: Callable[[], object]) -> bool:
    """Whether a thread gets through it."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return not thread.is_alive()


def test_a_tree_ends_while_another_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a collector of garbage comes upon the handle of a child that nobody has waited for."""
    was_subreaper = is_subreaper()
    first = TreeOfOrphans()
    made: list[TreeOfOrphans] = []

    def new_mark_meanwhile() -> int:
        first.give_up()
        return new_mark()

    monkeypatch.setattr(whole_tree, "new_mark", new_mark_meanwhile)
    assert finished(lambda: made.append(TreeOfOrphans()))
    assert is_subreaper()
    made[0].give_up()
    assert is_subreaper() == was_subreaper


def test_a_tree_begins_while_the_last_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a subreaper then, until the new one has ended, too."""
    was_subreaper = is_subreaper()
    first = TreeOfOrphans()
    leave = Subreaper.__exit__
    made: list[TreeOfOrphans] = []
    is_left: list[bool] = []

    def leave_meanwhile(block: Subreaper, *what: object) -> None:
        if not is_left:
            is_left.append(True)
            made.append(TreeOfOrphans())
        leave(block, *what)

    monkeypatch.setattr(Subreaper, "__exit__", leave_meanwhile)
    assert finished(first.give_up)
    assert is_subreaper()
    made[0].give_up()
    assert is_subreaper() == was_subreaper


def test_two_trees_begin_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in the middle of the other: when both have ended this process is what it was before."""
    was_subreaper = is_subreaper()
    enter = Subreaper.__enter__
    made: list[TreeOfOrphans] = []
    is_entered: list[bool] = []

    def enter_after_another(block: Subreaper) -> Subreaper:
        if not is_entered:
            is_entered.append(True)
            made.append(TreeOfOrphans())
        return enter(block)

    monkeypatch.setattr(Subreaper, "__enter__", enter_after_another)
    assert finished(lambda: made.append(TreeOfOrphans()))
    for tree in made:
        assert is_subreaper()
        tree.give_up()
    assert is_subreaper() == was_subreaper


class SlowTree(Tree):
    """One whose end takes as long as is wished."""

    def __init__(self) -> None:
        super().__init__()
        self.begins, self.may_end = threading.Event(), threading.Event()

    def _end_rest(self) -> None:
        self.begins.set()
        self.may_end.wait(SECONDS)


def test_a_tree_is_given_up_while_its_thread_ends_it() -> None:
    """The thread that keeps amounts does, with a lock that the end of a cgroup takes."""
    tree = SlowTree()
    ending = threading.Thread(target=tree.end)
    ending.start()
    assert tree.begins.wait(SECONDS)
    try:
        assert finished(tree.give_up)
        assert ending.is_alive()
    finally:
        tree.may_end.set()
        ending.join()
