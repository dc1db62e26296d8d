"""Descriptions that differ in their paths share a root, and each child mounts its own there."""

import os
import resource
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import Child, Sandbox
from ramet import CloneFlag as F
from ramet._sandbox import system_files, view, ways
from ramet._sandbox.files import shared_ground
from ramet._sandbox.files.shared_ground import SharedGround
from ramet._sandbox.kept import confinement_of
from ramet._sandbox.of_program import OfProgram

from .suites import directory, run, told
from .taken_away import mount, needs_all

COUNT = 4  # the third and those after it share a root
LIMIT_SECONDS = 60

pytestmark = [
    needs_all,
    pytest.mark.skipif(os.geteuid() != 0, reason="the roots of a plain user are made one by one"),
    pytest.mark.usefixtures("nothing_kept"),
]


@pytest.fixture
def tasks() -> Iterator[list[Path]]:
    """A directory for each task."""
    with directory() as path:
        made = [path / f"task{number}" for number in range(COUNT)]
        for one in made:
            one.mkdir()
        yield made


def shares(sandbox: Sandbox) -> bool:
    """Whether it is one of those that share a root."""
    return isinstance(confinement_of(OfProgram, sandbox).ground, SharedGround)


def sharing(sandboxes: list[Sandbox]) -> Sandbox:
    """The last of them, which shares a root with the one before."""
    for sandbox in sandboxes:
        confinement_of(OfProgram, sandbox)
    assert shares(sandboxes[-1])
    return sandboxes[-1]


def writing(tasks: list[Path], **wishes: Any) -> Sandbox:
    """The last of those that write the directory of one task each."""
    return sharing([Sandbox(write=[task], **wishes) for task in tasks])


def seen_by(sandbox: Sandbox, task: Path) -> str:
    """What a program sees of its files and of itself, where the task's directory is called TASK."""
    script = (
        "pwd; id; cat /etc/passwd; ls -1 / /var /var/tmp /tmp /dev /dev/shm; ls -d $HOME/..; umask; "
        "echo text > $HOME/written; ls -ln $HOME | cut -d' ' -f3,4;"
        "for path in /var/x /var/tmp/x $HOME/../x /etc/passwd; do "
        "(echo > $path) 2>/dev/null || echo refused; done"
    )
    return told(script, sandbox).replace(str(task), "TASK").replace(task.parent.name, "TASKS")


def test_it_sees_what_one_with_a_root_of_its_own_sees(tasks: list[Path]) -> None:
    """The same files, user, home and rights; what it writes is the caller's; no name of another task."""
    alone = Sandbox(write=tasks[:1])
    assert not shares(alone)
    expected = seen_by(alone, tasks[0])
    seen = seen_by(writing(tasks), tasks[-1])
    assert seen == expected
    written = (tasks[-1] / "written").stat()
    assert (written.st_uid, written.st_gid) == (os.geteuid(), os.getegid())
    assert not (tasks[1] / "written").exists()


def test_it_is_below_the_own_tmp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is in the caller's /tmp is in the /tmp of each child, beside what that writes itself."""
    for module in (
        system_files,
        view,
    ):  # this Python may be in /tmp as well, and is not needed here
        monkeypatch.setattr(module, "pythons_own", lambda: ((), ()))
    tmp_path.chmod(0o755)
    made = [tmp_path / f"task{number}" for number in range(COUNT)]
    for one in made:
        one.mkdir()
    seen = told("pwd; ls .. ; touch /tmp/own here; ls -A /tmp", writing(made))
    top = made[-1].parts[2]
    assert seen.split() == [str(made[-1]), made[-1].name, *sorted(["own", top])]
    assert os.listdir(made[-1]) == ["here"]
    assert not Path("/tmp/own").exists()


def test_several_paths_and_a_file(tasks: list[Path]) -> None:
    """Some are read, others written; a file is one, and a directory at the root another."""
    for task in tasks:
        (task / "data").write_text(task.name)
        (task / "work").mkdir()
    made = [Sandbox(read=[task / "data", "/srv"], write=[task / "work"]) for task in tasks]
    last = tasks[-1]
    script = (
        f"cat {last}/data; ls -d /srv; touch {last}/work/x; (echo > {last}/data) 2>&1 | tail -c 22"
    )
    assert told(script, sharing(made)) == f"{last.name}/srv\nRead-only file system\n"
    assert os.listdir(last / "work") == ["x"]


def test_the_callers_umask_keeps_nobody_out(tasks: list[Path]) -> None:
    """The directories on the way have modes of their own."""
    before = os.umask(0o077)
    try:
        seen = told(f"stat -c %a /var /var/tmp {tasks[-1].parent} /etc/passwd; ls", writing(tasks))
    finally:
        os.umask(before)
    assert seen.split() == ["755", "755", "755", "644"]


def test_one_below_another_has_a_root_of_its_own(tasks: list[Path]) -> None:
    """A part of what is written that is read only, and a path through a link, are the root's."""
    for task in tasks:
        (task / "part").mkdir()
        (task.parent / f"link{task.name}").symlink_to(task)
    nested = [Sandbox(write=[task], read=[task / "part"]) for task in tasks]
    linked = [Sandbox(write=[task.parent / f"link{task.name}"]) for task in tasks]
    for sandbox in nested + linked:
        told("true", sandbox)
        assert not shares(sandbox)
    assert "written" in told("touch part/no 2>/dev/null; touch written; ls", nested[-1]).split()
    assert os.listdir(tasks[-1] / "part") == []


def test_a_path_in_what_the_root_shows_has_a_root_of_its_own() -> None:
    """It is on a file system of the caller's, in which nothing is made."""
    made = [
        Sandbox(read=["/usr"], write=[path]) for path in ("/usr/local", "/usr/lib", "/usr/share")
    ]
    for sandbox in made:
        told("true", sandbox)
        assert not shares(sandbox)


def test_other_amounts_share_as_well(tasks: list[Path]) -> None:
    """What each child has for itself makes no difference."""
    sandbox = sharing([Sandbox(write=[task], timeout=60 + at) for at, task in enumerate(tasks)])
    other = sandbox.replace(open_files=99)
    grounds = {confinement_of(OfProgram, one).ground for one in (sandbox, other)}
    assert len(grounds) == 1
    assert told("ulimit -n", other) == "99\n"


def test_a_directory_that_is_replaced(tasks: list[Path]) -> None:
    """By another, a link, nothing: what is there is seen, by a Command that was made before as well."""
    task = tasks[-1]
    (task / "first").touch()
    sandbox = writing(tasks)
    with tempfile.TemporaryFile("w+") as output:
        command = ramet.Command(["ls", str(task)], sandbox=sandbox, stdout=output)

        def listed() -> str:
            output.seek(0)
            output.truncate()
            assert command.spawn().wait(LIMIT_SECONDS).success
            output.seek(0)
            return output.read()

        assert listed() == "first\n"
        task.rename(task.parent / "old")
        with pytest.raises(FileNotFoundError):
            listed()
        task.mkdir()
        (task / "second").touch()
        assert listed() == told("ls", sandbox) == "second\n"
        task.rename(task.parent / "older")
        task.symlink_to("old")
        assert listed() == "first\n"
        assert told(f"ls {task}", sandbox) == "first\n"


def test_a_link_that_is_made_meanwhile(tasks: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was looked at is what is mounted: a link that was no link before is refused there."""
    sandboxes = [Sandbox(write=[task]) for task in tasks]
    sharing(sandboxes[:-1])
    last = tasks[-1]

    def way_of(path: str, known: dict[str, str | None]) -> ways.Way:
        found = ways.way_of(path, known)
        if path == str(last):
            last.rename(last.with_name("moved"))
            last.symlink_to(tasks[0])
        return found

    monkeypatch.setattr(view, "way_of", way_of)
    sandbox = sharing(sandboxes)
    monkeypatch.setattr(shared_ground, "same_files", lambda *_: True)
    with pytest.raises(ramet.SpawnError, match=r"open_tree.*ELOOP"):
        run("ls", sandbox)


def test_users_are_had_one_after_the_other(tasks: list[Path]) -> None:
    """Descriptions whose programs run have one each; who comes when these have ended has theirs."""

    def user_of(task: Path) -> int:
        ground = confinement_of(OfProgram, Sandbox(write=[task])).ground
        assert isinstance(ground, SharedGround)
        return ground.identity.outer_uid

    def cat(task: Path) -> Child[None]:
        return ramet.Command(["cat"], stdin=held, sandbox=Sandbox(write=[task])).spawn()

    sharing([Sandbox(write=[task]) for task in tasks])
    told("true", Sandbox(write=[tasks[2]]))
    first = user_of(tasks[2])
    told("true", Sandbox(write=[tasks[3]]))
    assert user_of(tasks[3]) == first  # who had it is gone
    reading, writing = os.pipe()
    with open(reading) as held, open(writing, "wb"):
        children = [cat(tasks[2]), cat(tasks[2]), cat(tasks[3])]
        uids = [Path(f"/proc/{child.pid}").stat().st_uid for child in children]
        assert uids == [first, first, user_of(tasks[3])]
        assert uids[2] != first
        Sandbox(write=[tasks[2]]).release()
        told("true", Sandbox(write=[tasks[2]]))
        assert user_of(tasks[2]) not in uids
    assert [child.wait(LIMIT_SECONDS).success for child in children] == [True] * 3


def test_a_mount_that_was_made_since(tasks: list[Path]) -> None:
    """It is seen, as the caller sees it."""
    (tasks[-1] / "under").mkdir()
    sandbox = writing(tasks)

    def ask() -> tuple[str, str]:
        before = told("ls under", sandbox)
        mount("tmpfs", str(tasks[-1] / "under"), "tmpfs")
        (tasks[-1] / "under" / "mounted").touch()
        return before, told("ls under", sandbox)

    with ramet.clone(ask, flags=F.NEWNS) as child:
        assert child.result(LIMIT_SECONDS) == ("", "mounted\n")


def test_a_forbidden_call_is_named(tasks: list[Path]) -> None:
    """The init of its namespace is told by the kernel, over a descriptor beside those of the paths."""
    made = [Sandbox(write=tasks[:at] + tasks[at + 1 :], forbidden="kill") for at in range(COUNT)]
    done = run("ls; unshare --user true", sharing(made))
    assert done.reason is not None
    assert "unshare" in str(done.reason)


def test_a_full_table_of_descriptors(tasks: list[Path]) -> None:
    """It needs no more than one with a root of its own: the child's table has room."""
    sandbox, alone = writing(tasks), Sandbox(write=tasks[:1], hostname="alone")
    assert not shares(alone)
    least = {}
    for one in (alone, sandbox):
        told("true", one)
        least[one] = _least_free(one)
    assert least[sandbox] <= least[alone]


def _least_free(sandbox: Sandbox) -> int:
    """With how many free descriptors a program starts whose output is a pipe."""

    def count() -> int:
        limit = 200
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        held = []
        while True:
            try:
                held.append(os.dup(0))
            except OSError:
                break
        for free in range(20):
            try:
                told("true", sandbox)
            except (OSError, ramet.SpawnError):
                os.close(held.pop())
            else:
                return free
        return 20

    with ramet.clone(count) as child:
        return int(child.result(LIMIT_SECONDS))


def test_by_several_threads(tasks: list[Path]) -> None:
    """Each program sees its own path, in whatever order descriptions come."""
    wrong: list[str] = []

    def ask(task: Path) -> None:
        for _ in range(10):
            seen = told("pwd; ls ..", Sandbox(write=[task]))
            if seen != f"{task}\n{task.name}\n":
                wrong.append(seen)

    threads = [threading.Thread(target=ask, args=[task]) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_owners_of_files_take_no_more_and_more_descriptors(tasks: list[Path]) -> None:
    """Where each task's directory belongs to another user, as in a service for many."""
    sharing([Sandbox(write=[task]) for task in tasks])
    counts = []
    for owner in range(1000, 1080):
        task = tasks[0].parent / f"of{owner}"
        task.mkdir()
        os.chown(task, owner, owner)
        assert told("touch own; stat -c %u own", Sandbox(write=[task])) == "1000\n"
        assert (task / "own").stat().st_uid == owner
        counts.append(len(os.listdir("/proc/self/fd")))
    assert max(counts) < min(counts) + 60


def test_nothing_of_a_root_is_kept_when_all_are_released(tasks: list[Path]) -> None:
    """The namespaces go with the last description that needs them."""
    before = len(os.listdir("/proc/self/fd"))
    made = [Sandbox(write=[task]) for task in tasks]
    told("true", sharing(made))
    for sandbox in made[:-1]:
        sandbox.release()
    assert told("pwd", made[-1]) == f"{tasks[-1]}\n"
    made[-1].release()
    assert len(os.listdir("/proc/self/fd")) == before
