import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from rich.style import Style

import ramet
from ramet import CloneFlag, _core
from ramet.cli.group import ramet as command
from ramet.tour import colours, machine, run, table
from ramet.tour.row import NotPermitted, Row, Seen, Verdict, lacking, parse_release

from ...constants import NOBODY
from ...waiting import alarm, until

FLAGS = [
    "CSIGNAL", "NEWTIME", "VM", "FS", "FILES",
    "SIGHAND", "PIDFD", "PID", "PTRACE", "VFORK",
    "PARENT", "THREAD", "NEWNS", "SYSVSEM", "SETTLS",
    "PARENT_SETTID", "CHILD_CLEARTID", "DETACHED", "UNTRACED", "CHILD_SETTID",
    "STOPPED", "NEWCGROUP", "NEWUTS", "NEWIPC", "NEWUSER",
    "NEWPID", "NEWNET", "IO", "CLEAR_SIGHAND", "INTO_CGROUP",
    "AUTOREAP", "NNP", "PIDFD_AUTOKILL", "EMPTY_MNTNS",
]  # fmt: skip
STATEMENTS = [*(f"P{number}" for number in range(1, 15)), "K1", "K2", "K3", "K4", "K5"]

# Enough to start a child, and much less than a test may take.
SHORT_SECONDS = 0.3


@pytest.fixture(scope="module")
def outcomes() -> tuple[run.Outcome, ...]:
    return tuple(run.run(run.all_rows()))


def seen_by(experiment: Callable[[], Seen], seconds: float = 10.0) -> Seen:
    (outcome,) = run.run([Row("X", "a group", "a statement", experiment)], seconds)
    return outcome.seen


def as_if_seen() -> Seen:
    return Seen("before", "after", Verdict.HOLDS)


# ---- what the tour shows


def test_every_flag_and_statement_has_one_row() -> None:
    """Each of the 34 flags and 19 statements is shown once, and nothing else is."""
    assert len(FLAGS) == 34
    assert sorted(row.id for row in run.all_rows()) == sorted(FLAGS + STATEMENTS)


def test_no_flag_is_missing_from_the_list_above() -> None:
    """The list that was typed by hand names every flag that the library knows."""
    assert set(FLAGS) == {"CSIGNAL", *(str(flag.name) for flag in CloneFlag)}


def test_groups_are_not_torn_apart() -> None:
    """Rows of one group stand together, so that a table can show them under one heading."""
    groups = [row.group for row in run.all_rows()]
    changes = [name for place, name in enumerate(groups) if name not in groups[:place]]
    assert [
        name for name, before in zip(groups, ["", *groups], strict=False) if name != before
    ] == (changes)


def test_nothing_differs_here(outcomes: tuple[run.Outcome, ...]) -> None:
    """The running kernel does what the book says, or what our facts say of today."""
    differing = [o for o in outcomes if o.seen.verdict is Verdict.DIFFERS]
    assert differing == []


def test_each_row_tells_what_was_seen(outcomes: tuple[run.Outcome, ...]) -> None:
    """A row tells both sides of its experiment, or what is missing for it."""
    for row, seen in outcomes:
        not_shown = seen.verdict in (Verdict.NOT_PERMITTED, Verdict.TOO_OLD)
        told = [seen.detail] if not_shown else [seen.without, seen.with_]
        assert all(told), row.id


def test_changed_and_gone_are_what_the_facts_say(outcomes: tuple[run.Outcome, ...]) -> None:
    """Exactly these statements are no longer as the book has them."""
    verdicts = {row.id: seen.verdict for row, seen in outcomes}
    changed = {name for name, verdict in verdicts.items() if verdict is Verdict.CHANGED}
    gone = {name for name, verdict in verdicts.items() if verdict is Verdict.GONE}
    assert changed <= {"P6", "P9", "P14", "SIGHAND", "UNTRACED"}
    assert {"P9", "P14", "SIGHAND"} <= changed
    assert gone == {"STOPPED", "PID"}


# ---- what the tour leaves


def left_by_name() -> set[str]:
    """Semaphores and mounts there are, and files of the tour."""
    semaphores = Path("/proc/sysvipc/sem").read_text().splitlines()
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    folders = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    folders += [tempfile.gettempdir(), "/dev/shm"]
    files = [
        str(file)
        for folder in folders
        if Path(folder).exists()
        for file in Path(folder).glob("ramet-tour*")
    ]
    # A semaphore's line counts its uses; the first two columns name it.
    return {*(" ".join(line.split()[:2]) for line in semaphores), *mounts, *files}


def test_the_whole_tour_leaves_nothing_behind(nothing_left: object) -> None:
    """After all rows there is no process, descriptor, mount, semaphore or file more than before."""
    before, cwd, mask = left_by_name(), os.getcwd(), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert len(list(run.run(run.all_rows()))) == 53
    until(lambda: left_by_name() <= before)  # a semaphore may be another process's, and will go
    assert os.getcwd() == cwd
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


def leave_a_child() -> Seen:
    if ramet.fork() == 0:
        signal.pause()
    return as_if_seen()


def leave_a_sibling() -> Seen:
    ramet.clone(signal.pause, flags=CloneFlag.PARENT)
    return as_if_seen()


def leave_a_hanging_tree() -> Seen:
    ramet.fork()
    ramet.clone(signal.pause, flags=CloneFlag.VM)
    signal.pause()
    return as_if_seen()


@pytest.mark.parametrize("experiment", [leave_a_child, leave_a_sibling])
def test_forgotten_tasks_are_ended(experiment: Callable[[], Seen], nothing_left: object) -> None:
    """What an experiment leaves running, below it or beside it, is killed and reaped."""
    assert seen_by(experiment) == as_if_seen()


def test_a_hanging_experiment_is_ended(nothing_left: object) -> None:
    """An experiment beyond its time is killed with all that it made, and DIFFERS."""
    seen = seen_by(leave_a_hanging_tree, SHORT_SECONDS)
    assert seen == Seen("", "", Verdict.DIFFERS, "no end after 0.3 seconds")


def test_an_interrupted_tour_leaves_nothing(nothing_left: object) -> None:
    """When the caller is interrupted in the midst of a row, the row is ended."""
    with pytest.raises(KeyboardInterrupt), alarm(SHORT_SECONDS, KeyboardInterrupt):
        seen_by(leave_a_hanging_tree)


# ---- how an experiment can end


def test_an_exception_is_told() -> None:
    """An experiment that raises DIFFERS, and its exception is the detail."""

    def fail() -> Seen:
        raise LookupError("no such thing")

    assert seen_by(fail) == Seen("", "", Verdict.DIFFERS, "LookupError: no such thing")


def test_what_is_missing_is_told() -> None:
    """An experiment that cannot be made here says what it lacks, and is no failure."""

    def lack() -> Seen:
        raise NotPermitted("it needs the moon")

    assert seen_by(lack) == Seen("", "", Verdict.NOT_PERMITTED, "it needs the moon")


def test_a_kernel_that_is_too_old_is_told_apart() -> None:
    """What came with a later Linux is not what this user may not; a refusal by a newer one is."""

    def lack(since: str) -> Seen:
        raise lacking(since, "ENOSYS")

    old = seen_by(lambda: lack("99.1"))
    assert (old.verdict, old.needs, old.verdict_told) == (
        Verdict.TOO_OLD, "99.1", "needs Linux 99.1"
    )  # fmt: skip
    filtered = seen_by(lambda: lack("2.6"))
    assert (filtered.verdict, filtered.needs) == (Verdict.NOT_PERMITTED, "")
    assert "perhaps by a seccomp filter" in filtered.detail


def test_the_flags_of_linux_7_1_need_linux_7_1(outcomes: tuple[run.Outcome, ...]) -> None:
    """On a kernel before it each of the four says so, and nothing else does."""
    needing = {row.id: seen.needs for row, seen in outcomes if seen.verdict is Verdict.TOO_OLD}
    new = {"AUTOREAP", "NNP", "PIDFD_AUTOKILL", "EMPTY_MNTNS"}
    is_old = parse_release(os.uname().release) < (7, 1)
    assert {name for name, needs in needing.items() if needs == "7.1"} == (new if is_old else set())


def test_a_death_is_told() -> None:
    """An experiment whose process is killed DIFFERS, and the tour goes on."""

    def die() -> Seen:
        os.kill(os.getpid(), signal.SIGKILL)
        return as_if_seen()

    seen = seen_by(die)
    assert seen.verdict is Verdict.DIFFERS
    assert "killed by SIGKILL" in seen.detail


def test_experiments_begin_afresh() -> None:
    """What the program has set for signals is not what an experiment begins with."""

    def look() -> Seen:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return Seen(repr(blocked), repr(signal.getsignal(signal.SIGUSR1)), Verdict.HOLDS)

    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        seen = seen_by(look)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR1, before)
    assert (seen.without, seen.with_) == ("set()", repr(signal.SIG_DFL))


def test_experiments_do_not_disturb_each_other() -> None:
    """Directory, umask, handlers and signal mask of one experiment are not the next one's."""

    def change() -> Seen:
        os.chdir("/proc")
        os.umask(0o777)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        return as_if_seen()

    def look() -> Seen:
        blocked = signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        state = os.getcwd(), os.umask(0), blocked, signal.getsignal(signal.SIGUSR2)
        return Seen(repr(state), "", Verdict.HOLDS)

    before = seen_by(look)
    seen_by(change)
    assert seen_by(look) == before


# ---- which rows


def test_rows_are_chosen_by_id_in_any_case() -> None:
    """Ids are taken in either case, with or without CLONE_, and shown in the tour's order."""
    chosen = run.select_rows(run.all_rows(), ["fs", " CLONE_VM", "p3", "VM"])
    assert [row.id for row in chosen] == ["P3", "VM", "FS"]


def test_statements_are_chosen_by_their_words() -> None:
    """Each statement has a word of its own, which is no flag's name, and is shown beside its number."""
    rows = run.all_rows()
    words = [row.word for row in rows if row.id in STATEMENTS]
    assert len(set(words)) == len(STATEMENTS)
    assert all(words)
    assert {word.upper() for word in words}.isdisjoint(FLAGS)
    chosen = run.select_rows(rows, ["tls", "Ptid", "cow", "fork-stack", "SETTLS"])
    assert [row.id for row in chosen] == ["P9", "P10", "SETTLS", "K2", "K3"]


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("VMM", "VM"), ("NEWNETS", "NEWNET"), ("P99", "P9")]
)
def test_an_unknown_id_names_the_nearest(wrong: str, nearest: str) -> None:
    """An id that no row has is an error that names the nearest one."""
    with pytest.raises(run.UnknownRowError, match=f"'{wrong}'; the nearest is {nearest}$"):
        run.select_rows(run.all_rows(), [wrong])


# ---- how it is shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[80, 140])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return int(request.param)


def shown(file: io.StringIO, outcomes: tuple[run.Outcome, ...]) -> str:
    table.show(colours.console_for(file), outcomes, machine.describe())
    return file.getvalue()


def test_a_terminal_gets_colours(columns: int, outcomes: tuple[run.Outcome, ...]) -> None:
    """On a terminal verdicts have colours, and every row is there."""
    text = shown(Terminal(), outcomes)
    assert "\x1b[38;5;28mholds" in text
    assert all(name in text for name in FLAGS + STATEMENTS)


@pytest.mark.parametrize("file", [io.StringIO, Terminal])
def test_plain_text_is_plain(
    file: type[io.StringIO],
    columns: int,
    outcomes: tuple[run.Outcome, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With NO_COLOR, or in a file, there are no colours, no boxes and no padding; no line is too long."""
    if file is Terminal:
        monkeypatch.setenv("NO_COLOR", "1")
    text = shown(file(), outcomes)
    lines = text.splitlines()
    assert "\x1b" not in text
    assert "─" not in text
    assert [line for line in lines if line != line.rstrip() or len(line) > columns] == []
    assert all(name in text for name in FLAGS + STATEMENTS)


def luminance(number: int) -> float:
    """Of one of the 256 colours, by the formula of WCAG 2."""
    steps = (0, 95, 135, 175, 215, 255)
    if number >= 232:
        channels = [8 + 10 * (number - 232)] * 3
    else:
        channels = [steps[(number - 16) // place % 6] for place in (36, 6, 1)]
    parts = [
        c / 12.92 if (c := n / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for n in channels
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


@pytest.mark.parametrize(
    "style", [colours.GREEN, colours.AMBER, colours.PURPLE, colours.TEAL, colours.GREY]
)
def test_colours_can_be_read_on_light_and_on_dark(style: str) -> None:
    """Each has a contrast of four to one to white and to black."""
    colour = Style.parse(style).color
    assert colour is not None
    assert colour.number is not None
    light = luminance(colour.number)
    assert (1 + 0.05) / (light + 0.05) >= 4
    assert (light + 0.05) / (0 + 0.05) >= 4


@pytest.mark.parametrize("term", ["linux", "screen", "xterm", "xterm-16color"])
def test_a_terminal_of_sixteen_colours_keeps_its_own(
    term: str,
    columns: int,
    outcomes: tuple[run.Outcome, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it shows is bold or plain: which of its colours can be read on its ground is not known."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("COLORTERM", raising=False)
    text = shown(Terminal(), outcomes)
    assert set(re.findall(r"\x1b\[([\d;]*)m", text)) == {"1", "0"}


def test_a_poor_locale_gets_the_table_too(outcomes: tuple[run.Outcome, ...]) -> None:
    """What the encoding of a file cannot write is replaced."""
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    row, seen = outcomes[0]
    far = run.Outcome(row, Seen("cut short…", seen.with_, seen.verdict))
    table.show(colours.console_for(file), [far], machine.describe())
    file.seek(0)
    assert "cut short?" in file.read()


def test_notes_stand_with_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a column of their own where there is room for it, else below what was seen with the flag."""
    row = Row("P9", "a group", "what the book says of it", as_if_seen, "tls")
    outcome = run.Outcome(row, Seen("before", "after", Verdict.HOLDS, "a note of it"))
    monkeypatch.setenv("COLUMNS", "200")
    lines = shown(io.StringIO(), (outcome,)).splitlines()
    (line,) = [line for line in lines if "a note of it" in line]
    assert line.split("  ")[0] == "P9 tls"
    assert re.split(r"\s{2,}", line) == [
        "P9 tls", "what the book says of it", "before", "after", "a note of it", "holds"
    ]  # fmt: skip
    monkeypatch.setenv("COLUMNS", "140")
    lines = shown(io.StringIO(), (outcome,)).splitlines()
    above, below = next(pair for pair in pairwise(lines) if "a note of it" in pair[1])
    assert below.index("note: a note") == above.index("after")


def test_the_end_counts_and_names_what_is_missing(columns: int) -> None:
    """The last lines say what this machine cannot show and how often each verdict was given."""
    row = Row("ONE", "a group", "a statement", as_if_seen)
    other = Row("TWO", "a group", "a statement", as_if_seen)
    third = Row("THREE", "a group", "a statement", as_if_seen)
    missing = Seen("", "", Verdict.NOT_PERMITTED, "it needs the moon")
    later = Seen("", "", Verdict.TOO_OLD, "needs Linux 9.9", "9.9")
    text = shown(
        io.StringIO(),
        (run.Outcome(row, as_if_seen()), run.Outcome(other, missing), run.Outcome(third, later)),
    )
    assert text.splitlines()[-5:] == [
        "This machine, or this user, cannot show:",
        "  TWO: it needs the moon",
        "This kernel is too old to show:",
        "  THREE: needs Linux 9.9",
        "3 rows: 1 holds, 1 not permitted here, 1 needs a newer Linux",
    ]


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (1, "1 row: 1 {one}"),
        (2, "2 rows: 2 {many}"),
    ],
)
@pytest.mark.parametrize(
    ("verdict", "one", "many"),
    [
        (Verdict.HOLDS, "holds", "hold"),
        (Verdict.CHANGED, "changed", "changed"),
        (Verdict.GONE, "gone", "gone"),
        (Verdict.NOT_PERMITTED, "not permitted here", "not permitted here"),
        (Verdict.TOO_OLD, "needs a newer Linux", "need a newer Linux"),
        (Verdict.DIFFERS, "DIFFERS", "DIFFER"),
    ],
)
def test_the_counts_are_sentences(
    rows: int, counts: str, verdict: Verdict, one: str, many: str
) -> None:
    """One row holds, two hold; what is no verb stays as it is."""
    row = Row("ONE", "a group", "a statement", as_if_seen)
    text = shown(io.StringIO(), (run.Outcome(row, Seen("", "", verdict, "why")),) * rows)
    assert text.splitlines()[-1] == counts.format(one=one, many=many)


# ---- the command


def ramet_tour(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["tour", *arguments])


def test_json_has_the_machine_and_the_rows() -> None:
    """The object for machines has all that the table has, under these names."""
    result = ramet_tour("--json", "--only", "vm,P3")
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert told.keys() == {"machine", "rows"}
    assert told["machine"].keys() == {
        "kernel", "architecture", "libc", "python", "user", "privileges"
    }  # fmt: skip
    assert told["machine"]["kernel"] == os.uname().release
    assert [row["id"] for row in told["rows"]] == ["P3", "VM"]
    for row in told["rows"]:
        assert list(row) == [
            "id", "word", "group", "statement", "without", "with", "verdict", "needs", "detail"
        ]  # fmt: skip
        assert all(isinstance(value, str) for value in row.values())
        assert row["verdict"] == "holds"


def test_the_command_prints_a_plain_table_into_a_file() -> None:
    """Without options it prints the rows, and its exit status is 0 when nothing DIFFERS."""
    result = ramet_tour("--only", "FILES")
    assert result.exit_code == 0
    assert "shares the table of open files" in result.stdout
    assert "\x1b" not in result.stdout


def test_a_difference_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status is 1 when a row DIFFERS, with the table and with JSON."""
    row = Row("X", "a group", "a statement", lambda: Seen("a", "b", Verdict.DIFFERS))
    monkeypatch.setattr(run, "all_rows", lambda: (row,))
    assert ramet_tour().exit_code == 1
    assert ramet_tour("--json").exit_code == 1


def test_a_picture_has_the_table_and_asks_for_nothing_else(tmp_path: Path) -> None:
    """The drawing has the words of each row, suits light and dark pages, and names no other host."""
    place = tmp_path / "tour.svg"
    result = ramet_tour("--only", "FILES", "--svg", str(place))
    assert (result.exit_code, result.stdout) == (0, "")
    document = ET.parse(place).getroot()
    words = "".join(document.itertext()).replace("\N{NO-BREAK SPACE}", " ")
    assert "shares the table of" in words
    assert "1 row: 1 holds" in words
    assert "prefers-color-scheme: dark" in words
    assert "#010203" not in words
    assert re.findall(r"\w+://[^\"]+", place.read_text()) == ["http://www.w3.org/2000/svg"]


def test_a_picture_may_go_to_the_output() -> None:
    """With - for its file the drawing is all that is printed."""
    told = ramet_tour("--only", "FILES", "--svg", "-").stdout
    assert told.startswith("<svg ")
    assert told.endswith("</svg>\n")


@pytest.mark.parametrize("options", [("--svg", "/nowhere/tour.svg"), ("--svg", "-", "--json")])
def test_a_picture_that_cannot_be_made_is_told_first(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be written, or another form besides, is one error before any row is tried."""
    monkeypatch.setattr(run, "run", lambda _: pytest.fail("a row was tried"))
    result = ramet_tour(*options)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("ramet tour: ")


def test_a_wrong_row_is_one_error() -> None:
    """An unknown id is a usage error in one line, and nothing is run."""
    result = ramet_tour("--only", "VM,SETTSL")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith("called 'SETTSL'; the nearest is SETTLS")
    assert result.stdout == ""


@pytest.mark.parametrize("package", ["click", "rich"])
def test_a_missing_package_is_one_line(package: str) -> None:
    """Without the packages of the command line, the command says how to install them."""
    program = f"import sys; sys.modules[{package!r}] = None; from ramet.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"ramet: {package} is missing: pip install 'ramet[cli]'\n"


def test_a_missing_module_of_ours_is_not_blamed_on_others() -> None:
    """Any other import that fails is shown as it is."""
    program = "import sys; sys.modules['ramet.tour.run'] = None; from ramet.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "ramet.tour" in done.stderr.splitlines()[-1]
    assert "pip install" not in done.stderr


# ---- another user


@pytest.fixture
def readable_copy() -> Iterator[Path]:
    """The package where every user can read it, which the tree itself need not be."""
    place = Path(tempfile.mkdtemp(prefix="ramet-readable-"))
    place.chmod(0o755)
    package = place / "ramet"
    shutil.copytree(
        Path(ramet.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(_core.__file__, package)
    for path in package.rglob("*"):
        path.chmod(0o755)
    package.chmod(0o755)
    yield place
    shutil.rmtree(place)


EVERY_ROW = """
import json
from ramet.tour import run
print(json.dumps({row.id: [seen.verdict, seen.detail] for row, seen in run.run(run.all_rows())}))
"""


def run_as_nobody(program: str, python_path: str) -> "subprocess.CompletedProcess[str]":
    # Not the one of a virtual environment, which may lie in another user's home.
    python = Path(
        sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"
    )
    return subprocess.run(
        [python, "-c", program],
        env={"PYTHONPATH": python_path, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def readable_python(root: None) -> None:
    """Skip the test where another user cannot run this Python."""
    try:
        run_as_nobody("import ctypes, pickle", "")
    except PermissionError:
        pytest.skip("another user may not read this Python")


@pytest.mark.usefixtures("readable_python")
def test_a_plain_user_sees_the_tour_too(readable_copy: Path) -> None:
    """For a user without any privilege every row is run as well, and nothing DIFFERS."""
    done = run_as_nobody(EVERY_ROW, str(readable_copy))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == set(FLAGS + STATEMENTS)
    assert {name: detail for name, (verdict, detail) in told.items() if verdict == "DIFFERS"} == {}
