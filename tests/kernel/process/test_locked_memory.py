"""Children of a process that locks what it maps, as programs in real time do."""

import subprocess
import sys

from ...constants import PATIENT_SECONDS

# The limit is for a library that takes what is locked of all of the machine's memory.
_CODE = """
import ctypes, os, resource
from pathlib import Path

import ramet

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
MCL_FUTURE = 2
assert ctypes.CDLL(None).mlockall(MCL_FUTURE) == 0


def shared_kilobytes():
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("RssShmem:") + 1])


before = shared_kilobytes()
child = ramet.clone(shared_kilobytes)
here = shared_kilobytes() - before
print(child.result() - before < 1000, here < 1000)
"""


def test_a_result_needs_no_memory_that_is_locked(root: None) -> None:
    """With mlockall(MCL_FUTURE), too, the memory for a result has the pages that are written alone."""
    done = subprocess.run(
        [sys.executable, "-c", _CODE],
        capture_output=True,
        text=True,
        timeout=PATIENT_SECONDS,
        check=False,
    )
    assert done.stdout == "True True\n", done.stderr
