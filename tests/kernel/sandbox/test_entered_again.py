"""What a sandbox needs is asked for again in the middle, by a signal handler."""

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from ramet._process.watch_thread import WatchThread

from ...constants import PATIENT_SECONDS, SECONDS
from ...waiting import until
from .taken_away import needs_all

# A trace function stands for the handler: it comes at each line once.
AT_EACH_LINE = """
import sys
import ramet
from ramet import Sandbox

FILES = ("kept.py", "ground.py", "prepared_children.py")
sandbox = Sandbox(timeout=60)
seen = set()


def begin():
    Sandbox(timeout=60).release()
    assert ramet.run(["true"], sandbox=Sandbox(timeout=60)).returncode == 0


def handler(frame, event, argument):
    place = frame.f_code.co_filename, frame.f_lineno
    if not place[0].endswith(FILES):
        return None
    if event == "line" and place not in seen:
        seen.add(place)
        if sys.argv[1] == "release":
            sandbox.release()
        assert ramet.run(["true"], sandbox=sandbox).returncode == 0
    return handler


begin()  # which imports what it needs
sys.settrace(handler)
begin()
sys.settrace(None)
print(len(seen))
"""


def finished(act: Callable[[], object]) -> bool:
    """Whether a thread gets through it."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return not thread.is_alive()


@needs_all
@pytest.mark.parametrize("also", ["", "release"])
def test_a_signal_handler_may_start_a_program(also: str) -> None:
    """Wherever the thread is that looks the sandbox up, or makes what its children begin in."""
    command = [sys.executable, "-c", AT_EACH_LINE, also]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENT_SECONDS, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 0


def test_a_call_is_watched_from_within_another() -> None:
    """By a signal handler that submits one while the thread is there for the first."""

    class Interrupted(WatchThread):
        """Whose thread is asked for again while it starts."""

        is_asked_again = False

        def _start(self) -> None:
            if not self.is_asked_again:
                self.is_asked_again = True
                self.have_thread()
            super()._start()

    watch = Interrupted()
    assert finished(watch.have_thread)
    until(lambda: watch._thread is None)
