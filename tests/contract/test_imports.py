import ast
from pathlib import Path
from sys import stdlib_module_names

import pytest

import ramet

ROOT = Path(ramet.__file__).parent
TABLE = [line.split() for line in Path(__file__).with_name("rooms.txt").read_text().splitlines()]
OF_ROOMS = {"_sandbox": "rooms_of_sandbox.txt", "_workers": "rooms_of_workers.txt"}
# What flags and law may import, which run in a browser: no system call, no file, no clock.
PURE = {"collections", "contextlib", "dataclasses", "difflib", "enum", "errno", "functools", "html"}
PURE |= {"importlib", "itertools", "operator", "re", "textwrap", "types", "typing"}


def imported(file: Path) -> set[str]:
    """The rooms of ramet that a file names in its imports, and the packages of others."""
    package, names = ["ramet", *file.relative_to(ROOT).parent.parts], set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            names |= {".".join(filter(None, [*base, node.module, a.name])) for a in node.names}
    ours = {name.split(".")[1] for name in names if name.startswith("ramet.")}
    others = {name.split(".")[0] for name in names if not name.startswith("ramet")}
    return {n if [*ROOT.glob(n), *ROOT.glob(f"{n}.py*")] else "ramet" for n in ours} | others


@pytest.mark.parametrize("place", range(len(TABLE)), ids=[row[0] for row in TABLE])
def test_a_room_imports_what_the_table_says(place: int) -> None:
    """Each room has a line of rooms.txt, and imports what that names, which stands above it."""
    room, *allowed = TABLE[place]
    rooms = {path.relative_to(ROOT).parts[0].split(".")[0] for path in ROOT.rglob("*.py")}
    assert rooms - {"__init__"} == {row[0] for row in TABLE} - {"ramet"}
    files = [*ROOT.glob(f"{room}/**/*.py"), *ROOT.glob(f"{room.replace('ramet', '__init__')}.py")]
    free = {room, "nothing", *(PURE if room in {"flags", "law"} else stdlib_module_names)}
    assert {name for file in files for name in imported(file)} - free == {*allowed} - free
    assert not {*allowed} & {row[0] for row in TABLE[place:]}


@pytest.mark.parametrize(("room", "table"), OF_ROOMS.items())
def test_the_folders_of_a_large_room_have_an_order(room: str, table: str) -> None:
    """Each module and folder of it imports what its line names, which stands above it.

    Of what is imported when the room is loaded: the description of a sandbox, which is the face of its
    room, calls the rest later.
    """
    above: list[str] = []
    for line in Path(__file__).with_name(table).read_text().splitlines():
        name, *allowed = line.split()
        files = [*ROOT.glob(f"{room}/{name}/*.py"), *ROOT.glob(f"{room}/{name}.py")]
        found = {inner for file in files for inner in imported_at_once(file)} - {name}
        assert found == {*allowed} - {"nothing"}, name
        assert found <= {*above}, name
        above.append(name)
    assert sorted(above) == sorted({*modules_in(room)} - {"__init__", "__pycache__"})


def imported_at_once(file: Path) -> set[str]:
    """The modules and folders of its room that a file imports when it is loaded."""
    package = ["ramet", *file.relative_to(ROOT).parent.parts]
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            found |= {(*base, *(node.module or alias.name).split(".")) for alias in node.names}
    return {path[2] for path in found if path[1] == package[1]}


def modules_in(room: str) -> set[str]:
    """Without their endings."""
    return {path.stem for path in (ROOT / room).iterdir()}
