"""What the documents show is run as it stands, and what they say comes of it, comes of it.

A block of Python is run as a script, after the imports of the blocks before it on its page; one that asks
for its `__name__` is a whole script, and is run alone. What it prints must be what the comments behind
its print() calls say, in their order. Of a session at a prompt (`>>>`) and at a shell (`$`) the shown
output must come; a `...` in it stands for anything, and a number of several digits for any. Programs that
are made up are scripts that do nothing.
"""

import ast
import doctest
import os
import re
import sys
from pathlib import Path

import pytest

from .shown import PAGES, ROOT, Block, blocks, has_await, pattern, promised, run

CGROUP = "/sys/fs/cgroup/jobs/7"
NEEDS_ROOT = re.compile(r'user="nobody"|--user nobody')
WHOLE_SCRIPT = 'if __name__ == "__main__":'
OWN_INTERPRETER = 'interpreter="own"'
REFUSED = 1  # what `ramet explain` says of a request that the kernel refuses
# Has a test of its own, and takes a minute.
LONG = ("ramet law check",)


BLOCKS = [block for page in PAGES for block in blocks(page)]
# Those of a tutorial are run in test_tutorials.py.
PYTHON = [block for block in BLOCKS if block.language == "python" and not block.in_tutorial]
PROMPTS = [block for block in BLOCKS if block.text.startswith(">>> ")]
SHELL = [block for block in BLOCKS if re.search(r"^\$ ", block.text, flags=re.MULTILINE)]


def place_of(block: Block) -> str:
    return block.place


def imports_before(block: Block) -> str:
    """What the page has imported by then, each on one line."""
    before = [one for one in PYTHON if one.page == block.page and one.line < block.line]
    trees = [ast.parse(one.text) for one in before if not has_await(one.text)]
    found = [
        node
        for tree in trees
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    return "; ".join(map(ast.unparse, found))


def script_of(block: Block) -> str:
    """Its lines under their numbers, each in the place that it has on its page."""
    text = block.text
    head = "" if WHOLE_SCRIPT in text else imports_before(block)
    if has_await(text):
        text = "async def _main():\n" + "".join(f"    {line}" for line in text.splitlines(True))
        text += "\nimport asyncio; asyncio.run(_main())\n"
    return head + "\n" * max(1, block.line - 1) + text


def test_there_is_something_to_run() -> None:
    """The documents have blocks of each kind, and none in a language that is not run."""
    assert len(PYTHON) >= 9
    assert PROMPTS
    assert len(SHELL) >= 3
    assert {block.language for block in BLOCKS} == {"", "python"}
    assert len(INSTEAD) >= 15
    assert len(CALLED) >= 30


@pytest.mark.parametrize("block", PYTHON, ids=place_of)
def test_a_block_of_python(
    block: Block, place: Path, nothing_left: object, request: pytest.FixtureRequest
) -> None:
    """It runs without an error or a warning, and prints what it says that it prints."""
    if NEEDS_ROOT.search(block.text) and os.geteuid() != 0:
        pytest.skip("becomes another user")
    if OWN_INTERPRETER in block.text and sys.version_info < (3, 12, 4):
        pytest.skip("an interpreter with a GIL of its own needs Python 3.12.4")
    source = script_of(block)
    if CGROUP in source:
        source = source.replace(CGROUP, str(request.getfixturevalue("cgroup")))
    script = place / "script.py"
    script.write_text(source)
    done = run([sys.executable, "-W", "error", str(script)], place)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = ".*\n".join(map(pattern, promised(block)))
    assert re.search(wanted, done.stdout, flags=re.DOTALL), done.stdout


@pytest.mark.parametrize("block", PROMPTS, ids=place_of)
def test_a_session_at_a_prompt(block: Block) -> None:
    """Each line gives what is shown below it."""
    known: dict[str, object] = {}
    exec("import ramet; from ramet import CloneFlag as F", known)
    test = doctest.DocTestParser().get_doctest(block.text, known, block.place, None, block.line)
    told: list[str] = []
    runner = doctest.DocTestRunner(
        verbose=False, optionflags=doctest.ELLIPSIS
    )  # else -v is its, too
    runner.run(test, out=told.append)
    assert "".join(told) == ""


@pytest.mark.parametrize("block", SHELL, ids=place_of)
def test_a_session_at_a_shell(block: Block, place: Path, nothing_left: object) -> None:
    """Each command gives what is shown below it, where anything is shown."""
    for session in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = session.partition("\n")
        if command.startswith(LONG) or (NEEDS_ROOT.search(command) and os.geteuid() != 0):
            continue
        done = run(["sh", "-c", command], place)
        told = done.stdout + done.stderr
        assert "Traceback" not in told
        assert done.returncode in {0, REFUSED} or shown, told
        if shown:
            assert re.fullmatch(pattern(shown), told.strip(), flags=re.DOTALL), told


# ---- the table of what one uses today

TABLE = re.search(
    r"^## What you use today.*?^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)
INSTEAD = re.findall(r"^\| .+ \| `([^`]+)` \| ", TABLE[0] if TABLE else "", re.MULTILINE)
WHICH_CALL = (ROOT / "docs" / "how_to" / "which_call.md").read_text()
CALLED = re.findall(r"^\| [^|]+ \| `([^`]+)` \| ", WHICH_CALL, re.MULTILINE)
GIVEN = """import os, pytest, signal, ramet
from ramet import CloneFlag as F, lowlevel
argv, x = ["true"], 7
def fn(number): return 0
def load(): pass
def test(): pass
"""


@pytest.mark.parametrize("code", dict.fromkeys([*INSTEAD, *CALLED]))
def test_what_to_write_instead(code: str, place: Path, nothing_left: object) -> None:
    """Each row of README's table, and of those of the page on which call fits, has what runs."""
    if OWN_INTERPRETER in code and sys.version_info < (3, 12, 4):
        pytest.skip("an interpreter with a GIL of its own needs Python 3.12.4")
    if NEEDS_ROOT.search(code) and os.geteuid() != 0:
        pytest.skip("becomes another user")
    if "in_namespace" in code and os.geteuid() != 0:
        pytest.skip("joins a namespace of the initial user namespace")
    script = place / "script.py"
    code = code.replace("\\|", "|")
    waits = f"import asyncio\nasync def main():\n {code}\nasyncio.run(main())"
    script.write_text(GIVEN + (waits if has_await(code) else code))
    is_command = code.startswith("ramet ")
    done = run(["sh", "-c", code] if is_command else [sys.executable, "-W", "error", script], place)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- the calls of the classic page

CLASSIC_PAGE = ROOT / "docs" / "explanation" / "the_classic_page.md"


def calls() -> dict[str, str]:
    """The item `Call` of each statement."""
    found = re.findall(
        r"^### (\w+).*\n(?:(?!#).*\n)*?- Call: (.+(?:\n  .+)*)",
        CLASSIC_PAGE.read_text(),
        re.MULTILINE,
    )
    return dict(found)


def parts_of(call: str) -> list[tuple[str, str]]:
    """What is to be run, in its order, each with what it gives, or nothing where nothing is said."""
    found = re.findall(r"`([^`]+)`(?:,? (?:which )?gives\s+`([^`]+)`)?", call)
    return [(code, gives) for code, gives in found if "(" in code]


@pytest.mark.parametrize("statement", calls())
def test_a_call_gives_what_is_said(statement: str, place: Path) -> None:
    """Each statement of the classic page has a call, and it gives what stands there."""
    (names,) = [block.text for block in PYTHON if block.page == CLASSIC_PAGE]
    parts = parts_of(calls()[statement])
    assert [gives for _, gives in parts if gives], "no call says what it gives"
    lines = [names]
    for code, gives in parts:
        lines.append(f"print(repr({code}))" if gives else code)
    script = place / "script.py"
    script.write_text("\n".join(lines))
    # PARENT makes a child of the shell, which reaps it.
    done = run(["sh", "-c", f"{sys.executable} -W error {script}; exit $?"], place)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = "\n".join(pattern(gives) for _, gives in parts if gives)
    assert re.fullmatch(wanted, done.stdout.strip()), done.stdout
