"""How the commands tell a failure: all in the same form."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ramet.cli.group import ramet as command
from ramet.cli.run import run
from ramet.cli.sandbox import sandbox
from ramet.cli.sandbox_elsewhere import NAMES_HERE

NO_SUCH_PID = "4194305"


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ("--nosuch", 2, "ramet: No such option"),
        ("nosuch", 2, "ramet: there is no command 'nosuch'"),
        ("tree --nosuch", 2, "ramet tree: No such option"),
        (f"tree {NO_SUCH_PID}", 1, "ramet tree: there is no process"),
        ("tree --svg /nowhere/file 1", 1, "ramet tree: "),
        ("memory", 2, "ramet memory: Missing argument"),
        (f"memory {NO_SUCH_PID}", 1, "ramet memory: there is no process"),
        (f"memory --children {NO_SUCH_PID}", 1, "ramet memory: process 4194305 has no children"),
        ("explain nosuch", 2, "ramet explain: no clone flag or signal"),
        ("law nosuch", 2, "ramet law: No such command"),
        ("law rules Q1", 2, "ramet law rules: Invalid value: there is no rule Q1"),
        ("law check --uid x", 2, "ramet law check: Invalid value for '--uid'"),
        ("tour nosuch", 2, "ramet tour: Invalid value for --only"),
        ("run --nosuch", 125, "ramet run: No such option"),
        (
            "run --memory 1G true",
            125,
            "ramet run: No such option '--memory' here; ramet sandbox has it",
        ),
        (
            "sandbox --umask 077 true",
            125,
            "ramet sandbox: No such option '--umask' here; ramet run has it",
        ),
        (
            "sandbox --user nobody true",
            125,
            "ramet sandbox: No such option '--user': as root, the program has an id that nobody has",
        ),
        (
            "sandbox --ro-bind / / true",
            125,
            "ramet sandbox: No such option '--ro-bind': --read PATH shows a path",
        ),
        (
            "sandbox --bind /a /a true",
            125,
            "ramet sandbox: Invalid value for '--bind': expected ports such as 443 or 80,443, got '/a'; ",
        ),
        ("sandbox --net=none true", 125, "ramet sandbox: No such option '--net': --network none"),
        ("sandbox --nosuch", 125, "ramet sandbox: No such option"),
        ("trace --nosuch", 125, "ramet trace: No such option"),
    ],
)
def test_a_failure_is_a_line_that_begins_with_the_command(
    words: str, status: int, told: str
) -> None:
    """Its name and a colon, as GNU's programs write it, and what was wrong."""
    done = CliRunner().invoke(command, words.split())
    assert (done.exit_code, done.stdout) == (status, "")
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["-h"], ["law", "--help"]])
def test_help_that_is_asked_for_is_no_failure(words: list[str]) -> None:
    """It is printed as it is, with exit status 0."""
    done = CliRunner().invoke(command, words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ramet ")


@pytest.mark.parametrize("words", [[], ["law"]])
def test_a_group_without_a_command_prints_its_help(words: list[str]) -> None:
    """All of it, and not as the line of a failure."""
    assert CliRunner().invoke(command, words).output.startswith("Usage: ramet ")


def options_of_others() -> list[str]:
    """Those of other programs in the table for who comes from them."""
    page = Path(__file__).parents[3] / "docs/how_to/migrate/sandboxes.md"
    table = page.read_text().split("## ")[0]
    rows = [line.split("|")[1:-2] for line in table.splitlines() if line.startswith("| ")]
    words = [
        word
        for row in rows
        for code in re.findall("`(.+?)`", "".join(row))
        for word in code.split()
    ]
    return [word.partition("=")[0] for word in words if word.startswith("-")]


def test_options_of_other_sandboxes_are_told_by_their_names_here() -> None:
    """Each option that the page for who comes from others has is ours, or is told with what to give."""
    ours, of_run = ({name for param in one.params for name in param.opts} for one in (sandbox, run))
    others = options_of_others()
    assert len(others) > 50
    assert set(others) <= ours | of_run | NAMES_HERE.keys()
    assert ours.isdisjoint(NAMES_HERE)
    named = set(re.findall(r"(?<![\w-])--[a-z-]+", " ".join(NAMES_HERE.values())))
    assert named <= ours
