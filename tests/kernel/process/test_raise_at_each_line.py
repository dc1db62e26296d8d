"""An exception between a clone call and its handle, at any line: nothing is left of the child.

A handler of a signal raises where it likes, Ctrl-C's for one. Here it is a trace function, which counts.
"""

import contextlib
import ctypes
import gc
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import Command
from ramet._process import memory_sharers, unreaped

from ...activities import hang
from ...constants import PR_GET_DUMPABLE

LIBRARY = str(Path(ramet.__file__).parent) + os.sep
SECONDS = 10.0

# Ends of pipes, and what was just opened: Python closes them, with a word.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning", "ignore::ramet.PreexecWarning"
)

MakeChild = Callable[[], Any]


class Heard(BaseException):
    """What the handler raises."""


class LateError(Heard, TimeoutError):
    """What a handler of SIGALRM raises, which the library knows as an error of the kernel's, too."""


class Raiser:
    """Raises at the so manyth step of the library's code, in the thread and process that it was made for.

    grain: "line", or "opcode" for each step of the interpreter. heard: what it raises.
    """

    def __init__(self, step: int, grain: str, heard: type[Heard] = Heard) -> None:
        self.left = step
        self._grain = grain
        self._heard = heard
        self._process = os.getpid()

    def __call__(self, frame: FrameType, event: str, _: object) -> "Raiser | None":
        if not _is_ours(frame) or os.getpid() != self._process or _is_finalizers(frame):
            return None
        if self._grain == "opcode":
            frame.f_trace_opcodes = True
        if event == self._grain:
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                raise self._heard
        return self


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(LIBRARY)


def _is_finalizers(frame: FrameType | None) -> bool:
    """Whether nobody would hear what is raised there."""
    while frame is not None and _is_ours(frame):
        if frame.f_code.co_name in {"__del__", "_forget"}:
            return True
        frame = frame.f_back
    return False


class Left(NamedTuple):
    """What a clone call that failed must not have changed."""

    children: frozenset[str]
    descriptors: frozenset[str]
    threads: int
    dumpable: int
    forgotten: int
    sharers: int

    @classmethod
    def now(cls) -> "Left":
        """As it is, from /proc/self and the library's own tables."""
        return cls(
            children=frozenset(_children()),
            descriptors=frozenset(os.listdir("/proc/self/fd")),
            threads=len(os.listdir("/proc/self/task")),
            dumpable=ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
            forgotten=len(unreaped.unreaped),
            sharers=len(memory_sharers._sharers),
        )

    def is_as(self, before: "Left") -> bool:
        """A thread that lent its stack to one that was killed is over, and counted before perhaps."""
        return self._replace(threads=max(self.threads, before.threads)) == before

    def beyond(self, before: "Left") -> str:
        """What has changed, and how."""
        changed = zip(self._fields, before, self, strict=True)
        return "; ".join(f"{name}: {old} -> {new}" for name, old, new in changed if old != new)


def _children() -> Iterator[str]:
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):
            yield from Path(f"/proc/self/task/{task}/children").read_text().split()


def raised_at(
    step: int, make: MakeChild, before: Left, grain: str, heard: type[Heard] = Heard
) -> bool:
    """Whether the clone call was interrupted, and nothing was left of it; else what it made is ended."""
    traced, raiser = sys.gettrace(), Raiser(step, grain, heard)
    sys.settrace(raiser)
    try:
        made = make()
    except Heard:
        sys.settrace(traced)
        # The exception holds the frames still, and what these hold; but no child.
        assert set(_children()) <= before.children, f"a child is left by {raiser.where}"
    else:
        sys.settrace(traced)
        assert raiser.left > 0, f"what was raised at {raiser.where} is lost"
        end(made)
        return False
    finally:
        sys.settrace(traced)
    deadline = time.monotonic() + SECONDS
    while not (now := Left.now()).is_as(before):  # a thread may take a moment to be gone
        assert time.monotonic() < deadline, f"{raiser.where}: {now.beyond(before)}"
        gc.collect()
        os.sched_yield()
    return True


def end(made: Any) -> None:
    """Kill and reap it, and close its pipes."""
    if isinstance(made, ramet.Child):
        with made:
            pass
    elif isinstance(made, ramet.Popen):
        made.kill()
        made.communicate()


def interrupt_at_each(
    make: MakeChild, grain: str = "line", first: int = 1, heard: type[Heard] = Heard
) -> int:
    """Raise at each step until it passes unhindered; how many there are."""
    for _ in range(3):
        end(make())  # what is kept for the next one is there
    gc.collect()
    ramet._process.unreaped.reap_ended()
    before = Left.now()
    for step in itertools.count(first):
        if not raised_at(step, make, before, grain, heard):
            return step - 1
    raise AssertionError


def exec_sleep() -> None:
    """A function of which a program comes."""
    os.execv("/bin/sleep", ["sleep", "100"])


NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}
ALL: dict[str, Any] = {
    "cwd": "/",
    "nice": 19,
    "umask": 0o22,
    "rlimits": {"NOFILE": 100},
    "ignored_signals": ["USR1"],
    **(NOBODY if os.geteuid() == 0 else {}),
}

FUNCTIONS: dict[str, MakeChild] = {
    "copy": lambda: ramet.clone(hang),
    "copy FS": lambda: ramet.clone(hang, flags=F.FS),
    "copy FILES": lambda: ramet.clone(hang, flags=F.FILES),
    "copy options": lambda: ramet.clone(hang, **ALL),
    "copy name, untrusted": lambda: ramet.clone(hang, name="x", trusted=False),
    "copy timeout": lambda: ramet.clone(hang, timeout=100),
    "copy stopped": lambda: ramet.clone(hang, flags=F.STOPPED),
    "VM": lambda: ramet.clone(hang, flags=F.VM),
    "VM FILES": lambda: ramet.clone(hang, flags=F.VM | F.FILES),
    "VM timeout": lambda: ramet.clone(hang, flags=F.VM, timeout=100),
    "VM options": lambda: ramet.clone(hang, flags=F.VM, **ALL),
    "VM stack": lambda: ramet.clone(hang, flags=F.VM, stack_size=16 << 20),
    "vfork": lambda: ramet.vfork(int),
    "vfork exec": lambda: ramet.vfork(exec_sleep),
    "vfork exec options": lambda: ramet.vfork(exec_sleep, **ALL),
    "vfork FILES": lambda: ramet.vfork(exec_sleep, flags=F.FILES),
}

PROGRAM = ["sleep", "100"]
PIPES: dict[str, Any] = {"stdin": ramet.PIPE, "stdout": ramet.PIPE, "stderr": ramet.PIPE}
PROGRAMS: dict[str, MakeChild] = {
    "Command": Command(PROGRAM).spawn,
    "Command made": lambda: Command(PROGRAM, **ALL).spawn(),
    "Command FILES": lambda: Command(PROGRAM, flags=F.FILES).spawn(),
    "Command parent": lambda: Command(PROGRAM, die_with_parent=True).spawn(),
    "Command gate": lambda: Command(PROGRAM, start=False).spawn(),
    "Command gate, parent": lambda: Command(
        PROGRAM, start=False, die_with_parent=True, **ALL
    ).spawn(),
    "Command stopped": lambda: Command(PROGRAM, flags=F.STOPPED).spawn(),
    "Popen": lambda: ramet.Popen(PROGRAM),
    "Popen options": lambda: ramet.Popen(PROGRAM, die_with_parent=True, **ALL),
    "Popen pipes": lambda: ramet.Popen(PROGRAM, **PIPES),
    "Popen text": lambda: ramet.Popen(PROGRAM, text=True, **PIPES),
    "Popen preexec": lambda: ramet.Popen(PROGRAM, preexec_fn=int, **PIPES),
    "Popen gate": lambda: ramet.Popen(PROGRAM, start=False, **PIPES),
    "run": lambda: ramet.run(["true"]),
    "run output": lambda: ramet.run(["cat"], input=b"x", capture_output=True),
    "run timeout": lambda: ramet.run(["cat"], input=b"x", capture_output=True, timeout=100),
}
ROOTS: dict[str, MakeChild] = {
    "maps": lambda: Command(
        PROGRAM, flags=F.NEWUSER, uid_map=[(0, 0, 1000)], gid_map=[(0, 0, 1000)]
    ).spawn(),
    "pid": lambda: Command(PROGRAM, namespaces={"pid": "/proc/self/ns/pid"}).spawn(),
    "score": lambda: Command(PROGRAM, oom_score_adj=1, die_with_parent=True, start=False).spawn(),
    "VM user": lambda: ramet.clone(hang, flags=F.VM, **NOBODY),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function(name: str, nothing_left: object) -> None:
    """Whatever is raised is heard, and no child, descriptor, thread or mark is left."""
    assert interrupt_at_each(FUNCTIONS[name]) > 5


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program(name: str, nothing_left: object) -> None:
    """The same for a program."""
    assert interrupt_at_each(PROGRAMS[name]) > 5


@pytest.mark.parametrize("name", ["copy stopped", "VM", "Command made", "run output"])
def test_a_timeout_error(name: str, nothing_left: object) -> None:
    """Nor is it taken for an error of the kernel's that has its type."""
    assert interrupt_at_each({**FUNCTIONS, **PROGRAMS}[name], heard=LateError) > 5


def test_a_timeout_error_while_maps_are_written(root: None, nothing_left: object) -> None:
    """The same where the parent has a part in it."""
    assert interrupt_at_each(ROOTS["maps"], heard=LateError) > 5


def raised_after(step: int) -> bool:
    """Whether a program was interrupted after that call of C by ramet, or by what of subprocess it uses."""
    left = step

    def profile(frame: FrameType, event: str, called: object) -> None:
        nonlocal left
        name = getattr(called, "__name__", "")
        # Python's own subprocess loses the pipe there.
        if event != "c_return" or name == "pipe" or not _is_below_ours(frame):
            return
        left -= 1
        if left == 0:
            raise Heard

    sys.setprofile(profile)
    try:
        ramet.run(["true"], capture_output=True, stdin=ramet.DEVNULL)
    except Heard:
        return True
    finally:
        sys.setprofile(None)
    return False


def _is_below_ours(frame: FrameType | None) -> bool:
    """Whether it is the library that waits for this, and somebody hears what is raised."""
    if frame is None or _is_finalizers(frame):
        return False
    return _is_ours(frame) or (
        frame.f_code.co_name != "_get_handles" and _is_below_ours(frame.f_back)
    )


def test_pipes_are_closed_once(nothing_left: object) -> None:
    """Also where a handler raises between two of them: another thread may have opened that number since."""
    for step in itertools.count(1):
        if not raised_after(step):
            break
    assert step > 20


@pytest.mark.parametrize("name", ROOTS)
def test_what_needs_root(name: str, root: None, nothing_left: object) -> None:
    """The same where the parent has a part in it, or the memory is marked."""
    assert interrupt_at_each(ROOTS[name]) > 5
