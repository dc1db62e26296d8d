"""The rows of the escapes, read from the C files that hold them: one a line that begins with ESCAPE."""

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
_ROW = re.compile(r'^ESCAPE\((\w+), (WORD|SEEN), "([^"]+)", "([^"]+)"\)$', re.MULTILINE)


class Escape(NamedTuple):
    """What is tried, and who gets through without a sandbox.

    is_seen: whether somebody outside must see it; otherwise the attempt's own word counts.
    unconfined: "all", "all since" a version of Linux, "all where" a sysctl is at most a number, "root",
    "some: why" or "none: why".
    """

    name: str
    group: str
    file: str
    is_seen: bool
    unconfined: str
    sentence: str

    @property
    def works(self) -> bool | None:
        """Whether this caller, without a sandbox, gets through on this kernel; None: it depends."""
        who, _, condition = self.unconfined.partition(" ")
        if who == "all":
            return _holds(condition) or None
        if who == "root":
            return os.geteuid() == 0
        return False if who == "none:" else None

    @property
    def limits(self) -> str:
        """Which amounts its sandbox has: bombs have all, those that outlive it a short deadline."""
        limits = {"bombs": "amounts", "kernel_memory": "memory", "outliving": "deadline"}
        return limits.get(self.file, "none")


def _holds(condition: str) -> bool:
    """Whether "since 5.12", "where kernel.perf_event_paranoid <= 2" or "" is so here."""
    match condition.split():
        case ["since", version]:
            release = platform.release().split(".")[:2]
            return [int(number) for number in release] >= [int(one) for one in version.split(".")]
        case ["where", name, "<=", most]:
            path = Path("/proc/sys", *name.split("."))
            return int(path.read_text()) <= int(most)
    assert condition == ""
    return True


def escapes() -> list[Escape]:
    """All, by group, as they stand in the files."""
    return [row for file in sorted(FOLDER.glob("*.c")) for row in _rows_of(file)]


def _rows_of(file: Path) -> Iterator[Escape]:
    text = file.read_text()
    title = text.splitlines()[0].removeprefix("/* ").removesuffix(" */")
    found = [
        Escape(name, title, file.stem, kind == "SEEN", who, told)
        for name, kind, who, told in _ROW.findall(text)
    ]
    assert len(found) == len(re.findall(r"^ESCAPE", text, re.MULTILINE)), (
        f"a row of {file} is not read"
    )
    yield from found
