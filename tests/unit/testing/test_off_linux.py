from types import SimpleNamespace
from typing import Any

import pytest

import pytest_ramet


class Config:
    """As much of pytest's as the plugin asks."""

    def __init__(self, **options: object) -> None:
        self.options = options
        self.markers: list[str] = []

    def getoption(self, name: str, default: object = None) -> object:
        return self.options.get(name, default)

    def addinivalue_line(self, name: str, line: str) -> None:
        assert name == "markers"
        self.markers.append(line)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest_ramet, "_ON_LINUX", False)
    monkeypatch.setattr("pytest_ramet.sys.platform", "darwin")


def test_elsewhere_it_says_so(elsewhere: None) -> None:
    """Off Linux a run with --ramet says in its header that there are no clones, and one without nothing."""
    asked: Any = Config(ramet=True)
    assert pytest_ramet.pytest_report_header(asked) == (
        "ramet: no clones on darwin, only on Linux: tests run in the session's process"
    )
    assert pytest_ramet.pytest_report_header(Config(ramet=None)) is None  # type: ignore[arg-type]


def test_elsewhere_it_does_nothing(elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off Linux the mark is known, and nothing is imported or refused for it."""
    config: Any = Config(ramet=True, usepdb=True)
    pytest_ramet.pytest_configure(config)
    assert len(config.markers) == 1
    assert config.markers[0].startswith("ramet(")
    session: Any = SimpleNamespace(config=config, items=[object()])
    pytest_ramet.pytest_collection_finish(session)


def test_elsewhere_there_is_no_n(elsewhere: None) -> None:
    """Off Linux -n is nobody's but xdist's."""
    parser, manager = pytest.Parser(_ispytest=True), pytest.PytestPluginManager()
    pytest_ramet.pytest_addoption(parser, manager)
    names = {name for option in parser.getgroup("ramet").options for name in option.names()}
    assert "--ramet" in names
    assert "-n" not in names
