"""One setting: a process of a given size with a given number of descriptors, in which jobs are measured."""

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .floors import Floors
from .measure import Result, run

PAGE = 4096
FEW, MANY = 10, 20_000  # descriptors


@dataclass(frozen=True)
class Setting:
    """The measuring process's size, and its open descriptors."""

    megabytes: int
    descriptors: int

    def __str__(self) -> str:
        gigabytes = self.megabytes // 1024
        size = f"{gigabytes} GB" if gigabytes else f"{self.megabytes} MB"
        return f"{size}, {self.descriptors} fds"


def measured(
    setting: Setting, modules: Sequence[str], folder: Path, rounds: int, only: str
) -> list[Result]:
    """Measure the jobs of these modules in a process of their own, so that no setting affects another."""
    asked = json.dumps([asdict(setting), modules, str(folder), rounds, only])
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.setting", asked], stdout=subprocess.PIPE, check=True
    )
    return [Result(**row) for row in json.loads(answer.stdout)]


def _main(asked: str) -> None:
    setting, modules, folder, rounds, only = json.loads(asked)
    # They ask what processors there are.
    loaded = [importlib.import_module(f"benchmarks.{module}") for module in modules]
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    ballast = bytearray(setting["megabytes"] << 20)
    for start in range(0, len(ballast), PAGE):  # only written pages are resident
        ballast[start] = 1
    gc.freeze()
    with tempfile.TemporaryFile() as file:
        copies = [os.dup(file.fileno()) for _ in range(setting["descriptors"] - FEW)]
        floors = Floors(Path(folder), build=False)
        jobs = [job for module in loaded for job in module.jobs(floors) if only in job.name]
        rows = [asdict(result) for job in jobs for result in run(job, rounds)]
        for copy in copies:
            os.close(copy)
    print(json.dumps(rows))


if __name__ == "__main__":
    _main(sys.argv[1])
