"""Interpreters that share the main one's GIL, as mod_wsgi's do, and what stays when they end."""

import subprocess
import sys

import pytest

MANY = """
import sys
try:
    import _interpreters as interpreters
    new = lambda: interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    new = lambda: interpreters.create(isolated=False)
import ramet
from ramet import CloneFlag as F

CALLS = '''
import os, time, ramet
from ramet import CloneFlag as F
assert ramet.clone(os.getpid, flags=F.VM).result() > 0
child = ramet.clone(time.sleep, 1000, flags=F.VM)
child.kill()
assert child.wait().signal is not None
left = []
ramet.clone(lambda: left.append(open(os.devnull)), flags=F.VM).result()
assert left[0].closed
assert ramet.run(["true"]).returncode == 0
'''

def call_in_new():
    other = new()
    interpreters.run_string(other, f"import sys; sys.path[:] = {sys.path!r}" + CALLS)
    return other
"""


@pytest.mark.parametrize(
    "order",
    [
        "interpreters.destroy(call_in_new()); exec(CALLS)",
        "exec(CALLS); interpreters.destroy(call_in_new()); exec(CALLS)",
        "kept = call_in_new(); interpreters.destroy(call_in_new()); exec(CALLS)",
        "for _ in range(3): interpreters.destroy(call_in_new()); exec(CALLS)",
    ],
)
def test_each_finds_modules_of_its_own(order: str) -> None:
    """Whichever calls first or ends: functions in shared memory run, are killed, close their files."""
    done = subprocess.run(
        [sys.executable, "-c", MANY + order], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
