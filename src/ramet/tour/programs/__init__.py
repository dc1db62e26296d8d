"""A program for each row, to be pasted at a prompt or piped into Python: `ramet tour --code VM`.

What each line prints stands behind it, an ellipsis for what is different each time; a test compares.
"""

from pathlib import Path

# A statement that is about a flag has that flag's.
_OF_FLAGS = {"P5": "CSIGNAL", "P9": "SETTLS", "P10": "PARENT_SETTID", "P11": "CHILD_SETTID"}


def program_of(row_id: str) -> str:
    """The text of the program for the row of that id."""
    name = _OF_FLAGS.get(row_id, row_id).lower()
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
