"""A template becomes as its caller is, once that has stayed as it is for some calls."""

import gc
import itertools
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet._workers.template.followed_caller import FollowedCaller
from ramet._workers.template.link import Link
from ramet._workers.template.telling import CALLS_BEFORE
from ramet.errors import ResultError

from . import told_calls
from .test_calls_interrupted import ASKING, Heard, codes_of, raising_at

ENOUGH = CALLS_BEFORE + 1
_TELLING = ASKING | codes_of(
    FollowedCaller.changes,
    FollowedCaller._tell_process,
    Link.follow,
    ramet.Template._changes_of_caller,
)


def _own_state() -> tuple[str | None, str, list[str], list[str]]:
    return os.environ.get(told_calls.NAME), os.getcwd(), [*sys.argv], [*sys.path]


def _directory_of(template: ramet.Template) -> str:
    return os.readlink(f"/proc/{template.pid}/cwd")


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Changes all of the caller's state that is no output."""

    def move() -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(told_calls.NAME, str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["a", "b"])
        monkeypatch.syspath_prepend("/of a followed caller")

    return move


@pytest.fixture(autouse=True)
def without_the_name_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which pytest sets anew between the making of a template by a fixture and the calls of its test."""
    monkeypatch.delenv(told_calls.NAME, raising=False)


@pytest.mark.parametrize("spares", [0, 1, 2])
def test_each_call_has_its_callers_state(spares: int, moved: Callable[[], None]) -> None:
    """Before the template is told, by the call that tells it, after that, and when it is put back."""
    at_first = _own_state()
    with ramet.Template(preload=[told_calls.__name__], spares=spares) as template:
        assert template.clone(told_calls.state).result() == at_first
        with pytest.MonkeyPatch.context():
            moved()
            for _ in range(2 * ENOUGH):
                assert template.clone(told_calls.state).result() == _own_state()
            assert _directory_of(template) == os.getcwd()
        os.chdir(at_first[1])
        del os.environ[told_calls.NAME]
        sys.argv[:], sys.path[:] = at_first[2], at_first[3]
        for _ in range(2 * ENOUGH):
            assert template.clone(told_calls.state).result() == at_first
        assert _directory_of(template) == at_first[1]


def test_what_differs_at_each_call_is_told_to_none_but_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A template is not told what will not last."""
    begun = os.getcwd()
    with ramet.Template(preload=[told_calls.__name__]) as template:
        monkeypatch.chdir(tmp_path)
        for number in range(2 * ENOUGH):
            monkeypatch.setenv(told_calls.NAME, str(number))
            assert template.clone(told_calls.state).result()[:2] == (str(number), str(tmp_path))
        assert _directory_of(template) == begun


def test_later_calls_need_no_python_for_it(moved: Callable[[], None]) -> None:
    """They write to as few pages as those of a caller that has changed nothing."""
    with ramet.Template(spares=0) as template:
        moved()
        pages = [_pages(template) for _ in range(2 * ENOUGH)]
        assert max(pages[-3:]) < min(pages[1 : CALLS_BEFORE - 1]) * 3 / 4


def _pages(template: ramet.Template) -> int:
    call = template.clone(os.getppid)
    call.result()
    usage = call.wait().rusage
    assert usage is not None
    return usage.ru_minflt


@contextmanager
def _standard_output(file: Any) -> Iterator[None]:
    kept = os.dup(1)
    os.dup2(file.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@pytest.mark.parametrize("spares", [0, 1])
def test_output_goes_where_the_callers_goes(spares: int) -> None:
    """To each file that is in the place of its standard output, and to that itself in the end."""
    with tempfile.TemporaryFile() as own, tempfile.TemporaryFile() as other:
        with (
            _standard_output(own),
            ramet.Template(preload=[told_calls.__name__], spares=spares) as template,
        ):
            with _standard_output(other):
                for number in range(2 * ENOUGH):
                    template.clone(told_calls.write, f"{number} ").result()
            for _ in range(2 * ENOUGH):
                template.clone(told_calls.write, "x").result()
        other.seek(0)
        assert other.read().decode().split() == [str(number) for number in range(2 * ENOUGH)]
        own.seek(0)
        assert own.read() == b"x" * 2 * ENOUGH


@pytest.mark.parametrize("spares", [0, 1])
def test_output_that_is_captured_goes_to_its_future(spares: int) -> None:
    """Also where the caller's is another file by now, which the template is told of after some calls."""
    with tempfile.TemporaryFile() as other:
        with ramet.Executor(
            1, preload=[told_calls.__name__], capture_output=True, spares=spares
        ) as executor:
            executor.submit(told_calls.write, "x").result()
            with _standard_output(other):
                for number in range(2 * ENOUGH):
                    future = executor.submit(told_calls.write, str(number))
                    future.result()
                    assert future.stdout == str(number)
        other.seek(0)
        assert other.read() == b""


def test_a_derived_template_has_what_its_base_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And sees what is put back."""
    with ramet.Template(preload=[told_calls.__name__]) as template:
        with monkeypatch.context() as changed:
            changed.setenv(told_calls.NAME, "1")
            changed.chdir(tmp_path)
            for _ in range(ENOUGH):
                template.clone(told_calls.state).result()
            with template.derive() as derived:
                assert derived.clone(told_calls.state).result() == _own_state()
        with template.derive() as derived:
            assert derived.clone(told_calls.state).result() == _own_state()


def test_a_sandbox_is_told_the_variables_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other one, by no call."""
    other = told_calls.NAME + "_OF_ANOTHER"
    with ramet.Template(
        preload=[told_calls.__name__], sandbox=ramet.Sandbox(environment=[told_calls.NAME])
    ) as template:
        monkeypatch.setenv(told_calls.NAME, "1")
        monkeypatch.setenv(other, "secret")
        for _ in range(2 * ENOUGH):
            names = template.clone(told_calls.names).result()
            assert told_calls.NAME in names
            assert other not in names


@pytest.mark.parametrize("spares", [0, 1])
@pytest.mark.usefixtures("nothing_left")
def test_a_handler_that_raises_meanwhile_leaves_it_right(
    spares: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever line: calls have their caller's state, though the template may have been told or not."""
    with ramet.Template(preload=[told_calls.__name__], spares=spares) as template:
        for step in itertools.count(1):
            monkeypatch.setenv(told_calls.NAME, str(step))
            for _ in range(CALLS_BEFORE - 1):
                _require_state(template)
            was_interrupted = _is_interrupted(template, step)
            _require_state(template)
            monkeypatch.delenv(told_calls.NAME)
            _require_state(template)
            if not was_interrupted:
                break
        assert step > 20
    gc.collect()


def _require_state(template: ramet.Template) -> None:
    with template.clone(told_calls.state) as call:
        assert call.result() == _own_state()


def _is_interrupted(template: ramet.Template, step: int) -> bool:
    """Whether there was such a line of what tells a template."""
    before = sys.gettrace()
    sys.settrace(raising_at(step, _TELLING))
    try:
        _require_state(template)
    except Heard:
        return True
    finally:
        sys.settrace(before)
    return False


def test_threads_call_while_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call that begins after a change has it, whoever tells the template meanwhile."""
    wrong: list[Any] = []
    with ramet.Template(preload=[told_calls.__name__], spares=2) as template:
        for number in range(5):
            monkeypatch.setenv(told_calls.NAME, str(number))

            def call(expected: str = str(number)) -> None:
                for _ in range(2 * ENOUGH):
                    found = template.clone(told_calls.state).result()[0]
                    if found != expected:
                        wrong.append((found, expected))

            threads = [threading.Thread(target=call) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert wrong == []


def test_one_that_could_not_be_told_is_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor may have been free at that moment, of this process or of the template."""
    with ramet.Template(preload=[told_calls.__name__]) as template:
        monkeypatch.chdir(tmp_path)
        with monkeypatch.context() as full:
            full.setattr(Link, "_tell", lambda *_: False)
            for _ in range(ENOUGH):
                assert template.clone(told_calls.state).result() == _own_state()
        assert _directory_of(template) != str(tmp_path)
        for _ in range(2 * ENOUGH):
            assert template.clone(told_calls.state).result() == _own_state()
        assert _directory_of(template) == str(tmp_path)


def test_a_template_that_may_not_follow(
    root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its calls fail as each of them did, and hold again elsewhere."""
    begun = os.getcwd()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    os.chown(closed, 65534, 65534)
    with ramet.Template(bounding_caps=[]) as template:
        monkeypatch.setenv(told_calls.NAME, "1")
        with monkeypatch.context() as changed:
            changed.chdir(closed)
            for _ in range(2 * ENOUGH):
                with pytest.raises(ResultError, match="cannot begin the call: PermissionError"):
                    template.clone(os.getcwd).result()
        for _ in range(2 * ENOUGH):
            assert template.clone(os.getenv, told_calls.NAME).result() == "1"
    assert os.getcwd() == begun
