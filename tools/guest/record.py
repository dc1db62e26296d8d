"""What all runs of a guest came to: one file for each guest, in ``kept``, of which the page is made.

All tests of a guest take hours, and may be run in parts, on several days and machines: of each file of
tests the last run counts.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .outcome import Outcome, group_of

KEPT = Path(__file__).with_name("kept")
_ALL = "tests/"  # the part of all folders


@dataclass(frozen=True)
class Part:
    """What the tests of one file came to. skipped: how many, by reason.

    commit: of the sources; several, with commas between, of a part that was run in parts itself.
    """

    commit: str
    passed: int = 0
    failed: tuple[str, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What a guest has told; each is empty where it was not asked yet.

    machine: its kernel, architecture, libc and Python. tour, sandbox: rows of the tour, and by what each
    wish of a sandbox is met. law: how many calls were answered otherwise than the law says. parts: by the
    file of tests; of what was run before files were kept by the folder, with a slash at its end, and what
    was skipped there under "tests/".
    """

    title: str
    machine: dict[str, str] = field(default_factory=dict)
    tour: tuple[dict[str, str], ...] = ()
    law: dict[str, int] = field(default_factory=dict)
    sandbox: tuple[dict[str, str], ...] = ()
    parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def read(cls, title: str, directory: Path = KEPT) -> "Record":
        """That of the guest, or an empty one."""
        try:
            told = json.loads(_file(directory, title).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(title)
        parts = {
            name: Part(part["commit"], part["passed"], tuple(part["failed"]), part["skipped"])
            for name, part in told.pop("parts").items()
        }
        tour, sandbox = tuple(told.pop("tour")), tuple(told.pop("sandbox"))
        return cls(title, tour=tour, sandbox=sandbox, parts=parts, **told)

    def write(self, directory: Path = KEPT) -> None:
        """Keep it."""
        told = asdict(self)
        del told["title"]
        directory.mkdir(exist_ok=True)
        text = json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        _file(directory, self.title).write_text(text, encoding="utf-8")

    def with_run(self, outcome: Outcome, commit: str) -> "Record":
        """The same, with what another run came to in place of what it has done again."""
        new = _parts(outcome, commit)
        record = replace(self, parts=_without_folders(self.parts, new) | new)
        if outcome.tour:
            rows = (_chosen(row, ("id", "verdict", "needs")) for row in outcome.tour["rows"])
            names = ("kernel", "architecture", "libc", "python")
            machine = _chosen(outcome.tour["machine"], names)
            record = replace(record, machine=machine, tour=tuple(rows))
        if outcome.law:
            asked, rules = sum(outcome.law["requests"].values()), len(outcome.law["rules"])
            differing = outcome.law["differing"]
            record = replace(record, law={"asked": asked, "differing": differing, "rules": rules})
        if outcome.sandbox:
            names = ("wish", "met", "mechanism", "shortfall")
            met = tuple(_chosen(row, names) for row in outcome.sandbox["rows"])
            record = replace(record, sandbox=met)
        return record

    @property
    def commits(self) -> list[str]:
        """Those of the sources that were tested."""
        parts = [part for name, part in self.parts.items() if name != _ALL]
        return sorted({one for part in parts for one in part.commit.split(", ")})

    @property
    def passed(self) -> int:
        """How many tests passed."""
        return sum(part.passed for part in self.parts.values())

    @property
    def failed(self) -> list[str]:
        """The tests that failed."""
        return sorted(name for part in self.parts.values() for name in part.failed)

    @property
    def skipped(self) -> Counter[str]:
        """How many tests were skipped, by reason."""
        return sum((Counter(part.skipped) for part in self.parts.values()), Counter())

    def groups(self) -> dict[str, Counter[str]]:
        """How many tests of each folder passed and failed."""
        counts: dict[str, Counter[str]] = {}
        for name, part in self.parts.items():
            if group := group_of(name):
                found = Counter(passed=part.passed, failed=len(part.failed))
                counts[group] = counts.get(group, Counter()) + found
        return counts


def _parts(outcome: Outcome, commit: str) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for test in outcome.tests:
        file = test.name.partition("::")[0]
        part = parts.setdefault(file, Part(commit))
        if test.end == "passed":
            parts[file] = replace(part, passed=part.passed + 1)
        elif test.end == "failed":
            parts[file] = replace(part, failed=(*part.failed, test.name))
        else:
            part.skipped[test.text] = part.skipped.get(test.text, 0) + 1
    return parts


def _without_folders(parts: dict[str, Part], new: dict[str, Part]) -> dict[str, Part]:
    """What was kept, without the parts by folder of which files were run.

    What of these was skipped is in the part of all tests, since nobody has told of which folder it was.
    """
    again = {name for name in parts for file in new if _is_folder_of(name, file)}
    left = {name: part for name, part in parts.items() if name not in again}
    if _ALL in left:
        files = [
            part for file, part in new.items() if any(_is_folder_of(one, file) for one in again)
        ]
        skipped = Counter(left[_ALL].skipped)
        for part in files:
            skipped -= Counter(part.skipped)
        left[_ALL] = replace(left[_ALL], skipped=dict(skipped))
    return left


def _is_folder_of(name: str, file: str) -> bool:
    return name != _ALL and name.endswith("/") and file.startswith(name)


def _chosen(row: dict[str, Any], names: Iterable[str]) -> dict[str, str]:
    return {name: str(row.get(name) or "") for name in names}


def _file(directory: Path, title: str) -> Path:
    return directory / f"{title}.json"
