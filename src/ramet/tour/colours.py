"""The colours of the tour and of explanations, readable on light and dark terminals."""

import os
from io import TextIOWrapper
from typing import TextIO

from rich.console import Console

# Of the 256: each has a contrast of four and more to white as well as to black. Of the first sixteen,
# which terminals define differently, only those with their own background are used. Where a
# terminal has no others, none is used: the nearest to these are its white, its yellow and its grey.
GREEN, AMBER, PURPLE, TEAL, GREY = (f"color({number})" for number in (28, 130, 133, 31, 243))
ALARM = "bold white on red"

NAME, NOTE, HEADING = f"bold {TEAL}", GREY, "bold"

_SIXTEEN_COLOURS = "standard"
_COLUMNS_OF_A_FILE = 100


def console_for(file: TextIO) -> Console:
    """A console that is plain when the file is no terminal, or when NO_COLOR asks for it."""
    if isinstance(file, TextIOWrapper):
        # A character that the locale lacks is replaced, and no error.
        file.reconfigure(errors="replace")
    console = Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if console.is_terminal and not os.environ.get("NO_COLOR"):
        console.no_color = console.color_system == _SIXTEEN_COLOURS
        return console
    width = None if console.is_terminal else _width_of_a_file()
    return Console(
        file=file, color_system=None, width=width, highlight=False, markup=False, emoji=False
    )


def _width_of_a_file() -> int:
    """What COLUMNS says, if that is a number above 0."""
    given = os.environ.get("COLUMNS", "")
    return (int(given) if given.isdecimal() else 0) or _COLUMNS_OF_A_FILE
