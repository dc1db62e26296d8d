"""How Ramet is used, for type checkers: `make lint` and `make wheel-test` read it, nobody runs it.

Each `type: ignore` stands for an error that must be reported: one that is not needed is an error.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=error

from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, assert_type

import ramet
import ramet as subprocess
from ramet import aio, law, observe


def what_comes_of_run(text: bool) -> None:
    """As subprocess.run's overloads have it."""
    assert_type(ramet.run(["true"], text=True), CompletedProcess[str])
    assert_type(ramet.run(["true"], encoding="utf-8", check=True), CompletedProcess[str])
    assert_type(ramet.run(["true"], errors="replace"), CompletedProcess[str])
    assert_type(ramet.run("true", universal_newlines=True), CompletedProcess[str])
    assert_type(ramet.run(["true"], capture_output=True, input=b""), CompletedProcess[bytes])
    assert_type(ramet.run(["true"], text=False, nice=5), CompletedProcess[bytes])
    assert_type(ramet.run(["true"], text=text), CompletedProcess[Any])
    assert_type(ramet.run(["true"], -1, None, subprocess.PIPE), CompletedProcess[Any])
    assert_type(ramet.check_output(["true"], text=True), str)
    assert_type(ramet.check_output(["true"], timeout=1), bytes)
    assert_type(ramet.check_output(["true"], text=text), Any)
    assert_type(ramet.call(["true"], timeout=1, cwd="/"), int)
    assert_type(ramet.check_call(["true"], text=text), int)
    assert_type(ramet.getstatusoutput("true", timeout=1), tuple[int, str])
    assert_type(ramet.getoutput("true"), str)


def what_comes_of_popen(text: bool) -> None:
    """As subprocess.Popen's overloads have it."""
    assert_type(ramet.Popen(["true"], text=True), ramet.Popen[str])
    assert_type(ramet.Popen(["true"], encoding="utf-8"), ramet.Popen[str])
    assert_type(ramet.Popen(["true"], errors="replace"), ramet.Popen[str])
    assert_type(ramet.Popen(["true"], universal_newlines=True), ramet.Popen[str])
    assert_type(ramet.Popen(["true"], text=text), ramet.Popen[Any])
    assert_type(ramet.Popen(["true"], 0, None, ramet.PIPE), ramet.Popen[Any])
    with ramet.Popen(["cat"], stdin=ramet.PIPE, user="nobody", rlimits={"NOFILE": 9}) as process:
        assert_type(process, ramet.Popen[bytes])
        assert_type(process.communicate(memoryview(b"input"), timeout=1), tuple[bytes, bytes])
        assert_type(process.poll(), int | None)
        assert_type(process.exit_status, ramet.ExitStatus | None)


def what_a_sandbox_takes(names: list[str], directories: list[Path]) -> None:
    """Lists of strings or paths, which are kept as tuples; sizes as text or bytes."""
    sandbox = ramet.Sandbox(read=names, write=directories, tmp="1M", environment=names)
    ramet.Sandbox(root=Path("/"), network={"connect": [443]}, memory=1 << 20, hidden=set(names))
    ramet.Sandbox(read=[1])  # type: ignore[list-item]
    ramet.Sandbox(reads=names)  # type: ignore[call-arg]
    assert_type(sandbox.read, tuple[str, ...])
    assert_type(sandbox.memory, int | None)
    assert_type(sandbox.replace(memory="1G"), ramet.Sandbox)
    assert_type(ramet.Sandbox.agent(directories[0]), ramet.Sandbox)
    assert_type(ramet.run(["true"], sandbox=sandbox, timeout=5).reason, str)
    assert_type(ramet.run(["true"], sandbox=None), CompletedProcess[bytes])


async def under_a_loop() -> None:
    """The same of aio."""
    assert_type(await aio.run(["true"], text=True, timeout=1), CompletedProcess[str])
    assert_type(await aio.run(["true"], input=b""), CompletedProcess[bytes])
    assert_type(await aio.open_process(["true"], nice=5), aio.Process)


def add(one: int, other: int) -> str:
    """Something to call."""
    return str(one + other)


def what_comes_of_functions() -> None:
    """A child knows what its function returns."""
    assert_type(ramet.clone(add, 1, 2, flags=ramet.CloneFlag.VM).result(), str)
    assert_type(ramet.Command(["true"], nice=5).spawn().wait(), ramet.ExitStatus)


def what_comes_of_looking(child: ramet.Child[int], template: ramet.Template) -> None:
    """Handles and pids, and a process, a handle or a template as what they were copied from."""
    assert_type(observe.memory([child, 7]), list[observe.ChildMemory])
    assert_type(observe.memory([child], origin=template)[0].copied, int | None)
    observe.memory({1, 2}, origin=child, types=False)
    observe.memory(7)  # type: ignore[arg-type]
    observe.memory([child], True)  # type: ignore[call-arg]


async def what_is_wrong() -> None:
    """A word misspelt, a value of the wrong kind."""
    ramet.Popenn(["true"])  # type: ignore[attr-defined]
    observe.trac(["true"])  # type: ignore[attr-defined]
    law.explian(0)  # type: ignore[attr-defined]
    ramet.run(["true"], tmeout=1)  # type: ignore[call-overload]
    ramet.run(["true"], nice="5")  # type: ignore[call-overload]
    ramet.run(["true"], "true")  # type: ignore[call-overload]
    ramet.check_output(["true"], rlimit={})  # type: ignore[call-overload]
    ramet.call(["true"], use="nobody")  # type: ignore[call-arg]
    ramet.Popen(["true"], shel=True)  # type: ignore[call-overload]
    ramet.Command(["true"], shell=True)  # type: ignore[call-arg]
    ramet.clone(add, 1)  # type: ignore[arg-type]
    ramet.clone(add, 1, 2, flag=0)  # type: ignore[call-arg]
    await aio.run(["true"], chek=True)  # type: ignore[call-overload]
    await aio.open_process(["true"], text=True)  # type: ignore[arg-type]
