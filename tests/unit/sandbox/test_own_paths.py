"""Where a root that descriptions share has a place for a path that is named."""

import pytest

from ramet._sandbox.files.own_paths import by_place, places_of, taken_by
from ramet._sandbox.view import Place, Shown, View

SYSTEM = [Shown(path, True, False, named=False) for path in ("/usr", "/opt/python/lib")]
ROOT = taken_by(View(SYSTEM, [("/bin", "usr/bin")], [], made={"/etc/passwd": b""}))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/var/tmp/task", "/var"),
        ("/jobs", "/jobs"),
        ("/opt/tasks/1", "/opt/tasks"),
        ("/etc/task", "/etc/task"),
        ("/tmp/task", "/tmp"),
    ],
)
def test_the_first_part_in_which_there_is_nothing_else(path: str, place: str) -> None:
    """Or the /tmp that each child has."""
    found = by_place([Shown(path, True, True)], ROOT)
    assert found is not None
    assert list(found) == [place]
    assert places_of(found) == ({Place(place, True)} if place != "/tmp" else set())


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/usr",
        "/usr/local",
        "/opt",
        "/opt/python/lib/x",
        "/etc",
        "/etc/passwd",
        "/bin",
        "/tmp",
        "/dev/x",
        "/proc/1",
        "/bin/x",
    ],
)
def test_none_in_or_above_what_the_root_has(path: str) -> None:
    """There nothing is made, or it would be covered."""
    assert by_place([Shown(path, True, True)], ROOT) is None


def test_none_for_one_below_another() -> None:
    """Whatever stands between them when they are sorted."""
    paths = ("/jobs", "/jobs-2", "/jobs/part")
    assert by_place([Shown(path, True, True) for path in paths], ROOT) is None
    assert by_place([Shown(path, True, True) for path in paths[:2]], ROOT) is not None


def test_a_place_for_a_file() -> None:
    """It is a file where the path itself is the place, and else a directory."""
    files = [Shown(path, False, False) for path in ("/data", "/srv/data")]
    found = by_place(files, ROOT)
    assert found is not None
    assert places_of(found) == {Place("/data", False), Place("/srv", True)}


def test_not_below_a_tmp_in_which_the_root_has_something() -> None:
    """As the directory of a Python there."""
    root = taken_by(View([Shown("/tmp/venv", True, False, named=False)], [], []))
    assert by_place([Shown("/tmp/task", True, True)], root) is None
