"""Suites of tests that the plugin runs, each by a pytest of its own."""

import pytest

# Only what a test names is loaded: another plugin would cost more than all else.
_NO_OTHERS = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"


class Suite:
    """A directory with tests."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path

    def write(self, text: str, name: str = "test_it") -> None:
        """Add a file of tests, or a conftest."""
        self.pytester.makepyfile(**{name: text})

    def run(self, *options: str) -> pytest.RunResult:
        """Run all tests there, without the cache and with the plugin."""
        return self.pytester.runpytest_subprocess("-p", "ramet", *options, timeout=90)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """An empty suite."""
    monkeypatch.setenv(_NO_OTHERS, "1")
    return Suite(pytester)
