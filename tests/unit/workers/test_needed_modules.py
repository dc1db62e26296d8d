"""Which modules a value needs where its pickle is read."""

import builtins
import colorsys
import importlib
import json
import sys
import threading
import types
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import pytest

from ramet._workers.executor.needed_modules import modules_of, package_of, packages_of

# Of each function by value: what makes it, where it is, and what its parts are.
OF_ALL = {"cloudpickle.cloudpickle", __name__, "builtins"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: colorsys.ONE_THIRD, {"colorsys"}),
        (lambda: json.decoder.JSONDecodeError, {"json", "json.decoder"}),
        (lambda: Fraction(1), {"fractions"}),
        (OrderedDict(a=Fraction(1)), {"collections", "fractions"}),
        (lambda: 3, set()),
        (types.ModuleType("made_here"), set()),
        (threading.Lock(), set()),  # which cannot be pickled
    ],
    ids=str,
)
def test_modules_of_values(value: object, expected: set[str]) -> None:
    """Those that functions refer to, and those of classes."""
    assert set(modules_of(value)) - OF_ALL == expected


def test_the_packages_of_a_programs_own_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that refers to another, which refers to the first again."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_one.py").write_text("import own_two\n")
    (tmp_path / "own_two.py").write_text("import colorsys, own_one\nfrom json import dumps\n")
    one = importlib.import_module("own_one")
    try:
        found = set(packages_of(one)) - OF_ALL
        assert found == {"colorsys", "json"}
        assert "own_one" in modules_of(one)
    finally:
        del sys.modules["own_one"], sys.modules["own_two"]


def test_what_others_put_into_builtins_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the debugger of a notebook does, with functions of a module that it alone can import."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_debugger.py").write_text("import colorsys\ndef runfile(): pass\n")
    debugger = importlib.import_module("own_debugger")
    monkeypatch.setattr(builtins, "runfile", debugger.runfile, raising=False)
    try:
        assert packages_of((json.dumps, complex)) == ["builtins", "json"]
    finally:
        del sys.modules["own_debugger"]


def test_the_package_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outermost that has a file; two in one namespace have nothing in common."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_space" / "one").mkdir(parents=True)
    (tmp_path / "own_space" / "one" / "__init__.py").touch()
    (tmp_path / "own_space" / "one" / "part.py").touch()
    try:
        importlib.import_module("own_space.one.part")
        names = ["json.decoder", "json", "own_space.one.part", "own_space.one", "own_space"]
        expected = ["json", "json", "own_space.one", "own_space.one", "own_space"]
        assert list(map(package_of, names)) == expected
    finally:
        for name in [name for name in sys.modules if name.startswith("own_space")]:
            del sys.modules[name]
