"""An option is a row: what adding one takes, shown with one that is made up."""

import errno
from pathlib import Path

import click
import pytest

import ramet
from ramet import CloneFlag as F
from ramet._setup import checks
from ramet._setup.options import in_words
from ramet._setup.order import PARENT_DEATH, call
from ramet._setup.rows import FUNCTION_OPTIONS, OPTIONS, WHO, Option, Shell
from ramet._setup.step_reasons import likely_reason
from ramet.cli.run_options import from_rows, library_options

PR_SET_NAME = 15

ROW = Option(
    "command_name",
    checks.hostname,
    WHO,
    "The name that ps shows for it.",
    "PR_SET_NAME(2const)",
    (call(PARENT_DEATH, "prctl(PR_SET_NAME)", lambda name: ("PRCTL", PR_SET_NAME, name)),),
    callers_with=(F.THREAD, "it is only a made-up option"),
    why={"prctl(PR_SET_NAME) EFAULT": "the name is nowhere"},
    shell=(Shell("--command-name", "NAME"),),
)


@pytest.fixture(autouse=True)
def _row(monkeypatch: pytest.MonkeyPatch) -> None:
    for known in (OPTIONS, FUNCTION_OPTIONS):
        monkeypatch.setitem(known, ROW.name, ROW)


def own_name() -> str:
    return Path("/proc/self/comm").read_text().strip()


@pytest.mark.parametrize("flags", [0, F.VM])
def test_its_step_is_done(flags: int, nothing_left: object) -> None:
    """The child of a function does it, in a copy and in shared memory."""
    assert ramet.clone(own_name, flags=flags, command_name=b"twig").result(60) == "twig"  # type: ignore[call-arg]


def test_its_step_has_its_place() -> None:
    """It stands in its section, whatever the order of the options."""
    options = {"signal_mask": [], "command_name": "twig", "no_new_privs": True}
    steps = [label for label, _ in ramet.Command(["true"], **options).steps]  # type: ignore[arg-type]
    after = steps.index("prctl(PR_SET_NO_NEW_PRIVS)")
    assert steps[after + 1] == "prctl(PR_SET_NAME)"


def test_it_is_checked() -> None:
    """By its kind, and in the words of the kind."""
    expected = r"invalid command_name: expected a name of at most 64 bytes, got 5"
    with pytest.raises(TypeError, match=expected):
        ramet.Command(["true"], command_name=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="did you mean 'command_name'"):
        ramet.Command(["true"], comand_name="twig")  # type: ignore[call-arg]


def test_its_conflict_is_refused() -> None:
    """With the flag of its row."""
    flags = F.VM | F.SIGHAND | F.THREAD
    with pytest.raises(ValueError, match="invalid command_name with CLONE_THREAD: it is only"):
        ramet.clone(own_name, flags=flags, command_name="twig")  # type: ignore[call-arg]


def test_its_failure_is_explained() -> None:
    """By the step's name and the errno."""
    assert likely_reason("prctl(PR_SET_NAME)", errno.EFAULT) == "the name is nowhere"


def test_it_is_in_the_help() -> None:
    """Under its heading, with its sentence, its values and its page."""
    told = in_words("", OPTIONS).partition(f"{WHO}:")[2]
    assert "``command_name``: The name that ps shows for it. PR_SET_NAME(2const)" in told
    assert "A name of at most 64 bytes. Needs no THREAD" in told


def test_the_command_line_has_it() -> None:
    """With its help, checked as it is read."""
    command = click.Command("run", params=[*from_rows()])
    context = command.make_context("run", ["--command-name", "twig"])
    assert "The name that ps shows for it." in command.get_help(context)
    assert library_options(context.params)["command_name"] == "twig"  # type: ignore[typeddict-item]
    with pytest.raises(click.BadParameter, match="expected a name of at most 64 bytes"):
        command.make_context("run", ["--command-name", "t" * 65])
