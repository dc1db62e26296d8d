"""Processes of the context: what they are to their caller, and how they end."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

import pytest

import ramet
from ramet.multiprocessing import CloneContext

from ...kernels import KERNEL


def _hang() -> None:
    time.sleep(1000)


def _told(context: CloneContext, tell: Callable[..., None], *arguments: object) -> Any:
    """What tell(connection, *arguments) sends in a process."""
    reader, writer = context.Pipe(duplex=False)
    with reader, writer:
        process = context.Process(target=tell, args=(writer, *arguments))
        process.start()
        told = reader.recv()
        process.join()
        process.close()
    return told


def _tell_who(writer: Connection) -> None:
    own, parent = multiprocessing.current_process(), multiprocessing.parent_process()
    assert parent is not None
    writer.send(
        (os.getpid(), os.getppid(), own.name, bytes(own.authkey), parent.pid, parent.is_alive())
    )


def test_a_process_is_a_child_of_its_caller(context: CloneContext) -> None:
    """It knows its own name, its parent, and the caller's key."""
    pid, ppid, name, key, parent, lives = _told(context, _tell_who)
    assert pid != ppid == parent == os.getpid()
    assert name.startswith("CloneProcess-")
    assert key == bytes(multiprocessing.current_process().authkey)
    assert lives


def _end_with(code: object) -> None:
    sys.exit(code)  # type: ignore[arg-type]


def _raise() -> None:
    raise ValueError("of the process")


@pytest.mark.parametrize(
    ("target", "arguments", "code"),
    [
        (divmod, (7, 2), 0),
        (_end_with, (5,), 5),
        (_end_with, (None,), 0),
        (_end_with, ("words",), 1),
        (_raise, (), 1),
        (os.abort, (), -signal.SIGABRT),
        (os._exit, (9,), 9),
    ],
)
def test_the_exit_code_says_how_it_ended(
    context: CloneContext, target: Callable[..., Any], arguments: tuple[Any, ...], code: int
) -> None:
    """As for any process of multiprocessing: negative for a signal."""
    process = context.Process(target=target, args=arguments)
    assert process.exitcode is None
    process.start()
    process.join()
    assert process.exitcode == code


@pytest.mark.parametrize(
    ("end", "code"), [("terminate", -signal.SIGTERM), ("kill", -signal.SIGKILL)]
)
def test_a_process_can_be_ended(context: CloneContext, end: str, code: int) -> None:
    """By terminate() and kill(); until then it is alive, a join has a timeout, and close() is refused."""
    process = context.Process(target=_hang)
    process.start()
    assert process.is_alive()
    assert process in multiprocessing.active_children()
    process.join(0)
    assert process.exitcode is None
    with pytest.raises(ValueError, match="still running"):
        process.close()
    assert wait([process.sentinel], 0) == []
    getattr(process, end)()
    assert wait([process.sentinel]) == [process.sentinel]
    process.join()
    assert not process.is_alive()
    assert process.exitcode == code
    assert process not in multiprocessing.active_children()
    assert wait([process.sentinel], 0) == [process.sentinel]


def _hang_once_begun(begun: Any) -> None:
    begun.set()
    _hang()


def test_a_process_takes_an_interrupt(
    context: CloneContext, capfd: pytest.CaptureFixture[str]
) -> None:
    """It ends as with the other start methods, though its template ignores Ctrl-C."""
    begun = context.Event()
    process = context.Process(target=_hang_once_begun, args=(begun,))
    process.start()
    begun.wait()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 1
    assert "KeyboardInterrupt" in capfd.readouterr().err


def test_a_process_that_others_reap_has_an_exit_code(context: CloneContext) -> None:
    """Its own where the pidfd tells it, else 255, as forkserver has it: nothing waits for ever."""
    process = context.Process(target=_end_with, args=(5,))
    process.start()
    assert process.pid is not None
    os.waitpid(process.pid, 0)
    process.join()
    assert process.exitcode == (255 if KERNEL < (6, 15) else 5)


def _outlive(writer: Connection) -> None:
    process = multiprocessing.Process(target=_tell_end_of_parent, args=(writer,))
    process.start()
    time.sleep(1000)


def _tell_end_of_parent(writer: Connection) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    writer.send(parent.is_alive())
    parent.join()
    writer.send(parent.is_alive())


def test_a_process_outlives_its_parent_and_sees_its_end(context: CloneContext) -> None:
    """A process of a process, whose parent is killed: as with the other start methods."""
    reader, writer = context.Pipe(duplex=False)
    with reader, writer, ramet.Subreaper() as orphans:
        process = context.Process(target=_outlive, args=(writer,))
        process.start()
        assert reader.recv()
        process.kill()
        assert not reader.recv()
        process.join()
        assert (
            orphans.kill()
        )  # it has sent its last word; and the template of the process that was killed


def _ignore_end(writer: Connection) -> None:
    import atexit

    atexit.register(writer.send, "handler")
    writer.send("target")


def test_exit_handlers_of_the_process_run_once(context: CloneContext) -> None:
    """Those that it has registered itself; not those of the template."""
    reader, writer = context.Pipe(duplex=False)
    with reader:
        with writer:
            process = context.Process(target=_ignore_end, args=(writer,))
            process.start()
        assert [reader.recv(), reader.recv()] == ["target", "handler"]
        with pytest.raises(EOFError):
            reader.recv()
        process.join()


def _tell_surroundings(writer: Connection, name: str) -> None:
    writer.send((os.getcwd(), os.environ.get(name), sys.argv))


def test_a_process_has_the_callers_surroundings(
    context: CloneContext, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directory, environment and arguments as they are when it is started, not when the template was."""
    _told(context, _tell_surroundings, "RAMET_TEST")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAMET_TEST", "set")
    monkeypatch.setattr(sys, "argv", ["one", "two"])
    told = _told(context, _tell_surroundings, "RAMET_TEST")
    assert told == (str(tmp_path), "set", ["one", "two"])


def test_a_process_that_cannot_begin_says_why(
    context: CloneContext,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And ends with 1: its template's clone cannot go where its caller is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "getcwd", lambda: "/nonexistent")
    process = context.Process(name="nowhere")
    process.start()
    process.join()
    assert process.exitcode == 1
    assert "Process nowhere: the child cannot begin the call" in capfd.readouterr().err


def test_too_many_descriptors_are_refused(context: CloneContext) -> None:
    """A process cannot get more than the kernel passes at once; nothing is left of it."""
    pipes = [os.pipe() for _ in range(130)]
    ends = [Connection(end) for pipe in pipes for end in pipe]
    process = context.Process(target=divmod, args=(ends,))
    with pytest.raises(ValueError, match="descriptors"):
        process.start()
    for end in ends:
        end.close()
