"""Calls of a template whose writes go to layers: what each is told to have done, and what is left of it."""

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import Sandbox
from ramet._sandbox.overlay.layer import Layer
from ramet._sandbox.planning.machine import this_machine

from ...constants import PATIENT_SECONDS
from ...looking import state_of
from ...waiting import exit_code, nothing_unreaped, until
from ..sandbox.taken_away import needs_all
from . import layered_calls
from .layered_calls import append, script, write_and

pytestmark = [
    needs_all,
    pytest.mark.skipif(
        not this_machine().overlay.granted, reason="needs overlayfs in a user namespace: Linux 5.11"
    ),
]

PRELOAD = ["cloudpickle", layered_calls.__name__]  # what is not loaded each call would import


@pytest.fixture(autouse=True)
def layers(nothing_left: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the layers are; nothing of them is there at the end, and no process is left."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        yield Path(place)
        gc.collect()
        assert os.listdir(place) == []
        monkeypatch.undo()
    until(nothing_unreaped)


@pytest.fixture
def files() -> Iterator[Path]:
    """A directory with some files, which anybody may write."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ramet-files-") as made:
        place = Path(made)
        (place / "folder").mkdir()
        (place / "old").write_text("old\n")
        (place / "folder/inner").write_text("inner\n")
        for path in (place, *place.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        yield place


def layered(files: Path, **wishes: Any) -> Sandbox:
    """What is written below the directory goes to layers."""
    return Sandbox(write=[files], overlay=True, **wishes)


def seen(place: Path) -> dict[str, str]:
    """The files below a directory, with their contents."""
    found = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return {str(path.relative_to(place)): path.read_text() for path in found}


def told(changes: Any, place: Path) -> list[str]:
    """A word for each change, and its path below the directory."""
    return [f"{one.kind} {os.path.relpath(one.path, place)}" for one in changes]


def ended(template: ramet.Template, fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The child of a call that has ended, however it has."""
    child = template.clone(fn, *args, **options)
    child.wait(PATIENT_SECONDS)
    return child


# ---- what is told


@pytest.mark.parametrize("spares", [0, 2])
def test_no_call_sees_what_another_wrote(files: Path, spares: int) -> None:
    """Nor do the files of this machine; each call is told its own changes, also while both live."""
    before = seen(files)
    with ramet.Template(PRELOAD, sandbox=layered(files), spares=spares) as template:
        children = [template.clone(append, files / name, "x") for name in ("a", "b", "old")]
        for child in children:
            assert child.result(PATIENT_SECONDS) == ["folder", "old"]
            child.wait(PATIENT_SECONDS)
        assert [told(child.changes, files) for child in children] == [
            ["added a"],
            ["added b"],
            ["modified old"],
        ]
        assert children[2].changes.diff().splitlines()[-2:] == [
            "+x",
            "\\ No newline at end of file",
        ]
        assert children[0].changes is children[0].report.changes
    assert seen(files) == before


COMMANDS = [
    "echo more >> old; cat old",
    "chmod 600 old; touch -d @5 folder/inner",
    "rm -r folder; mkdir -p folder/sub; echo x > folder/sub/new",
    "mv folder moved; ln -s /etc/passwd link; mkfifo pipe",
    "rm old; mkdir old; echo x > old/in",
    "mkdir -p a/b/c; chmod 000 a/b/c; chmod 500 a/b",
    "ln old second; echo x >> second",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_changes_are_those_of_a_program(files: Path, command: str) -> None:
    """The same list, and to take them over leaves the same files."""
    sandbox = layered(files)
    program = ramet.run(["sh", "-ec", command], cwd=files, sandbox=sandbox, check=True)
    assert program.changes is not None
    with program.changes as expected, ramet.Template(PRELOAD, sandbox=sandbox) as template:
        child = ended(template, script, command, str(files))
        assert child.exit_status.code == 0
        with child.changes as changes:
            assert told(changes, files) == told(expected, files)
            assert changes.diff() == expected.diff()
            with tempfile.TemporaryDirectory(dir="/var/tmp") as one:
                places = [shutil.copytree(files, Path(one, name)) for name in "ab"]
                if "mkfifo" in command:
                    changes.take(places[0])
                    assert (places[0] / "pipe").is_fifo()
                else:
                    changes.take(places[0])
                    expected.take(places[1])
                    assert seen(places[0]) == seen(places[1])
    del program, expected
    forget_programs()


def forget_programs() -> None:
    """The sandboxes of programs are kept for the next one, with the directory of their layers."""
    from ramet._sandbox import kept

    while kept._kept:
        kept._kept.popitem()[1].preparations.clear()
    gc.collect()


def test_changes_are_taken_over_or_discarded(files: Path, layers: Path) -> None:
    """To take them makes the files of this machine as the call has left its own."""
    with ramet.Template(PRELOAD, sandbox=layered(files), spares=0) as template:
        child = ended(template, append, files / "old", "new\n")
        assert (files / "old").read_text() == "old\n"
        child.changes.take()
        assert (files / "old").read_text() == "old\nnew\n"
        assert len(list(layers.glob("*/*"))) == 1
        child.changes.discard()
        assert list(layers.glob("*/*")) == []
        assert ended(template, append, files / "x", "").result() == ["folder", "old"]


def test_a_call_begins_in_its_layer(files: Path) -> None:
    """A path that is relative is not one of the files below it."""

    def write() -> list[str]:
        Path("here").write_text("x")
        return sorted(os.listdir("."))

    with ramet.Template(PRELOAD, sandbox=layered(files)) as template:
        child = ended(template, write)
        assert child.result() == ["folder", "here", "old"]
        assert told(child.changes, files) == ["added here"]


def test_a_file_that_may_be_written(files: Path) -> None:
    """It has a copy for each call, of what it is when that begins."""
    with ramet.Template(PRELOAD, sandbox=Sandbox(write=[files / "old"], overlay=True)) as template:
        for text in ("one", "two"):
            child = ended(template, append, files / "old", text)
            with child.changes as changes:
                assert told(changes, files) == ["modified old"]
                assert changes.read(files / "old") == b"old\n" + text.encode()
    assert (files / "old").read_text() == "old\n"


def test_paths_of_a_call_alone(files: Path) -> None:
    """With write= of a call the others can be read, as they are on this machine."""

    def write(*paths: Path) -> list[str]:
        words = []
        for path in paths:
            try:
                path.write_text("x")
                words.append("written")
            except PermissionError:
                words.append("refused")
        return words

    with ramet.Template(PRELOAD, sandbox=layered(files)) as template:
        child = ended(template, write, files / "folder/x", files / "x", write=[files / "folder"])
        assert child.result() == ["written", "refused"]
        assert told(child.changes, files) == ["added folder/x"]
    assert set(seen(files)) == {"old", "folder/inner"}


def test_what_a_spare_has_done_ahead_is_its_calls(files: Path) -> None:
    """warm= writes to the layer of the one call that the spare will serve."""

    def warm() -> None:
        with open("ahead", "a") as file:
            file.write("x")

    with ramet.Template(PRELOAD, sandbox=layered(files), warm=warm) as template:
        for _ in range(2):
            child = ended(template, os.listdir, files)
            assert told(child.changes, files) == ["added ahead"]
            assert child.changes.read(files / "ahead") == b"x"


def test_no_call_finds_the_layers(files: Path) -> None:
    """Neither its own, below what it sees, nor those of others; and it cannot mount them."""

    def look() -> list[str]:
        words = []
        for path in ("/dev/.layers", "/dev/.layers/upper0"):
            try:
                words.append(str(os.listdir(path)))
            except OSError as error:
                words.append(type(error).__name__)
        return [*words, *(line for line in mounts() if "/dev/.layers" in line)]

    def mounts() -> list[str]:
        return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]

    with ramet.Template(PRELOAD, sandbox=layered(files), spares=0) as template:
        other = template.clone(time.sleep, 1000)
        assert ended(template, look).result() == [
            *["PermissionError"] * 2,
            *["/dev/.layers"] * 3,  # that of all, that of its own, and what covers them
        ]
        other.kill()
        other.wait()


def test_a_derived_template_has_layers_too(files: Path) -> None:
    """So has its base; what it loads cannot write to the files."""

    def setup() -> None:
        with contextlib.suppress(OSError):
            Path("by setup").write_text("x")

    with (
        ramet.Template(PRELOAD, sandbox=layered(files)) as base,
        base.derive(setup=setup) as derived,
    ):
        for template in (derived, base, derived):
            child = ended(template, append, files / "x", "x")
            assert child.result() == ["folder", "old"]
            assert told(child.changes, files) == ["added x"]
    assert set(seen(files)) == {"old", "folder/inner"}


def test_a_mount_of_later_is_not_seen(files: Path) -> None:
    """What the template shows is what was there when it was made: a changed link is not followed."""
    link = files / "link"
    link.symlink_to(files / "folder")
    with ramet.Template(PRELOAD, sandbox=Sandbox(write=[link], overlay=True), spares=0) as template:
        link.unlink()
        link.symlink_to("/etc")
        child = ended(template, append, files / "folder/x", "x")
        assert child.result() == ["inner"]
        child.changes.take()
        assert (files / "folder/x").read_text() == "x"


# ---- ends


@pytest.mark.parametrize("spares", [0, 1])
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("abort", "signaled"),
        ("exit", "exited"),
        ("raise", "exited"),
        ("kill", "signaled"),
        ("deadline", "deadline"),
    ],
)
def test_a_call_that_ends_in_each_way(
    files: Path, layers: Path, end: str, reason: str, spares: int
) -> None:
    """What it had written by then is told, and nothing writes there any more."""
    with ramet.Template(PRELOAD, sandbox=layered(files), spares=spares) as template:
        child = template.clone(
            write_and, end, files / "x", timeout=1.5 if end == "deadline" else None
        )
        if end == "kill":
            until(lambda: any(layers.glob("*/*/upper0/x")))
            child.kill()
        child.wait(PATIENT_SECONDS)
        with child.changes as changes:
            assert "added x" in told(changes, files)
        assert child.report.reason == reason
        assert ended(template, append, files / "y", "").result() == ["folder", "old"]


def test_a_call_without_memory(files: Path) -> None:
    """It is told what it had written before."""
    with ramet.Template(PRELOAD, sandbox=layered(files, memory="200M")) as template:
        child = ended(template, write_and, "memory", files / "x")
        with pytest.raises((ramet.ChildDied, ramet.RemoteError)):  # by a cgroup, or by its limits
            child.result()
        assert told(child.changes, files) == ["added x"]


def test_a_spare_that_was_killed_leaves_nothing(files: Path, layers: Path) -> None:
    """The next call has another."""
    with ramet.Template(PRELOAD, sandbox=layered(files)) as template:
        first = ended(template, os.getpid)
        spare = template._link.spare()
        assert spare is not None
        killed = spare.pid
        os.kill(killed, signal.SIGKILL)
        until(lambda: state_of(killed) == "Z")
        template._link._spares.append(spare)
        del spare
        assert ended(template, append, files / "x", "").result() == ["folder", "old"]
        first.changes.discard()
    assert list(layers.glob("*/*")) == []


def test_nothing_is_left_of_spares_without_calls(files: Path, layers: Path) -> None:
    """close() removes their layers, and the directory of them; so does the end of the object."""
    template = ramet.Template(PRELOAD, sandbox=layered(files), spares=3)
    assert len(list(layers.glob("*/*"))) == 3
    template.close()
    assert os.listdir(layers) == []
    template = ramet.Template(PRELOAD, sandbox=layered(files), spares=1)
    del template
    gc.collect()
    until(lambda: os.listdir(layers) == [])


def test_changes_live_longer_than_the_template(files: Path, layers: Path) -> None:
    """The directory of the layers goes with the last of them."""
    with ramet.Template(PRELOAD, sandbox=layered(files)) as template:
        first, second = (ended(template, append, files / "x", text).changes for text in "ab")
    assert len(list(layers.glob("*/*"))) == 2
    first.discard()
    assert second.read(files / "x") == b"b"
    second.discard()
    del first, second, template
    gc.collect()
    assert os.listdir(layers) == []


def test_a_template_that_was_killed(files: Path, layers: Path) -> None:
    """A call that runs goes on, and is told its changes; the layers of its spares are gone."""

    def write_later(path: Path) -> None:
        os.read(0, 1)
        path.write_text("x")

    with ramet.Template(PRELOAD, sandbox=layered(files), spares=2) as template:
        read, written = os.pipe()
        running = template.clone(write_later, files / "late", stdin=read)
        os.close(read)
        os.kill(template.pid, signal.SIGKILL)
        with pytest.warns(ramet.TemplateRestarted):  # when there is no spare any more
            children = [ended(template, append, files / "x", "") for _ in range(3)]
        assert [child.result() for child in children] == [["folder", "old"]] * 3
        os.write(written, b"x")
        os.close(written)
        running.wait(PATIENT_SECONDS)
        assert told(running.changes, files) == ["added late"]
        for child in children:
            child.changes.discard()
    running.changes.discard()
    assert list(layers.glob("*/*")) == []


CALLER = """\
import sys, time, tempfile
import ramet

def write(path):
    while True:
        with open(f"{path}/{time.monotonic_ns()}", "w") as file:
            file.write("x")

tempfile.tempdir = sys.argv[1]
sandbox = ramet.Sandbox(write=[sys.argv[2]], overlay=True)
template = ramet.Template(["cloudpickle"], sandbox=sandbox, spares=2)
ended = template.clone(len, "")
ended.wait()
child = template.clone(write, sys.argv[2])
print(template.pid, child.pid, len(ended.changes), flush=True)
time.sleep(1000)
"""


def test_all_ends_with_the_caller(files: Path, layers: Path) -> None:
    """Killed, it cleans nothing up: the layers of calls, and of spares, go all the same."""
    program = [sys.executable, "-c", CALLER, str(layers), str(files)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        template, child, changes = map(int, caller.stdout.readline().split())
        assert changes == 0
        assert len(list(layers.glob("*/*"))) >= 2
        caller.kill()
        assert caller.stdout.read() == ""  # what removes them keeps no descriptor of the caller's
    until(lambda: all(state_of(pid) in {"", "X", "Z"} for pid in (template, child)))
    until(lambda: os.listdir(layers) == [])
    assert set(seen(files)) == {"old", "folder/inner"}


def test_what_removes_them_ends_with_the_template(files: Path) -> None:
    """It is a child of this process, with no descriptor but one, and is told from others by its name."""
    with ramet.Template(PRELOAD, sandbox=layered(files)) as template:
        (guard,) = [pid for pid in _children() if _name(pid) == "ramet-layers"]
        until(lambda: _descriptors(guard) == {"/dev/null", "anon_inode:[pidfd]"})
        assert os.getsid(guard) == guard
        assert ended(template, os.getpid).result() == 2
    assert state_of(guard) == ""


def _children() -> list[int]:
    return list(map(int, Path("/proc/thread-self/children").read_text().split()))


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _descriptors(pid: int) -> set[str]:
    folder = f"/proc/{pid}/fd"
    return {os.readlink(f"{folder}/{number}") for number in os.listdir(folder)}


def test_a_copy_of_the_caller_removes_nothing(files: Path, layers: Path) -> None:
    """They are its original's."""
    with ramet.Template(PRELOAD, sandbox=layered(files)) as template:
        child = ended(template, append, files / "x", "x")
        if not (pid := os.fork()):
            child.changes.discard()
            template.close()
            os._exit(0)
        assert exit_code(pid) == 0
        assert child.changes.read(files / "x") == b"x"
        assert ended(template, append, files / "x", "").result() == ["folder", "old"]


def test_a_layer_that_cannot_be_made(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is refused, and one that has its layer runs: a spare that is lacking fails none."""
    made = Layer.below

    def fail(*_: object) -> Layer:
        raise OSError(28, "No space left on device")

    with ramet.Template(PRELOAD, sandbox=layered(files)) as template:
        monkeypatch.setattr(Layer, "below", fail)
        assert ended(template, append, files / "x", "x").result() == ["folder", "old"]
        with pytest.raises(ramet.SandboxError, match=r"cannot have its layer: .*No space left"):
            template.clone(os.getpid)
        monkeypatch.setattr(Layer, "below", made)
        assert ended(template, append, files / "x", "x").result() == ["folder", "old"]


def test_what_cannot_have_a_layer_is_refused(files: Path) -> None:
    """Before anything is made."""
    with pytest.raises(ramet.SandboxError, match="a directory or a file, got '/dev/null'"):
        ramet.Template(PRELOAD, sandbox=Sandbox(write=["/dev/null"], overlay=True))
    with pytest.raises(ValueError, match="invalid overlay without write"):
        ramet.Template(PRELOAD, sandbox=Sandbox(overlay=True))


# ---- many calls


def test_many_calls_that_end_in_each_way(files: Path) -> None:
    """None is told what another has done, and nothing is left."""

    def write(number: int) -> None:
        (files / str(number)).write_text("x")
        if number % 10 == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number % 10 == 7:
            raise ValueError(number)

    with ramet.Template(PRELOAD, sandbox=layered(files), spares=2) as template:

        def one(number: int) -> list[str]:
            return told(ended(template, write, number).changes, files)

        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(one, range(60)))
    assert found == [[f"added {number}"] for number in range(60)]


def test_calls_under_asyncio(files: Path, layers: Path) -> None:
    """The layer goes with the call whose result alone is asked for, cancelled or not."""

    async def main(template: ramet.Template) -> list[str]:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(template.run(time.sleep, 1000), 0.1)
        return await template.run(append, files / "x", "x")

    with ramet.Template(PRELOAD, sandbox=layered(files)) as template:
        assert asyncio.run(main(template)) == ["folder", "old"]
    assert list(layers.glob("*/*")) == []


# ---- executors


def test_futures_tell_the_changes_of_their_calls(files: Path) -> None:
    """They are there when the future is done, whatever came of it."""
    with ramet.Executor(2, sandbox=layered(files), preload=PRELOAD, timeout=30) as executor:
        ends = ["raise", "abort", "exit"]
        futures = [executor.submit(write_and, end, files / end) for end in ends]
        good = executor.submit(append, files / "good", "x")
        assert good.result(PATIENT_SECONDS) == ["folder", "old"]
        assert told(good.changes, files) == ["added good"]
        for end, future in zip(ends, futures, strict=True):
            assert future.exception(PATIENT_SECONDS) is not None
            assert told(future.changes, files) == [f"added {end}"]
        assert (
            list(executor.map(append, [files / "a", files / "b"], "xy")) == [["folder", "old"]] * 2
        )
    assert good.changes is not None
    with good.changes as changes:
        changes.take()
    assert (files / "good").read_text() == "x"


def test_a_deadline_of_an_executor(files: Path) -> None:
    """What the call had written by then is told; a tree of it writes no more."""
    with ramet.Executor(1, preload=PRELOAD, sandbox=layered(files), timeout=1.5) as executor:
        future = executor.submit(write_and, "deadline", files / "x")
        assert isinstance(future.exception(PATIENT_SECONDS), ramet.DeadlineExceeded)
        assert "added x" in told(future.changes, files)


def test_a_call_of_an_executor_that_is_cancelled(files: Path, layers: Path) -> None:
    """Its layer is gone when it is."""
    with ramet.Executor(1, preload=PRELOAD, sandbox=layered(files)) as executor:
        running = executor.submit(time.sleep, 1000)
        until(running.running)
        assert running.cancel()
        assert executor.submit(append, files / "x", "").result(PATIENT_SECONDS) == ["folder", "old"]
        del running


def test_calls_of_one_process_share_its_layer(files: Path) -> None:
    """With reuse= one finds what the one before has left; the changes, told at its end, are common."""
    with ramet.Executor(1, preload=PRELOAD, sandbox=layered(files), reuse=2) as executor:
        first = executor.submit(append, files / "a", "x")
        assert first.result(PATIENT_SECONDS) == ["folder", "old"]
        assert first.changes is None
        second = executor.submit(append, files / "b", "x")
        assert second.result(PATIENT_SECONDS) == ["a", "folder", "old"]
        third = executor.submit(append, files / "c", "x")
        assert third.result(PATIENT_SECONDS) == ["folder", "old"]
    assert first.changes is second.changes
    assert told(first.changes, files) == ["added a", "added b"]
    assert told(third.changes, files) == ["added c"]


def test_an_executor_of_a_template_with_layers(files: Path) -> None:
    """Its calls have layers, and the template's own as well."""
    with (
        ramet.Template(PRELOAD, sandbox=layered(files), spares=0) as template,
        ramet.Executor(1, template=template) as executor,
    ):
        future = executor.submit(append, files / "x", "x")
        assert future.result(PATIENT_SECONDS) == ["folder", "old"]
        assert told(future.changes, files) == ["added x"]
        assert ended(template, append, files / "x", "").result() == ["folder", "old"]
