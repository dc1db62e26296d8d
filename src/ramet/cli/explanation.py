"""An explanation in a terminal: with the tour's colours, and wrapped at its width."""

import re
import sys
from textwrap import TextWrapper

from rich.console import Console
from rich.text import Text

from ..law import Explanation
from ..law.explanation import Line, Section
from ..tour.colours import ALARM, GREEN, HEADING, NAME, console_for

_MARGIN = 2
_LEAST_COLUMNS = 20


def show(explanation: Explanation) -> None:
    """Print it to the standard output."""
    console = console_for(sys.stdout)
    _print_head(console, explanation)
    for section in explanation.sections():
        console.print()
        console.print(Text(section.title, style=HEADING))
        for line in section.lines:
            _print_line(console, section, line)


def _print_head(console: Console, explanation: Explanation) -> None:
    for line in explanation.head():
        text = Text(_wrapped(line, console.width, "", " " * 2 * _MARGIN))
        text.highlight_regex(r"CLONE_[A-Z_]+", NAME)
        text.highlight_regex(r"\bgranted$", f"bold {GREEN}")
        text.highlight_regex(r"\brefused: E[A-Z0-9]+", ALARM)
        console.print(text, soft_wrap=True)


def _print_line(console: Console, section: Section, line: Line) -> None:
    """The text beside its subject, or below it where too few columns are left."""
    about = section.width + section.gap if section.width else _MARGIN
    if console.width - about - _MARGIN < _LEAST_COLUMNS:
        about = _MARGIN
    label = f"{line.about:{section.width}}{' ' * section.gap}" if section.width else ""
    indent = " " * _MARGIN
    wrapped = _wrapped(label + line.words, console.width, indent, indent + " " * about)
    text = Text(wrapped)
    if line.about:
        text.stylize(NAME, _MARGIN, _MARGIN + len(line.about))
    console.print(text, soft_wrap=True)


class _Wrapper(TextWrapper):
    """Breaks lines at blanks, and between joined flags."""

    wordsep_re = re.compile(r"(\s+)|(?<=\|)")


def _wrapped(line: str, columns: int, first: str, others: str) -> str:
    return _Wrapper(columns, initial_indent=first, subsequent_indent=others).fill(line)
