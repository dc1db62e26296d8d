import errno
import os
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import lowlevel
from ramet.lowlevel import KcmpType, kcmp

from ...constants import SECONDS


class Held:
    """A child that stays until it is let go."""

    def __init__(self, flags: int) -> None:
        self._reader, self._writer = os.pipe()
        self.child = ramet.clone(self._wait, flags=flags)

    def _wait(self) -> None:
        os.read(self._reader, 1)

    def let_go(self) -> None:
        os.write(self._writer, b".")
        self.child.wait(SECONDS)
        os.close(self._reader)
        os.close(self._writer)


@pytest.fixture
def plain_child() -> Iterator[ramet.Child[None]]:
    """A child that shares nothing."""
    held = Held(0)
    yield held.child
    held.let_go()


def test_a_plain_child_shares_no_more_than_namespaces(
    plain_child: ramet.Child[None], nothing_left: object
) -> None:
    """Memory, descriptors, directories and handlers are apart, the namespaces one."""
    seen = ramet.relation(os.getpid(), plain_child)
    apart = {key for key, is_so in seen.shares.items() if is_so is False}
    assert {"vm", "files", "fs", "sighand", "same_tgid", "same_ppid"} <= apart
    assert all(seen.shares[key] for key in seen.shares if key.startswith("ns_"))
    assert (seen.first, seen.second) == (os.getpid(), plain_child.pid)


@pytest.mark.parametrize(
    ("flags", "key"),
    [(F.FS, "fs"), (F.FILES, "files"), (F.VM, "vm"), (F.VM | F.SIGHAND, "sighand")],
    ids=str,
)
def test_what_is_shared_is_seen(flags: F, key: str) -> None:
    """What a flag shares is True in the relation, and the law says the same."""
    held = Held(int(flags))
    try:
        seen = ramet.relation(held.child, os.getpid())
    finally:
        held.let_go()
    foretold = ramet.predict(flags).shares
    assert seen.shares[key] is True
    for name, is_so in seen.shares.items():
        assert is_so is None or is_so == foretold[name], name


def test_what_looks_shared_may_be_missing_on_both_sides(plain_child: ramet.Child[None]) -> None:
    """Two tasks that have no undo list compare as equal, which the relation does not take for one."""
    other = Held(0)
    try:
        assert kcmp(other.child.pid, plain_child.pid, KcmpType.SYSVSEM) == 0
        seen = ramet.relation(other.child, plain_child)
    finally:
        other.let_go()
    assert seen.shares["sysvsem"] is None
    assert seen.unknown["sysvsem"] == "either one for both, or none"
    assert "not known: semaphore undo list" in str(seen)


def test_what_is_not_known_is_not_said_to_be_apart() -> None:
    """Nothing is known to be shared where nobody may ask; nothing is shared where all is known."""
    unseen = ramet.Relation(1, 2, {"vm": None}, {"vm": "Operation not permitted"})
    assert "shared: nothing known\n" in str(unseen)
    assert "shared: nothing\n" in str(ramet.Relation(1, 2, {"vm": False}, {}))


def test_threads_are_tasks() -> None:
    """A thread of this process shares its memory, its pid and its parent."""
    started, over = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        over.wait(SECONDS)

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait(SECONDS)
    assert thread.native_id is not None
    seen = ramet.relation(os.getpid(), thread.native_id)
    over.set()
    thread.join(SECONDS)
    for key in ("vm", "files", "fs", "sighand", "same_tgid", "same_ppid", "ns_mnt"):
        assert seen.shares[key] is True


def test_a_task_is_its_own_relation() -> None:
    """Of a task and itself everything is one."""
    assert set(ramet.relation(os.getpid(), os.getpid()).shares.values()) == {True}


def test_a_task_that_is_gone_is_no_relation() -> None:
    """A child that has ended shares nothing: an error, whether it is reaped or not."""
    child = ramet.clone(int)
    os.waitid(os.P_PIDFD, child.pidfd or 0, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ProcessLookupError):
        ramet.relation(os.getpid(), child)
    child.wait(SECONDS)
    with pytest.raises(ProcessLookupError):
        ramet.relation(child.pid, os.getpid())


@pytest.mark.parametrize(
    ("task", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError), (True, TypeError)]
)
def test_no_task_is_one_clear_error(task: object, error: type[Exception]) -> None:
    """What is no pid and has none is told at once."""
    with pytest.raises(error):
        ramet.relation(task, os.getpid())  # type: ignore[arg-type]


# ---- pictures


def test_a_relation_is_a_picture(plain_child: ramet.Child[None]) -> None:
    """One box for what is shared, two for what is not, and one that is neither where it is not known."""
    seen = ramet.relation(os.getpid(), plain_child)
    svg = seen.svg("dark")
    ET.fromstring(svg)
    main = {key: is_so for key, is_so in seen.shares.items() if not key.endswith("_for_children")}
    for kind, answer, boxes in (("shared", True, 1), ("apart", False, 2), ("unknown", None, 1)):
        number = [*main.values()].count(answer)
        assert svg.count(f'<rect class="{kind}"') == (boxes * number + 1 if number else 0), kind
    assert f">{os.getpid()}<" in svg
    assert f">{plain_child.pid}<" in svg
    assert seen._repr_svg_() in seen._repr_html_()
    assert "not shared: memory" in seen._repr_html_()
    with pytest.raises(ValueError, match="invalid theme"):
        seen.svg("red")  # type: ignore[arg-type]


def test_a_picture_of_what_is_not_known() -> None:
    """The reason stands in its box, whatever is written in it; what is missing is not drawn."""
    unseen = ramet.Relation(1, 2, {"vm": None, "fs": True}, {"vm": "<b>& no"})
    svg = unseen.svg()
    assert "memory: &lt;b&gt;&amp; no" in svg
    assert "descriptors" not in svg
    assert ET.fromstring(unseen._repr_html_()) is not None


# ---- kcmp


def test_kcmp_compares_descriptors() -> None:
    """FILE says whether two descriptors are of one open file."""
    reader, writer = os.pipe()
    copy = os.dup(reader)
    me = os.getpid()
    assert kcmp(me, me, KcmpType.FILE, reader, copy) == 0
    assert kcmp(me, me, KcmpType.FILE, reader, writer) in {1, 2}
    for descriptor in (reader, writer, copy):
        os.close(descriptor)
    with pytest.raises(OSError, match="descriptor") as caught:
        kcmp(me, me, KcmpType.FILE, reader, copy)
    assert caught.value.errno == errno.EBADF


def test_kcmp_has_an_order(plain_child: ramet.Child[None]) -> None:
    """Two that differ come in an order, the other way round when asked so."""
    me, other = os.getpid(), plain_child.pid
    assert {kcmp(me, other, KcmpType.VM), kcmp(other, me, KcmpType.VM)} == {1, 2}


@pytest.mark.parametrize(
    ("pid", "kind", "number"),
    [(os.getpid(), 99, errno.EINVAL), (2**22 + 1, KcmpType.VM, errno.ESRCH)],
    ids=["no such kind", "no such task"],
)
def test_kcmp_passes_on_what_the_kernel_says(pid: int, kind: int, number: int) -> None:
    """An unknown type and a missing task are the kernel's errors."""
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        lowlevel.kcmp(os.getpid(), pid, kind)
    assert caught.value.errno == number
