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
    """How large the measuring process is, and how much it has open."""

    megabytes: int
    descriptors: int

    def __str__(self) -> str:
        gigabytes = self.megabytes // 1024
        size = f"{gigabytes} GB" if gigabytes else f"{self.megabytes} MB"
        return f"{size}, {self.descriptors} fds"


def measured(setting: Setting, folder: Path, rounds: int, only: str) -> list[Result]:
    """Measure in a process of its own, so that no setting has what another left behind."""
    asked = json.dumps([asdict(setting), str(folder), rounds, only])
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.setting", asked], stdout=subprocess.PIPE, check=True
    )
    return [Result(**row) for row in json.loads(answer.stdout)]


def _main(asked: str) -> None:
    setting, folder, rounds, only = json.loads(asked)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    ballast = bytearray(setting["megabytes"] << 20)
    for start in range(0, len(ballast), PAGE):  # a page that was never written is not there
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
