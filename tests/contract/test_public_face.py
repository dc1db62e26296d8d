import importlib
import inspect
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import ramet
import ramet.joblib
from ramet import aio, lowlevel, multiprocessing, observe

# Without ramet.dask: distributed changes how every exception is pickled, for all tests after this one.
FACES = (ramet, lowlevel, aio, multiprocessing, observe, ramet.joblib)

# Public names that cannot carry a docstring, as they are plain values, or subprocess's own.
UNEXPLAINED = (
    {"ramet.__version__"}
    | {
        f"ramet.{name}"
        for name in ("DEVNULL", "PIPE", "STDOUT", "CalledProcessError", "CompletedProcess")
    }
    | {"ramet.SubprocessError", "ramet.list2cmdline"}
)

# Everything that makes a task says what it needs of the kernel and which page describes it.
MAKES_TASKS = (
    "ramet.Popen",
    "ramet.call",
    "ramet.check_call",
    "ramet.check_output",
    "ramet.clone",
    "ramet.fork",
    "ramet.getoutput",
    "ramet.getstatusoutput",
    "ramet.in_namespace",
    "ramet.run",
    "ramet.vfork",
    "ramet.aio.open_process",
    "ramet.aio.run",
    "ramet.aio.spawn",
    "ramet.lowlevel.clone",
    "ramet.lowlevel.clone3",
    "ramet.multiprocessing.context",
    "ramet.aio.Executor",
    "ramet.joblib.RametBackend",
)

# Each needs packages that ramet does not bring, and says which.
NEEDS = {"aio": "anyio", "dask": "dask", "joblib": "joblib"}


API = Path(__file__).parents[2] / "docs/reference/api"


def public_names() -> list[str]:
    return [f"{face.__name__}.{name}" for face in FACES for name in face.__all__]


def look_up(full_name: str) -> object:
    face, _, name = full_name.rpartition(".")
    return getattr({module.__name__: module for module in FACES}[face], name)


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_the_face_names_each_thing_once(face: types.ModuleType) -> None:
    """__all__ holds no name twice, and none that is not there."""
    assert len(set(face.__all__)) == len(face.__all__)
    assert [name for name in face.__all__ if not hasattr(face, name)] == []


def test_the_face_shows_public_names_only() -> None:
    """dir(ramet) is what __all__ says, with two rooms and what every module has."""
    shown = {name for name in dir(ramet) if not name.startswith("__")}
    assert shown == {*ramet.__all__, "aio", "multiprocessing"}
    assert {"__name__", "__doc__", "__file__"} <= set(dir(ramet))


@pytest.mark.parametrize("face", NEEDS)
def test_a_face_without_its_package_names_the_extra(
    face: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the import says what to install."""
    monkeypatch.setitem(sys.modules, NEEDS[face], None)
    monkeypatch.delitem(sys.modules, f"ramet.{face}", raising=False)
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'ramet\[{face}\]'"):
        importlib.import_module(f"ramet.{face}")


def test_await_without_anyio_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who awaits a child, or a template's call, has not imported ramet.aio."""
    monkeypatch.setitem(sys.modules, "anyio", None)
    monkeypatch.delitem(sys.modules, "ramet._process.awaiting", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"to await a child .* 'ramet\[aio\]'"):
        importlib.import_module("ramet._process.awaiting")


def test_it_stands_in_for_subprocess() -> None:
    """After `import ramet as subprocess` all public names of subprocess are there, on its terms.

    One is caught by more than there: TimeoutExpired is an OSError, of which docs/how_to/programs.md warns.
    """
    names = {*subprocess.__all__, "list2cmdline"}
    assert names - set(ramet.__all__) == set()
    for name in names:
        ours, theirs = getattr(ramet, name), getattr(subprocess, name)
        if isinstance(theirs, type):
            assert issubclass(ours, theirs)
            wider = (TimeoutError, OSError) if name == "TimeoutExpired" else ()
            assert {*ours.__mro__} - {*theirs.__mro__} - {ours} == {*wider}
        elif not callable(theirs):
            assert ours is theirs


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_is_explained(name: str) -> None:
    """Each public name has a docstring of its own, not one that it inherits."""
    thing = look_up(name)
    own = vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
    assert name in UNEXPLAINED or (own or "").strip()


@pytest.mark.parametrize("name", MAKES_TASKS)
def test_makers_of_tasks_say_what_they_need(name: str) -> None:
    """Whatever makes a task names its needs and its source in its docstring."""
    sections = [line.strip() for line in (inspect.getdoc(look_up(name)) or "").splitlines()]
    assert any(line.startswith("Needs:") for line in sections)
    assert any(line.startswith("Source:") for line in sections)


@pytest.mark.parametrize(
    ("kind", "page", "make"),
    [
        pytest.param("Child", "child", lambda: ramet.vfork(int), id="Child"),
        pytest.param(
            "Child", "child", lambda: ramet.Template(spares=0).clone(int), id="of a template"
        ),
        pytest.param("Command", "programs", lambda: ramet.Command(["true"]), id="Command"),
        pytest.param("Template", "workers", lambda: ramet.Template(spares=0), id="Template"),
    ],
)
def test_dir_lists_what_is_documented(kind: str, page: str, make: Callable[[], object]) -> None:
    """And no more: what is the library's own has an underscore."""
    text = (API / f"{page}.md").read_text()
    documented = {*re.findall(rf"^### {kind}\.([a-z]\w*)$", text, re.MULTILINE)}
    # The class's own text explains the first two; the others are only there to say where they are.
    members = {"Child": {"pid", "pidfd"}, "Template": {"submit", "map"}}.get(kind, set())
    thing = make()
    assert {name for name in dir(thing) if not name.startswith("_")} == documented | members
    if isinstance(thing, ramet.Child):
        thing.wait()
