"""What the cells of tables show."""

import re
from pathlib import Path

SITE = Path(__file__).parents[2] / "build" / "site"
CELL = re.compile(r"<td[^>]*>(.*?)</td>", re.DOTALL)


def test_no_cell_shows_a_pipe_with_a_backslash() -> None:
    """What is copied from a cell is what is to be typed."""
    cells = [
        cell for page in SITE.rglob("*.html") for cell in CELL.findall(page.read_text("utf-8"))
    ]
    assert len(cells) > 1000
    assert [cell for cell in cells if "\\|" in cell] == []
