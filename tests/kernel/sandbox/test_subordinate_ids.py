"""The sandboxes of a plain user who has subordinate ids."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import Sandbox
from ramet._sandbox.planning.machine import this_machine
from ramet._sandbox.planning.questions import Answer

from ...constants import SECONDS
from .plain_user import (
    PLAIN_USER,
    SUBORDINATE,
    as_plain_user,
    dumpable,
    needs_python_for_all,
    needs_subordinate_ids,
    set_dumpable,
)
from .taken_away import needs_all

pytestmark = [needs_all, needs_subordinate_ids, pytest.mark.usefixtures("nothing_kept")]

MAP = "cat /proc/self/uid_map /proc/self/gid_map"


@pytest.fixture
def etc() -> Iterator[Path]:
    """A directory that all can search, not below /tmp, which is the sandbox's own."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def told(script: str, sandbox: Sandbox | None = None, **options: Any) -> str:
    """What a script prints in a sandbox."""
    done = ramet.run(
        ["/bin/sh", "-c", script],
        sandbox=sandbox or Sandbox(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        **options,
    )
    return str(done.stdout) + str(done.stderr)


def outer_ids(sandbox: Sandbox) -> tuple[int, int]:
    """Who its children are outside."""
    words = told(MAP, sandbox).split()
    assert [words[0], words[2], words[3], words[5]] == ["1000", "1", "1000", "1"]
    return int(words[1]), int(words[4])


def own_id(sandbox: Sandbox) -> str:
    return sandbox.plan().own_id


def test_a_program(etc: Path) -> None:
    """It sees itself as 1000, without a group, and is outside one of the upper half of the user's ids."""

    def ask() -> tuple[str, tuple[int, int], str]:
        return told("id -u; id -g; id -G"), outer_ids(Sandbox()), own_id(Sandbox())

    inner, (uid, gid), plan = as_plain_user(etc, ask)
    upper = SUBORDINATE[len(SUBORDINATE) // 2 :]
    assert inner.split() == ["1000", "1000", "1000"]
    assert uid in upper
    assert gid in upper
    assert plan == "subordinate id"


@pytest.mark.parametrize("mask", [0o077, 0o777], ids="{:03o}".format)
def test_a_caller_whose_umask_takes_rights_from_others(etc: Path, mask: int) -> None:
    """It starts, and sees what is shown below /tmp, and what it makes has that umask."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        shown = Path(made, "on", "the way")
        shown.mkdir(parents=True)
        for path in (Path(made), shown.parent):
            path.chmod(0o755)

        def ask() -> str:
            os.umask(mask)
            return told(f"umask; ls -d '{shown}'; id -u", Sandbox(read=[shown]))

        assert as_plain_user(etc, ask).split("\n") == [f"{mask:04o}", str(shown), "1000", ""]


def test_each_sandbox_has_its_own(etc: Path) -> None:
    """All children of one are the same user, those of another are another."""

    def ask() -> list[tuple[int, int]]:
        sandboxes = [Sandbox(), Sandbox(), Sandbox(hostname="other")]
        return [outer_ids(sandbox) for sandbox in sandboxes]

    first, again, other = as_plain_user(etc, ask)
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]


def without_pid_namespaces() -> None:
    refused = Answer(1, "clone")
    machine = this_machine()
    machine.__dict__["namespaces"] = {**machine.namespaces, "pid": refused}
    machine.__dict__ |= {"proc_of_its_own": refused, "landlock_answer": refused, "landlock_abi": 0}


def test_another_sandbox_cannot_be_signalled(etc: Path) -> None:
    """Not even where both see each other's processes, without pid namespaces; one's own can."""

    def ask() -> list[str]:
        without_pid_namespaces()
        one = Sandbox(require="best", proc=False)
        with ramet.Popen(["sleep", "1000"], sandbox=one) as sleeping:
            try:
                asked = f"kill -0 {sleeping.pid} && echo may || echo may not"
                return [told(asked, one), told(asked, one.replace(hostname="other"))]
            finally:
                sleeping.kill()

    same, other = as_plain_user(etc, ask)
    assert same == "may\n"
    assert "may not" in other
    assert "not permitted" in other


def test_pipes_can_be_opened_anew(etc: Path) -> None:
    """As /dev/stdout, though the pipes are its caller's."""
    assert as_plain_user(etc, lambda: told("echo one >/dev/stdout; echo two >/dev/stderr")) == (
        "one\ntwo\n"
    )


def test_it_is_ended(etc: Path) -> None:
    """By its caller, who is another user outside, at a deadline and by kill()."""

    def ask() -> tuple[str, int]:
        late = ramet.run(["sleep", "1000"], sandbox=Sandbox(timeout=0.1), check=False)
        with ramet.Popen(["sleep", "1000"], sandbox=Sandbox()) as process:
            process.kill()
        return late.reason, process.returncode

    assert as_plain_user(etc, ask) == ("deadline", -9)


def test_what_others_may_read_is_read_as_another(etc: Path) -> None:
    """Of what is named; a file below it that is its owner's alone is not."""
    shown = etc / "shown"
    shown.mkdir()
    (shown / "open").write_text("open")
    (shown / "closed").write_text("closed")
    (shown / "closed").chmod(0o600)
    for path in (shown, *shown.iterdir()):
        os.chown(path, PLAIN_USER, PLAIN_USER)

    def ask() -> tuple[str, str]:
        sandbox = Sandbox(read=[shown])
        return own_id(sandbox), told(f"cat {shown}/open {shown}/closed", sandbox)

    plan, said = as_plain_user(etc, ask)
    assert plan == "subordinate id"
    assert said.startswith("open")
    assert "Permission denied" in said


def test_a_program_that_is_its_callers_alone(etc: Path) -> None:
    """The error names the file, and what to do."""
    shown = etc / "shown"
    shown.mkdir()
    program = Path(shutil.copy("/bin/true", shown / "program"))
    program.chmod(0o700)
    os.chown(program, PLAIN_USER, PLAIN_USER)

    def ask() -> str:
        try:
            ramet.run([program], sandbox=Sandbox(read=[shown]))
        except PermissionError as error:
            return str(error)
        return "it has run"

    assert f"chmod o+x {program}" in as_plain_user(etc, ask)


@pytest.mark.parametrize("named", ["closed", "file"])
def test_what_others_may_not_read_is_read_by_its_user(etc: Path, named: str) -> None:
    """A path that is named can be read: where only the caller may, the sandbox keeps the caller's id."""
    closed = etc / "closed"
    closed.mkdir()
    (closed / "text").write_text("text")
    (etc / "file").write_text("text")
    closed.chmod(0o700)
    (etc / "file").chmod(0o600)
    for path in (closed, closed / "text", etc / "file"):
        os.chown(path, PLAIN_USER, PLAIN_USER)
    file = {"closed": closed / "text", "file": etc / "file"}[named]

    def ask() -> tuple[str, str, list[str]]:
        sandbox = Sandbox(read=[etc / named])
        remedies = [row.remedy for row in sandbox.plan().lost]
        return own_id(sandbox), told(f"cat {file}; id -u", sandbox), remedies

    remedy = f"others may not read {etc / named}: leave it out, or let them, or call as root"
    assert as_plain_user(etc, ask) == ("caller's id", f"text{PLAIN_USER}\n", [remedy])


def test_what_is_written_is_the_callers(etc: Path) -> None:
    """A sandbox that writes keeps the caller's id."""
    work = etc / "work"
    work.mkdir()
    os.chown(work, PLAIN_USER, PLAIN_USER)

    def ask() -> tuple[str, int]:
        sandbox = Sandbox(write=[work])
        told(f"touch {work}/made", sandbox)
        return own_id(sandbox), (work / "made").stat().st_uid

    assert as_plain_user(etc, ask) == ("caller's id", PLAIN_USER)


def test_where_newuidmap_refuses(etc: Path) -> None:
    """The kernel is asked, and not the file: the sandbox keeps the caller's id, and says why."""

    def ask() -> tuple[str, str, str]:
        this_machine()  # before the files change: it has ids by what they say
        row = next(row for row in Sandbox().plan().rows if row.wish == "no user of the host")
        return own_id(Sandbox()), row.remedy, told("id -u")

    directory = etc / "programs"
    directory.mkdir()
    for name in ("newuidmap", "newgidmap"):
        (directory / name).write_text("#!/bin/sh\nexit 1\n")
        (directory / name).chmod(0o755)

    def ask_with_others() -> tuple[str, str, str]:
        os.environ["PATH"] = f"{directory}:/usr/bin:/bin"
        return ask()

    plan, remedy, said = as_plain_user(etc, ask_with_others)
    assert plan == "caller's id"
    assert "set-user-ID" in remedy
    assert said == f"{PLAIN_USER}\n"


def test_children_that_are_confined_ahead(etc: Path) -> None:
    """They are such a user as well, whether they were ready or not."""

    def ask() -> set[str]:
        sandbox = Sandbox(warm=2)
        return {told("id -u", sandbox) for _ in range(6)}

    assert as_plain_user(etc, ask) == {"1000\n"}


def test_a_function(etc: Path) -> None:
    """ramet.clone() makes a copy of the caller, which is such a user then."""

    def ask() -> tuple[tuple[int, int, int], str]:
        def look() -> tuple[tuple[int, int, int], str]:
            return os.getresuid(), Path("/proc/self/uid_map").read_text()

        with ramet.clone(look, sandbox=Sandbox()) as child:
            return child.result(SECONDS)

    ids, lines = as_plain_user(etc, ask)
    assert ids == (1000, 1000, 1000)
    assert int(lines.split()[1]) in SUBORDINATE


@needs_python_for_all
def test_calls_of_templates(etc: Path) -> None:
    """And those of a Template and an Executor."""

    def ask() -> list[int]:
        with ramet.Template(sandbox=Sandbox()) as template:
            found = [template.clone(os.getuid).result(SECONDS)]
        with ramet.Executor(1, sandbox=Sandbox()) as executor:
            return [*found, executor.submit(os.getuid).result(SECONDS)]

    assert as_plain_user(etc, ask) == [1000, 1000]


def test_the_callers_files_in_proc_stay_its_own(etc: Path) -> None:
    """The kernel takes them from who shares memory with a task that changes ids; they are given back."""

    def ask() -> list[tuple[int, int]]:
        def look() -> tuple[int, int]:
            return dumpable(), os.stat("/proc/self/uid_map").st_uid

        found = [look()]
        for use in (lambda: Sandbox().plan(), told_nothing, told_nothing):
            use()
            found.append(look())
        return found

    assert as_plain_user(etc, ask) == [(1, PLAIN_USER)] * 4


def told_nothing() -> None:
    told("true")


def test_a_caller_that_hides_its_memory_stays_so(etc: Path) -> None:
    """Memory that was not dumpable before a launch is not after it."""

    def ask() -> list[object]:
        told_nothing()
        set_dumpable(0)
        return [told("id -u"), dumpable()]

    assert as_plain_user(etc, ask) == ["1000\n", 0]


def test_others_are_made_meanwhile(etc: Path) -> None:
    """While threads launch programs another makes sandboxes, each with maps to be written."""

    def ask() -> list[str]:
        over = threading.Event()
        failed: list[str] = []

        def launch(name: str) -> None:
            while not over.is_set():
                try:
                    told_nothing_in(name)
                except OSError as error:
                    failed.append(repr(error))

        threads = [threading.Thread(target=launch, args=(f"launch{i}",)) for i in range(2)]
        for thread in threads:
            thread.start()
        try:
            for number in range(8):
                told_nothing_in(f"made{number}")
        except OSError as error:
            failed.append(repr(error))
        finally:
            over.set()
            for thread in threads:
                thread.join()
        return failed

    assert as_plain_user(etc, ask) == []


def told_nothing_in(hostname: str) -> None:
    told("true", Sandbox(hostname=hostname))


def test_no_descriptor_is_left(etc: Path) -> None:
    """A plan that was asked, and is not used, keeps nothing open."""

    def ask() -> bool:
        Sandbox().plan()
        before = sorted(os.listdir("/proc/self/fd"))
        Sandbox(hostname="other").plan()
        return sorted(os.listdir("/proc/self/fd")) == before

    assert as_plain_user(etc, ask)
