"""Which Python a template runs: this one, or an error where its name is another program's."""

import os
import sys
from pathlib import Path

import pytest

from ramet import TemplateError
from ramet._workers.template.starting import own_python

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of those of this Python: a directory with no Python yet."""
    for name in ("exec_prefix", "base_exec_prefix"):
        monkeypatch.setattr(sys, name, str(tmp_path))
    (tmp_path / "bin").mkdir()
    return tmp_path


def test_it_is_this_one() -> None:
    """By the name that this process was started by."""
    assert own_python() == sys.executable


def test_a_server_that_embeds_python_is_not_taken_for_it(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python of its environment is: uWSGI gives its own name."""
    python = prefix / "bin" / VERSION
    os.symlink(sys.executable, python)
    monkeypatch.setattr(sys, "executable", "/srv/venv/bin/uwsgi")
    assert own_python() == str(python)


def test_another_name_may_be_pythons(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no other: what it is shows when it runs."""
    monkeypatch.setattr(sys, "executable", "/opt/tool/bin/interpreter")
    assert own_python() == "/opt/tool/bin/interpreter"


@pytest.mark.parametrize("name", ["", None])
def test_a_python_without_a_name_is_refused(
    name: str | None, prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do."""
    monkeypatch.setattr(sys, "executable", name)
    with pytest.raises(TemplateError, match=r"sys\.executable is .*from_here\(\)"):
        own_python()


def test_a_frozen_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be started again, and start itself again, for ever."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(TemplateError, match=r"this program is frozen.*from_here\(\)"):
        own_python()
