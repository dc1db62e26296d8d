import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F
from ramet.observe import Task, Tree, tree
from ramet.observe.kernel_objects import task_without_objects

from ...constants import NOBODY, SECONDS, SYSTEM_CALLS, WALL
from ...looking import shows_kthreadd
from ...waiting import until

LIBC = ctypes.CDLL(None, use_errno=True)
BEST_EFFORT_4 = 2 << 13 | 4
OBJECTS = {"vm", "files", "fs", "sighand", "sysvsem", "io"}
NO_SUCH_PID = 2**22 + 1


@pytest.fixture(scope="module")
def something_to_share() -> None:
    """An io context and a list of semaphore undos: without them there is nothing to share."""
    assert LIBC.syscall(SYSTEM_CALLS["ioprio_set"], 1, 0, BEST_EFFORT_4) == 0
    with ramet.clone(int, flags=F.SYSVSEM) as child:
        child.wait(SECONDS)


@contextmanager
def held(flags: int = 0, **options: Any) -> Iterator[ramet.Child[bytes]]:
    """A child that stays to the end of the block."""
    wait, let_go = os.pipe()
    child = ramet.clone(os.read, wait, 1, flags=flags, **options)
    try:
        yield child
    finally:
        os.write(let_go, b".")
        child.wait(SECONDS)
        os.close(wait)
        os.close(let_go)


def seen(child: ramet.Child[Any]) -> Task:
    return tree(os.getpid()).by_pid[child.pid]


def shared(task: Task) -> set[str]:
    return {key for key in OBJECTS if task.shares[key]}


# ---- kernel objects


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (F(0), set()),
        (F.VM, {"vm"}),
        (F.FILES, {"files"}),
        (F.FS, {"fs"}),
        (F.VM | F.SIGHAND, {"vm", "sighand"}),
        (F.SYSVSEM, {"sysvsem"}),
        (F.IO, {"io"}),
        (F.VM | F.FS | F.FILES, {"vm", "fs", "files"}),
    ],
    ids=str,
)
def test_what_a_child_shares_with_its_parent(
    flags: F, expected: set[str], something_to_share: None, nothing_left: object
) -> None:
    """Exactly what its flags name, as relation() says it; all else it has of its own, or not at all."""
    with held(int(flags)) as child:
        task = seen(child)
        related = ramet.relation(os.getpid(), child).shares
    assert shared(task) == expected
    assert all(task.shares[key] == related[key] for key in OBJECTS if related[key] is not None)
    for key in OBJECTS:
        assert task.uses[key] in ({os.getpid()} if key in expected else {child.pid, None}), key
    assert task.unknown == {}
    assert (task.parent, task.depth, task.is_thread) == (os.getpid(), 1, False)


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        (F.VM, "vm"),
        (F.FILES, "files"),
        (F.FS, "fs"),
        (F.VM | F.SIGHAND, "sighand"),
        (F.SYSVSEM, "sysvsem"),
        (F.IO, "io"),
    ],
    ids=str,
)
def test_what_two_children_share_and_their_parent_does_not(
    flags: F, key: str, something_to_share: None
) -> None:
    """A child makes a sibling that shares with it: both use one object, which is not their parent's."""
    wait, let_go = os.pipe()
    told, tell = os.pipe()

    def make_a_sibling() -> None:
        sibling = ramet.clone(os.read, wait, 1, flags=int(flags | F.PARENT))
        os.write(tell, str(sibling.pid).encode())
        os.read(wait, 1)
        sibling.wait(SECONDS)

    child = ramet.clone(make_a_sibling)
    other = int(os.read(told, 20))
    found = tree(os.getpid())
    os.write(let_go, b"..")
    assert os.waitpid(other, WALL)[0] == other
    child.result(SECONDS)
    for descriptor in (wait, let_go, told, tell):
        os.close(descriptor)
    one, two = found.by_pid[child.pid], found.by_pid[other]
    assert one.parent == two.parent == os.getpid()
    assert one.shares[key] is two.shares[key] is False
    assert one.uses[key] == two.uses[key] == child.pid
    # Who has it from one of them is the library's: a thread, a watchdog.
    users = [pid for pid in found.users[key, child.pid] if not found.by_pid[pid].shares[key]]
    assert users == [child.pid, other]


def test_who_has_none_shares_none(something_to_share: None) -> None:
    """Two programs that never used a semaphore compare as equal, and share no undo list."""
    programs = [ramet.Command(["sleep", "1000"]).spawn() for _ in range(2)]
    found = tree(os.getpid())
    for program in programs:
        with program:
            task = found.by_pid[program.pid]
            assert task.uses["sysvsem"] is None
            assert task.shares["sysvsem"] is False


def test_the_task_that_has_none_is_nobodys_business(nothing_left: object) -> None:
    """It is a zombie of this process that a wait for all children does not return, and is reaped."""
    with held(), task_without_objects() as nothing:
        assert nothing is not None
        assert Path(f"/proc/{nothing}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        assert os.waitpid(-1, os.WNOHANG) == (0, 0)
        assert nothing not in tree(os.getpid()).by_pid or seen_as_ended(nothing)
    with pytest.raises(ChildProcessError):
        os.waitpid(nothing, WALL)


def seen_as_ended(pid: int) -> bool:
    return tree(os.getpid()).by_pid[pid].has_ended


def test_the_answer_has_no_task_of_the_librarys() -> None:
    """Every task in it was there before."""
    found = tree(os.getpid())
    assert not [task for task in found.tasks if not task.is_thread and task.has_ended]


# ---- threads


def test_a_thread_that_shares_less_is_told_from_the_others() -> None:
    """unshare(CLONE_FILES) of one thread: it has descriptors of its own, and all else is the process's."""
    ready, over = threading.Event(), threading.Event()
    numbers = []

    def hold() -> None:
        numbers.append(LIBC.unshare(int(F.FILES)))
        ready.set()
        over.wait(SECONDS)

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait(SECONDS)
    found = tree(os.getpid())
    without = tree(os.getpid(), threads=False)
    over.set()
    thread.join(SECONDS)
    assert numbers == [0]
    assert thread.native_id is not None
    task = found.by_pid[thread.native_id]
    assert (task.is_thread, task.process, task.parent) == (True, os.getpid(), os.getpid())
    assert shared(task) - {"io"} == {"vm", "fs", "sighand", "sysvsem"}
    assert task.uses["files"] == thread.native_id
    assert not any(task.is_thread for task in without.tasks)


def test_a_thread_stands_for_its_process() -> None:
    """A tid is as good as a pid: the tree begins with the process."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    assert thread.native_id is not None
    found = tree(thread.native_id)
    over.set()
    thread.join(SECONDS)
    assert found.tasks[0].pid == os.getpid()


# ---- namespaces, control groups


@pytest.mark.parametrize("kind", ["mnt", "uts", "ipc", "user", "pid", "net", "cgroup", "time"])
def test_a_namespace_of_its_own_is_seen(kind: str) -> None:
    """With its inode number; the others are the parent's."""
    flags = F["NEWNS" if kind == "mnt" else f"NEW{kind.upper()}"]
    expected = {f"ns_{kind}"}
    if kind in {"pid", "time"}:
        expected.add(f"ns_{kind}_for_children")
    if os.geteuid() != 0 and kind != "user":
        flags |= F.NEWUSER
        expected.add("ns_user")
    with held(int(flags)) as child:
        task = seen(child)
        inode = os.stat(f"/proc/{child.pid}/ns/{kind}").st_ino
    assert {key for key in task.namespaces if not task.shares[key]} == expected
    assert task.namespaces[f"ns_{kind}"] == inode


def test_a_control_group_of_its_own_is_seen(cgroup: Path) -> None:
    """Its path is told, and that it is not the parent's."""
    with held(cgroup=str(cgroup)) as child:
        task = seen(child)
    assert task.shares["cgroup"] is False
    assert task.cgroups[""].endswith(f"/{cgroup.name}")


def test_a_child_is_in_the_parents_control_group() -> None:
    """Unless it is put elsewhere."""
    with held() as child:
        assert seen(child).shares["cgroup"] is True


# ---- what cannot be seen


def test_what_may_not_be_looked_at_is_unknown() -> None:
    """A plain user sees that root's process is there, and what it shares is unknown, with the reason."""

    def look_at(pid: int) -> list[Any]:
        task = tree(pid, threads=False).tasks[0]
        return [task.pid, dict(task.uses), dict(task.unknown), dict(task.namespaces)]

    if os.geteuid() == 0:
        pid = os.getpid()
        told = ramet.clone(look_at, pid, user=NOBODY, group=NOBODY, extra_groups=[]).result(SECONDS)
    else:
        pid = 1
        told = look_at(pid)
    assert told[0] == pid
    assert told[1] == told[3] == {}
    assert set(told[2]["vm"].split()) >= {"denied"} or "not permitted" in told[2]["vm"]


def test_a_child_of_who_may_not_be_looked_at() -> None:
    """What it has itself is known, and not whether it shares that with its parent."""

    def look_at_me() -> list[Any]:
        task = tree(os.getpid(), threads=False).tasks[0]
        return [dict(task.uses), task.shares["vm"], task.unknown.get("vm"), len(task.namespaces)]

    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")

    # The bit that a change of identity clears, and who is looked at needs: PR_SET_DUMPABLE.
    def dumpable() -> list[Any]:
        assert LIBC.prctl(4, 1, 0, 0, 0) == 0
        return look_at_me()

    uses, shares, why, namespaces = ramet.clone(
        dumpable, user=NOBODY, group=NOBODY, extra_groups=[]
    ).result(SECONDS)
    assert uses["vm"]
    assert shares is None
    assert why.startswith("its parent: ")
    assert namespaces >= 7


def test_a_zombie_shares_nothing() -> None:
    """It is there, has ended, and nothing is said of it."""
    child = ramet.clone(int)
    os.waitid(os.P_PIDFD, child.fileno(), os.WEXITED | os.WNOWAIT)
    task = seen(child)
    child.wait(SECONDS)
    assert (task.state, task.has_ended) == ("Z", True)
    assert [*task.shares, *task.uses, *task.namespaces, *task.unknown] == []


def test_who_is_not_there_is_an_error() -> None:
    """A pid that nobody has, and a handle whose child has been reaped: its pid may be another's."""
    child = ramet.clone(int)
    child.wait(SECONDS)
    for nobody in (NO_SUCH_PID, child):
        with pytest.raises(ProcessLookupError, match="there is no process"):
            tree(nobody)
    with pytest.raises(ValueError, match="invalid pid"):
        tree(0)


def test_tasks_may_end_while_they_are_looked_at(nothing_left: object) -> None:
    """Processes that come and go all the time are no error."""
    over = threading.Event()
    looks: list[Tree] = []

    def make() -> None:
        while not over.is_set():
            children = [ramet.Command(["true"]).spawn() for _ in range(5)]
            for child in children:
                child.wait(SECONDS)

    def look() -> bool:
        """On one processor all of fifty looks may come before anything is made: go on until they differ."""
        looks.append(tree(os.getpid()))
        return len(looks) >= 50 and any(one.by_pid.keys() ^ looks[0].by_pid.keys() for one in looks)

    makers = [threading.Thread(target=make) for _ in range(2)]
    for maker in makers:
        maker.start()
    try:
        until(look)
    finally:
        over.set()
        for maker in makers:
            maker.join(SECONDS)
    for one in looks:
        assert one.tasks[0].pid == os.getpid()


def test_a_proc_of_other_pids_is_refused() -> None:
    """In a new pid namespace the old /proc has other pids."""
    flags = F.NEWPID if os.geteuid() == 0 else F.NEWPID | F.NEWUSER

    def refused() -> bool:
        with pytest.raises(RuntimeError, match="no /proc of this pid namespace"):
            tree()
        return True

    assert ramet.clone(refused, flags=int(flags)).result(SECONDS)


# ---- the whole


def test_all_processes_are_shown_but_those_of_the_kernel() -> None:
    """Without a pid: each below its parent, and the kernel's only when asked for."""
    found = tree(threads=False)
    assert os.getpid() in found.by_pid
    depths = {task.pid: task.depth for task in found.tasks}
    for task in found.tasks:
        assert task.depth == (depths[task.parent] + 1 if task.parent in depths else 0)
    assert not any(task.kernel for task in found.tasks)
    if shows_kthreadd():
        assert tree(threads=False, kernel=True).by_pid[2].name == "kthreadd"


def test_a_thousand_tasks_are_quick() -> None:
    """No question is asked of each two: of a thousand tasks that would be three million."""
    wait, let_go = os.pipe()

    def make(count: int) -> None:
        children = [ramet.clone(os.read, wait, 1, flags=F.VM) for _ in range(count)]
        os.write(tell, b".")
        for child in children:
            child.wait()

    told, tell = os.pipe()
    with ramet.clone(make, 500) as maker:
        os.read(told, 1)
        found = tree(maker)
        os.write(let_go, b"." * 500)
        maker.wait(SECONDS)
    for descriptor in (wait, let_go, told, tell):
        os.close(descriptor)
    sharing = [task for task in found.tasks if task.parent == maker.pid and not task.is_thread]
    assert len(sharing) == 500
    assert {task.uses["vm"] for task in sharing} == {maker.pid}
    assert len({task.uses["files"] for task in sharing}) == 500


def test_it_is_ready_for_json() -> None:
    """to_dict() has every field, in plain types."""
    (task,) = [one for one in tree(os.getpid()).to_dict()["tasks"] if one["pid"] == os.getpid()]
    assert task["name"]
    assert {type(value) for value in task.values()} == {int, str, bool, dict}
