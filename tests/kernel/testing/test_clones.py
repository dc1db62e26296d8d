"""Which tests run in clones, and what they keep to themselves."""

import pytest

from .conftest import Suite

WHERE = """
    import os
    import pytest

    here = os.getpid()
    kept = []

    def is_session():
        return os.getpid() == here
"""

ALONE = f"""
{WHERE}
    @pytest.mark.parametrize("number", range(3))
    def test_alone(number, tmp_path):
        assert not is_session()
        assert kept == [] and os.getcwd() == {{place!r}}
        assert "LEFT" not in os.environ
        kept.append(number)
        os.environ["LEFT"] = "1"
        os.chdir(tmp_path)
        os.umask(0)

    def test_umask():
        assert os.umask(0) != 0
"""


def test_a_test_has_a_process_of_its_own(suite: Suite, nothing_left: object) -> None:
    """What a test changes (objects, environment, working directory, umask) is not there in the next one."""
    suite.write(ALONE.format(place=str(suite.path)))
    suite.run("--ramet").assert_outcomes(passed=4)


BY_TEST = f"""
{WHERE}
    @pytest.mark.ramet
    def test_marked():
        assert not is_session()

    def test_unmarked():
        assert is_session()
"""
BY_FILE = f"""
{WHERE}
    pytestmark = pytest.mark.ramet

    def test_of_a_marked_file():
        assert not is_session()

    @pytest.mark.ramet(clone=False)
    def test_that_is_taken_out():
        assert is_session()
"""
ALL = f"""
{WHERE}
    def test_any():
        assert not is_session()

    @pytest.mark.ramet(clone=False)
    def test_that_is_taken_out():
        assert is_session()
"""
NONE = f"""
{WHERE}
    @pytest.mark.ramet(timeout=5)
    def test_marked():
        assert is_session()
"""


@pytest.mark.parametrize(
    ("text", "options"),
    [(BY_TEST, []), (BY_FILE, []), (ALL, ["--ramet"]), (NONE, ["--no-ramet"])],
    ids=["by test", "by file", "all", "none"],
)
def test_who_runs_in_a_clone(text: str, options: list[str], suite: Suite) -> None:
    """A mark on a test or a file asks for a clone, --ramet for all; clone=False and --no-ramet for none."""
    suite.write(text)
    result = suite.run("--strict-markers", *options)
    result.assert_outcomes(passed=1 + (text is not NONE))


def test_who_does_not_ask_pays_nothing(suite: Suite) -> None:
    """Without a test for a clone the plugin imports nothing of ramet."""
    suite.write(
        """
        import sys

        def test_it():
            assert "pytest_ramet" in sys.modules
            assert [name for name in sys.modules if name.split(".")[0] == "ramet"] == []
        """
    )
    suite.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--ramet-timeout=5", "--ramet-net"],
            "--ramet-timeout, --ramet-net without --ramet: for tests",
        ),
        (["--ramet-timeout=5", "--ramet"], "each test in a clone"),
    ],
)
def test_a_limit_without_clones_is_told(options: list[str], told: str, suite: Suite) -> None:
    """It holds for tests with the mark alone, of which there may be none."""
    suite.write("def test_it(): pass")
    result = suite.run(*options)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"ramet: {told}*"])


def test_assertions_of_ramet_are_as_elsewhere(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assertions of ramet are not rewritten by pytest, though a plugin comes with it."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    suite.write(
        """
        import pytest
        import ramet

        def test_it():
            assert type(ramet.__loader__).__module__ != "_pytest.assertion.rewrite"
        """
    )
    result = suite.pytester.runpytest_subprocess("--ramet")
    result.assert_outcomes(passed=1, warnings=result.parseoutcomes().get("warnings", 0))


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        (
            "ramet(5)",
            "invalid @pytest.mark.ramet: expected clone, memory, net, timeout by name, got 5",
        ),
        ("ramet(tiemout=5)", "by name, got tiemout"),
        ("ramet(timeout='5')", "invalid timeout: expected seconds or None, got '5'"),
        ("ramet(timeout=-1)", "invalid timeout: expected 0 seconds or more, got -1"),
        ("ramet(memory='much')", "invalid memory: expected bytes as an int above 0"),
        ("ramet(net='lo')", "invalid net: expected True, False or None, got 'lo'"),
        ("ramet(clone=1)", "invalid clone: expected True, False or None, got 1"),
    ],
)
def test_a_mark_that_cannot_be_meant(mark: str, message: str, suite: Suite) -> None:
    """It ends the run with one line, which names the test and what was expected."""
    suite.write(f"import pytest\n@pytest.mark.{mark}\ndef test_it(): pass")
    result = suite.run("--strict-markers")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: test_it.py::test_it: *{message.replace('[', '[[]')}*"])


@pytest.mark.parametrize("option", ["--pdb", "--trace"])
def test_a_debugger_is_refused(option: str, suite: Suite) -> None:
    """A clone has no terminal: --pdb and --trace are refused, of marked tests, too; --no-ramet helps."""
    suite.write("import pytest\n@pytest.mark.ramet\ndef test_it(): pass")
    for asks in (["--ramet"], []):
        result = suite.run(option, *asks)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: {option} cannot be combined with *--no-ramet*"])
    if option == "--pdb":
        suite.run(option, "--no-ramet").assert_outcomes(passed=1)


def test_what_is_only_shown(suite: Suite) -> None:
    """--collect-only and --setup-plan run nothing, in a clone or not."""
    suite.write("def test_it(tmp_path): assert 0")
    assert suite.run("--ramet", "--collect-only").ret == 0
    assert suite.run("--ramet", "--setup-plan").ret == 0


def test_plugins_of_pytest_may_be_off(suite: Suite) -> None:
    """It needs none of those that it works with."""
    suite.write(
        """
        import warnings

        def test_it():
            print("words")
            warnings.warn("a warning")

        def test_that_fails():
            assert 0
        """
    )
    off = [
        "setuponly",
        "setupplan",
        "faulthandler",
        "warnings",
        "tmpdir",
        "logging",
        "subtests",
        "capture",
    ]
    options = [option for name in off for option in ("-p", f"no:{name}")]
    suite.run("--ramet", *options).assert_outcomes(passed=1, failed=1)


MEETS = """
    import os, pytest

    @pytest.mark.parametrize("mine, other", [("a", "b"), ("b", "a")])
    def test_meets(mine, other, request):
        # Each opens one pipe to write and one to read, which waits for the other end.
        here = request.config.rootpath
        order = sorted([mine, other])
        ends = {name: os.open(here / name, os.O_WRONLY if name == mine else os.O_RDONLY) for name in order}
        os.write(ends[mine], mine.encode())
        assert os.read(ends[other], 1) == other.encode()
"""


def test_clones_side_by_side(suite: Suite) -> None:
    """With -n 2 two tests run at a time, without xdist: each can wait for the other."""
    import os

    for name in ("a", "b"):
        os.mkfifo(suite.path / name)
    suite.write(MEETS)
    result = suite.run("-p", "no:xdist", "--ramet", "-n", "2", "--ramet-timeout", "60", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["test_it.py::test_meets[[]?-?] PASSED*"])


SHARED_AND_CHANGED = """
    import pathlib, pytest

    log = pathlib.Path("log")

    def note(what):
        with log.open("a") as file:
            file.write(what + " ")

    @pytest.fixture(scope="module", params=["x", "y"])
    def shared(request, tmp_path_factory):
        place = tmp_path_factory.mktemp("shared")
        (place / "is there").write_text(request.param)
        note("up " + request.param)
        yield place / "is there"
        (place / "is there").unlink()
        note("down " + request.param)

    @pytest.mark.parametrize("number", range(4))
    def test_it(shared, number):
        for _ in range(10 ** (number % 2 * 4)):
            assert shared.exists()

    @pytest.mark.ramet(clone=False)
    def test_in_the_session():
        assert log.read_text() == "up x down x up y "
"""


def test_what_tests_share_waits_for_all_of_them(suite: Suite) -> None:
    """Side by side, too, a wider fixture is torn down only when the last test that may use it has ended."""
    suite.write(SHARED_AND_CHANGED)
    result = suite.run("-p", "no:xdist", "--ramet", "-n", "3")
    result.assert_outcomes(passed=9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-n", "2"], "ERROR: -n NUMBER runs clones side by side and needs --ramet*"),
        (["--ramet", "-n", "many"], "ERROR: invalid -n: expected a number or auto, got 'many'"),
    ],
)
def test_a_number_that_cannot_be_meant(options: list[str], message: str, suite: Suite) -> None:
    """-n without --ramet, and without a number, ends the run with one line."""
    suite.write("def test_it(): pass")
    result = suite.run("-p", "no:xdist", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_workers_of_xdist_run_clones(suite: Suite) -> None:
    """With xdist its workers distribute the tests, and each runs its own in clones."""
    suite.write(
        f"""
        {WHERE.replace(chr(10), chr(10) + "    ")}
        import ctypes

        @pytest.fixture(scope="session")
        def shared():
            return os.getpid()

        @pytest.mark.parametrize("number", range(6))
        def test_it(number, shared):
            assert shared == here and not is_session()

        def test_that_crashes():
            ctypes.string_at(8)
        """
    )
    result = suite.run("-p", "xdist", "--ramet", "-n", "2")
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["killed by SIGSEGV in its call"])


def test_threads_of_the_session_are_warned_of(suite: Suite) -> None:
    """A clone has none of them: a warning names them, once, and nothing hangs."""
    suite.write(
        """
        import threading

        threading.Thread(target=threading.Event().wait, name="a thread of a plugin", daemon=True).start()

        def test_it():
            assert threading.active_count() == 1

        def test_more():
            pass
        """
    )
    result = suite.run("--ramet")
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(
        ["*1 more threads, a thread of a plugin: a clone has none of them*"]
    )


def test_nothing_is_left_in_the_session(suite: Suite) -> None:
    """However clones end, the session has the descriptors, children and threads that it had before."""
    suite.write(
        f"""
        {WHERE.replace(chr(10), chr(10) + "    ")}
        import ctypes, subprocess, time

        def held():
            with open(f"/proc/self/task/{{os.getpid()}}/children") as children:
                return len(os.listdir("/proc/self/fd")), children.read(), len(os.listdir("/proc/self/task"))

        before = []

        @pytest.mark.ramet(memory="100M")
        def test_for_which_a_cgroup_is_made_and_kept():
            pass

        @pytest.mark.ramet(clone=False)
        def test_before():
            before.append(held())

        @pytest.mark.parametrize("number", range(5))
        @pytest.mark.ramet(memory="100M")
        def test_that_ends_well(number):
            pass

        def test_that_crashes():
            subprocess.Popen(["sleep", "1000"])
            ctypes.string_at(8)

        @pytest.mark.ramet(timeout=0.1)
        def test_that_hangs():
            subprocess.Popen(["sleep", "1000"])
            time.sleep(1000)

        def test_that_leaves_a_process():
            subprocess.Popen(["sleep", "1000"])

        @pytest.mark.ramet(clone=False)
        def test_after():
            print(held())
            assert [held()] == before
        """
    )
    result = suite.run("--ramet", "--tb=short")
    result.assert_outcomes(passed=9, failed=2, errors=1)
