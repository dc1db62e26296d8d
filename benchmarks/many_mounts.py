"""`python -m benchmarks.many_mounts MOUNTS COUNT HOW`: a program's start in a sandbox where there are many.

HOW: `again`, in a sandbox that is used again, or `anew`, in one that is described for this program.
For a process with a mount namespace of its own, with which the mounts end.
"""

import ctypes
import os
import statistics
import sys
import tempfile
import time

import ramet

_MS_REC_PRIVATE = 1 << 14 | 1 << 18
_WARM_UPS = 3

_libc = ctypes.CDLL(None, use_errno=True)


def _mount(kind: str, where: str, flags: int) -> None:
    if _libc.mount(kind.encode(), where.encode(), kind.encode(), flags, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind}", where)


def main(mounts: int, count: int, how: str) -> None:
    """Print the median in nanoseconds."""
    _mount("none", "/", _MS_REC_PRIVATE)
    with tempfile.TemporaryDirectory() as place:
        _mount("tmpfs", place, 0)
        for number in range(mounts):
            os.mkdir(where := f"{place}/{number}")
            _mount("tmpfs", where, 0)
        sandbox = ramet.Sandbox()
        times = []
        for number in range(_WARM_UPS + count):
            if how == "anew":
                sandbox = sandbox.replace(hostname=f"number-{number}")
            begun = time.perf_counter_ns()
            ramet.Popen(["true"], sandbox=sandbox).wait()
            times.append(time.perf_counter_ns() - begun)
        print(statistics.median(times[_WARM_UPS:]))
        _libc.umount2(place.encode(), 2)  # MNT_DETACH: with all that is mounted below


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
