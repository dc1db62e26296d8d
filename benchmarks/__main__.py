"""make bench: what a process costs, measured in turn with the alternatives, on one processor."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from . import picture, table
from .floors import ROOT, Floors
from .measure import BY_DESCRIPTORS, BY_SIZE, Result
from .setting import FEW, MANY, Setting, measured

SIZES_MB = (10, 1024, 8192)
SPARE_MB = 2048
PICTURES = ROOT / "build"

# Each in a process that has loaded no more than its jobs need, and whether many descriptors are a question.
GROUPS = {
    "bench": (["programs", "functions"], True),
    "bench-workers": (["workers"], False),
    "bench-sandbox": (["confined"], False),
}


def settings(*, quick: bool, descriptors: bool) -> list[Setting]:
    """The settings that fit this machine: sizes with few descriptors, then the smallest with many."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    sizes = [size for size in SIZES_MB if size + SPARE_MB <= free or size == SIZES_MB[0]]
    limit = os.sysconf("SC_OPEN_MAX")
    chosen = [Setting(size, FEW) for size in (sizes[:1] if quick else sizes)]
    if descriptors and not quick:
        chosen.append(Setting(sizes[0], min(MANY, limit - 100)))
    return chosen


def rows(results: Mapping[Setting, Sequence[Result]]) -> list[dict[str, object]]:
    """The same as data: a row for each contender in each setting."""
    return [
        {**asdict(setting), **asdict(result)}
        for setting, found in results.items()
        for result in found
    ]


def main() -> None:
    """Measure, print one table, and draw it."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="the smallest setting only")
    parser.add_argument("--only", default="", help="jobs with this in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there, too")
    asked = parser.parse_args()
    machine = (
        f"{platform.release()} {platform.machine()}, Python {platform.python_version()}, "
        "one processor"
    )
    print(machine, flush=True)
    PICTURES.mkdir(exist_ok=True)
    measured_rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Floors(folder)
        for group, (modules, descriptors) in GROUPS.items():
            results = {}
            for setting in settings(quick=asked.quick, descriptors=descriptors):
                print(f"  {group}: {setting} ...", file=sys.stderr, flush=True)
                results[setting] = measured(setting, modules, folder, asked.rounds, asked.only)
                if not results[setting]:
                    break
            else:
                measured_rows += rows(results)
                print("\n".join(table.lines(results)), end="\n\n", flush=True)
                (PICTURES / f"{group}.svg").write_text(picture.svg(results, machine))
    if not measured_rows:
        parser.error(f"no job has {asked.only!r} in its name")
    if asked.json:
        told = {"machine": machine, "rounds": asked.rounds, "results": measured_rows}
        asked.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"The pictures: {PICTURES.name}/bench*.svg. A mark ! is above its bar.")
    print(
        f"Beside its bar a ratio has to stay within {BY_SIZE} times what it is in the first setting;"
        f" with many descriptors open within {BY_DESCRIPTORS} times, instead."
    )


if __name__ == "__main__":
    main()
