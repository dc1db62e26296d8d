"""The judges of the sandbox: what is tried, from inside, to reach what is outside or to have more than it may."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import TREE
from .escapes.exceptions import WeakPoint, weak_point, weak_points
from .escapes.rows import FOLDER, Escape, escapes

COMPILER = shutil.which("cc") or shutil.which("gcc")
ESCAPES = escapes()
BY_NAME = pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
MOST_PROCESSES, MOST_MEMORY = 2000, 4 << 30


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with all attempts."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    made = tmp_path_factory.mktemp("escapes") / "escapes"
    sources = sorted(map(str, FOLDER.glob("*.c")))
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result", "-pthread"]
    subprocess.run([COMPILER, *flags, "-o", str(made), *sources, "-lrt"], check=True)
    return made


class Outside:
    """Whom the program cannot take more from than this, whatever gets through: all of it has a limit."""

    def __init__(self) -> None:
        self._groups = []
        limits = {"pids": {"pids.max": MOST_PROCESSES}, "memory": {"memory.limit_in_bytes": MOST_MEMORY}}
        for hierarchy, files in limits.items():
            group = Path("/sys/fs/cgroup", hierarchy, f"ramet-escapes-{os.getpid()}")
            try:
                group.mkdir()
                for name, value in files.items():
                    (group / name).write_text(str(value))
            except OSError:  # no such hierarchy, or none for us; each attempt ends by itself as well
                continue
            self._groups.append(group)

    def keep(self, pid: int) -> None:
        """Put a process there, with all that it will make."""
        for group in self._groups:
            (group / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Remove the groups."""
        for group in self._groups:
            group.rmdir()


class Trial:
    """A stage of its own, which is made again when it ends."""

    def __init__(self, confinement: str, program: Path, outside: Outside) -> None:
        self._words = [confinement, str(program)]
        self._outside = outside
        self._start()

    def _start(self) -> None:
        secret = secrets.token_hex(16)
        asked, self._ask = os.pipe()
        self._answer, answered = os.pipe()
        words = [*self._words, secret, str(asked), str(answered)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.escapes.stage", *words],
            cwd=TREE,
            env={**os.environ, "SECRET": secret},
            stdin=subprocess.DEVNULL,
            pass_fds=(asked, answered),
            start_new_session=True,
        )
        self._outside.keep(self._process.pid)
        os.close(asked)
        os.close(answered)
        self._lines = open(self._answer)  # noqa: SIM115 - closed in close()

    def ways_through(self, escape: Escape) -> list[str]:
        """What was seen outside, and the attempt's own word where that counts; empty: it was stopped."""
        os.write(self._ask, f"{json.dumps([escape.name, escape.limits])}\n".encode())
        line = self._lines.readline()
        if not line:
            self.close()
            self._start()
            return ["the caller of the sandbox has ended"]
        answer: dict[str, Any] = json.loads(line)
        own_word = [f"it says so: {answer['said']}"] if answer["code"] == 0 and not escape.is_seen else []
        self.said = answer["said"]
        return [*answer["seen"], *own_word]

    def close(self) -> None:
        """End the stage, which removes what it has made."""
        os.close(self._ask)
        self._lines.close()
        self._process.wait(60)


def _trial(confinement: str, program: Path) -> Iterator[Trial]:
    outside = Outside()
    trial = Trial(confinement, program, outside)
    yield trial
    trial.close()
    outside.close()


@pytest.fixture(scope="module")
def unconfined(program: Path) -> Iterator[Trial]:
    """A stage that runs the attempts without a sandbox."""
    yield from _trial("unconfined", program)


@pytest.fixture(scope="module")
def confined(program: Path) -> Iterator[Trial]:
    """One that runs them in a sandbox with all that this machine grants."""
    yield from _trial("confined", program)


@pytest.fixture(scope="module")
def weakest(program: Path) -> Iterator[Trial]:
    """One that runs them in a sandbox without namespaces and control groups."""
    yield from _trial("weakest", program)


@BY_NAME
def test_it_gets_through_without_a_sandbox(escape: Escape, unconfined: Trial) -> None:
    """What a sandbox stops works without one, for who is said to have it work: so the attempt is one."""
    ways = unconfined.ways_through(escape)
    if escape.unconfined == "all" or (escape.unconfined == "root" and os.geteuid() == 0):
        assert ways, unconfined.said
    elif escape.unconfined == "root" or escape.unconfined.startswith("none: "):
        assert ways == []


@BY_NAME
def test_no_escape(escape: Escape, confined: Trial) -> None:
    """Nothing outside is reached or seen, and no amount is exceeded."""
    ways = confined.ways_through(escape)
    _compare(ways, weak_point(escape.name, "confined"))


@BY_NAME
def test_no_escape_from_the_weakest(escape: Escape, weakest: Trial) -> None:
    """Landlock, a filter and limits stop it too, unless the page says that they cannot."""
    ways = weakest.ways_through(escape)
    _compare(ways, weak_point(escape.name, "weakest"))


def _compare(ways: list[str], known: WeakPoint | None) -> None:
    if known is None:
        assert ways == []
    elif not known.by_chance:
        assert ways, f"it is stopped by now, although {known.why}"


def test_each_weak_point_is_of_an_escape() -> None:
    """None of the lines is about what is not there any more."""
    names = [escape.name for escape in ESCAPES]
    assert [one.names.pattern for one in weak_points() if not any(map(one.names.fullmatch, names))] == []


def test_each_escape_has_a_name_of_its_own() -> None:
    """There are two hundred and more."""
    assert len({escape.name for escape in ESCAPES}) == len(ESCAPES) > 200
