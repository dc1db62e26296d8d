"""One setting: a process of a given size with a given number of descriptors, in which jobs are measured."""

import gc
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from . import functions, programs
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


def measured(setting: Setting, folder: Path, rounds: int, only: str) -> list[Result]:
    """Measure in its own process, so that no setting affects another."""
    asked = json.dumps([asdict(setting), str(folder), rounds, only])
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.setting", asked], stdout=subprocess.PIPE, check=True
    )
    return [Result(**row) for row in json.loads(answer.stdout)]


def _main(asked: str) -> None:
    setting, folder, rounds, only = json.loads(asked)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    ballast = bytearray(setting["megabytes"] << 20)
    for start in range(0, len(ballast), PAGE):  # only written pages are resident
        ballast[start] = 1
    gc.freeze()
    with tempfile.TemporaryFile() as file:
        copies = [os.dup(file.fileno()) for _ in range(setting["descriptors"] - FEW)]
        floors = Floors(Path(folder), build=False)
        jobs = [
            job for job in (*programs.jobs(floors), *functions.jobs(floors)) if only in job.name
        ]
        rows = [asdict(result) for job in jobs for result in run(job, rounds)]
        for copy in copies:
            os.close(copy)
    print(json.dumps(rows))


if __name__ == "__main__":
    _main(sys.argv[1])
