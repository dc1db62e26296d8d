"""make bench: what a process costs, in turn with what one would use otherwise, on one processor."""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ramet
from ramet import CloneFlag

HERE = Path(__file__).parent
ROOT = HERE.parent


@dataclass
class Contender:
    """One way to do a job; `once` does it, or `median` measures itself and gives nanoseconds."""

    name: str
    once: Callable[[], object] | None = None
    median: Callable[[int], float] | None = None
    medians: list[float] = field(default_factory=list)

    def measure(self, count: int) -> None:
        """One round."""
        if self.median is not None:
            self.medians.append(self.median(count))
            return
        assert self.once is not None
        times = []
        for _ in range(count):
            begun = time.perf_counter_ns()
            self.once()
            times.append(time.perf_counter_ns() - begun)
        self.medians.append(statistics.median(times))


@dataclass
class Job:
    """Contenders for one job; the first is what the ratios are told against."""

    name: str
    contenders: list[Contender]
    count: int


def jobs(floor: str, nop: str) -> list[Job]:
    """All that is measured."""
    return [
        Job(
            "a static program, start and wait",
            [
                Contender("C vfork + execve + waitid", median=_floor(floor, "spawn", nop)),
                Contender("ramet.Popen", once=lambda: ramet.Popen([nop]).wait()),
                Contender("subprocess.Popen", once=lambda: subprocess.Popen([nop]).wait()),
                Contender("os.posix_spawn", once=lambda: _posix_spawn(nop)),
            ],
            200,
        ),
        Job(
            "the same with user, group and umask",
            [
                Contender("ramet.Popen", once=lambda: ramet.Popen([nop], **_identity()).wait()),
                Contender("subprocess.Popen", once=lambda: _subprocess_with_identity(nop)),
            ],
            50,
        ),
        Job(
            "wait with a timeout",
            [
                Contender("ramet.Popen", once=lambda: ramet.Popen([nop]).wait(10)),
                Contender("subprocess.Popen", once=lambda: subprocess.Popen([nop]).wait(10)),
            ],
            100,
        ),
        Job(
            "a function in shared memory, start and result",
            [
                Contender("threading.Thread", once=_thread),
                Contender("ramet.vfork", once=lambda: ramet.vfork(_nothing).result()),
                Contender("ramet.clone(VM)", once=lambda: _clone(CloneFlag.VM)),
                Contender("C vfork + waitid", median=_floor(floor, "vfork")),
            ],
            200,
        ),
        Job(
            "a function in a memory of its own, start and result",
            [
                Contender("os.fork + pipe", once=_fork_and_pipe),
                Contender("ramet.clone", once=lambda: _clone(0)),
            ],
            30,
        ),
    ]


def _nothing() -> None:
    return None


def _clone(flags: int) -> None:
    ramet.clone(_nothing, flags=flags).result()


def _thread() -> None:
    thread = threading.Thread(target=_nothing)
    thread.start()
    thread.join()


def _fork_and_pipe() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, b"N.")
        os._exit(0)
    os.close(writing)
    os.read(reading, 100)
    os.close(reading)
    os.waitpid(pid, 0)


def _posix_spawn(program: str) -> None:
    os.waitpid(os.posix_spawn(program, [program], os.environ), 0)


def _identity() -> dict[str, int]:
    return {"user": os.getuid(), "group": os.getgid(), "umask": 0o22}


def _subprocess_with_identity(program: str) -> None:
    subprocess.Popen([program], user=os.getuid(), group=os.getgid(), umask=0o22).wait()


def _floor(floor: str, *words: str) -> Callable[[int], float]:
    def median(count: int) -> float:
        argv = [floor, words[0], str(count), *words[1:]]
        return float(subprocess.run(argv, capture_output=True, check=True).stdout)

    return median


def _build(folder: Path) -> tuple[str, str]:
    cpu = platform.machine()
    floor, nop = str(folder / "floor"), str(folder / "nop")
    subprocess.run(["cc", "-O2", "-o", floor, str(HERE / "floor.c")], check=True)
    bare = ["-O2", "-static", "-nostdlib", "-ffreestanding", f"-I{ROOT / 'native' / 'arch' / cpu}"]
    subprocess.run(["cc", *bare, "-o", nop, str(HERE / "nop.c")], check=True)
    return floor, nop


def _on_one_processor() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _tell(job: Job) -> None:
    print(f"\n{job.name}")
    base = statistics.median(job.contenders[0].medians)
    for contender in job.contenders:
        median = statistics.median(contender.medians)
        low, high = min(contender.medians), max(contender.medians)
        spread = f"{low / 1000:.0f}-{high / 1000:.0f}"
        print(f"  {contender.name:28} {median / 1000:9.1f} us {median / base:7.2f} x   ({spread})")


def main() -> None:
    """Measure in rounds, each contender in its turn, so that a drift of the machine hits all."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    _on_one_processor()
    print(
        f"{platform.release()} {platform.machine()}, Python {sys.version.split()[0]}, one processor"
    )
    with tempfile.TemporaryDirectory() as folder:
        measured = jobs(*_build(Path(folder)))
        for job in measured:
            for _ in range(rounds):
                for contender in job.contenders:
                    contender.measure(job.count)
            _tell(job)


if __name__ == "__main__":
    main()
