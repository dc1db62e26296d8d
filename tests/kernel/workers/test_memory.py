"""The memory of a call: who exceeds it is told, whether a cgroup or a watch keeps the limit."""

import gc
import importlib.util
import mmap
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramet import Child, ChildDied, Executor, Sandbox, Template
from ramet._limits import memory
from ramet._limits.cgroup_names import remove_kept
from ramet._limits.memory_place import find_place
from ramet._workers.template.call_memory import CallMemory

from ...activities import hang
from ...constants import SECONDS
from ...waiting import nothing_unreaped, until

pytestmark = pytest.mark.usefixtures("nothing_left")

MEGABYTE = 1 << 20
OUT_OF_MEMORY = "out of memory"
BUDGET, LITTLE, MUCH = "64M", 16 * MEGABYTE, 160 * MEGABYTE

held: list[mmap.mmap] = []


@pytest.fixture(params=["cgroup", "watch"])
def keeper(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Who keeps the limit."""
    if request.param == "watch":
        monkeypatch.setattr(memory, "find_place", lambda: None)
        yield request.param
        return
    place = find_place()
    if place is None:
        pytest.skip("needs a cgroup below which others can be made that limit memory")
    yield request.param

    def are_gone() -> bool:
        remove_kept()  # a grandchild that was killed may have been in one
        return not any(f"-{os.getpid()}-" in each.name for each in Path(place.path).iterdir())

    until(are_gone)


def _hold() -> None:
    held.append(_touched(MUCH))


def _touched(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE)
    _write(memory, size)
    return memory


def _write(memory: mmap.mmap, size: int) -> None:
    for place in range(0, size, mmap.PAGESIZE):
        memory[place] = memory[place] + 1 & 0xFF


def _touch(size: int) -> int:
    return len(_touched(size))


def _copy(size: int) -> int:
    """Write to what the template holds, and go on for as long as nobody minds."""
    _write(held[0], size)
    while size > LITTLE:
        os.sched_yield()
    return size


def _in_grandchild(size: int) -> int:
    if (pid := os.fork()) == 0:
        _copy(size)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def _in_orphan(size: int) -> int:
    """In a process whose parent has ended; the call waits until it has ended."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        if os.fork() == 0:
            _copy(size)
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    return len(os.read(reader, 1))


def _end(template: Template, fn: Callable[[int], int], size: int) -> str:
    """How a call of it ends."""
    with template.clone(fn, size, memory=BUDGET) as child:
        try:
            result = child.result()
        except ChildDied as error:
            return str(error.status.reason)
        except (MemoryError, OSError):
            return OUT_OF_MEMORY
        return OUT_OF_MEMORY if result == signal.SIGKILL else "returned"  # of the grandchild


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize("spares", [0, 1])
def test_what_a_call_adds_to_the_template(spares: int) -> None:
    """New memory and copies of the template's count, and what the template holds does not."""
    with Template(setup=_hold, spares=spares) as template:
        assert _end(template, _touch, LITTLE) == "returned"
        assert _end(template, _copy, LITTLE) == "returned"
        assert _end(template, _touch, MUCH) == OUT_OF_MEMORY
        assert _end(template, _copy, MUCH) == OUT_OF_MEMORY
        assert _end(template, _touch, LITTLE) == "returned"


def test_two_who_wait_are_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch that has killed a call may reap it, while its caller waits for it."""
    told: list[str] = []
    others: list[threading.Thread] = []
    was_exceeded = CallMemory.was_exceeded

    def tell(child: Child[int]) -> None:
        told.append(child.wait(SECONDS).reason)

    def beside_another(budget: CallMemory) -> bool:
        if not others:
            others.append(threading.Thread(target=tell, args=(child,)))
            others[0].start()
            others[0].join(0.2)  # as far as it comes
        return was_exceeded(budget)

    monkeypatch.setattr(memory, "find_place", lambda: None)
    monkeypatch.setattr(CallMemory, "was_exceeded", beside_another)
    with (
        Template(setup=_hold, spares=0) as template,
        template.clone(_copy, MUCH, memory=BUDGET) as child,
    ):
        tell(child)
        others[0].join()
    assert told == [OUT_OF_MEMORY] * 2


@pytest.mark.usefixtures("keeper")
def test_what_a_grandchild_has() -> None:
    """It counts. The kernel may kill the grandchild alone, and then the call goes on."""
    reader, writer = os.pipe()
    with Template(setup=_hold, pass_fds=[writer]) as template:
        os.close(writer)
        assert _end(template, _in_grandchild, MUCH) == OUT_OF_MEMORY
    with open(reader, "rb") as pipe:
        assert pipe.read() == b"", "all that had the other end are dead"


def test_what_an_orphan_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the init's of the namespace of its call, and counts."""
    monkeypatch.setattr(memory, "find_place", lambda: None)
    with Template(setup=_hold, sandbox=Sandbox()) as template:
        assert _end(template, _in_orphan, MUCH) == OUT_OF_MEMORY


@pytest.mark.usefixtures("keeper")
def test_calls_of_an_executor() -> None:
    """One that exceeds its memory costs its own future alone."""
    with Executor(2, preload=[__name__], memory=BUDGET) as executor:
        good = [executor.submit(_touch, LITTLE) for _ in range(3)]
        bad = executor.submit(_touch, MUCH).exception()
        assert [future.result() for future in good] == [LITTLE] * 3
        assert isinstance(bad, MemoryError | OSError | ChildDied)
        if isinstance(bad, ChildDied):
            assert bad.status.reason == "out of memory"


@pytest.mark.usefixtures("keeper")
def test_a_library_of_numbers_has_its_threads() -> None:
    """What it reserves for them, and does not touch, is no excess; without it OpenBLAS hangs."""
    if importlib.util.find_spec("numpy") is None:  # to import it here would start threads here
        pytest.skip("numpy is not installed")
    with Template(preload=["numpy"]) as template, template.clone(_product, memory="32M") as child:
        assert child.result(SECONDS) == SIZE


SIZE = 300


def _product() -> float:
    import numpy as np

    ones = np.ones((SIZE, SIZE))
    return float((ones @ ones)[0, 0])


@pytest.mark.parametrize("text", ["", "12 parsecs", "-1M", "0"])
def test_text_that_is_no_number_of_bytes(text: str) -> None:
    """One error says what was expected."""
    with (
        Template() as template,
        pytest.raises(ValueError, match=r"^invalid memory: expected bytes"),
    ):
        template.clone(abs, 1, memory=text)


def _print(count: int) -> int:
    """So many bytes, or as many as somebody minds."""
    written = 0
    while not count or written < count:
        written += os.write(1, bytes(MEGABYTE))
    return written


@pytest.mark.parametrize("reuse", [1, 3])
def test_what_a_call_writes_and_the_executor_keeps_counts(keeper: str, reuse: int) -> None:
    """It is in memory, though no process of the call has it."""
    with Executor(1, memory=BUDGET, capture_output=True, reuse=reuse) as executor:
        for _ in range(2):
            for _ in range(2):  # which are not counted together
                future = executor.submit(_print, 2 * LITTLE)
                assert future.result(SECONDS) == 2 * LITTLE
            died = executor.submit(_print, 0).exception(SECONDS)
            assert isinstance(died, ChildDied)
            assert died.status.reason == OUT_OF_MEMORY


@pytest.mark.usefixtures("keeper")
@pytest.mark.filterwarnings("ignore:child .* was never waited for:ResourceWarning")
def test_a_call_that_nobody_has_leaves_no_descriptor() -> None:
    """It runs on when its handle is dropped, and nothing reads its memory any more."""
    with Template(spares=0) as template:
        child = template.clone(hang, memory=BUDGET)
        pid = child.pid
        del child
        gc.collect()
        os.kill(pid, signal.SIGKILL)
        until(nothing_unreaped)


def test_it_is_measured_beside_the_process_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another takes that one's place then: beside it all of the call's memory is its own."""
    measured: list[int] = []
    measure = CallMemory.measure

    def noted(budget: CallMemory, pid: int, template: int, init: int) -> None:
        measured.append(template)
        measure(budget, pid, template, init)

    monkeypatch.setattr(CallMemory, "measure", noted)
    with Template(spares=0) as template:
        first, made = template.pid, template._made_by_process

        def then_exchanged(make: Callable[[Any], Any]) -> Any:
            one = made(make)
            template._load_more(["colorsys"])
            return one

        monkeypatch.setattr(template, "_made_by_process", then_exchanged)
        with template.clone(abs, -1, memory=BUDGET) as child:
            assert child.result(SECONDS) == 1
        assert template.pid != first
        assert measured == [first]


@pytest.mark.parametrize("spares", [0, 1])
def test_who_is_watched_has_a_limit_of_its_own_before_the_call(
    spares: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A MemoryError far beyond the budget. Its caller sets it, so that the call needs no more pages."""
    monkeypatch.setattr(memory, "find_place", lambda: None)
    with Template(preload=[__name__], spares=spares) as template:
        soft, _ = template.clone(resource.getrlimit, resource.RLIMIT_DATA).result()
        limited, _ = template.clone(
            resource.getrlimit, resource.RLIMIT_DATA, memory=BUDGET
        ).result()
        assert 64 * MEGABYTE < limited < (1 << 40 if soft == resource.RLIM_INFINITY else soft)
        if not spares:
            plain = min(_pages(template) for _ in range(4))
            assert min(_pages(template, memory=BUDGET) for _ in range(4)) < plain * 5 / 4


def _pages(template: Template, **options: Any) -> int:
    call = template.clone(os.getppid, **options)
    call.result()
    usage = call.wait().rusage
    assert usage is not None
    return usage.ru_minflt
