"""Jobs that start programs."""

import asyncio
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import ramet

from .floors import Floors
from .measure import BY_DESCRIPTORS, BY_SIZE, Contender, Job

CAPTURED_BYTES = 10_000_000


def jobs(floors: Floors) -> list[Job]:
    """All of them."""
    return [
        plain(floors),
        surrounded(floors),
        worked_out(floors),
        waited(floors),
        under_asyncio(floors),
        captured(floors),
    ]


def plain(floors: Floors) -> Job:
    """A static program that ends at once, started and waited for."""
    nop = floors.nop
    command = ramet.Command([nop])
    return Job(
        "start and wait",
        by_size=BY_SIZE,
        by_descriptors=BY_DESCRIPTORS,
        contenders=[
            Contender("C clone(VM|VFORK|PIDFD)+exec+wait", median=floors.c("spawn", nop)),
            Contender("C vfork+exec+wait, no pidfd", median=floors.c("bare", nop)),
            Contender("ramet.Command", once=lambda: command.spawn().wait(), bar=1.15),
            Contender("ramet.Popen", once=lambda: ramet.Popen([nop]).wait(), bar=1.5),
            Contender("subprocess.Popen", once=lambda: subprocess.Popen([nop]).wait()),
            Contender("os.posix_spawn", once=lambda: _posix_spawn(nop)),
            *(Contender(name, median=median) for name, median in floors.others("spawn", nop)),
        ],
    )


def surrounded(floors: Floors) -> Job:
    """The same with user, group, groups, limits and a parent-death signal."""
    nop = floors.nop
    plain_command = ramet.Command([nop])
    options: dict[str, Any] = {
        "user": os.getuid(),
        "group": os.getgid(),
        "rlimits": {"NOFILE": (256, 20000)},
        "pdeathsig": signal.SIGTERM,
    }
    if os.getuid() == 0:
        options["extra_groups"] = [0]
    command = ramet.Command([nop], **options)
    theirs = {"user": os.getuid(), "group": os.getgid(), "umask": 0o22}
    return Job(
        "the same with identity, limits, pdeathsig",
        [
            Contender("ramet.Command, plain", once=lambda: plain_command.spawn().wait()),
            Contender("ramet.Command", once=lambda: command.spawn().wait(), bar=1.3),
            Contender(
                "subprocess, user and group", once=lambda: subprocess.Popen([nop], **theirs).wait()
            ),
        ],
    )


def worked_out(floors: Floors) -> Job:
    """A dozen options passed for each program, as Popen's callers do."""
    nop = floors.nop
    options: dict[str, Any] = {
        "cwd": "/",
        "umask": 0o22,
        "nice": 1,
        "rlimits": {"NOFILE": (256, 20000), "CORE": 0},
        "pdeathsig": "TERM",
        "signal_mask": ["USR1"],
        "default_signals": ["HUP", "INT"],
        "no_new_privs": True,
        "start_new_session": True,
    }
    theirs: dict[str, Any] = {"cwd": "/", "umask": 0o22, "start_new_session": True}
    if os.getuid() == 0:
        identity = {"user": "root", "group": "root", "extra_groups": []}
        options, theirs = options | identity, theirs | identity
    command = ramet.Command([nop], **options)
    return Job(
        "a dozen options, passed each time",
        [
            Contender(
                "C clone(VM|VFORK|PIDFD)+exec+wait, no options", median=floors.c("spawn", nop)
            ),
            Contender("ramet.Command, made before", once=lambda: command.spawn().wait()),
            Contender("ramet.Popen", once=lambda: ramet.Popen([nop], **options).wait(), bar=2.0),
            Contender(
                "subprocess.Popen, those it has",
                once=lambda: subprocess.Popen([nop], **theirs).wait(),
            ),
        ],
    )


def waited(floors: Floors) -> Job:
    """A wait with a timeout."""
    nop = floors.nop
    command = ramet.Command([nop])
    return Job(
        "wait with a timeout",
        [
            Contender("ramet wait()", once=lambda: command.spawn().wait()),
            Contender("ramet wait(10)", once=lambda: command.spawn().wait(10), bar=1.1),
            Contender("subprocess wait(10)", once=lambda: subprocess.Popen([nop]).wait(10)),
        ],
    )


def under_asyncio(floors: Floors) -> Job:
    """The same in an event loop that goes on meanwhile."""
    nop = floors.nop
    command = ramet.Command([nop])

    async def theirs() -> None:
        await (await asyncio.create_subprocess_exec(nop)).wait()

    contenders = [Contender("ramet.Command, no loop", once=lambda: command.spawn().wait())]
    try:
        from ramet import aio
    except ImportError:
        pass
    else:

        async def spawned() -> None:
            await (await aio.spawn(command))

        async def opened() -> None:
            await (await aio.open_process([nop])).wait()

        contenders.append(Contender("ramet.aio.spawn", median=_in_loop(spawned), bar=1.6))
        # This one works out its command as well, as Popen does.
        contenders.append(Contender("ramet.aio.open_process", median=_in_loop(opened)))
        contenders.append(Contender("ramet.aio.run", median=_in_loop(lambda: aio.run([nop]))))
    contenders.append(Contender("asyncio", median=_in_loop(theirs)))
    contenders.append(Contender("ramet.Popen, no loop", once=lambda: ramet.Popen([nop]).wait()))
    return Job("start and wait under asyncio", contenders, count=100, by_descriptors=BY_DESCRIPTORS)


def captured(floors: Floors) -> Job:
    """A program's output, read through a pipe."""
    argv = ["head", "-c", str(CAPTURED_BYTES), "/dev/zero"]

    def run(library: Any, **options: Any) -> Callable[[], object]:
        return lambda: library.run(argv, capture_output=True, check=True, **options)

    return Job(
        "capture 10 MB",
        by_descriptors=BY_DESCRIPTORS,
        contenders=[
            Contender("C read loop", median=floors.c("capture", *argv)),
            Contender("ramet.run", once=run(ramet), bar=1.3),
            Contender("ramet.run, timeout", once=run(ramet, timeout=60), bar=1.3),
            Contender("ramet.run, text", once=run(ramet, text=True)),
            Contender("subprocess.run", once=run(subprocess)),
            Contender("subprocess.run, timeout", once=run(subprocess, timeout=60)),
            Contender("subprocess.run, text", once=run(subprocess, text=True)),
        ],
        count=20,
    )


def _posix_spawn(program: str) -> None:
    os.waitpid(os.posix_spawn(program, [program], os.environ), 0)


def _in_loop(once: Callable[[], Any]) -> Callable[[int], float]:
    """Measured from within one loop, whose own start does not count."""

    async def measure(count: int) -> float:
        times = []
        for _ in range(count):
            begun = time.perf_counter_ns()
            await once()
            times.append(time.perf_counter_ns() - begun)
        return statistics.median(times)

    return lambda count: asyncio.run(measure(count))
