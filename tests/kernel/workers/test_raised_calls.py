"""What a call raises crosses without Python in its process, where that tells the same."""

import traceback
from collections.abc import Iterator
from typing import Any

import pytest

import ramet

from ...constants import PATIENT_SECONDS
from . import raising_calls, told_calls

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(params=[0, 1], ids=["clone", "spare"])
def template(request: pytest.FixtureRequest) -> Iterator[ramet.Template]:
    """One whose calls need no Python of ours."""
    preload = [raising_calls.__name__, told_calls.__name__]
    with ramet.Template(preload=preload, spares=request.param) as made:
        yield made


def _raised(template: ramet.Template, name: str, **options: Any) -> tuple[Any, ...]:
    """All that is known of it in the caller, and the exit code."""
    with template.clone(raising_calls.raises, name, **options) as call:
        error = call.exception(PATIENT_SECONDS)
        assert error is not None
        shown = "".join(traceback.format_exception(error))
        notes = getattr(error, "__notes__", None)
        return type(error).__name__, repr(error), notes, shown, call.wait().code


@pytest.mark.parametrize("name", raising_calls.RAISING)
def test_it_is_the_same_by_the_core_as_by_python(template: ramet.Template, name: str) -> None:
    """Class, arguments, notes, text and exit code; a call that says how it is trusted is Python's."""
    by_core, by_python = _raised(template, name), _raised(template, name, trusted=True)
    if name in {"which cannot be pickled", "which cannot be read"}:
        assert by_core[0] == "RemoteError"
    assert by_core == by_python
    assert by_core[-1] == 1
    assert "raising_calls.py" in by_core[3]


def test_its_output_comes_before_it(template: ramet.Template, tmp_path: Any) -> None:
    """Whoever has the exception has seen what was written."""
    path = tmp_path / "written"
    with path.open("wb") as file, template.clone(told_calls.print_and_raise, stdout=file) as call:
        assert isinstance(call.exception(PATIENT_SECONDS), ValueError)
        assert path.read_text() == "before\n"


def test_a_copy_that_comes_back_as_well_tells_nothing(template: ramet.Template) -> None:
    """A fork in the function raises in both: the outcome is that of the call's own process."""
    with template.clone(told_calls.fork_and_raise) as call:
        error = call.exception(PATIENT_SECONDS)
    assert isinstance(error, ValueError)
    assert error.args == (call.pid,)


def test_it_takes_fewer_pages_than_by_python() -> None:
    """Each function of Python's in the clone copies some."""
    with ramet.Template(preload=[raising_calls.__name__], spares=0) as template:
        assert _pages(template, "a message") < _pages(template, "with a cause") * 3 / 4


def _pages(template: ramet.Template, name: str) -> int:
    found = []
    for _ in range(3):
        call = template.clone(raising_calls.raises, name)
        call.exception(PATIENT_SECONDS)
        usage = call.wait().rusage
        assert usage is not None
        found.append(usage.ru_minflt)
    return min(found)


@pytest.mark.usefixtures("root")
def test_another_user_tells_texts(template: ramet.Template) -> None:
    """Of one with other rights no pickle is read."""
    with template.clone(raising_calls.raises, "a message", user=65534, group=65534) as call:
        error = call.exception(PATIENT_SECONDS)
    assert isinstance(error, ramet.RemoteError)
    assert "ValueError: a message" in str(error)
