"""What is read of a guest's results, and told."""

from pathlib import Path

import pytest

from tools.guest import kernels, matrix, support_page, table
from tools.guest.outcome import Outcome
from tools.guest.packages import PackageError
from tools.guest.record import Part, Record

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.kernel.sandbox.test_plan" name="test_one[a]"/>
<testcase classname="tests.kernel.sandbox.test_plan" name="test_two">
  <failure message="assert 1 == 2"/>
</testcase>
<testcase classname="tests.unit.test_flags" name="test_three">
  <skipped message="no flag"/>
</testcase>
</testsuite></testsuites>"""


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    """Of three tests."""
    (tmp_path / "junit.xml").write_text(JUNIT)
    (tmp_path / "law.json").write_text(
        '{"differing": 2, "requests": {"clone": 10, "clone3": 20}, "rules": {"B1": 3}}'
    )
    (tmp_path / "sandbox.json").write_text(
        '{"rows": [{"wish": "read", "met": "fully", "mechanism": "mounts", "shortfall": ""}]}'
    )
    row = '{"id": "NNP", "verdict": "needs a newer Linux", "needs": "7.1"}'
    (tmp_path / "tour.json").write_text(f'{{"machine": {{"kernel": "6.1.0"}}, "rows": [{row}]}}')
    return Outcome.read("6.1", tmp_path)


def test_tests_are_counted_by_their_folder(outcome: Outcome) -> None:
    """One that failed makes the whole fail."""
    assert outcome.counts() == {
        "kernel/sandbox": {"passed": 1, "failed": 1},
        "unit": {"skipped": 1},
    }
    assert [test.name for test in outcome.failed] == ["tests/kernel/sandbox/test_plan.py::test_two"]
    assert outcome.skipped == {"no flag": 1}
    assert not outcome.success


def test_parts_make_a_whole(outcome: Outcome, tmp_path: Path) -> None:
    """Of each file of tests the last run counts, with its commit; other machines read what is kept."""
    of_crash = tmp_path / "crash"
    of_crash.mkdir()
    crash = JUNIT.replace("tests.kernel.sandbox", "tests.crash").replace("test_three", "test_four")
    (of_crash / "junit.xml").write_text(crash)
    first = Record.read("6.1", tmp_path).with_run(outcome, "aaa")
    first.with_run(Outcome.read("6.1", of_crash), "bbb").write(tmp_path)
    whole = Record.read("6.1", tmp_path)
    assert whole.commits == ["aaa", "bbb"]
    assert whole.groups() == {
        "kernel/sandbox": {"passed": 1, "failed": 1},
        "crash": {"passed": 1, "failed": 1},
        "unit": {},
    }
    assert whole.skipped == {"no flag": 1}
    assert whole.passed == 2
    assert whole.failed == [
        "tests/crash/test_plan.py::test_two",
        "tests/kernel/sandbox/test_plan.py::test_two",
    ]
    assert whole.machine["kernel"] == "6.1.0"
    assert whole.law == {"asked": 30, "differing": 2, "rules": 1}


def test_a_folder_goes_when_its_files_are_run(outcome: Outcome) -> None:
    """What was kept before files were told apart; and what was skipped of that, once."""
    old = {
        "tests/kernel/sandbox/": Part("aaa", 7),
        "tests/unit/": Part("aaa", 5),
        "tests/kernel/aio/": Part("bbb", 3),
        "tests/": Part("aaa, bbb", skipped={"no flag": 1, "no root": 2}),
    }
    record = Record("6.1", parts=old).with_run(outcome, "ccc")
    assert record.groups() == {
        "kernel/sandbox": {"passed": 1, "failed": 1},
        "unit": {},
        "kernel/aio": {"passed": 3},
    }
    assert record.skipped == {"no flag": 1, "no root": 2}
    assert record.commits == ["bbb", "ccc"]
    assert record.with_run(outcome, "ddd").skipped == {"no flag": 1, "no root": 2}


def test_nothing_is_kept_of_a_guest_that_ran_no_test(tmp_path: Path) -> None:
    """And it is not in the page."""
    record = Record.read("6.1", tmp_path)
    assert record == record.with_run(Outcome.read("6.1", tmp_path), "aaa") == Record("6.1")


def test_the_page_is_that_of_what_is_kept() -> None:
    """Run `python -m tools.guest page` where it is not."""
    assert support_page.page(matrix.kept()) == support_page.PAGE.read_text()


def test_a_guest_that_did_not_end_is_no_success(tmp_path: Path) -> None:
    """Nor one that ran no test."""
    assert not Outcome.read("6.1", tmp_path).success
    told = table.told([Outcome.read("6.1", tmp_path, "not at its end after 5 seconds")])
    assert "6.1: not at its end after 5 seconds" in told


def test_the_table_tells_what_failed_and_why_others_were_skipped(outcome: Outcome) -> None:
    """Below the counts."""
    told = table.told([outcome])
    assert "1, 1 FAILED" in told
    assert "6.1: FAILED tests/kernel/sandbox/test_plan.py::test_two: assert 1 == 2" in told
    assert "6.1: 1 skipped: no flag" in told


@pytest.fixture
def record(outcome: Outcome, tmp_path: Path) -> Record:
    """Of the same tests."""
    return Record("6.1").with_run(outcome, "aaa")


def test_the_page_has_what_differs(record: Record) -> None:
    """Kernels beside each other; a wish that is met alike on all is left out."""
    page = support_page.page([record])
    assert "1 passed, 1 failed, 1 skipped" in page
    assert "2 of 30 differ, 1 rules" in page
    assert "| kernel/sandbox | 1, 1 failed |" in page
    assert "| 5.14 | `cgroup.kill` |" in page
    assert "| NNP (Linux 7.1) | all |" in page
    assert "| no flag | 1 | all |" in page
    assert "| read | mounts |" not in page


def test_the_page_names_who_differs(record: Record, tmp_path: Path) -> None:
    """The most are "the others"; but of skipped tests, where those without are not in the table."""
    row = {"wish": "read", "met": "fully", "mechanism": "landlock"}
    others = [Record(f"{x}-x86_64-root", sandbox=(row,)) for x in ("6.12", "7.2")]
    page = support_page.page([record, *others])
    assert "| read | mounts | 6.1 |\n| read | landlock | the others |\n" in page
    assert "| NNP (Linux 7.1) | 6.1 |\n| nothing | the others |\n" in page
    assert "| no flag | 1 | 6.1 |\n" in page
    assert "| tests | 6.1 | 6.12 | 7.2 |" in page


def test_a_kernel_that_cannot_be_had_is_left_out_of_the_fast_matrix() -> None:
    """Old suites leave the mirrors, and new ones get newer kernels."""

    def fetch(kernel: kernels.Kernel) -> None:
        if kernel.version in {"5.10", "7.2"}:
            raise PackageError("gone")

    assert [row.title for row in matrix.fast_rows(fetch)] == ["6.1-x86_64-root", "6.12-x86_64-root"]


def test_guests_are_chosen_by_their_names() -> None:
    """A name that there is not is told with those that there are."""
    names = ["6.12-aarch64-python3.13-root", "5.10-x86_64-user"]
    assert [row.title for row in matrix.chosen(names)] == names
    with pytest.raises(SystemExit, match=r"no guest '4\.4': expected some of 5\.10-x86_64-root, "):
        matrix.chosen(["4.4"])


def test_no_kernel_can_be_had() -> None:
    """Then that is an error."""

    def fetch(kernel: kernels.Kernel) -> None:
        raise PackageError("gone")

    with pytest.raises(PackageError):
        matrix.fast_rows(fetch)


def test_another_machine_runs_what_no_kernel_answers() -> None:
    """All guests run what a kernel answers; that of another machine the rest as well."""
    rows = matrix.WHOLE_ROWS
    assert all(row.tests[: len(matrix.OF_KERNEL)] == matrix.OF_KERNEL for row in rows)
    whole = [row.title for row in rows if "tests/unit" in row.tests]
    assert whole == ["6.12-aarch64-python3.13-root"]
    assert all(("--ignore=tests/kernel/dask" in row.tests) != (row.title in whole) for row in rows)


def test_the_fast_matrix_runs_what_is_marked(tmp_path: Path) -> None:
    """By the mark, and no file that has none."""
    (tmp_path / "tests/sub").mkdir(parents=True)
    (tmp_path / "tests/sub/test_a.py").write_text("pytestmark = pytest.mark." + "kernel\n")
    (tmp_path / "tests/test_b.py").write_text("import pytest\n")
    assert matrix.fast_tests(tmp_path) == ("-m", "kernel", "tests/sub/test_a.py")
