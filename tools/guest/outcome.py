"""What the tests of one guest came to, read from the files that it left."""

import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .suite import JUNIT, LAW, OUTPUT, SANDBOX, TOUR


@dataclass(frozen=True)
class Test:
    """One test: its id, how it ended ("passed", "failed" or "skipped"), and what was said of it."""

    name: str
    end: str
    text: str = ""

    @property
    def group(self) -> str:
        """The folder of tests that it is in: kernel/sandbox, or crash."""
        return group_of(self.name.split("::")[0])


def group_of(file: str) -> str:
    """Of a file of tests, or of a folder with a slash at its end."""
    folders = file.split("/")[1:-1]
    return "/".join(folders[:2])


@dataclass(frozen=True)
class Outcome:
    """The results of one guest; each is empty where the guest did not come to it.

    reason: why it did not come to its end, or nothing.
    """

    title: str
    directory: Path
    reason: str = ""
    tests: tuple[Test, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, title: str, directory: Path, reason: str = "") -> "Outcome":
        """Of its last run, from the directory of results."""
        return cls(title, directory, reason, tuple(_tests(directory / JUNIT)))

    @property
    def success(self) -> bool:
        """Whether tests were run, all of them, and none failed."""
        return not self.reason and bool(self.tests) and not self.failed

    @cached_property
    def failed(self) -> list[Test]:
        """The tests that failed."""
        return [test for test in self.tests if test.end == "failed"]

    @cached_property
    def skipped(self) -> Counter[str]:
        """How many tests were skipped, by reason."""
        return Counter(test.text for test in self.tests if test.end == "skipped")

    def counts(self) -> dict[str, Counter[str]]:
        """How many tests of each group ended in which way."""
        counts: dict[str, Counter[str]] = {}
        for test in self.tests:
            counts.setdefault(test.group, Counter())[test.end] += 1
        return counts

    @cached_property
    def tour(self) -> dict[str, Any]:
        """What the tour told: "machine" and "rows"."""
        return _json(self.directory / TOUR)

    @cached_property
    def law(self) -> dict[str, Any]:
        """What the comparison of the law with the kernel told, where it was asked for."""
        return _json(self.directory / LAW)

    @cached_property
    def sandbox(self) -> dict[str, Any]:
        """By what each wish of a sandbox is met there."""
        return _json(self.directory / SANDBOX)

    def last_words(self, lines: int = 15) -> str:
        """The end of what it printed."""
        output = self.directory / OUTPUT
        return (
            "\n".join(output.read_text(errors="replace").splitlines()[-lines:])
            if output.exists()
            else ""
        )


def _tests(junit: Path) -> Iterator[Test]:
    if not junit.exists():
        return
    for case in ET.parse(junit).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        problem = next((each for each in case if each.tag in ("failure", "error")), None)
        skip = case.find("skipped")
        if problem is not None:
            yield Test(name, "failed", problem.get("message", ""))
        elif skip is not None:
            yield Test(name, "skipped", skip.get("message", ""))
        else:
            yield Test(name, "passed")


def _json(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content
