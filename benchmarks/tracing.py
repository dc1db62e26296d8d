"""Jobs that trace a program which starts others: the whole run, with the tracer's own start and end."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

from .floors import Floors
from .measure import Contender, Job

# Of a build of some size; the start of the tracers, 0.2 s of Python's, is in each figure.
SPAWNS = 3000
_CALLS = "trace=clone,clone3,fork,vfork,execve,execveat,unshare,setns"
_STRACE = ["strace", "-f", "-o", os.devnull, "-e", _CALLS]
_RAMET = [sys.executable, "-m", "ramet", "trace"]
# Before this process is bound to one processor: a tracer and what it traces run beside each other.
_PROCESSORS = os.sched_getaffinity(0)


def jobs(floors: Floors) -> list[Job]:
    """None where there is no strace to compare with."""
    if not shutil.which("strace"):
        return []
    return [
        spawns(floors, "/bin/true", f"trace {SPAWNS} runs of true", bar=1.1),
        spawns(floors, floors.nop, f"trace {SPAWNS} runs of a program without libc", bar=None),
    ]


def spawns(floors: Floors, started: str, name: str, bar: float | None) -> Job:
    """A program that starts 3000 others, one after the other, and waits for each."""
    program = [str(floors.folder / "floor"), "bare", str(SPAWNS), started]

    def whole(*tracer: str) -> Callable[[], object]:
        return lambda: subprocess.run(
            [*tracer, *program],
            check=True,
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, _PROCESSORS),
        )

    to_file = ["-o", os.devnull]
    json = ["--quiet", "--json", os.devnull]
    return Job(
        name,
        [
            Contender(
                "strace -f --seccomp-bpf", once=whole(*_STRACE[:2], "--seccomp-bpf", *_STRACE[2:])
            ),
            Contender("ramet trace, lines", once=whole(*_RAMET, *to_file, "--"), bar=bar),
            Contender("ramet trace --json", once=whole(*_RAMET, *json, *to_file, "--"), bar=bar),
            Contender(
                "ramet trace --every-call", once=whole(*_RAMET, *to_file, "--every-call", "--")
            ),
            Contender("strace -f", once=whole(*_STRACE)),
            Contender("not traced", once=whole()),
        ],
        count=1,
    )
