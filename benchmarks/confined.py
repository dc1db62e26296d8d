"""Jobs in a sandbox: programs beside the same system calls in C and other tools, and calls of templates."""

import functools
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ramet
from ramet.errors import SandboxError

from . import called
from .floors import ROOT, Floors
from .measure import Contender, Job
from .sandbox_room import Room, room
from .workers import GAP_SECONDS, opened, paced, warm_pool

TRUE = "/usr/bin/true"
SEVERAL = 20  # of what takes some milliseconds
MORE_THAN_ARE_KEPT = 20  # descriptions, of which a process keeps what it has made for them
LONG_GAP_SECONDS = 0.015  # for a spare to be there that has a layer
FEW_MOUNTS, MANY_MOUNTS = 10, 1000
# What Python programs do most: to compute, to make objects, to open files, and a system call now and then.
HEAVY = """
import json, os, re, time
begun = time.perf_counter_ns()
for _ in range(30):
    text = json.dumps({str(n): [n, n / 3, "x" * 20] for n in range(1500)})
    assert len(json.loads(text)) == 1500
    re.findall("[0-9]+", text)
    for name in os.listdir("/usr/bin")[:60]:
        os.stat("/usr/bin/" + name)
    with open("/etc/passwd") as file:
        file.read()
print(time.perf_counter_ns() - begun)
"""


def jobs(floors: Floors) -> list[Job]:
    """Those that this machine can have."""
    chosen = [deny_list(), confined_call(), beside_a_pool(), layered_call(0), layered_call(1)]
    try:
        all_of_it = room(ramet.Sandbox(), floors.folder, "sandbox")
        without_network = room(ramet.Sandbox(network="host"), floors.folder, "host")
    except (SandboxError, ValueError) as error:
        left_out("programs in a sandbox", str(error))
        return chosen
    chosen += [
        programs(floors, all_of_it),
        programs_in_the_callers_network(floors, without_network),
        programs_anew(floors, all_of_it),
        program_made_ahead(),
    ]
    if shutil.which("bwrap"):
        chosen += [program_made_ahead_beside(all_of_it), beside_bubblewrap(all_of_it)]
    else:
        left_out("a call beside bubblewrap", "there is no bwrap")
    if os.geteuid() == 0:
        chosen += [many_mounts("again"), many_mounts("anew")]
    else:
        left_out("many mounts", "they are root's to make")
    return chosen


def left_out(what: str, why: str) -> None:
    """Say so."""
    print(f"  left out: {what}: {why}", file=sys.stderr)


# ---- programs


def programs(floors: Floors, made: Room) -> Job:
    """A dynamic program that ends at once, in all namespaces, with a root of its own."""
    command = ramet.Command([TRUE], sandbox=ramet.Sandbox())
    plain = ramet.Command([TRUE])
    return Job(
        "a program in a sandbox",
        [
            Contender("C, the same calls", median=floors.sandbox(made, TRUE, anew=False)),
            Contender("ramet.Command", once=lambda: ended(command), bar=1.1),
            Contender(
                "ramet.run, an equal Sandbox",
                once=lambda: ramet.run([TRUE], sandbox=ramet.Sandbox()),
            ),
            *others(made),
            Contender("ramet.Command, no sandbox", once=lambda: ended(plain)),
        ],
    )


def programs_in_the_callers_network(floors: Floors, made: Room) -> Job:
    """The same without a network namespace."""
    command = ramet.Command([TRUE], sandbox=ramet.Sandbox(network="host"))
    return Job(
        "the same in the caller's network",
        [
            Contender("C, the same calls", median=floors.sandbox(made, TRUE, anew=False)),
            Contender("ramet.Command", once=lambda: ended(command), bar=1.15),
        ],
    )


def program_made_ahead() -> Job:
    """A program now and then, whose child was confined before, beside one in no sandbox."""
    return Job(
        "a program now and then, confined ahead",
        [
            Contender("posix_spawn, no sandbox", median=typical(posix_spawned)),
            _made_ahead(bar=1.1),
            _not_made_ahead(),
        ],
    )


def program_made_ahead_beside(made: Room) -> Job:
    """The same beside bubblewrap."""
    words = made.bwrap(TRUE)
    return Job(
        "a program confined ahead, beside bubblewrap",
        [
            Contender("bwrap true", median=typical(lambda: subprocess.run(words, check=True))),
            _made_ahead(bar=0.12),
        ],
    )


def _made_ahead(bar: float) -> Contender:
    command = ramet.Command([TRUE], sandbox=ramet.Sandbox(warm=2))
    return Contender("ramet.Command, warm=2", median=typical(lambda: ended(command)), bar=bar)


def _not_made_ahead() -> Contender:
    command = ramet.Command([TRUE], sandbox=ramet.Sandbox())
    return Contender("ramet.Command, warm=0", median=typical(lambda: ended(command)))


def posix_spawned() -> None:
    """As libc does it, by Python's own function."""
    assert os.waitpid(os.posix_spawn(TRUE, [TRUE], os.environ), 0)[1] == 0


def programs_anew(floors: Floors, made: Room) -> Job:
    """A user namespace and a root directory made for one program, which sees a directory of its own."""
    job = Job("a sandbox for one program alone", [], count=SEVERAL)
    place = opened(job, lambda: tempfile.TemporaryDirectory(dir="/var/tmp"))
    turns = itertools.cycle(range(MORE_THAN_ARE_KEPT))

    @functools.cache
    def directories() -> list[str]:
        return [tempfile.mkdtemp(dir=place()) for _ in range(MORE_THAN_ARE_KEPT)]

    def elsewhere() -> None:
        ramet.run([TRUE], sandbox=ramet.Sandbox(read=[directories()[next(turns)]]))

    def with_the_same_files() -> None:
        ramet.run([TRUE], sandbox=ramet.Sandbox(open_files=100 + next(turns)))

    job.contenders += [
        Contender("C, all made for each", median=floors.sandbox(made, TRUE, anew=True)),
        Contender("ramet.run, other files for each", once=elsewhere, bar=1.1),
        Contender("ramet.run, other amounts for each", once=with_the_same_files),
        *others(made),
    ]
    return job


def ended(command: ramet.Command) -> None:
    """It must not have failed: that takes less time."""
    assert command.spawn().wait().success


def others(made: Room) -> list[Contender]:
    """The other tools that are here."""
    found = []
    if shutil.which("bwrap"):
        words = made.bwrap(TRUE)
        found.append(
            Contender("bwrap --unshare-all", once=lambda: subprocess.run(words, check=True))
        )
    if python := os.environ.get("SANDLOCK_PYTHON"):
        found.append(Contender("sandlock", median=functools.partial(sandlock, python)))
    return found


def sandlock(python: str, count: int) -> float:
    """By the Python that has it, since it is in no extra of this project."""
    script = str(Path(__file__).with_name("sandlock_true.py"))
    argv = [python, script, str(min(count, SEVERAL)), TRUE]
    return float(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)


# ---- calls of templates with numpy


def template(**options: Any) -> ramet.Template:
    """One that has numpy."""
    return ramet.Template(preload=["numpy", called.__name__], **options)


def confined_call() -> Job:
    """A fresh process for each call, none ahead."""
    job = Job("a call in a fresh process, confined", [])
    free = opened(job, lambda: template(spares=0))
    confined = opened(job, lambda: template(spares=0, sandbox=ramet.Sandbox()))
    job.contenders += [
        Contender("ramet, spares=0", once=lambda: call(free())),
        Contender("ramet, spares=0, sandbox", once=lambda: call(confined()), bar=1.1),
    ]
    return job


def beside_a_pool() -> Job:
    """A call now and then, beside a warm pool's, which is in no sandbox and in no fresh process."""
    job = Job("a confined call now and then", [])
    pool = opened(job, warm_pool)
    # Two: to make one takes about as long as the pause between two calls.
    confined = opened(job, lambda: template(spares=2, sandbox=ramet.Sandbox()))
    free = opened(job, lambda: template(spares=2))

    def submit() -> None:
        pool().submit(called.nothing).result()

    job.contenders += [
        Contender("ProcessPoolExecutor, warm", median=typical(submit)),
        Contender("ramet, a confined spare", median=typical(lambda: call(confined())), bar=0.4),
        Contender("ramet, a spare", median=typical(lambda: call(free()))),
    ]
    return job


def layered_call(spares: int) -> Job:
    """What a layer costs a call that may write: beside the same that writes to the files themselves."""
    job = Job(f"a confined call with a layer, spares={spares}", [])
    place = opened(job, lambda: tempfile.TemporaryDirectory(dir="/var/tmp"))
    sandbox = functools.cache(lambda: ramet.Sandbox(write=[place()]))
    plain = opened(job, lambda: template(spares=spares, sandbox=sandbox()))
    layered = opened(job, lambda: template(spares=spares, sandbox=sandbox().replace(overlay=True)))
    job.contenders += [
        Contender("ramet, no layer", median=typical(lambda: call(plain()), LONG_GAP_SECONDS)),
        Contender("ramet, a layer", median=typical(lambda: call(layered()), LONG_GAP_SECONDS)),
    ]
    return job


def beside_bubblewrap(made: Room) -> Job:
    """The same beside bubblewrap's shortest program."""
    job = Job("a confined call, beside bubblewrap", [])
    words = made.bwrap(TRUE)
    confined = opened(job, lambda: template(spares=1, sandbox=ramet.Sandbox()))
    job.contenders += [
        Contender("bwrap true", median=typical(lambda: subprocess.run(words, check=True))),
        Contender("ramet, a confined spare", median=typical(lambda: call(confined())), bar=0.1),
    ]
    return job


def call(made: ramet.Template) -> None:
    """A call that does nothing."""
    made.clone(called.nothing).result()


def typical(once: Callable[[], object], gap: float = GAP_SECONDS) -> Callable[[int], float]:
    """Of calls that come some milliseconds after the one before, so that a spare is there."""
    return paced(once, statistics.median, gap)


# ---- what grows with the program, and with the machine


def deny_list() -> Job:
    """What a filter costs a program that calls the kernel as Python programs do."""
    job = Job("a Python program under the deny list", [], count=3)
    for name, syscalls, bar in (("all calls", None, None), ("the deny list", "default", 1.02)):
        sandbox = ramet.Sandbox(syscalls=syscalls)
        job.contenders.append(Contender(name, median=functools.partial(own_time, sandbox), bar=bar))
    return job


def own_time(sandbox: ramet.Sandbox, count: int) -> float:
    """What the program takes by its own clock; the shortest, as others only make it longer."""
    argv = [sys.executable, "-c", HEAVY]
    times = [
        float(ramet.run(argv, sandbox=sandbox, stdout=ramet.PIPE, check=True).stdout)
        for _ in range(count)
    ]
    return min(times)


def many_mounts(how: str) -> Job:
    """The start of a program where the caller sees few mounts, and many; how: as benchmarks.many_mounts."""

    def median(mounts: int, count: int) -> float:
        argv = [
            sys.executable,
            "-m",
            "benchmarks.many_mounts",
            str(mounts),
            str(min(count, SEVERAL)),
            how,
        ]
        done = ramet.run(argv, cwd=ROOT, flags=ramet.CloneFlag.NEWNS, stdout=ramet.PIPE, check=True)
        return float(done.stdout)

    return Job(
        f"a sandbox {how}, where there are many mounts",
        [
            Contender(f"{FEW_MOUNTS} mounts", median=functools.partial(median, FEW_MOUNTS)),
            Contender(
                f"ramet, {MANY_MOUNTS:,} mounts",
                median=functools.partial(median, MANY_MOUNTS),
                bar=1.1,
            ),
        ],
    )
