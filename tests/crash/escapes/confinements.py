"""How the stage runs a program: without a sandbox, in one, and in the weakest."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import ramet
from ramet._sandbox.amounts import amounts
from ramet._sandbox.planning.machine import NAMESPACE_KINDS, this_machine
from ramet._sandbox.planning.questions import Answer

from .victims import Files

MEMORY, TMP, FILE_SIZE, OUTPUT = 64 << 20, 8 << 20, 8 << 20, 1 << 20
PROCESSES, OPEN_FILES, CPU_SECONDS = 24, 64, 0.3
DEADLINE_SECONDS = 0.3
AMOUNTS = {
    "memory": MEMORY,
    "tmp": TMP,
    "file_size": FILE_SIZE,
    "output": OUTPUT,
    "processes": PROCESSES,
    "open_files": OPEN_FILES,
    "cpu_time": CPU_SECONDS,
}


class Run(NamedTuple):
    """How a program ended; code: None where it did not before the deadline."""

    code: int | None
    output: bytes


def unconfined(words: list[str], files: Files, _limits: str, seconds: float) -> Run:
    """A plain child, with all that the caller has; nobody kills it at its deadline."""
    with subprocess.Popen(
        words, close_fds=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            # Where much else runs it may not have begun by then, and would not be seen to live on.
            while not files.is_locked() and process.poll() is None:
                os.sched_yield()
            yield_to_survivors(process)
            return Run(None, late.output or b"")
        return Run(process.returncode, output)


def yield_to_survivors(process: "subprocess.Popen[bytes]") -> None:
    """Leave it running, without a warning when the object goes."""
    assert process.stdout is not None
    process.stdout.close()
    process.returncode = 0


def described(files: Files, limits: str, **wishes: Any) -> ramet.Sandbox:
    """The sandbox that all of them are tried in."""
    root = files.root
    if limits == "amounts":
        wishes |= AMOUNTS
    if limits == "memory":
        wishes["memory"] = MEMORY
    return ramet.Sandbox(
        hidden=[root / "shown" / "hidden"],
        **{
            "read": [root / "bin", root / "shown"],
            "write": [root / "work"],
            "tmp": TMP,
            **wishes,
        },
    )


def confined(words: list[str], files: Files, limits: str, seconds: float) -> Run:
    """In a sandbox with all that it has."""
    return _run_in(described(files, limits), words, seconds)


def reading(words: list[str], files: Files, limits: str, seconds: float) -> Run:
    """In one that writes nothing: where a plain user has subordinate ids it is one of them."""
    names = ("bin", "shown", "work")
    read = [files.root / name for name in names]
    sandbox = described(files, limits, read=read, write=[])
    assert sandbox.plan().own_id == "subordinate id"
    return _run_in(sandbox, words, seconds)


def _run_in(sandbox: ramet.Sandbox, words: list[str], seconds: float) -> Run:
    try:
        done = ramet.run(
            words,
            sandbox=sandbox,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as late:
        return Run(None, late.output or b"")
    return Run(done.returncode, done.stdout)


_REFUSED = Answer(errno.EPERM, "clone")
_NAMESPACES = ("user_namespace", "mounts", "proc_of_its_own", "overlay")


def take_away(layers: Iterable[str]) -> None:
    """Have sandboxes of this process be made without these layers, as on a machine that has them not."""
    machine = this_machine()
    if "namespaces" in layers:
        machine.__dict__ |= dict.fromkeys(_NAMESPACES, _REFUSED)
        machine.__dict__ |= {"namespaces": dict.fromkeys(NAMESPACE_KINDS, _REFUSED)}
    if "landlock" in layers:
        machine.__dict__ |= {"landlock_answer": _REFUSED, "landlock_abi": 0}
    if "filter" in layers:
        machine.__dict__ |= {"seccomp": _REFUSED}
    if "groups" in layers:
        vars(amounts).update(find_places=lambda _: {}, missing_in_version_2=lambda *_: False)


def weakened(words: list[str], files: Files, limits: str, seconds: float) -> Run:
    """In the best sandbox that there is without the layers that were taken away."""
    return _run_in(described(files, limits, require="best"), words, seconds)


LAYERS = ("namespaces", "landlock", "filter")
TAKEN_AWAY: dict[str, tuple[str, ...]] = {
    "weakest": ("namespaces", "groups"),
    "rights alone": (*LAYERS, "groups"),
    **{f"{kept} alone": (*(one for one in LAYERS if one != kept), "groups") for kept in LAYERS},
}
CONFINEMENTS: dict[str, Callable[[list[str], Files, str, float], Run]] = {
    "unconfined": unconfined,
    "confined": confined,
    "reading": reading,
    **dict.fromkeys(TAKEN_AWAY, weakened),
}
