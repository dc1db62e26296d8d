import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# The rooms of the package from the ground up: a room may know those above it in this list,
# never one in its own line or below.
ROWS = (
    {"flags", "exit_status", "losses"},
    {"errors", "law"},
    {
        "asyncio_watch",
        "blocking",
        "data_codec",
        "here",
        "kernel_names",
        "parcel",
        "rights",
        "spawn_reasons",
        "user_ids",
    },
    {"hints"},
    {"options", "refusal"},
    {"conflicts", "granted", "id_maps", "joining", "popen_types", "surroundings"},
    {
        "awaiting",
        "burial",
        "capture",
        "far_side",
        "left_open",
        "left_threads",
        "main_program",
        "native_code",
        "pidfd",
        "relations",
        "standard_streams",
        "streams",
        "transfer",
    },
    {"apart", "clone_args", "sharers", "tree"},
    {"birth"},
    {"launching"},
    {"child"},
    {"lowlevel"},
    {"surrounded"},
    {"function", "program"},
    {"namespace", "preexec"},
    {"popen"},
    {"running", "waiting"},
    {"aio"},
    {"__init__"},
    {"law_check", "tour"},
    {"cli"},
    {"__main__"},
)

# The rooms that may speak to the extension module.
CORE_USERS = {
    "birth",
    "burial",
    "child",
    "clone_args",
    "function",
    "launching",
    "law_check",
    "left_open",
    "left_threads",
    "lowlevel",
    "pidfd",
    "popen",
    "preexec",
    "program",
} | {
    "relations",
    "sharers",
    "surrounded",
    "transfer",
}

# All of the standard library that rooms may use which run on any machine, and in a browser.
PURE_ROOMS = {"flags", "law"}
PURE_MODULES = {
    "__future__",
    "collections",
    "collections.abc",
    "dataclasses",
    "difflib",
    "enum",
    "errno",
    "functools",
    "html",
    "itertools",
    "operator",
    "re",
    "textwrap",
    "types",
    "typing",
}

# The rooms that come with an extra, and may need its packages.
EXTRA_ROOMS = {"aio", "awaiting", "tour", "cli"}


class Import(NamedTuple):
    """One import statement: which file's, and what it names, in full."""

    room: str
    place: str
    module: str
    at_import_time: bool

    @property
    def target(self) -> str | None:
        """The room that is imported, or None for a module that is not ours."""
        package, _, rest = self.module.partition(".")
        return (rest.partition(".")[0] or "__init__") if package == "ramet" else None


def package_root() -> Path:
    spec = importlib.util.find_spec("ramet")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def room_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def named_modules(node: ast.Import | ast.ImportFrom, package: tuple[str, ...]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = package[: len(package) - node.level + 1] if node.level else ()
    origin = ".".join((*base, *(node.module or "").split("."))).rstrip(".")
    if origin != "ramet":
        yield origin
        return
    # `from ramet import x` names the room x, or something of the public face.
    for alias in node.names:
        yield f"ramet.{alias.name}" if alias.name in ROOMS | {"_core"} else "ramet"


def imports_of(file: Path) -> Iterator[Import]:
    tree = ast.parse(file.read_text(), file.name)
    package = ("ramet", *file.relative_to(ROOT).parent.parts)
    top_level = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            place = f"{file.relative_to(ROOT)}:{node.lineno}"
            for module in named_modules(node, package):
                yield Import(room_of(file), place, module, node in top_level)


ROOT = package_root()
FILES = sorted(ROOT.rglob("*.py"))
ROOMS = {room_of(file) for file in FILES}
IMPORTS = [found for file in FILES for found in imports_of(file)]
FLOOR = {room: floor for floor, row in enumerate(ROWS) for room in row}


def complaints(wrong: list[Import]) -> list[str]:
    return [f"{found.place} imports {found.module}" for found in wrong]


def test_every_room_has_a_row() -> None:
    """Every module and package of ramet has its place in the table of layers."""
    assert ROOMS - FLOOR.keys() == set()


def test_type_checkers_read_its_sources() -> None:
    """The package says that it is typed, in a file with something in it: an empty one may get lost."""
    assert "PEP 561" in (ROOT / "py.typed").read_text()


def test_arrows_go_one_way() -> None:
    """A room knows only rooms that stand above it in the table."""
    wrong = [
        found
        for found in IMPORTS
        if found.target not in {None, "_core", found.room}
        and FLOOR.get(str(found.target), len(ROWS)) >= FLOOR.get(found.room, 0)
    ]
    assert complaints(wrong) == []


def test_the_core_is_known_to_few() -> None:
    """Only the rooms that make tasks or speak of them import the extension module."""
    wrong = [found for found in IMPORTS if found.target == "_core" and found.room not in CORE_USERS]
    assert complaints(wrong) == []


def test_the_law_is_pure() -> None:
    """The flags and the law touch no system call, no file and no clock."""
    wrong = [
        found
        for found in IMPORTS
        if found.room in PURE_ROOMS and found.target is None and found.module not in PURE_MODULES
    ]
    assert complaints(wrong) == []


def test_the_library_needs_only_the_standard_library() -> None:
    """Importing ramet imports nothing that would have to be installed beside it."""
    wrong = [
        found
        for found in IMPORTS
        if found.at_import_time
        and found.room not in EXTRA_ROOMS
        and found.target is None
        and found.module.partition(".")[0] not in sys.stdlib_module_names
    ]
    assert complaints(wrong) == []
