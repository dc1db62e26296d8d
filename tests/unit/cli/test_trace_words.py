import os
import subprocess

import pytest

from ramet.cli.trace_words import quoted, shown

HOSTILE = [
    "\x1b]0;title\a",
    "two\nlines",
    "a  b\tc",
    "it's \\",
    "\x011",
    "\u200b",
    "",
    "é",
    "$HOME",
]


@pytest.mark.parametrize("word", [*HOSTILE, os.fsdecode(b"\xff1")])
def test_an_argument_is_one_printable_line_that_bash_reads(word: str) -> None:
    """What is shown moves no cursor and ends no line, and bash makes the same word of it."""
    text = quoted([word])
    assert text.isprintable()
    command = ["bash", "-c", f"printf %s {text}"]
    told = subprocess.run(command, capture_output=True, check=True).stdout
    assert told == os.fsencode(word)


def test_a_path_is_shown_as_it_is_where_it_can_be() -> None:
    """Only what is not printable is escaped."""
    assert shown("/a b/é") == "/a b/é"
    assert shown("/a\n\x1b[1m") == r"/a\n\e[1m"
