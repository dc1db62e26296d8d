"""The judges of the sandbox: what is tried from inside, to reach what is outside or to have too much."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ramet._sandbox.planning.machine import this_machine

from ..kernel.sandbox.plain_user import is_for_all
from ..kernel.sandbox.taken_away import refused
from .escapes.exceptions import WeakPoint, weak_point, weak_points
from .escapes.rows import Escape, escapes
from .escapes.trial import AS_PLAIN_USER, COMPILER, SUBORDINATE_IDS, Outside, Trial, build

ESCAPES = escapes()
pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the attempts are those of x86_64"
)
BY_NAME = pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with all attempts."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    made = tmp_path_factory.mktemp("escapes") / "escapes"
    build(made)
    return made


def _trial(confinement: str, program: Path, runner: Sequence[str] = ()) -> Iterator[Trial]:
    outside = Outside()
    trial = Trial(confinement, program, outside, runner)
    yield trial
    trial.close()
    outside.close()


def _skip_where_it_is_refused() -> None:
    if missing := refused():
        pytest.skip(f"a sandbox is refused here, as tests/kernel/sandbox shows: {missing[0]}")


@pytest.fixture(scope="module")
def unconfined(program: Path) -> Iterator[Trial]:
    """A stage that runs the attempts without a sandbox."""
    yield from _trial("unconfined", program)


@pytest.fixture(scope="module")
def confined(program: Path) -> Iterator[Trial]:
    """One that runs them in a sandbox with all that this machine grants."""
    _skip_where_it_is_refused()
    yield from _trial("confined", program)


@pytest.fixture(scope="module")
def weakest(program: Path) -> Iterator[Trial]:
    """One that runs them in a sandbox without namespaces and control groups."""
    if this_machine().landlock_abi == 0:
        pytest.skip("without namespaces and without Landlock there is nothing that keeps files")
    yield from _trial("weakest", program)


@pytest.fixture(scope="module")
def reading(program: Path) -> Iterator[Trial]:
    """One that runs them in a sandbox that writes nothing, as a subordinate id of a plain user."""
    if os.geteuid() != 0 or shutil.which("newuidmap") is None:
        pytest.skip("becomes a plain user with subordinate ids, which needs root and newuidmap")
    if not is_for_all(sys.executable, os.__file__):
        pytest.skip("another user may not read the Python of root")
    _skip_where_it_is_refused()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        Path(made).chmod(0o755)
        ids = Path(made, "subordinate ids")
        ids.write_text(SUBORDINATE_IDS)
        ids.chmod(0o644)
        own = Path(shutil.copy(program, made))
        own.chmod(0o755)
        yield from _trial("reading", own, (*AS_PLAIN_USER, str(ids)))


@BY_NAME
def test_it_gets_through_without_a_sandbox(escape: Escape, unconfined: Trial) -> None:
    """What a sandbox stops works without one, for who is said to have it work: so the attempt is one."""
    ways = unconfined.ways_through(escape)
    if escape.works is not None:
        assert bool(ways) is escape.works, unconfined.said


@BY_NAME
def test_no_escape(escape: Escape, confined: Trial) -> None:
    """Nothing outside is reached or seen, and no amount is exceeded."""
    ways = confined.ways_through(escape)
    _compare(ways, weak_point(escape.name, "confined"))


@BY_NAME
def test_no_escape_of_a_subordinate_id(escape: Escape, reading: Trial) -> None:
    """Nor where the sandbox is another user outside, and not the caller."""
    ways = reading.ways_through(escape)
    _compare(ways, weak_point(escape.name, "confined", by_user=True))


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
    assert [
        one.names.pattern for one in weak_points() if not any(map(one.names.fullmatch, names))
    ] == []


def test_each_escape_has_a_name_of_its_own() -> None:
    """There are two hundred and more."""
    assert len({escape.name for escape in ESCAPES}) == len(ESCAPES) > 200
