"""Executors and templates that a module makes at its top level, as the modules of web services do."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import ramet

from ...constants import PATIENT_SECONDS

_MODULE = """\
import os, ramet, ramet.multiprocessing
from functools import partial

def setup(): pass

def has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return False
    return True

def use():
    return executor.submit(has_children).result(), list(executor.map(abs, [-1, 2])), has_children()

def close(used):
    if used:
        executor.submit(abs, -1)
    executor.shutdown()
    executor.kill_workers()
    executor.submit(abs, -1)

made = {}
executor = made
"""


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that writes the module, with what it makes, and imports it."""

    def write(made: str) -> Any:
        (tmp_path / "of_a_service.py").write_text(_MODULE.format(made))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "of_a_service", raising=False)
        return import_module("of_a_service")

    return write


@pytest.mark.parametrize("preload", ["", "preload=['of_a_service']"], ids=["imported", "loaded"])
def test_a_call_starts_no_template_for_the_executor_of_its_module(
    preload: str, imported: Any
) -> None:
    """It is started by that executor's first call, and mostly there is none in such a process."""
    module = imported(f"ramet.Executor(1, {preload})")
    with module.executor as executor:
        assert executor.submit(module.has_children).result(PATIENT_SECONDS) is False
        assert executor.submit(module.use).result(PATIENT_SECONDS) == (False, [1, 2], True)
        for used in (False, True):
            with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
                executor.submit(module.close, used).result(PATIENT_SECONDS)


@pytest.mark.parametrize(
    "made",
    [
        "ramet.Template(['of_a_service'])",
        "ramet.Template(['of_a_service.part'])",
        "ramet.Template(setup=setup)",
        "ramet.Template(warm=partial(setup))",
    ],
)
def test_a_module_that_makes_a_template_of_itself_is_refused(made: str, imported: Any) -> None:
    """The template would import the module, and so make another, without end."""
    with pytest.raises(
        ramet.TemplateError,
        match="invalid template: the module 'of_a_service' is being imported for one, and makes another",
    ):
        imported(made)


def test_a_module_may_make_a_template_of_others_as_it_is_loaded(imported: Any) -> None:
    """Which does not import it again."""
    module = imported("ramet.Template(['json'])")
    with module.made, ramet.Template(["of_a_service"]) as template:
        assert template.clone(module.has_children).result(PATIENT_SECONDS) is False


def test_a_module_may_make_a_context_that_loads_it(imported: Any) -> None:
    """The context's template is started by its first process, and not as the module is imported."""
    module = imported("ramet.multiprocessing.context(preload=['of_a_service'])")
    with module.made.Pool(1) as pool:
        assert pool.apply(module.has_children) is False
