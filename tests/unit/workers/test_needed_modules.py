"""Which modules a value needs where its pickle is read."""

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

from ramet._workers.needed_modules import modules_of, packages_of

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
