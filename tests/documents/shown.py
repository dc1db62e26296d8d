"""What a document shows: its blocks, what they promise, and how they are run."""

import ast
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..constants import PATIENT_SECONDS as SECONDS

ROOT = Path(__file__).parents[2]
# A Chinese page has the blocks of the English one: tests/contract/test_translations.py compares them.
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if not page.match("*.zh.md")),
]
MADE_UP = ("server", "make", "daemonizes")


class Block(NamedTuple):
    """Lines between two fences."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def in_tutorial(self) -> bool:
        return self.page.parent.name == "tutorial"


def blocks(page: Path) -> Iterator[Block]:
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for one in found:
        line = page.read_text().count("\n", 0, one.start(2)) + 1
        yield Block(page, line, one[1], one[2])


def has_await(text: str) -> bool:
    """Whether it waits outside of any function, as at the prompt of asyncio."""
    try:
        compile(text, "", "exec")
    except SyntaxError:
        return True
    return False


def promised(block: Block) -> list[str]:
    """The comments behind calls of print()."""
    lines = block.text.splitlines()
    tree = compile(block.text, "", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    ends = [lines[last - 1] for last in sorted(call.end_lineno or 0 for call in calls)]
    return [line.split("  # ")[1] for line in ends if "  # " in line]


def pattern(shown: str) -> str:
    """A number of several digits, and one of bytes, stands for any, and dots for anything."""
    parts = re.split(r"(\d[\d.]*(?= [KM]iB)|\d\d+|\.\.\.)", shown.strip())
    stands_for = [r"[\d.]+" if "." in part else r"\d+" for part in parts[1::2]]
    parts[0::2] = map(re.escape, parts[0::2])
    parts[1::2] = [
        ".*" if part == "..." else any_number
        for part, any_number in zip(parts[1::2], stands_for, strict=True)
    ]
    return "".join(parts)


def write_program(file: Path, body: str) -> None:
    write_executable(file, f"#!/bin/sh\n{body}\n")


def write_executable(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def run(
    argv: Sequence[str | Path], place: Path, *, typed: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run it in that folder, whose programs it finds first, with an empty standard input or this one."""
    environment = {**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}"}
    environment["DASK_TEMPORARY_DIRECTORY"] = str(place)  # which it would leave in /tmp
    # A worker may miss its scheduler at the end, and would log that.
    environment["DASK_LOGGING__DISTRIBUTED"] = "critical"
    return subprocess.run(
        argv,
        cwd=place,
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
