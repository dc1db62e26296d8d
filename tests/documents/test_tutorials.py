"""A tutorial is pasted at a prompt, block after block, and what comes of each is what the page shows.

What a block prints stands behind its print() calls, or in the block without a language that follows it.
"""

import re
import sys
from pathlib import Path

import pytest

from .shown import PAGES, Block, blocks, pattern, promised, run

TUTORIALS = [page for page in PAGES if page.parent.name == "tutorial"]
BETWEEN = "---- the next block"


def steps(page: Path) -> list[tuple[Block, list[str]]]:
    """Each block of Python, with the lines that it is to print, as the page has them."""
    all_of_it = list(blocks(page))
    following = [*all_of_it[1:], None]
    return [
        (block, promised(block) + shown_by(after))
        for block, after in zip(all_of_it, following, strict=True)
        if block.language == "python"
    ]


def shown_by(block: Block | None) -> list[str]:
    """The lines of a block that has output, and is no session of its own."""
    is_output = block is not None and not block.language and not block.text.startswith("$ ")
    return block.text.splitlines() if block is not None and is_output else []


def test_there_is_a_tutorial() -> None:
    """The pages are found, and a block that shows its output in a block of its own."""
    assert len(TUTORIALS) >= 2
    assert any(len(lines) > 2 for page in TUTORIALS for _, lines in steps(page))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.name)
def test_each_block_gives_what_is_shown(page: Path, place: Path, nothing_left: object) -> None:
    """Pasted at one prompt, in their order, all blocks run without an error or a warning."""
    shown = steps(page)
    session = "".join(f"{block.text}\nprint({BETWEEN!r})\n" for block, _ in shown)
    command = [sys.executable, "-W", "error", "-q", "-i"]
    done = run(command, place, typed=session)
    assert "Traceback" not in done.stderr, done.stderr
    assert "Error" not in done.stderr, done.stderr
    *told, rest = done.stdout.split(f"{BETWEEN}\n")
    assert (len(told), rest.strip()) == (len(shown), "")
    for (block, lines), came in zip(shown, told, strict=True):
        wanted = r"[^\n]*\n(?:.*\n)*?\s*".join(map(pattern, lines))
        assert re.search(wanted, came), f"{block.place}: {came}"
