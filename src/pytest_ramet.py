"""The pytest plugin: each test in a clone of the session, with limits of its own.

See docs/how_to/pytest.md.
It lies beside the package, so that pytest can load it without importing ramet: the rest is imported when a
test is to run in a clone.
"""

import sys
from importlib.util import find_spec

import pytest

MARK = "ramet"
_LIMITS = ("--ramet-timeout", "--ramet-memory", "--ramet-net")
_ON_LINUX = sys.platform == "linux"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options."""
    # pytest rewrites the assertions of all that comes with a plugin: ramet stays as it is elsewhere.
    getattr(pluginmanager.rewrite_hook, "_must_rewrite", set()).discard("ramet")
    group = parser.getgroup(
        "ramet", "each test in a process of its own, a clone of the session (ramet)"
    )
    group.addoption(
        "--ramet",
        action="store_true",
        default=None,
        help="run each test in a clone; without it, those with @pytest.mark.ramet",
    )
    group.addoption(
        "--no-ramet",
        action="store_false",
        default=None,
        dest="ramet",
        help="run no test in a clone, whatever its mark says: to debug one",
    )
    group.addoption(
        "--ramet-timeout",
        type=float,
        metavar="SECONDS",
        help="the deadline of tests that run in clones: fixtures of the function, call and teardown",
    )
    group.addoption(
        "--ramet-memory",
        metavar="SIZE",
        help="what such a test and its processes may have resident, beyond the session: 512M",
    )
    group.addoption(
        "--ramet-net",
        action="store_true",
        help="such a test has a network namespace of its own, with nothing but a loopback device",
    )
    if _ON_LINUX and (find_spec("xdist") is None or pluginmanager.is_blocked("xdist")):
        # As xdist adds it: Parser.addoption() refuses a short option in lower case.
        group._addoption(
            *("-n", "--numprocesses"),
            dest="ramet_jobs",
            metavar="NUMBER",
            help="how many clones run at a time; auto: as many as there are cores",
        )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and refuse what cannot be done."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(timeout=None, memory=None, net=False, clone=True): run it in a clone of the session, "
        "in its own process. timeout: its deadline in seconds. memory: what it may have resident, as "
        "bytes or '512M'. net: in a network namespace of its own. clone=False: in the session after all, "
        "under --ramet.",
    )
    if not _ON_LINUX:
        return
    if config.getoption("ramet_jobs", None) is not None and not config.getoption("ramet"):
        raise pytest.UsageError(
            "-n NUMBER runs clones side by side and needs --ramet (or pytest-xdist, which has another -n)"
        )
    if config.getoption("ramet"):
        from ramet._testing.debugger import refuse_debugger

        refuse_debugger(config, "--ramet")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say where tests run in clones, and where they cannot."""
    if not config.getoption("ramet"):
        given = [name for name in _LIMITS if config.getoption(name)]
        if not given or config.getoption("ramet") is False:
            return None
        return (
            f"ramet: {', '.join(given)} without --ramet: for tests with @pytest.mark.{MARK} alone"
        )
    if not _ON_LINUX:
        return (
            f"ramet: no clones on {sys.platform}, only on Linux: tests run in the session's process"
        )
    return "ramet: each test in a clone of the session"


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Import the rest where a test is to run in a clone."""
    config = session.config
    wanted = config.getoption("ramet")
    if not _ON_LINUX or wanted is False or config.getoption("collectonly"):
        return
    if wanted or any(item.get_closest_marker(MARK) for item in session.items):
        from ramet._testing.plugin import prepare

        prepare(session)
