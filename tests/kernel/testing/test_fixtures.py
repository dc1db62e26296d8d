"""Fixtures of each scope: which are made in the session, and which in a clone."""

from importlib.util import find_spec

import pytest

from .conftest import Suite

CONFTEST = """
    import os, pathlib
    import pytest

    session = os.getpid()
    log = pathlib.Path(__file__).with_name("log")

    def note(what):
        where = "session" if os.getpid() == session else "clone"
        with log.open("a") as file:
            file.write(f"{what} in {where}\\n")

    def made(scope):
        @pytest.fixture(scope=scope, name=scope + "_wide")
        def fixture():
            note(scope + " up")
            yield
            note(scope + " down")
        return fixture

    session_wide, package_wide, module_wide, class_wide, own_wide = map(
        made, ["session", "package", "module", "class", "function"]
    )
"""
TESTS = """
    from conftest import note

    class TestOne:
        def test_a(self, function_wide, class_wide, module_wide, package_wide, session_wide):
            note("test a")

        def test_b(self, session_wide, function_wide, class_wide):
            note("test b")

    def test_c(module_wide):
        note("test c")
"""
MADE = """\
session up in session
package up in session
module up in session
class up in session
function up in clone
test a in clone
function down in clone
function up in clone
test b in clone
function down in clone
class down in session
test c in clone
module down in session
package down in session
session down in session
"""


def test_each_wider_fixture_is_made_once(suite: Suite, nothing_left: object) -> None:
    """All but those of the function are set up and torn down in the session, once, in pytest's order."""
    suite.write(CONFTEST, "conftest")
    suite.write(TESTS)
    suite.run("--ramet").assert_outcomes(passed=3)
    assert (suite.path / "log").read_text() == MADE


XUNIT = """
    import unittest
    from conftest import note

    def setup_module(): note("module up")
    def teardown_module(): note("module down")
    def setup_function(): note("function up")
    def teardown_function(): note("function down")

    def test_a(): note("a")

    class TestCases(unittest.TestCase):
        @classmethod
        def setUpClass(cls): note("class up")
        @classmethod
        def tearDownClass(cls): note("class down")
        def setUp(self): note("up")
        def tearDown(self): note("down")
        def test_b(self): note("b")
        def test_c(self): note("c")
        @unittest.expectedFailure
        def test_d(self): assert 0
        @unittest.skip("never")
        def test_e(self): assert 0
"""


def test_setup_functions_of_old(suite: Suite) -> None:
    """setup_module and setUpClass are wider fixtures, too; setUp and setup_function belong to the test."""
    suite.write(CONFTEST, "conftest")
    suite.write(XUNIT)
    suite.run("--ramet").assert_outcomes(passed=3, skipped=1, xfailed=1)
    told = (suite.path / "log").read_text().splitlines()
    shared = [line.removesuffix(" in session") for line in told if line.endswith("session")]
    assert shared == ["module up", "class up", "class down", "module down"]
    own = [line.removesuffix(" in clone") for line in told if line.endswith("clone")]
    assert own[:3] == ["function up", "a", "function down"]
    assert own[3:] == ["up", "b", "down", "up", "c", "down", "up", "down"]


DYNAMIC = """
    import pytest
    from conftest import note

    @pytest.fixture
    def asks_for_more(request):
        request.getfixturevalue("session_wide")
        request.getfixturevalue("module_wide")

    class TestOne:
        def test_a(self, class_wide, asks_for_more):
            note("a")

    def test_of_no_class(class_wide):
        note("b")

    @pytest.mark.parametrize("narrow", [1, 2], indirect=True, scope="function")
    def test_b(narrow, on_narrow):
        assert narrow == on_narrow

    @pytest.fixture(scope="module")
    def narrow(request):
        note("narrow")
        return request.param

    @pytest.fixture(scope="module")
    def on_narrow(narrow):
        return narrow
"""


def test_what_a_clone_makes_itself_it_tears_down(suite: Suite) -> None:
    """So it is with wider fixtures that only a running test asks for, or of narrower parameters."""
    suite.write(CONFTEST, "conftest")
    suite.write(DYNAMIC)
    suite.run("--ramet").assert_outcomes(passed=4)
    assert (suite.path / "log").read_text().splitlines() == [
        "class up in session",
        "session up in clone",
        "module up in clone",
        "a in clone",
        "module down in clone",
        "session down in clone",
        "class down in session",
        "class up in clone",
        "b in clone",
        "class down in clone",
        "narrow in clone",
        "narrow in clone",
    ]


FAILING = """
    import pytest

    @pytest.fixture(scope="module")
    def broken():
        print("the fixture's words")
        raise ValueError("broken")

    @pytest.fixture(scope="module")
    def skipping():
        pytest.skip("not here")

    @pytest.fixture(scope="class")
    def broken_at_its_end():
        yield
        raise ValueError("broken at its end")

    @pytest.fixture
    def own_broken_at_its_end():
        yield
        raise ValueError("own, broken at its end")

    def test_a(broken): pass
    def test_b(broken): pass
    def test_c(skipping): pass

    class TestMore:
        def test_d(self, broken_at_its_end): pass
        def test_e(self, broken_at_its_end, own_broken_at_its_end): pass

    @pytest.mark.skipif(True, reason="no need")
    def test_f(broken): pass

    @pytest.mark.xfail
    def test_g(broken): pass
"""


def test_a_wider_fixture_that_fails(suite: Suite) -> None:
    """It fails or skips each test that needs it, as ever; one report tells of both teardowns."""
    suite.write(FAILING)
    plain = suite.run().parseoutcomes()
    result = suite.run("--ramet")
    assert result.parseoutcomes() == plain
    result.assert_outcomes(passed=2, skipped=2, errors=3, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_a*",
            "E *ValueError: broken",
            "the fixture's words",
            "*ERROR at teardown of TestMore.test_e*",
            "E *ValueError: broken at its end",
            "*Teardown of the test in its clone failed, too*",
            "*ValueError: own, broken at its end",
        ]
    )


CONFTEST_THAT_SKIPS = """
    import pytest

    def pytest_runtest_setup(item):
        if "network" in item.keywords:
            pytest.skip("no network")
"""


def test_hooks_come_before_fixtures(suite: Suite) -> None:
    """A conftest that skips a test in its setup does so before a wider fixture is made for it."""
    suite.write(CONFTEST_THAT_SKIPS, "conftest")
    suite.write(
        """
        import pytest

        @pytest.fixture(scope="module")
        def broken():
            raise ValueError

        @pytest.mark.network
        def test_it(broken): pass
        """
    )
    suite.run("--ramet").assert_outcomes(skipped=1)


def test_fixtures_in_a_circle(suite: Suite) -> None:
    """They are an error of the test, in pytest's words."""
    suite.write(
        """
        import pytest

        @pytest.fixture(scope="module")
        def one(two): pass

        @pytest.fixture(scope="module")
        def two(one): pass

        def test_it(one): pass
        """
    )
    result = suite.run("--ramet")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*recursive dependency involving fixture 'one'*"])


OVERRIDDEN = """
    import os
    import pytest

    def note(what):
        with open("made", "a") as file:
            file.write(f"{what} {os.getpid()}\\n")

    @pytest.fixture(scope="session")
    def base():
        note("base made")
        return 1

    @pytest.fixture(scope="session")
    def server(base):
        note("server made")
        yield base + 1
        note("server ended")

    @pytest.fixture(scope="module", params=[10, 20])
    def port(request):
        note(f"port made {request.param}")
        return request.param
"""

OVERRIDING = """
    import pytest

    @pytest.fixture(scope="module")
    def server(server):
        return server + 1

    class TestIt:
        @pytest.fixture
        def server(self, server):
            return server * 100

        @pytest.mark.parametrize("number", [1, 2])
        def test_in_class(self, server, number, request):
            assert server == 300 and request.getfixturevalue("server") == 300

    def test_in_module(server):
        assert server == 3

    @pytest.fixture
    def port(port):
        return -port

    def test_port(port):
        assert port in (-10, -20)
"""


@pytest.mark.parametrize("jobs", [(), ("-p", "no:xdist", "-n", "2")], ids=["one", "two"])
def test_what_a_fixture_of_the_test_overrides_is_made_once(
    jobs: tuple[str, ...], suite: Suite
) -> None:
    """In the session, as it asks for it by its own name; the test has what it made of that."""
    suite.write(OVERRIDDEN, "conftest")
    suite.write(OVERRIDING)
    suite.run("--ramet", *jobs).assert_outcomes(passed=5)
    lines = [line.rsplit(" ", 1) for line in (suite.path / "made").read_text().splitlines()]
    once = ["base made", "server made", "server ended"]
    assert sorted(what for what, _ in lines if what in once) == sorted(once)
    assert len({pid for what, pid in lines if what in once}) == 1
    assert sorted(what for what, _ in lines if "port" in what) == ["port made 10", "port made 20"]


def test_the_session_goes_on_with_what_it_made(suite: Suite) -> None:
    """A test in the session's process has the same fixtures, and nothing that clones did to them."""
    suite.write(
        """
        import pytest

        @pytest.fixture(scope="module")
        def shared():
            return []

        def test_a(shared):
            shared.append(1)

        def test_b(shared):
            assert shared == []

        @pytest.mark.ramet(clone=False)
        def test_c(shared):
            shared.append(3)

        def test_d(shared):
            assert shared == [3]
        """
    )
    suite.run("--ramet").assert_outcomes(passed=4)


def test_temporary_directories(suite: Suite) -> None:
    """tmp_path is a directory of the test's own, below one of the session's."""
    suite.write(
        """
        import pytest
        seen = []

        @pytest.fixture(scope="session")
        def base(tmp_path_factory):
            return tmp_path_factory.getbasetemp()

        @pytest.mark.parametrize("number", range(3))
        def test_it(number, tmp_path, base):
            assert tmp_path.parent == base
            assert tmp_path.name == f"test_it_{number}_0"
            (tmp_path / "file").touch()
        """
    )
    suite.run("--ramet").assert_outcomes(passed=3)


SEEDED = """
    import random
    import pytest

    @pytest.fixture(scope="module")
    def seeded():
        random.seed(1234)

    def test_it(seeded):
        assert random.random() == random.Random(1234).random()
"""


def test_what_a_wider_fixture_has_seeded_holds(suite: Suite) -> None:
    """Though a fork seeds the random module anew."""
    suite.write(SEEDED)
    suite.run("--ramet").assert_outcomes(passed=1)


NUMBERS = """
    import random, sys
    import pytest

    @pytest.fixture(scope="module", autouse=True)
    def seeded():
        random.seed(1234)
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed(1234)

    @pytest.mark.parametrize("number", range(3))
    def test_it(number):
        drawn = [random.random() for _ in range(3)]
        if "numpy.random" in sys.modules:
            drawn += sys.modules["numpy.random"].random(3).tolist()
        with open("drawn", "a") as file:
            file.write(" ".join(map(str, drawn)) + " ")
"""


@pytest.mark.parametrize(
    ("module", "count"),
    [
        ("random", 9),
        pytest.param(
            *("numpy.random", 18),
            marks=pytest.mark.skipif(find_spec("numpy") is None, reason="needs numpy"),
        ),
    ],
)
def test_tests_have_different_random_numbers(module: str, count: int, suite: Suite) -> None:
    """The session's generators go on from clone to clone, and in the next session the same way."""
    suite.write(f"import {module}", "conftest")
    suite.write(NUMBERS)
    suite.run("--ramet").assert_outcomes(passed=3)
    drawn = (suite.path / "drawn").read_text().split()
    assert len(drawn) == len(set(drawn)) == count
    suite.run("--ramet").assert_outcomes(passed=3)
    assert (suite.path / "drawn").read_text().split() == drawn * 2


def test_errors_of_fixtures_do_not_show_the_plugin(suite: Suite) -> None:
    """The traceback of a conftest's fixture that fails has no frame of the plugin."""
    suite.write(
        """
        import pytest

        @pytest.fixture(scope="module")
        def wide():
            assert 0, "wide"

        @pytest.fixture
        def narrow():
            assert 0, "narrow"

        @pytest.fixture
        def at_its_end():
            yield
            assert 0, "at its end"

        @pytest.fixture(scope="module")
        def wide_at_its_end():
            yield
            assert 0, "wide at its end"
        """,
        "conftest",
    )
    suite.write(
        """
        def test_a(wide_at_its_end): pass
        def test_b(wide): pass
        def test_c(narrow): pass
        def test_d(at_its_end): pass
        """
    )
    result = suite.run("--ramet")
    result.assert_outcomes(passed=2, errors=3)  # both of the last test are one
    result.stdout.fnmatch_lines(["*wide at its end*", "*clone failed, too*", "*at its end*"])
    result.stdout.no_fnmatch_line("*_testing*")
