"""The end of a program that has calls: Ctrl-C at a terminal, the interpreter's exit, interrupts."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ramet import Executor, Template

from ...constants import PATIENT_SECONDS
from ...waiting import alarm, until

all_of_it = pytest.mark.usefixtures("nothing_left")

HANGS = """
import asyncio, sys, threading, time
import ramet

def hangs(place):
    import subprocess
    subprocess.Popen(["sleep", "1000"])
    open(place, "w").close()
    time.sleep(1000)

executor = ramet.Executor(2)
futures = [executor.submit(hangs, f"{sys.argv[1]}{n}") for n in range(4)]
"""

WAITS = {
    "result": "futures[0].result()",
    "map": "list(executor.map(hangs, [sys.argv[1]]))",
    "shutdown": "executor.shutdown()",
    "with": "executor.__enter__().__exit__(None, None, None)",
    "with that is left": "with executor: time.sleep(1000)",
    "exit": "",
    "asyncio": """
async def main():
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(executor, hangs, sys.argv[1])

asyncio.run(main())
""",
    "template": """
with ramet.Template() as template:
    template.clone(hangs, sys.argv[1]).result()
""",
}


def at_a_terminal(script: Path, place: Path) -> "tuple[subprocess.Popen[bytes], int]":
    """The script in the foreground of a terminal of its own, and our end of it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, script, place],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # noqa: PLW1509
    )
    os.close(theirs)
    return process, ours


def processes_of(place: Path) -> list[int]:
    """Those that are told of the place, and their sleepers, that run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"RAMET_PLACE={place}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


@all_of_it
@pytest.mark.parametrize("how", WAITS)
def test_one_press_of_control_c_ends_it(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the program waits; no call is left, nor what it has started."""
    place = tmp_path / "place"
    monkeypatch.setenv("RAMET_PLACE", str(place))
    script = tmp_path / "script.py"
    script.write_text(HANGS + WAITS[how])
    process, terminal = at_a_terminal(script, place)
    try:
        names = [f"{place}{n}" for n in range(2)] + [place] * (how == "template")
        until(lambda: all(Path(name).exists() for name in names), PATIENT_SECONDS)
        os.write(terminal, b"\x03")
        # Python's own end of threads ignores what is raised in it.
        assert process.wait(20) in ({0} if how == "exit" else {-signal.SIGINT, 1, 130})
        until(lambda: not processes_of(place))
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


IS_KILLED = """
import subprocess, sys, threading, time
import ramet

def hangs(place):
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    subprocess.run(["sh", "-c", "(sleep 1000; sleep 1000) & exit"])
    open(place, "w").close()
    time.sleep(1000)

def begin():
    template = ramet.Template.from_here() if {here} else None
    executor = ramet.Executor(2, template, spares={spares})
    return [executor.submit(hangs, f"{{sys.argv[1]}}{{n}}") for n in range(2)], template

if {thread}:
    threading.Thread(target=begin).start()
else:
    kept = begin()
time.sleep(1000)
"""


@pytest.mark.parametrize("spares", [0, 2])
@pytest.mark.parametrize("here", [False, True], ids=["fresh", "from_here"])
@pytest.mark.parametrize("thread", [False, True], ids=["main", "thread"])
def test_nothing_is_left_of_a_program_that_is_killed(
    spares: int, here: bool, thread: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends what a call has started, and whichever process that belongs to by now."""
    place = tmp_path / "place"
    monkeypatch.setenv("RAMET_PLACE", str(place))
    script = IS_KILLED.format(spares=spares, here=here, thread=thread)
    with subprocess.Popen([sys.executable, "-c", script, place]) as process:
        until(lambda: all(Path(f"{place}{n}").exists() for n in range(2)), PATIENT_SECONDS)
        assert len(processes_of(place)) > 5
        process.kill()
    until(lambda: not processes_of(place))


@all_of_it
def test_pending_calls_are_done_before_the_interpreter_ends(tmp_path: Path) -> None:
    """As with every executor, also when nobody shuts it down."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, ramet\n"
        "executor = ramet.Executor(2)\n"
        "futures = [executor.submit(os.write, 1, b'%d ' % n) for n in range(8)]\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == [str(n) for n in range(8)]


@all_of_it
@pytest.mark.parametrize("end", ["sys.exit(3)", "raise SystemExit(3)", "os._exit(3)"])
def test_a_program_that_cancels_ends_at_once(end: str, tmp_path: Path) -> None:
    """With shutdown(cancel_futures=True) and running calls killed, or without a word."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, time, ramet\n"
        "executor = ramet.Executor(1)\n"
        "futures = [executor.submit(time.sleep, 1000) for _ in range(3)]\n"
        "while not futures[0].running(): os.sched_yield()\n"
        "executor.shutdown(wait=False, cancel_futures=True)\n"
        f"futures[0].cancel()\n{end}\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (3, b"")


@all_of_it
@pytest.mark.parametrize("wait", ["result", "shutdown"])
def test_a_signal_handler_that_raises_interrupts_a_wait(wait: str) -> None:
    """The call goes on, and can be cancelled."""
    with Executor(1) as executor:
        future = executor.submit(signal.pause)
        with pytest.raises(InterruptedError), alarm(0.3):
            future.result() if wait == "result" else executor.shutdown()
        assert not future.done()
        assert future.cancel()


# What a handler raises within a finalizer of Python's is told as unraisable, and nobody's to catch.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("microseconds", [50, 200, 500, 1000, 2000, 4000])
def test_a_handler_that_raises_during_a_call_costs_that_call_alone(microseconds: int) -> None:
    """At whatever line of clone() or result() it comes, the template goes on."""
    with Template(spares=1) as template:
        for _ in range(10):
            with (
                suppress(InterruptedError),
                alarm(microseconds / 1e6),
                template.clone(abs, -1) as child,
            ):
                child.result(PATIENT_SECONDS)
        with template.clone(abs, -2) as another:
            assert another.result(PATIENT_SECONDS) == 2


@pytest.mark.parametrize(
    "before", ["", "raise KeyboardInterrupt\n"], ids=["", "after an interrupt"]
)
def test_the_end_of_a_prompt_waits_for_calls(before: str, tmp_path: Path) -> None:
    """Where a line was interrupted, that was the line's end and not the program's."""
    place = tmp_path / "saved"
    lines = f"""
import pathlib, select, ramet
def save():
    select.select([], [], [], 0.5)
    pathlib.Path({str(place)!r}).touch()

{before}executor = ramet.Executor(1)
future = executor.submit(save)
exit()
"""
    done = subprocess.run(
        [sys.executable, "-i"],
        input=lines,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENT_SECONDS,
    )
    # Python 3.14 ends by the signal itself where any line was interrupted.
    ends = {0, -signal.SIGINT} if before else {0}
    assert done.returncode in ends, done.stderr
    assert place.exists(), done.stderr
