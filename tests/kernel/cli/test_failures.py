"""How the commands tell a failure: all in the same form."""

import pytest
from click.testing import CliRunner

from ramet.cli.group import ramet as command

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
            "sandbox --user nobody true",
            125,
            "ramet sandbox: No such option '--user' here; ramet run has it",
        ),
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
