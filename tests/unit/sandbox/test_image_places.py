"""What the directory that is to be a sandbox's root must have."""

from pathlib import Path

import pytest

from ramet._sandbox.planning.image_places import image_rows

from .given_machine import described


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """It has what every root needs."""
    made = tmp_path / "image"
    for name in ("proc", "dev", "tmp"):
        (made / name).mkdir(parents=True)
    return made


def test_with_all_places_there_is_no_row(image: Path, tmp_path: Path) -> None:
    """Directories for directories, files for files; what lies below a shown directory needs none."""
    (tmp_path / "shown/below").mkdir(parents=True)
    (tmp_path / "file").touch()
    shown = image / str(tmp_path / "shown").lstrip("/")
    shown.mkdir(parents=True)
    (shown.parent / "file").touch()
    sandbox = described(
        root=image, read=[tmp_path / "shown", tmp_path / "file"], write=[tmp_path / "shown/below"]
    )
    assert list(image_rows(sandbox)) == []
    assert list(image_rows(described(root="/", read=[tmp_path]))) == []
    assert list(image_rows(described(read=[tmp_path]))) == []


@pytest.mark.parametrize(("kind", "make"), [("directory", "mkdir -p"), ("file", "touch")])
@pytest.mark.parametrize("wish", ["read", "write"])
def test_a_path_without_a_place(
    image: Path, tmp_path: Path, wish: str, kind: str, make: str
) -> None:
    """The row says what is to be made."""
    path = tmp_path / "shown"
    path.mkdir() if kind == "directory" else path.touch()
    (row,) = image_rows(described(root=image, **{wish: [path]}))
    assert (row.wish, row.path, row.mistaken) == (wish, str(path), True)
    assert row.shortfall == f"the root has no {kind} '{image}{path}', where one is to be mounted"
    assert row.remedy == f"{make} {image}{path}"


def test_a_file_where_a_directory_is_to_be_mounted(image: Path, tmp_path: Path) -> None:
    """It is of no use."""
    path = tmp_path / "shown"
    path.mkdir()
    (image / str(tmp_path).lstrip("/")).mkdir(parents=True)
    Path(f"{image}{path}").touch()
    (row,) = image_rows(described(root=image, read=[path]))
    assert row.remedy == f"mkdir -p {image}{path}"


def test_an_image_without_proc(image: Path) -> None:
    """Unless none is wished; the same of /tmp."""
    (image / "proc").rmdir()
    (image / "tmp").rmdir()
    assert [row.remedy for row in image_rows(described(root=image))] == [
        f"mkdir -p {image}/proc",
        f"mkdir -p {image}/tmp",
    ]
    assert list(image_rows(described(root=image, proc=False, tmp=None))) == []
