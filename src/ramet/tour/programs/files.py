"""FILES: shares the table of open files."""

import os

import ramet
from ramet import CloneFlag as F


def opened(flags: int) -> bool:
    fd = ramet.clone(os.open, "/dev/zero", os.O_RDONLY, flags=flags).result()
    return (
        os.path.exists(f"/proc/self/fd/{fd}")
        and os.path.realpath(f"/proc/self/fd/{fd}") == "/dev/zero"
    )


print(opened(0))  # False
print(opened(F.FILES))  # True: a descriptor of ours now
