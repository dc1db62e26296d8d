"""Whether a main program is written to be run again in the processes that it starts."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from ramet.multiprocessing import main_program

GUARDED = (
    'if __name__ == "__main__":\n    main()',
    'if "__main__" == __name__: main()',
    'import sys\ntry:\n    pass\nfinally:\n    if __name__ != "__main__": pass',
    '__name__ == "__main__" and main()',
    'if __name__ in {"__main__", "__mp_main__"}: main()',
)
NOT_GUARDED = (
    "",
    "main()",
    "import logging\nlog = logging.getLogger(__name__)",
    'def main():\n    if __name__ == "__main__": pass\nmain()',
    'class Main:\n    is_main = __name__ == "__main__"',
    "this is no Python",
    "\0",
)


def way_of(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> main_program.Way:
    file = folder / "program.py"
    file.write_text(program)
    main = ModuleType("__main__")
    main.__file__ = str(file)
    monkeypatch.setitem(sys.modules, "__main__", main)
    return main_program.way_of({"init_main_from_path": str(file)})


@pytest.mark.parametrize("program", GUARDED)
def test_a_guard_is_found(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program whose top level compares its name is run once more, in the template."""
    assert way_of(program, tmp_path, monkeypatch) == "once"


@pytest.mark.parametrize("program", NOT_GUARDED)
def test_a_program_without_a_guard_never_runs_twice(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that compares its name only within a function or a class, or cannot be read."""
    assert way_of(program, tmp_path, monkeypatch) == "never"


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"init_main_from_name": "__main__"},
        {"init_main_from_name": "package.__main__"},
        {"init_main_from_path": "/usr/bin/ipython"},
        {"init_main_from_path": "/usr/bin/ipython.py"},
    ],
    ids=str,
)
def test_what_spawn_does_not_run_is_not_run(what: dict[str, str]) -> None:
    """A prompt, a notebook, the __main__ of a package."""
    assert main_program.way_of(what) == "never"


def test_definitions_are_what_the_program_defines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions and classes; not what it imports, and no other objects."""
    main = ModuleType("__main__")
    exec("import os\nfrom pathlib import Path\nclass C: pass\ndef f(): pass\nx = C()", vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert main_program.definitions() == {"C": main.C, "f": main.f}
