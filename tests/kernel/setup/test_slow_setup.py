"""A child that stands still in the midst of its setup: a pipe stands where a cgroup's file should be."""

import os
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import Command

from ...constants import SECONDS


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe that a child opens to write itself into its cgroup; that waits for a reader."""
    made = tmp_path / "cgroup.procs"
    os.mkfifo(made)
    return made


class Spawner(threading.Thread):
    """A thread that spawns a command."""

    def __init__(self, command: Command) -> None:
        super().__init__()
        self._command = command
        self.made: ramet.Child[None] | None = None
        self.start()

    def run(self) -> None:
        """Spawn, for as long as that takes."""
        self.made = self._command.spawn()

    def outcome(self) -> "ramet.Child[None]":
        """The child, when the spawn has come back."""
        self.join(SECONDS)
        assert self.made is not None
        return self.made


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "waits": {"start": False},
    "dies": {"die_with_parent": True},
    "maps": {"flags": F.NEWUSER, "uid_map": [(0, os.geteuid(), 1)]},
}
each_way = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())


@each_way
def test_the_interpreter_runs_while_a_child_is_set_up(
    pipe: Path, options: dict[str, Any], nothing_left: object
) -> None:
    """The GIL is free: this thread reads what the child of another one writes in its setup."""
    spawner = Spawner(Command(["true"], cgroup=pipe.parent, **options))
    assert pipe.read_bytes() == b"0"
    with spawner.outcome() as child:
        if not options.get("start", True):
            child.start()
        assert child.wait(SECONDS).success


def children_but(known: set[int]) -> Iterator[int]:
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            yield from set(map(int, listing.read_text().split())) - known
        except (FileNotFoundError, ProcessLookupError):  # a thread that has ended
            continue


@each_way
def test_a_child_that_is_killed_during_its_setup(
    pipe: Path, options: dict[str, Any], nothing_left: object
) -> None:
    """The spawn comes back with a child that has ended by the signal; no step has failed."""
    known = set(children_but(set()))
    spawner = Spawner(Command(["true"], cgroup=pipe.parent, **options))
    # It stands in the open of the pipe, or is on its way there: both are its setup.
    while not (found := list(children_but(known))):
        os.sched_yield()
    if "uid_map" in options:  # before them it would be the caller's own write that fails
        while Path(f"/proc/{found[0]}/uid_map").read_text() == "":
            os.sched_yield()
    os.kill(found[0], signal.SIGKILL)
    with spawner.outcome() as child:
        assert child.pid == found[0]
        assert child.wait(SECONDS).signal == signal.SIGKILL


def deep(frames: int) -> int:
    return sum(map(deep, [frames - 1])) if frames else 0  # through C, so that its stack is used


def test_a_caller_in_shared_memory_that_is_killed_meanwhile(
    pipe: Path, tmp_path: Path, nothing_left: object
) -> None:
    """The setup of its child goes on as it was told, whichever child has the dead one's stack then."""
    told = tmp_path / "told"
    script = 'grep SigBlk /proc/self/status > "$0"'

    def spawn() -> None:
        Command(["sh", "-c", script, str(told)], cgroup=pipe.parent, stdin=ramet.DEVNULL).spawn()

    caller = ramet.clone(spawn, flags=F.VM)
    listing = Path(f"/proc/{caller.pid}/task/{caller.pid}/children")
    while not (found := listing.read_text().split()):
        os.sched_yield()
    pidfd = os.pidfd_open(int(found[0]))
    caller.kill()
    assert caller.wait(SECONDS).signal == signal.SIGKILL
    for _ in range(20):
        assert ramet.clone(deep, 100, flags=F.VM).result(SECONDS) == 0
    assert pipe.read_bytes() == b"0"
    assert select.select([pidfd], [], [], SECONDS)[0]
    os.close(pidfd)
    assert told.read_text().split() == ["SigBlk:", "0" * 16]
