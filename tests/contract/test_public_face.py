import inspect
import types

import pytest

import ramet
from ramet import aio, lowlevel

FACES = (ramet, lowlevel, aio)

# Public names that are plain values, which cannot carry a docstring.
VALUES = {"ramet.__version__"}

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
)


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


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_is_explained(name: str) -> None:
    """Each public name has a docstring of its own, not one that it inherits."""
    thing = look_up(name)
    own = vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
    assert name in VALUES or (own or "").strip()


@pytest.mark.parametrize("name", MAKES_TASKS)
def test_makers_of_tasks_say_what_they_need(name: str) -> None:
    """Whatever makes a task names its needs and its source in its docstring."""
    sections = [line.strip() for line in (inspect.getdoc(look_up(name)) or "").splitlines()]
    assert any(line.startswith("Needs:") for line in sections)
    assert any(line.startswith("Source:") for line in sections)
