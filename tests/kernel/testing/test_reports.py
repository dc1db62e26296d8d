"""What pytest and its plugins make of a test that ran in a clone."""

import re
import xml.etree.ElementTree as ET

import pytest

from .conftest import Suite

CAPTURED = """
    import os, sys
    import logging, pytest

    @pytest.fixture(scope="module")
    def shared():
        print("shared, set up")
        yield
        print("shared, torn down")

    @pytest.fixture
    def own(shared):
        print("own, set up")
        yield
        print("own, torn down")

    def test_that_fails(own):
        print("a print")
        print("an error", file=sys.stderr)
        os.write(1, b"a write\\n")
        os.system("echo a program")
        logging.getLogger().warning("a warning of logging")
        assert 1 == 2

    def test_capsys(capsys):
        print("mine")
        assert capsys.readouterr().out == "mine\\n"

    def test_capfd(capfd):
        os.system("echo mine")
        assert capfd.readouterr().out == "mine\\n"

    def test_caplog(caplog):
        logging.getLogger().warning("mine")
        assert caplog.messages == ["mine"]
"""


def test_output_is_in_the_report(suite: Suite) -> None:
    """What a test, its programs and its fixtures print is in the report, by phase; capsys works."""
    suite.write(CAPTURED)
    result = suite.run("--ramet")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*Captured stdout setup*",
            "shared, set up",
            "own, set up",
            "*Captured stdout call*",
            "a print",
            "a write",
            "a program",
            "*Captured stderr call*",
            "an error",
            "*Captured log call*",
            "*a warning of logging",
            "*Captured stdout teardown*",
            "own, torn down",
        ]
    )


@pytest.mark.parametrize("option", ["-s", "--capture=sys", "--capture=tee-sys"])
def test_other_ways_to_capture(option: str, suite: Suite) -> None:
    """With -s all goes to the terminal, once; Python's streams are captured with the other ways."""
    suite.write(CAPTURED)
    result = suite.run("--ramet", option)
    result.assert_outcomes(passed=3, failed=1)
    assert result.stdout.str().count("a print\n") == (2 if "tee" in option else 1)


SERVED = """
    import http.server, logging, os, sys, threading, urllib.request
    import pytest

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            print(f"served {self.path}", flush=True)
            os.system(f"echo a program for {self.path}")
            logging.getLogger("server").error("no such page as %s", self.path)
            self.send_response(404)
            self.end_headers()

    @pytest.fixture(scope="session")
    def address():
        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()

    @pytest.mark.parametrize("page", ["first", "second"])
    def test_page(address, page):
        print("asks")
        urllib.request.urlopen(f"{address}/{page}")

    def test_no_page(address):
        assert not address
"""


def test_what_a_server_of_the_session_writes_is_in_the_report(suite: Suite) -> None:
    """Its output, its programs' and its logs, for the test that was running: not in the terminal."""
    suite.write(SERVED)
    result = suite.run("--ramet", "--tb=line")
    result.assert_outcomes(failed=3, warnings=1)
    result.stdout.fnmatch_lines(["test_it.py FFF*"])
    (first, second, none) = result.stdout.str().split("\nE  ")[1:]
    for page, told in (("first", first), ("second", second)):
        for line in (
            "- Captured stdout call -*\nasks",
            f"- Captured stdout of the session -*\nserved /{page}\na program for /{page}\n",
            f"- Captured stderr of the session -*\n127.0.0.1 .*GET /{page} ",
            f"- Captured log of the session -*\nERROR .*no such page as /{page}\n",
        ):
            assert re.search(line, told)
    assert second.count("served") == 1
    assert "of the session" not in none


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-s"], ["log"]),
        (["-p", "no:logging"], ["stderr", "stdout"]),
        (["-p", "no:capture"], ["log"]),
        (["--capture=sys"], ["log", "stderr", "stdout"]),
        (["--log-level=CRITICAL"], ["stderr", "stdout"]),
        (["--ramet-timeout=60", "-p", "no:xdist", "-n", "2"], ["log", "stderr", "stdout"]),
    ],
    ids=" ".join,
)
def test_as_much_of_it_as_is_captured(options: list[str], told: list[str], suite: Suite) -> None:
    """None of what the options leave out."""
    suite.write(SERVED)
    result = suite.run("--ramet", *options)
    result.assert_outcomes(failed=3, warnings=1)
    found = re.findall("Captured (.*) of the session", result.stdout.str())
    assert sorted(set(found)) == told


def test_a_report_is_the_same(suite: Suite) -> None:
    """But for times and addresses, the report of failures reads as without a clone."""
    suite.write(CAPTURED)
    suite.write(
        """
        import warnings, pytest

        class Odd(str):
            class Warned(UserWarning): pass

        def test_chain():
            try:
                {}["key"]
            except KeyError as error:
                raise ValueError("from it") from error

        def test_group():
            raise ExceptionGroup("both", [ValueError(1), TypeError(2)])

        @pytest.mark.parametrize("value", [Odd("x"), 1.5, b"bytes"])
        def test_values(value, record_property):
            record_property("value", value)
            assert value == 0

        def test_skips(): pytest.skip("no need")
        def test_skips_late(): pytest.importorskip("no_such_module")

        @pytest.mark.xfail(reason="so it is")
        def test_xfail(): assert 0
        @pytest.mark.xfail(strict=True)
        def test_xpass(): pass
        def test_imperative(): pytest.xfail("by itself")

        def test_warns():
            warnings.warn("a warning")
            warnings.warn(DeprecationWarning("an old one"))

            class OfAFunction(RuntimeWarning): pass

            warnings.warn(OfAFunction("here alone"))
            warnings.warn(Odd.Warned("nested"))

        @pytest.mark.filterwarnings("error")
        def test_filters():
            with pytest.raises(UserWarning):
                warnings.warn("a warning")

        def test_nested(subtests):
            for number in range(3):
                with subtests.test("some"):
                    assert number != 1
        """,
        "test_more",
    )
    told = [
        re.sub(r"\b0x[0-9a-f]+|\d+\.\d\ds|ramet: .*\n", "", result.stdout.str())
        for result in (
            suite.run("-ra", "--no-ramet"),
            suite.run("-ra", "--ramet"),
        )
    ]
    plain, cloned = (text[text.index("collected") :] for text in told)
    # Each of two fixtures has a section of its own, since they printed in two processes.
    again = re.compile(r"^-+ Captured stdout setup -+\n(?=own)", re.MULTILINE)
    assert again.sub("", cloned) == plain


def test_doctests(suite: Suite) -> None:
    """A doctest is a test as any other."""
    suite.write(
        """
        def f(value):
            '''
            >>> f(1)
            1
            '''
            return value

        def g():
            '''
            >>> f(1)
            2
            '''
        """
    )
    result = suite.run("--doctest-modules", "--ramet")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["Expected:", "*2", "Got:", "*1"])


def test_junit(suite: Suite) -> None:
    """The file has each test once, with its properties; a death is a failure."""
    suite.write(
        """
        import ctypes

        def test_that_passes(record_property):
            record_property("answer", 42)

        def test_that_crashes(record_property):
            print("before", flush=True)
            record_property("answer", 43)
            ctypes.string_at(8)
        """
    )
    suite.run("--ramet", "--junitxml=told.xml")
    (told,) = ET.parse(suite.path / "told.xml").getroot()
    assert {name: told.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "2",
        "failures": "1",
        "errors": "0",
        "skipped": "0",
    }
    passes, crashes = told.findall("testcase")
    assert [(one.get("name"), one.get("value")) for one in passes.iter("property")] == [
        ("answer", "42")
    ]
    (failure,) = crashes.findall("failure")
    assert failure.get("message", "").startswith("Failed: killed by SIGSEGV in its call")


NUMBERED = """
    import pytest

    @pytest.mark.parametrize("number", range(6))
    def test_it(number):
        assert number % 2 == 0
"""


STOPS_EARLY = """
    import pytest

    @pytest.fixture(scope="module")
    def resource():
        yield
        print("torn down")
        raise RuntimeError("of the teardown")

    def test_before(resource): pass
    def test_fails(resource): assert 0
    @pytest.mark.parametrize("number", range(9))
    def test_after(resource, number): pass
"""


@pytest.mark.parametrize("jobs", [(), ("-p", "no:xdist", "-n", "2")], ids=["one", "two"])
def test_a_wider_fixture_that_fails_as_the_first_failure_ends_the_run(
    jobs: tuple[str, ...], suite: Suite
) -> None:
    """It is an error of the test that ended it, and all is told that pytest tells at its end."""
    suite.write(STOPS_EARLY)
    result = suite.run("--ramet", *jobs, "-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_fails*",
            "E * RuntimeError: of the teardown",
            "*Captured stdout*",
            "torn down",
            "FAILED test_it.py::test_fails*",
            "ERROR test_it.py::test_fails*",
        ]
    )
    assert result.stdout.str().count("\ntorn down\n") == 1
    result.stdout.fnmatch_lines(["*1 failed, * passed, 1 error in*"])


@pytest.mark.parametrize("jobs", [(), ("-p", "no:xdist", "-n", "2")], ids=["one", "two"])
def test_the_first_failure_can_end_the_run(jobs: tuple[str, ...], suite: Suite) -> None:
    """-x and --maxfail stop as soon as so many have failed; --lf then begins with those."""
    suite.write(NUMBERED)
    first = suite.run("--ramet", *jobs, "-x")
    assert first.parseoutcomes()["failed"] == 1
    assert first.ret == pytest.ExitCode.TESTS_FAILED
    assert sum(first.parseoutcomes().values()) < 6
    suite.run("--ramet", *jobs, "--lf").assert_outcomes(failed=1)
    assert suite.run("--ramet", *jobs, "--maxfail=2").parseoutcomes()["failed"] == 2


def test_coverage_of_clones_is_combined(suite: Suite) -> None:
    """pytest-cov reports what all clones have run, also side by side."""
    suite.write(
        """
        def f(number):
            if number:
                return "one"
            return "none"

        def never():
            return 0
        """,
        "measured",
    )
    suite.write(
        """
        import measured

        def test_one(): assert measured.f(1)
        def test_none(): assert measured.f(0)
        """
    )
    options = ("-p", "pytest_cov", "--cov=measured", "--cov-report=term-missing")
    plain = suite.run(*options)
    plain.stdout.fnmatch_lines(["measured.py * 6 * 1 * 83% * 7"])
    for jobs in ((), ("-p", "no:xdist", "-n", "2")):
        result = suite.run("--ramet", *jobs, *options)
        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["measured.py * 6 * 1 * 83% * 7"])
    assert [file.name for file in suite.path.glob(".coverage*")] == [".coverage"]


TIMEOUTS = """
    import time, pytest

    @pytest.mark.timeout(0.6)
    def test_of_the_whole():
        time.sleep(1000)

    @pytest.mark.timeout(0.6, func_only=True)
    def test_of_the_call():
        time.sleep(1000)

    @pytest.mark.timeout(1000)
    @pytest.mark.ramet(timeout=0.6)
    def test_of_ramet():
        time.sleep(1000)

    @pytest.mark.timeout(0.7)
    @pytest.mark.ramet(timeout=1000)
    def test_of_both():
        time.sleep(1000)

    @pytest.mark.timeout(60)
    def test_in_time():
        pass
"""


def test_a_timeout_of_pytest_timeout_is_the_deadline(suite: Suite) -> None:
    """Its alarm would ring in the session, which only waits: the clone is killed at that time instead.

    Where a mark or an option of Ramet's gives a deadline as well, the earlier one counts.
    """
    suite.write(TIMEOUTS)
    result = suite.run("-p", "timeout", "--ramet", "--ramet-timeout=100")
    result.assert_outcomes(passed=1, failed=4)
    result.stdout.fnmatch_lines(
        [
            "killed at its deadline of 0.6 s in its call",
            "*Timeout (>0.6s) from pytest-timeout.",
            "killed at its deadline of 0.6 s in its call",
            "killed at its deadline of 0.7 s in its call",
        ]
    )


def test_a_timeout_of_faulthandler(suite: Suite) -> None:
    """It holds in the clone: what it writes as it ends the process is the reason of the failure."""
    suite.write(
        """
        import time

        def test_that_hangs():
            time.sleep(1000)

        def test_after_it():
            pass
        """
    )
    suite.pytester.makeini(
        "[pytest]\nfaulthandler_timeout = 0.6\nfaulthandler_exit_on_timeout = true"
    )
    result = suite.run("--ramet")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["exited with 1 in its call", "Timeout (*", "*in test_that_hangs"])


SLOW_FIXTURE = """
    import select
    import pytest

    @pytest.fixture(scope="module")
    def slow():
        select.select([], [], [], 0.5)

    def test_it(slow):
        pass
"""


def test_a_wider_fixture_counts_in_the_setups_duration(suite: Suite) -> None:
    """Though the session has made it."""
    suite.write(SLOW_FIXTURE)
    result = suite.run("--ramet", "--durations=1", "-vv")
    assert re.search(r"^0\.[5-9]\ds setup +test_it.py::test_it$", result.stdout.str(), re.MULTILINE)
