import asyncio
import fcntl
import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
import trio
from anyio.abc import Process as AnyioProcess

import ramet
import ramet.aio.spawning
from ramet import CloneFlag as F
from ramet._process import awaiting

from ...constants import SECONDS
from ...waiting import in_threads, until

T = TypeVar("T")
Run = Callable[[Callable[[], Awaitable[T]]], T]

BEFORE: set[str] = set()


def all_children() -> set[str]:
    pids: set[str] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
            pids.update(listing.read_text().split())
    return pids


@pytest.fixture(autouse=True)
def count_from_here() -> None:
    """The children that are there before the test."""
    BEFORE.clear()
    BEFORE.update(all_children())


def children_of_threads() -> list[str]:
    return sorted(all_children() - BEFORE)


@pytest.fixture
def slow_exec(tmp_path: Path) -> Iterator[Path]:
    """A program whose exec waits until somebody gives up a lease; SIGURG tells that it waits."""
    yield from leased(tmp_path / "slow", "true")


@pytest.fixture
def slow_shell(tmp_path: Path) -> Iterator[Path]:
    """The same, a shell."""
    yield from leased(tmp_path / "slow", "sh")


def leased(program: Path, name: str) -> Iterator[Path]:
    shutil.copy(shutil.which(name) or "", program)
    lease = os.open(program, os.O_RDONLY)
    fcntl.fcntl(lease, fcntl.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    yield program
    os.close(lease)


# ---- run


def test_run_is_like_ramets(in_loop: Run[None]) -> None:
    """Output, errors and code come back as ramet.run gives them, as text when text is asked for."""

    async def main() -> None:
        argv = ["sh", "-c", "cat; echo bad >&2; exit 3"]
        done = await ramet.aio.run(argv, input="göod\r\n", capture_output=True, text=True)
        same = ramet.run(argv, input="göod\r\n", capture_output=True, text=True)
        assert vars(done) == vars(same)
        data = await ramet.aio.run(argv, input=b"\xff", capture_output=True)
        assert (data.stdout, data.stderr) == (b"\xff", b"bad\n")
        coded = await ramet.aio.run(argv, input="ä", encoding="latin-1", stdout=subprocess.PIPE)
        assert coded.stdout == "ä"
        assert coded.stderr is None

    in_loop(main)


def test_a_failure_may_be_checked(in_loop: Run[None]) -> None:
    """With check a code that is not 0 is an error, with the output."""

    async def main() -> None:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            await ramet.aio.run(["sh", "-c", "echo so; exit 2"], check=True, capture_output=True)
        assert (caught.value.returncode, caught.value.stdout) == (2, b"so\n")

    in_loop(main)


def test_the_options_reach_the_child(in_loop: Run[None], tmp_path: Path) -> None:
    """cwd, env, umask, pass_fds, shell and flags do what they do for ramet.Popen."""

    async def main() -> None:
        reading, writing = os.pipe()
        done = await ramet.aio.run(
            f"pwd; umask; echo $WORD; ls /proc/self/fd/{writing}; readlink /proc/self/ns/user",
            shell=True,
            cwd=tmp_path,
            umask=0o27,
            env={"WORD": "yes", "PATH": os.environ["PATH"]},
            pass_fds=[writing],
            flags=F.NEWUSER,
            capture_output=True,
            text=True,
        )
        os.close(writing)
        os.close(reading)
        where, mask, word, passed, namespace = done.stdout.split()
        assert (where, mask, word) == (str(tmp_path), "0027", "yes")
        assert passed == f"/proc/self/fd/{writing}"
        assert namespace != os.readlink("/proc/self/ns/user")

    in_loop(main)


def test_much_goes_in_and_out(in_loop: Run[None]) -> None:
    """Data that no pipe could hold goes through a program and back without a deadlock."""
    data = os.urandom(1 << 16) * 320

    async def main() -> None:
        done = await ramet.aio.run(["cat"], input=memoryview(data), stdout=subprocess.PIPE)
        assert done.stdout == data

    in_loop(main)


def test_a_program_need_not_read(in_loop: Run[None]) -> None:
    """Input that nobody reads is no error."""

    async def main() -> None:
        done = await ramet.aio.run(["true"], input=b"x" * (1 << 20), capture_output=True)
        assert done.returncode == 0

    in_loop(main)


def test_the_time_may_be_up(in_loop: Run[None]) -> None:
    """After the timeout the child is gone, and the error has what it wrote."""

    async def main() -> None:
        argv = ["sh", "-c", "echo so far; exec sleep 1000"]
        with pytest.raises(ramet.TimeoutExpired) as caught:
            await ramet.aio.run(argv, capture_output=True, timeout=0.5)
        assert (caught.value.output, caught.value.stderr) == (b"so far\n", None)
        with pytest.raises(subprocess.TimeoutExpired):
            await ramet.aio.run(["sleep", "1000"], timeout=0)

    in_loop(main)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"input": "text"}, TypeError, "expected bytes, got str"),
        ({"input": b"bytes", "text": True}, TypeError, "expected a str in text mode"),
        ({"input": b"", "stdin": subprocess.PIPE}, ValueError, "may not both be used"),
        ({"capture_output": True, "stdout": 1}, ValueError, "with capture_output"),
        ({"timeout": float("nan")}, ValueError, "0 seconds or more"),
        ({"preexec_fn": print}, ValueError, "preexec_fn"),
        ({"start": False}, ValueError, "start"),
        ({"no_such_option": 1}, TypeError, "no_such_option"),
    ],
)
def test_bad_input(
    in_loop: Run[None], options: dict[str, Any], error: type[Exception], words: str
) -> None:
    """What cannot be done is refused, in words, and not in a group of errors."""

    async def main() -> None:
        with pytest.raises(error, match=words):
            await ramet.aio.run(["true"], **options)

    in_loop(main)


@pytest.mark.parametrize("word", ["text", "encoding", "errors", "universal_newlines"])
def test_streams_carry_bytes(in_loop: Run[None], word: str) -> None:
    """A process's streams are of bytes, and asking for text is an error."""

    async def main() -> None:
        with pytest.raises(ValueError, match=word):
            await ramet.aio.open_process(["true"], **{word: "x"})  # type: ignore[arg-type]

    in_loop(main)


def test_what_cannot_be_started(in_loop: Run[None]) -> None:
    """A failure on the way to the program is raised where it was wanted, as subprocess has it."""

    async def main() -> None:
        with pytest.raises(FileNotFoundError) as caught:
            await ramet.aio.run(["/no/such/program"], capture_output=True)
        assert isinstance(caught.value, ramet.SpawnError)
        assert caught.value.step == "execve"
        with pytest.raises(ramet.CloneError):
            await ramet.aio.run(["true"], flags=F.NEWNS | F.FS)

    in_loop(main)


# ---- open_process


def test_a_conversation(in_loop: Run[None]) -> None:
    """A program can be written to and read from in turn, to the end of its stream."""

    async def main() -> None:
        pipe = subprocess.PIPE
        async with await ramet.aio.open_process(["cat"], stdin=pipe, stdout=pipe) as process:
            assert isinstance(process, AnyioProcess)
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is None
            for word in (b"one", bytearray(b"two"), memoryview(b"three")):
                await process.stdin.send(word)
                assert await process.stdout.receive() == bytes(word)
            await process.stdin.send(b"abc")
            assert await process.stdout.receive(2) == b"ab"
            assert await process.stdout.receive(2) == b"c"
            await process.stdin.aclose()
            assert [chunk async for chunk in process.stdout] == []
            with pytest.raises(anyio.EndOfStream):
                await process.stdout.receive()
            with pytest.raises(anyio.ClosedResourceError):
                await process.stdin.send(b"more")
            with pytest.raises(ValueError, match="at least 1"):
                await process.stdout.receive(0)
            assert await process.wait() == 0

    in_loop(main)


def test_the_reader_may_go(in_loop: Run[None]) -> None:
    """A write to a program that is gone is an error."""

    async def main() -> None:
        async with await ramet.aio.open_process(["true"], stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            await process.wait()
            with pytest.raises(anyio.BrokenResourceError):
                await process.stdin.send(b"hello")

    in_loop(main)


def test_one_reader_at_a_time(in_loop: Run[None]) -> None:
    """A second reader is refused, and closing wakes the first."""

    async def main() -> None:
        pipe = subprocess.PIPE
        async with await ramet.aio.open_process(["sleep", "1000"], stdout=pipe) as process:
            stdout = process.stdout
            assert stdout is not None

            async def read() -> None:
                with pytest.raises(anyio.ClosedResourceError):
                    await stdout.receive()

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(anyio.BusyResourceError):
                    await stdout.receive()
                await stdout.aclose()

    in_loop(main)


def test_many_wait_for_one(in_loop: Run[None]) -> None:
    """Any number of tasks may wait, while others ask, and one that gives up disturbs nobody."""

    async def main() -> None:
        async with await ramet.aio.open_process(["cat"], stdin=subprocess.PIPE) as process:
            codes: list[int] = []

            async def wait() -> None:
                codes.append(await process.wait())

            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(wait)
                with anyio.move_on_after(0.01):
                    await process.wait()
                assert process.returncode is None
                assert process.exit_status is None
                process.terminate()
                # The first to ask reaps it, and closes the first descriptor, beneath the waiters.
                ramet.wait([process])
                assert process.returncode == -signal.SIGTERM
            assert codes == [-signal.SIGTERM] * 5
            assert process.exit_status is not None
            assert process.exit_status.rusage is not None
            assert process.pidfd is None

    in_loop(main)


def test_leaving_kills_and_reaps(in_loop: Run[None]) -> None:
    """What still runs at the end of the block is killed, and its pipes are closed."""

    async def main() -> None:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        async with await ramet.aio.open_process(["sleep", "1000"], **pipes) as process:
            assert process.pidfd == process.fileno()
            assert process.args == ["sleep", "1000"]
            process.send_signal(signal.SIGSTOP)
        assert process.returncode == -signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)

    in_loop(main)


# ---- cancellation


def test_a_cancelled_run_leaves_nothing(in_loop: Run[None]) -> None:
    """A cancellation kills and reaps the child at whatever moment it comes."""

    async def main() -> None:
        for step in range(200):
            with anyio.move_on_after(step * 2e-5):
                await ramet.aio.run(["sleep", "1000"], input=b"x", capture_output=True)
            assert children_of_threads() == []

    in_loop(main)


def test_the_loop_runs_while_a_child_is_born(in_loop: Run[None], slow_exec: Path) -> None:
    """A child that hangs on its way to the program blocks nobody, and is killed on cancellation."""

    async def main() -> None:
        with anyio.open_signal_receiver(signal.SIGURG) as waits:
            async with anyio.create_task_group() as group:
                group.start_soon(ramet.aio.open_process, [slow_exec])
                async for _ in waits:
                    break
                assert len(children_of_threads()) == 1
                assert (await ramet.aio.run(["true"])).returncode == 0, "others are made meanwhile"
                begun = time.monotonic()
                group.cancel_scope.cancel()
        assert time.monotonic() - begun < SECONDS, "nobody waited for the lease"
        assert children_of_threads() == []

    in_loop(main)


def test_a_slow_clone_call_may_end_well(in_loop: Run[None], slow_exec: Path) -> None:
    """A child whose exec takes long is made all the same, and the timeout counts its clone call."""

    async def main() -> None:
        with anyio.open_signal_receiver(signal.SIGURG) as waits:
            codes: list[int] = []

            async def run() -> None:
                codes.append((await ramet.aio.run([slow_exec])).returncode)

            async with anyio.create_task_group() as group:
                group.start_soon(run)
                async for _ in waits:
                    break
                with pytest.raises(ramet.TimeoutExpired):
                    await ramet.aio.run([slow_exec], timeout=0.05)
                assert codes == []
                fcntl.fcntl(lease_of(slow_exec), fcntl.F_SETLEASE, fcntl.F_UNLCK)
            assert codes == [0]

    in_loop(main)


def lease_of(path: Path) -> int:
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == str(path):
                return int(name)
        except FileNotFoundError:
            continue
    raise AssertionError("nobody holds the lease")


def test_a_shield_holds(in_loop: Run[None]) -> None:
    """In a shielded scope everything works, although all around it is cancelled."""

    async def main() -> None:
        with anyio.CancelScope() as outer:
            outer.cancel()
            with anyio.CancelScope(shield=True):
                done = await ramet.aio.run(["cat"], input=b"in", capture_output=True)
                assert done.stdout == b"in"
            with anyio.CancelScope(shield=True):
                async with await ramet.aio.open_process(["sleep", "1000"]) as process:
                    pass
                assert process.returncode == -signal.SIGKILL
            await ramet.aio.run(["true"])
            raise AssertionError("the outer scope is cancelled")

    in_loop(main)


def test_leaving_a_cancelled_block_reaps(in_loop: Run[None]) -> None:
    """The end of the block kills and reaps when it is a cancellation that ends it."""

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with await ramet.aio.open_process(["sleep", "1000"]) as process:
                scope.cancel()
                await anyio.sleep_forever()
        assert process.returncode == -signal.SIGKILL

    in_loop(main)


def test_asyncios_own_cancellation(slow_exec: Path, nothing_left: object) -> None:
    """task.cancel(), once and again, at whatever moment, leaves nothing."""

    async def main() -> None:
        for step in range(100):
            task = asyncio.create_task(ramet.aio.run(["sleep", "1000"], capture_output=True))
            for _ in range(step):  # turns of the loop
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert children_of_threads() == []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ramet.aio.run([slow_exec]), 0.1)
        assert children_of_threads() == []

    asyncio.run(main())


class Family:
    """A program and one that it starts; both tell their pids."""

    def __init__(self, folder: Path) -> None:
        self._told = folder / "pids"
        script = 'sleep 1000 & echo $$ $! > "$0"; exec sleep 1000'
        self.argv = ["sh", "-c", script, str(self._told)]

    def are_there(self) -> bool:
        """Whether both have begun."""
        return self._told.exists() and len(self._pids()) == 2

    def living(self) -> list[int]:
        """Those that have not ended."""
        return [pid for pid in self._pids() if state_of(pid) not in {"Z", "X"}]

    def asked(self) -> list[int]:
        """Those for which SIGTERM is pending."""
        return [pid for pid in self._pids() if is_pending(pid, signal.SIGTERM)]

    def _pids(self) -> list[int]:
        return [int(pid) for pid in self._told.read_text().split()]


def state_of(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return "X"


def is_pending(pid: int, number: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (pending,) = [line.split()[1] for line in lines if line.startswith("ShdPnd:")]
    return bool(int(pending, 16) & 1 << (number - 1))


def test_a_reaped_program_is_not_told_as_running(nothing_left: object) -> None:
    """After a further task.cancel() while a block ends its program, that has a code, and nobody warns."""
    ended: list[ramet.aio.Process] = []

    async def block() -> None:
        async with await ramet.aio.open_process(["sleep", "1000"]) as process:
            ended.append(process)
            await anyio.sleep_forever()

    async def main() -> None:
        for act, has_begun in (
            (block, lambda: ended),
            (lambda: ramet.aio.run(["sleep", "1000"]), children_of_threads),
        ):
            task = asyncio.ensure_future(act())
            while not has_begun():
                await anyio.lowlevel.checkpoint()
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            del task

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(main())
        codes = [process._popen.returncode for process in ended]
        ended.clear()
        gc.collect()
    assert codes == [-signal.SIGKILL]
    assert [str(each.message) for each in warned] == []


def test_a_cancellation_kills_the_whole_tree(in_loop: Run[None], tmp_path: Path) -> None:
    """With kill_tree what the program has started is gone as well when the cancellation is over."""
    family = Family(tmp_path)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: ramet.aio.run(family.argv, kill_tree=True))
            while not family.are_there():
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert family.living() == []

    in_loop(main)


def test_a_cancelled_clone_call_leaves_nothing_of_a_tree(
    in_loop: Run[None], monkeypatch: pytest.MonkeyPatch, slow_shell: Path, tmp_path: Path
) -> None:
    """Also where the program has begun, and the loop has not looked again since."""
    family = Family(tmp_path)
    monkeypatch.setattr(ramet.aio.spawning, "_FIRST_PAUSE_SECONDS", 1000)

    async def main() -> None:
        with anyio.open_signal_receiver(signal.SIGURG) as waits:
            async with anyio.create_task_group() as group:
                argv = [str(slow_shell), *family.argv[1:]]
                group.start_soon(lambda: ramet.aio.run(argv, kill_tree=True))
                async for _ in waits:
                    break
                await anyio.wait_all_tasks_blocked()
                fcntl.fcntl(lease_of(slow_shell), fcntl.F_SETLEASE, fcntl.F_UNLCK)
                while not family.are_there():
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        assert family.living() == []

    in_loop(main)


async def cancel_until_done(task: "asyncio.Task[Any]", turns: int) -> None:
    """By asyncio's own task.cancel(), again after each so many turns of its loop, and one."""
    while not task.done():
        task.cancel()
        for _ in range(turns + 1):
            await asyncio.sleep(0)
    assert task.cancelled()


def test_further_cancellations_of_asyncios_own_leave_nothing_of_a_tree(
    nothing_left: object, tmp_path: Path
) -> None:
    """However many follow the first one, and however early."""

    async def main() -> None:
        for turns in range(8):
            folder = tmp_path / str(turns)
            folder.mkdir()
            family = Family(folder)
            run = ramet.aio.run(family.argv, capture_output=True, kill_tree=True)
            task = asyncio.create_task(run)
            while not family.are_there():
                await anyio.lowlevel.checkpoint()
            await cancel_until_done(task, turns)
            assert family.living() == []
            assert children_of_threads() == []

    asyncio.run(main())


@pytest.fixture
def deaf_to_sigterm() -> Iterator[None]:
    """It stays pending in the children that are made meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("kill_tree", [False, True], ids=["child", "tree"])
def test_a_cancellation_waits_for_no_grace(
    in_loop: Run[None], deaf_to_sigterm: None, tmp_path: Path, kill_tree: bool
) -> None:
    """One that comes while the time of kill_after runs kills at once, with kill_tree the whole tree."""
    family = Family(tmp_path)
    options: dict[str, Any] = {"timeout": 0.2, "kill_after": 4 * SECONDS, "kill_tree": kill_tree}

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: ramet.aio.run(family.argv, capture_output=True, **options))
            while not family.are_there() or len(family.asked()) < 1 + kill_tree:
                await anyio.lowlevel.checkpoint()
            begun = time.monotonic()
            group.cancel_scope.cancel()
        assert time.monotonic() - begun < SECONDS
        left = family.living()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert len(left) == 1 - kill_tree
        assert children_of_threads() == []

    in_loop(main)


def test_a_tree_that_ends_when_asked_is_waited_for_no_longer(
    in_loop: Run[None], tmp_path: Path
) -> None:
    """All of kill_after is for those that do not end; their last words are in the error."""
    script = """
trap 'echo parent; wait; exit' TERM
(trap 'echo child; exit' TERM; : > "$0"; while :; do read -r word; done) & wait
"""

    async def main() -> None:
        begun = time.monotonic()
        reading, writing = os.pipe()
        with pytest.raises(ramet.TimeoutExpired) as caught:
            await ramet.aio.run(
                ["sh", "-c", script, tmp_path / "begun"],
                stdin=reading,
                capture_output=True,
                timeout=0.5,
                kill_after=4 * SECONDS,
                kill_tree=True,
            )
        os.close(reading)
        os.close(writing)
        assert sorted(caught.value.output.split()) == [b"child", b"parent"]
        assert time.monotonic() - begun < SECONDS

    in_loop(main)


def test_clone_calls_that_hang_hold_up_nobody(in_loop: Run[None], slow_exec: Path) -> None:
    """However many clone calls hang, further ones come to their end, and a cancellation ends them all."""
    count = 40

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(ramet.aio.open_process, [slow_exec])
            while len(children_of_threads()) < count:
                await anyio.lowlevel.checkpoint()
            assert (await ramet.aio.run(["true"])).returncode == 0
            begun = time.monotonic()
            group.cancel_scope.cancel()
        assert time.monotonic() - begun < SECONDS, "nobody waited for the lease"
        assert children_of_threads() == []
        assert (await ramet.aio.run(["true"])).returncode == 0

    in_loop(main)


@pytest.mark.parametrize(
    "options", [{"die_with_parent": True}, {"pdeathsig": signal.SIGKILL}, {"oom_score_adj": 900}]
)
def test_a_slow_clone_call_is_killed_whatever_makes_it(
    in_loop: Run[None], slow_exec: Path, options: dict[str, Any]
) -> None:
    """Whatever the way to a child, it can be killed in the midst of it as well."""

    async def main() -> None:
        begun = time.monotonic()
        with anyio.move_on_after(0.1):
            await ramet.aio.run([slow_exec], **options)
        assert time.monotonic() - begun < SECONDS, "nobody waited for the lease"
        assert children_of_threads() == []
        assert (await ramet.aio.run(["true"], **options)).returncode == 0

    in_loop(main)


def test_a_start_may_wait(in_loop: Run[None]) -> None:
    """With start=False the process is there before its program runs; start() lets it go."""

    async def main() -> None:
        pipe = subprocess.PIPE
        argv = ["echo", "so"]
        async with await ramet.aio.open_process(argv, stdout=pipe, start=False) as process:
            assert process.stdout is not None
            assert process.returncode is None
            with pytest.raises(ValueError, match=r"waits for start\(\).* call start\(\) first$"):
                await process.wait()
            await process.start()
            assert await process.stdout.receive() == b"so\n"
            assert await process.wait() == 0
            with pytest.raises(ValueError, match="does not wait"):
                await process.start()
        async with await ramet.aio.open_process(argv, start=False) as process:
            pass
        assert process.returncode == -signal.SIGKILL

    in_loop(main)


@pytest.mark.parametrize("patience", [0.0, SECONDS])
def test_it_is_all_the_same_how_a_clone_call_is_waited_for(
    in_loop: Run[None], monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    """A clone call does what it does whether the loop stands still for it or is told of its end."""
    monkeypatch.setattr(ramet.aio.spawning, "_PATIENCE_SECONDS", patience)

    async def main() -> None:
        for options in (
            {},
            {"die_with_parent": True},
            {"pdeathsig": signal.SIGKILL},
            {"oom_score_adj": 900},
        ):
            assert (await ramet.aio.run(["true"], **options)).returncode == 0
            with pytest.raises(FileNotFoundError):
                await ramet.aio.run(["/no/such/program"], **options)
        async with await ramet.aio.open_process(["true"], start=False) as process:
            await process.start()
            assert await process.wait() == 0
        child = await ramet.aio.spawn(ramet.Command(["true"], start=False))
        with pytest.raises(ValueError, match=r"waits for start\(\)"):
            await child
        child.kill()
        status: object = await child  # type: ignore[func-returns-value]
        assert isinstance(status, ramet.ExitStatus)
        assert status.signal == signal.SIGKILL
        async with await ramet.aio.open_process(["true"], flags=F.STOPPED) as process:
            process.send_signal(signal.SIGCONT)
            assert await process.wait() == 0
        with pytest.raises(ramet.CloneError):
            await ramet.aio.run(["true"], flags=F.NEWNS | F.FS)

    in_loop(main)


def test_id_maps_are_written_meanwhile(in_loop: Run[None]) -> None:
    """A child that waits for its id maps gets them, and one for which they are wrong is no more."""
    own, group = (0, os.geteuid(), 1), (0, os.getegid(), 1)

    async def main() -> None:
        done = await ramet.aio.run(
            ["cat", "/proc/self/uid_map"],
            flags=F.NEWUSER,
            uid_map=[own],
            gid_map=[group],
            stdout=subprocess.PIPE,
        )
        assert tuple(map(int, done.stdout.split())) == own
        with pytest.raises(ramet.SpawnError) as caught:
            await ramet.aio.run(["true"], flags=F.NEWUSER, uid_map=[own, own])
        assert "uid_map" in str(caught.value.step)

    in_loop(main)


# ---- many


def test_a_thousand_at_once(in_loop: Run[None]) -> None:
    """A thousand children run at once, and there is no thread for each."""
    count = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 6)

    async def main() -> None:
        before = threading.active_count()
        codes: list[int] = []
        reading, writing = os.pipe()
        running: list[ramet.aio.Process] = []
        all_run = anyio.Event()

        async def one() -> None:
            async with await ramet.aio.open_process(["cat"], stdin=reading) as process:
                running.append(process)
                if len(running) == count:
                    all_run.set()
                codes.append(await process.wait())

        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(one)
            await all_run.wait()
            assert len(children_of_threads()) == count
            assert threading.active_count() == before
            os.close(reading)
            os.close(writing)
        assert codes == [0] * count

    in_loop(main)


def test_a_child_has_the_mask_of_its_caller(in_loop: Run[None]) -> None:
    """The signal mask is that of the loop's thread, as it is at the time of the clone call."""

    async def main() -> None:
        argv = ["grep", "SigBlk", "/proc/self/status"]
        await ramet.aio.run(["true"])
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        try:
            done = await ramet.aio.run(argv, stdout=subprocess.PIPE)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert int(done.stdout.split()[1], 16) == 1 << (signal.SIGUSR2 - 1)

    in_loop(main)


def test_other_tasks_run_between_clone_calls(in_loop: Run[None]) -> None:
    """A task that does nothing but spawn does not keep the loop for itself."""

    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        command = ramet.Command(["true"])
        async with anyio.create_task_group() as group:
            group.start_soon(count)
            children = [await ramet.aio.spawn(command) for _ in range(40)]
            assert turns >= 2
            group.cancel_scope.cancel()
        for child in children:
            await child

    in_loop(main)


def test_plain_asyncio_needs_no_backend_of_anyios() -> None:
    """In a program of asyncio alone clone calls are waited for without anyio, and others have a turn."""
    script = """
import asyncio, sys, ramet, ramet.aio
async def main():
    turns = 0
    async def count():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1
    counting = asyncio.create_task(count())
    command = ramet.Command(["true"])
    children = [await ramet.aio.spawn(command) for _ in range(40)]
    assert turns >= 2
    counting.cancel()
    for child in children:
        assert (await child).success
    assert "anyio._backends._asyncio" not in sys.modules
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=SECONDS)


def test_a_cancelled_scope_bears_no_child(in_loop: Run[None]) -> None:
    """spawn() looks for a cancellation before it makes anything."""

    async def main() -> None:
        for _ in range(20):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await ramet.aio.spawn(ramet.Command(["true"]))
                raise AssertionError("the scope is cancelled")
            assert children_of_threads() == []

    in_loop(main)


def test_trio_as_a_guest_of_asyncio() -> None:
    """Where trio runs within asyncio's loop, what runs under trio waits as trio does."""

    async def within() -> bytes:
        child = await ramet.aio.spawn(ramet.Command(["true"]))
        await child
        return bytes((await ramet.aio.run(["echo", "so"], capture_output=True)).stdout)

    async def host() -> bytes:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            within,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=done.set_result,
        )
        return bytes((await done).unwrap())

    for _ in range(2):
        assert asyncio.run(host()) == b"so\n"


def test_loops_in_several_threads(in_loop: Run[None]) -> None:
    """Each thread may have a loop of its own."""

    async def main() -> None:
        for _ in range(20):
            done = await ramet.aio.run(["echo", "so"], capture_output=True)
            assert done.stdout == b"so\n"

    in_threads(4, lambda: in_loop(main))


def test_no_standard_descriptors(tmp_path: Path) -> None:
    """It works where the descriptors 0 to 2 are closed, and others take their numbers."""
    script = """
import os, sys, anyio, ramet, ramet.aio
os.closerange(0, 3)
async def main():
    done = await ramet.aio.run(["sh", "-c", "cat; echo bad >&2"], input=b"in", capture_output=True)
    with open(sys.argv[2], "w") as file:
        print(done.stdout, done.stderr, (await ramet.aio.run(["true"])).returncode, file=file)
anyio.run(main, backend=sys.argv[1])
"""
    for backend in ("asyncio", "trio"):
        told = tmp_path / backend
        argv = [sys.executable, "-c", script, backend, told]
        subprocess.run(argv, check=True, timeout=SECONDS, capture_output=True)
        assert told.read_text() == "b'in' b'bad\\n' 0\n"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_change_of_user_waits_for_nobody(backend: str) -> None:
    """The C library asks each of its threads to change along: none is kept for clone calls."""
    script = """
import os, sys, threading, anyio, ramet.aio
over = threading.Event()
thread = threading.Thread(target=over.wait)
thread.start()
async def main():
    await ramet.aio.run(["true"])
    async with await ramet.aio.open_process(["sleep", "1000"], die_with_parent=True):
        os.setgid(os.getgid())
        os.setuid(os.getuid())
anyio.run(main, backend=sys.argv[1])
over.set()
"""
    subprocess.run([sys.executable, "-c", script, backend], check=True, timeout=SECONDS)


def test_it_works_after_a_fork() -> None:
    """A forked process makes children of its own."""

    async def main() -> str:
        return str((await ramet.aio.run(["echo", "so"], capture_output=True, text=True)).stdout)

    assert anyio.run(main) == "so\n"
    assert ramet.clone(anyio.run, main).result(SECONDS) == "so\n"


# ---- Child


def test_a_child_can_be_awaited(in_loop: Run[None]) -> None:
    """To await a child gives what its function returned, or raises what it raised."""

    async def main() -> None:
        for flags in (0, F.VM, F.VM | F.SIGHAND | F.THREAD):
            child = ramet.clone(pow, 2, 10, flags=flags)
            assert await child == 1024
            assert await child == 1024, "and again"
        with pytest.raises(ZeroDivisionError):
            await ramet.clone(divmod, 1, 0)
        killed = ramet.clone(signal.pause)
        killed.kill()
        with pytest.raises(ramet.ChildDied):
            await killed

    in_loop(main)


def test_an_await_blocks_no_loop(in_loop: Run[None]) -> None:
    """While one task awaits a child others run, also when another one awaits the same."""

    async def main() -> None:
        reading, writing = os.pipe()
        child = ramet.clone(os.read, reading, 10)
        results: list[bytes] = []

        async def wait() -> None:
            results.append(await child)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            os.write(writing, b"so")
        os.close(reading)
        os.close(writing)
        assert results == [b"so", b"so"]

    in_loop(main)


def test_a_cancelled_await_kills_a_copy(in_loop: Run[None]) -> None:
    """A child with a memory of its own is killed and reaped when its await is cancelled."""

    async def main() -> None:
        child = ramet.clone(signal.pause)
        with anyio.move_on_after(0.01):
            await child
        assert child.exit_status is not None
        assert child.exit_status.signal == signal.SIGKILL

    in_loop(main)


class Endless:
    """A function that ends when it is interrupted, and says so."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.in_order = False

    def __call__(self) -> None:
        try:
            self.begun.set()
            while True:
                os.sched_yield()
        finally:
            self.in_order = True


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.SIGHAND | F.THREAD], ids=["process", "thread"])
def test_a_cancelled_await_interrupts_a_sharer(in_loop: Run[None], flags: F) -> None:
    """A function in shared memory is interrupted when its await is cancelled, and ends in order."""

    async def main() -> None:
        work = Endless()
        child = ramet.clone(work, flags=flags)
        work.begun.wait(20)
        with anyio.move_on_after(0.01) as scope:
            await child
        assert scope.cancelled_caught
        assert child.exit_status is not None
        assert child.exit_status.code in {143, None}  # a thread has none
        assert work.in_order

    in_loop(main)


def test_who_cannot_be_interrupted_is_killed(in_loop: Run[None]) -> None:
    """A function that stays in a system call is killed a second after its await was cancelled."""
    begun: list[int] = []

    def stay() -> None:
        begun.append(1)
        signal.pause()

    child = ramet.clone(stay, flags=F.VM)
    while not begun:
        os.sched_yield()

    async def main() -> None:
        with anyio.move_on_after(0.01):
            await child
        assert child.exit_status is not None, "it was not reaped before the task went on"
        assert child.exit_status.signal == signal.SIGKILL

    in_loop(main)


def test_further_cancellations_kill_at_once(nothing_left: object) -> None:
    """A second task.cancel() of asyncio's own leaves it no second, and it is reaped all the same."""
    begun: list[int] = []

    def stay() -> None:
        begun.append(1)
        signal.pause()

    async def wait(child: ramet.Child[None]) -> None:
        await child

    async def main() -> None:
        for turns in range(4):
            begun.clear()
            child = ramet.clone(stay, flags=F.VM)
            until(lambda: begun)
            task = asyncio.create_task(wait(child))
            await asyncio.sleep(0)
            await cancel_until_done(task, turns)
            assert child.exit_status is not None
            assert child.exit_status.signal == signal.SIGKILL

    asyncio.run(main())


def test_asyncios_own_cancellation_interrupts(nothing_left: object) -> None:
    """A task of asyncio's own that is cancelled interrupts the function that it awaits."""

    async def main() -> None:
        work = Endless()
        child = ramet.clone(work, flags=F.VM)

        async def wait() -> None:
            await child

        task = asyncio.ensure_future(wait())
        work.begun.wait(20)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert child.exit_status is not None
        assert work.in_order

    asyncio.run(main())


async def of_a_copy(begun: list[int]) -> None:
    await ramet.clone(signal.pause)


async def of_a_function(begun: list[int]) -> None:
    def stay() -> None:
        begun.append(1)
        signal.pause()

    await ramet.clone(stay, flags=F.VM)


async def of_a_run(begun: list[int]) -> None:
    await ramet.aio.run(["sleep", "1000"], kill_tree=True)


async def of_a_block(begun: list[int]) -> None:
    async with await ramet.aio.open_process(["sleep", "1000"]):
        await anyio.sleep_forever()


async def of_an_executor(begun: list[int]) -> None:
    async with ramet.aio.Executor(1):
        pass


Waiter = Callable[[list[int]], Coroutine[Any, Any, None]]


@pytest.mark.parametrize(
    "wait",
    [of_a_copy, of_a_function, of_a_run, of_a_block, of_an_executor],
    ids=lambda f: f.__name__,
)
def test_a_wait_that_its_loop_has_left(wait: Waiter, nothing_left: object) -> None:
    """A task that still waits when its loop is closed ends its child without a word, and blocks nobody."""
    loop = asyncio.new_event_loop()
    begun: list[int] = []
    waiting = wait(begun)
    task = loop.create_task(waiting)

    async def begin() -> None:
        while not (children_of_threads() and (begun or wait is not of_a_function)):
            await anyio.lowlevel.checkpoint()
        await asyncio.sleep(0)

    loop.run_until_complete(begin())
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined] # asyncio's own word on it
    waiting.close()  # as the collector does, which may finalize the handle before
    assert children_of_threads() == []


def test_a_thread_that_is_left_writes_to_no_other_file(
    in_loop: Run[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second ^C ends the wait for it as well; what it tells then goes nowhere."""
    may_end = threading.Event()
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        before = set(threading.enumerate())
        with monkeypatch.context() as patch:
            patch.setattr(awaiting, "_in_spite_of_cancellation", interrupted)
            patch.setattr(threading.Thread, "join", interrupted)
            with pytest.raises(KeyboardInterrupt):
                await awaiting.in_new_thread(may_end.wait)
        other = os.eventfd(0, os.EFD_NONBLOCK)  # which gets the number that has become free
        try:
            may_end.set()
            for thread in set(threading.enumerate()) - before:
                thread.join()
            with pytest.raises(BlockingIOError):
                os.eventfd_read(other)
        finally:
            os.close(other)

    in_loop(main)
    assert not raised


def test_a_closed_generator_still_waits_in_its_loop(
    in_loop: Run[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its block ends there as any other: the thread of the loop waits for nothing."""

    async def lines() -> AsyncIterator[str]:
        async with ramet.aio.Executor(1) as executor:
            yield await executor.run(str, "one")

    async def main() -> None:
        me = threading.get_ident()
        ended_by: list[int] = []
        shutdown = ramet.Executor.shutdown

        def noted(self: ramet.Executor, *args: Any, **kwargs: Any) -> None:
            ended_by.append(threading.get_ident())
            shutdown(self, *args, **kwargs)

        monkeypatch.setattr(ramet.Executor, "shutdown", noted)
        generator = lines()
        assert await anext(generator) == "one"
        await generator.aclose()  # type: ignore[attr-defined]
        assert len(ended_by) == 1
        assert me not in ended_by

    in_loop(main)


def test_a_command_is_spawned_apart(in_loop: Run[None], slow_exec: Path) -> None:
    """spawn() gives a Child, which when awaited tells how the program ended."""

    async def main() -> None:
        child = await ramet.aio.spawn(ramet.Command(["sh", "-c", "exit 3"]))
        status: object = await child  # type: ignore[func-returns-value]
        assert isinstance(status, ramet.ExitStatus)
        assert status.code == 3
        with pytest.raises(FileNotFoundError):
            await ramet.aio.spawn(ramet.Command(["/no/such"]))
        with anyio.move_on_after(0.05):
            await ramet.aio.spawn(ramet.Command([slow_exec]))
        assert children_of_threads() == []

    in_loop(main)


def test_words_are_spawned_as_a_command_is(in_loop: Run[None]) -> None:
    """spawn() takes the words and the options of one, too."""

    async def main() -> None:
        child = await ramet.aio.spawn(["sh", "-c", "exit $CODE"], env={"CODE": "4"})
        status: object = await child  # type: ignore[func-returns-value]
        assert isinstance(status, ramet.ExitStatus)
        assert status.code == 4
        with pytest.raises(TypeError, match="has its options"):
            await ramet.aio.spawn(ramet.Command(["true"]), cwd="/")
        with pytest.raises(TypeError, match=r"shlex\.split\('true'\)"):
            await ramet.aio.spawn("true")

    in_loop(main)


# ---- without anyio


def test_importing_ramet_needs_no_anyio() -> None:
    """Ramet works without anyio, and what needs it says so."""
    script = """
import sys
sys.modules["anyio"] = None
import ramet
try:
    ramet.aio
except ModuleNotFoundError as error:
    assert "ramet[aio]" in str(error), error
else:
    raise AssertionError
try:
    ramet.no_such_name
except AttributeError:
    pass
del sys.modules["anyio"]
assert ramet.aio.run
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=SECONDS)
    loaded = "import sys, ramet; sys.exit('anyio' in sys.modules or 'asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", loaded], check=True, timeout=SECONDS)
