"""Calls in clones of a template, under asyncio and trio."""

import asyncio
import contextlib
import errno
import os
import select
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from anyio.abc import TaskStatus

import ramet
import ramet.aio

from ...constants import SECONDS
from ...full_tables import free_descriptors
from ...waiting import until

T = TypeVar("T")
Run = Callable[[Callable[[], Awaitable[T]]], T]


def _hang() -> None:
    select.select([], [], [])


def _hang_with_a_grandchild(told: str) -> None:
    """Both write their pids as the caller sees them, and hang."""
    pids, written = os.pipe()
    grandchild = os.fork()
    with open(told, "a", encoding="ascii") as file:
        file.write(os.readlink("/proc/self") + "\n")
    if grandchild:
        os.close(written)
    _hang()
    os.close(pids)


def _hanging(told: Path) -> list[int]:
    """The processes of _hang_with_a_grandchild() that are there."""
    with suppress(FileNotFoundError):
        pids = map(int, told.read_text("ascii").split())
        return [pid for pid in pids if _is_there(pid)]
    return []


def _is_there(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def _both_hang(told: Path) -> None:
    until(lambda: len(_hanging(told)) == 2)


async def _begin(
    run: Callable[..., Awaitable[object]], *args: Any, task_status: TaskStatus[None]
) -> None:
    """For TaskGroup.start(): the call has been begun when that comes back."""
    task_status.started()
    await run(*args)


# ---- Template.run


def test_a_template_runs_a_call(in_loop: Run[None]) -> None:
    """What it returns and raises comes back, and how it ended without; large results, too."""

    async def main() -> None:
        with ramet.Template() as template:
            assert await template.run(divmod, 7, 3) == (2, 1)
            assert await template.run(bytes, 10_000_000) == bytes(10_000_000)
            with pytest.raises(ZeroDivisionError) as caught:
                await template.run(divmod, 1, 0)
            assert "ZeroDivisionError" in str(caught.value.__cause__)
            with pytest.raises(ramet.ChildDied) as died:
                await template.run(os._exit, 3)
            assert died.value.status.code == 3
            with pytest.raises(ramet.DeadlineExceeded):
                await template.run(_hang, timeout=0.1)

    in_loop(main)


def test_an_await_without_room_leaves_no_descriptor(in_loop: Run[None]) -> None:
    """Whichever of its descriptors finds no place: it fails or not, and the next call runs."""

    async def main() -> None:
        with ramet.Template() as template:
            for free in range(6):
                assert await template.run(abs, -1) == 1
                with free_descriptors(free), suppress(OSError):
                    await template.run(abs, -2)

    in_loop(main)


def test_calls_of_a_template_run_side_by_side(in_loop: Run[None]) -> None:
    """While one hangs the loop goes on, and the others are done."""

    async def main() -> None:
        with ramet.Template(spares=0) as template:
            async with anyio.create_task_group() as group:
                group.start_soon(template.run, _hang)
                assert [await template.run(abs, -n) for n in range(3)] == [0, 1, 2]
                group.cancel_scope.cancel()

    in_loop(main)


@pytest.mark.parametrize("spares", [0, 1])
def test_other_tasks_run_between_calls_that_begin_at_once(
    in_loop: Run[None], spares: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each clone blocks the loop: there are few in a pass of it."""
    begun_in: list[int] = []
    passes = 0
    clone = ramet.Template.clone

    def noted(template: ramet.Template, *args: Any, **options: Any) -> Any:
        begun_in.append(passes)
        return clone(template, *args, **options)

    async def count() -> None:
        nonlocal passes
        while True:
            await anyio.lowlevel.checkpoint()
            passes += 1

    async def main() -> None:
        with ramet.Template(spares=spares) as template:
            await template.run(abs, -1)
            monkeypatch.setattr(ramet.Template, "clone", noted)
            async with anyio.create_task_group() as group:
                group.start_soon(count)
                async with anyio.create_task_group() as calls:
                    for n in range(30):
                        calls.start_soon(template.run, abs, n)
                group.cancel_scope.cancel()

    in_loop(main)
    assert len(begun_in) == 30
    # trio runs the tasks of a pass in any order
    assert max(map(begun_in.count, begun_in)) <= 2 + spares


def test_a_call_that_waits_for_its_turn_can_be_cancelled(in_loop: Run[None]) -> None:
    """Then it is not begun, and the next one is."""

    async def main() -> None:
        with ramet.Template(spares=0) as template:
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(template.run, _hang)
                group.cancel_scope.cancel()
            assert await template.run(abs, -1) == 1

    in_loop(main)


def test_one_that_is_closed_while_it_waits_lets_the_next_one_go(in_loop: Run[None]) -> None:
    """Nobody resumes it then, and no other waits for it."""

    async def main() -> None:
        with ramet.Template(spares=0) as template:
            abandoned = template.run(abs, -1)
            abandoned.send(None)
            abandoned.close()
            with anyio.fail_after(SECONDS):
                assert await template.run(abs, -2) == 2

    in_loop(main)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_many_calls_at_once_leave_few_behind(in_loop: Run[None]) -> None:
    """Of processes that have ended, and their descriptors, though no call follows."""

    async def main() -> None:
        with ramet.Template() as template:
            await template.run(abs, -1)
            before = _descriptors()
            async with anyio.create_task_group() as group:
                for n in range(60):
                    group.start_soon(template.run, abs, n)
            assert _descriptors() < before + 40  # two of each; of all that would be 120

    in_loop(main)


def test_a_cancellation_kills_the_call_of_a_template(in_loop: Run[None]) -> None:
    """It has been reaped when the cancellation is over."""

    async def main() -> None:
        with ramet.Template() as template:
            child = template.clone(_hang)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(_cancel_soon, scope)
                    await child
            assert scope.cancelled_caught
            assert child.exit_status is not None
            assert child.exit_status.signal == signal.SIGKILL

    in_loop(main)


def test_what_a_cancelled_call_has_started_keeps_nobody_waiting(
    in_loop: Run[None], tmp_path: Path
) -> None:
    """A process that the call has forked lives on, with the call's channel; the cancellation is over."""
    told = tmp_path / "pids"

    async def main() -> None:
        with ramet.Template() as template, anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                await group.start(_begin, template.run, _hang_with_a_grandchild, str(told))
                _both_hang(told)
                scope.cancel()
        assert scope.cancelled_caught
        (left,) = _hanging(told)
        os.kill(left, signal.SIGKILL)

    in_loop(main)


async def _cancel_soon(scope: anyio.CancelScope) -> None:
    scope.cancel()


def test_several_tasks_wait_for_one_call(in_loop: Run[None]) -> None:
    """Each gets the result, also when it has been there for long."""

    async def main() -> None:
        results = []

        async def take(child: ramet.Child[int]) -> None:
            results.append(await child)

        with ramet.Template() as template, template.clone(abs, -5) as child:
            async with anyio.create_task_group() as group:
                group.start_soon(take, child)
                group.start_soon(take, child)
            await take(child)
        assert results == [5, 5, 5]

    in_loop(main)


# ---- ramet.aio.Executor


def test_the_executor_runs_calls(in_loop: Run[None]) -> None:
    """Results, exceptions and deaths come back, each to its own task."""

    async def main() -> None:
        async with ramet.aio.Executor(2) as executor:
            assert await executor.run(int, "11", base=2) == 3
            with pytest.raises(ZeroDivisionError):
                await executor.run(divmod, 1, 0)
            with pytest.raises(ramet.ChildDied, match="SIGSEGV"):
                await executor.run(signal.raise_signal, signal.SIGSEGV)
            assert await executor.run(abs, -1) == 1

    in_loop(main)


def test_a_map_gives_results_in_their_order(in_loop: Run[None]) -> None:
    """It reads no more of the items than buffersize says."""

    async def main() -> None:
        taken = []

        def items() -> Any:
            for number in range(9):
                taken.append(number)
                yield number

        async with ramet.aio.Executor(2) as executor:
            found = [n async for n in executor.map(pow, range(9), [2] * 9)]
            assert found == [n * n for n in range(9)]
            results = executor.map(abs, items(), buffersize=2)
            assert await anext(results) == 0
            assert taken == [0, 1, 2]
            assert [n async for n in results] == [*range(1, 9)]

    in_loop(main)


def test_a_map_that_is_left_kills_its_calls(in_loop: Run[None]) -> None:
    """A call that fails ends it as well: none of those that are ahead runs on."""

    async def main() -> None:
        async with ramet.aio.Executor(3) as executor:
            fns = [_hang, lambda: 1 / 0, _hang]
            results = executor.map(lambda n: fns[n](), [1, 0, 2])
            with pytest.raises(ZeroDivisionError):
                await anext(results)

    in_loop(main)


def test_a_map_that_is_closed_kills_its_calls(in_loop: Run[None]) -> None:
    """Those that are ahead, whatever refers to it still."""

    async def main() -> None:
        async with ramet.aio.Executor(2) as executor:
            fns = [lambda: 1, _hang, _hang]
            async with contextlib.aclosing(executor.map(lambda n: fns[n](), [0, 1, 2])) as results:
                async for result in results:
                    assert result == 1
                    break

    in_loop(main)


def test_a_cancellation_kills_the_whole_tree_of_a_call(in_loop: Run[None], tmp_path: Path) -> None:
    """The call and what it has started are gone, and another runs."""
    told = tmp_path / "pids"

    async def main() -> None:
        async with ramet.aio.Executor(1) as executor:
            async with anyio.create_task_group() as group:
                await group.start(_begin, executor.run, _hang_with_a_grandchild, str(told))
                _both_hang(told)
                group.cancel_scope.cancel()
            assert await executor.run(abs, -1) == 1
        assert _hanging(told) == []

    in_loop(main)


def test_a_block_that_fails_leaves_no_call(in_loop: Run[None]) -> None:
    """An exception in the block kills calls that run and those that wait for their turn."""

    async def main() -> None:
        told: list[BaseException] = []

        async def run(executor: ramet.aio.Executor) -> None:
            try:
                await executor.run(_hang)
            except RuntimeError as error:
                told.append(error)

        async with anyio.create_task_group() as group:
            with suppress(KeyError):
                async with ramet.aio.Executor(1) as executor:
                    await group.start(_begin, run, executor)
                    await group.start(_begin, run, executor)
                    raise KeyError
        assert ["block was left" in str(error) for error in told] == [True, True]

    in_loop(main)


def test_a_block_waits_for_its_calls(in_loop: Run[None]) -> None:
    """Those that were begun by other tasks are done at its end."""

    async def main() -> None:
        results = []

        async def run(executor: ramet.aio.Executor) -> None:
            results.append(await executor.run(abs, -3))

        async with anyio.create_task_group() as group, ramet.aio.Executor(1) as executor:
            await group.start(_begin, run, executor)
        assert results == [3]

    in_loop(main)


def test_bad_input_of_the_executor(in_loop: Run[None]) -> None:
    """Each is one error, that says what to do."""

    async def main() -> None:
        executor = ramet.aio.Executor(2)
        with pytest.raises(RuntimeError, match="async with"):
            await executor.run(abs, -1)
        with pytest.raises(ValueError, match="max_workers"):
            async with ramet.aio.Executor(0):
                pass
        async with executor:
            with pytest.raises(RuntimeError, match="in use"):
                await executor.__aenter__()
            with pytest.raises(ValueError, match="buffersize"):
                executor.map(abs, [1], buffersize=0)
            with pytest.raises(
                TypeError, match=r"expected a callable, got list; .* map\(fn, \[1, 2\]\)"
            ):
                executor.map([1, 2], abs)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="buffersize"):
                executor.map(abs, [1], buffersize="2")  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="argument 0"):
                await executor.run(str, select.epoll())

    in_loop(main)


@pytest.mark.parametrize("options", [{}, {"sandbox": ramet.Sandbox()}], ids=["plain", "confined"])
def test_a_cancellation_ends_a_template_that_loads(
    in_loop: Run[None],
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that hangs; the loop goes on meanwhile."""
    (tmp_path / "hangs_forever.py").write_text(
        f"import select\nopen({str(tmp_path / 'begun')!r}, 'w').close()\nselect.select([], [], [])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    async def enter() -> None:
        async with ramet.aio.Executor(1, preload=["hangs_forever"], **options):
            raise AssertionError

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(enter)
            while not (tmp_path / "begun").exists():
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    in_loop(main)


def test_ctrl_c_ends_a_template_that_loads(
    in_loop: Run[None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that hangs, and though trio raises it as it is, and not as a cancellation."""
    (tmp_path / "hangs_forever.py").write_text(
        f"import select\nopen({str(tmp_path / 'begun')!r}, 'w').close()\nselect.select([], [], [])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    async def main() -> None:
        async with ramet.aio.Executor(1, preload=["hangs_forever"]):
            raise AssertionError

    def interrupt() -> None:
        until((tmp_path / "begun").exists)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        in_loop(main)
    interrupting.join()


def test_a_timeout_of_asyncio_ends_a_template_that_loads(
    nothing_left: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However early it comes."""
    (tmp_path / "hangs_forever.py").write_text("import select\nselect.select([], [], [])\n")
    monkeypatch.syspath_prepend(tmp_path)

    async def enter(seconds: float) -> None:
        async with asyncio.timeout(seconds), ramet.aio.Executor(1, preload=["hangs_forever"]):
            raise AssertionError

    for seconds in (0, 0.001, 0.01, 0.1):
        with pytest.raises(TimeoutError):
            asyncio.run(enter(seconds))


# ---- ramet.Executor in asyncio's own calls


def test_wait_for_over_run_in_executor_kills_the_whole_tree(
    nothing_left: object, tmp_path: Path
) -> None:
    """A timeout of asyncio ends the call and what it has started, and the executor goes on."""
    told = tmp_path / "pids"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ramet.Executor(1) as executor:
            assert await loop.run_in_executor(executor, abs, -2) == 2
            call = loop.run_in_executor(executor, _hang_with_a_grandchild, str(told))
            _both_hang(told)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call, 0.01)
            until(lambda: not _hanging(told))
            assert await loop.run_in_executor(executor, abs, -1) == 1

    asyncio.run(main())


def test_a_future_of_the_executor_is_awaited_by_asyncio(nothing_left: object) -> None:
    """wrap_future() takes it, and a cancellation of the task cancels it."""

    async def main() -> None:
        with ramet.Executor(1) as executor:
            future = executor.submit(_hang)
            task = asyncio.ensure_future(asyncio.wrap_future(future))
            until(future.running)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)  # asyncio tells the other future in a callback
            assert future.cancelled()

    asyncio.run(main())


def test_the_wrong_kind_of_block_names_the_right_class() -> None:
    """Python's own words are of a protocol that the object does not support."""

    async def awaits() -> None:
        async with executor:  # type: ignore[attr-defined]
            pass

    with ramet.Executor(1) as executor:
        with pytest.raises(TypeError, match=r"'async with'; that is for ramet.aio.Executor"):
            asyncio.run(awaits())
        assert executor.submit(abs, -1).result() == 1
    with (
        pytest.raises(TypeError, match=r"got 'with'; that is for ramet.Executor"),
        ramet.aio.Executor(1),  # type: ignore[attr-defined]
    ):
        pass


@pytest.mark.parametrize("lacking", ["a descriptor", "a descriptor for the loop", "a thread"])
def test_a_block_ends_without_room(
    in_loop: Run[None], lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would wait for the end in a thread waits here then: nothing is left in any case."""

    async def main() -> None:
        with contextlib.ExitStack() as meanwhile:
            async with ramet.aio.Executor(1) as executor:
                assert await executor.run(abs, -1) == 1
                made = executor._executor
                assert made is not None
                if lacking == "a thread":
                    monkeypatch.setattr(threading.Thread, "start", _no_thread)
                else:
                    meanwhile.enter_context(free_descriptors(lacking.endswith("loop")))
            thread = made._pool._threads.serving
            assert thread is not None
            assert not thread.is_alive()

    in_loop(main)


def _no_thread(_: object) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("free", [0, 1, 2, 8])
def test_a_tree_is_killed_or_said_to_live(in_loop: Run[None], free: int) -> None:
    """Without room for a thread that waits, nor for a look at the tree."""

    async def main() -> None:
        process = await ramet.aio.open_process(["sleep", "1000"])
        with free_descriptors(free):
            try:
                await process.kill_tree()
            except OSError as error:
                assert error.errno == errno.EMFILE
                assert free < 8
                process.kill()
        assert await process.wait() == -signal.SIGKILL

    in_loop(main)
