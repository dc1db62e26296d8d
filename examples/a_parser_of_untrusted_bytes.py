"""A parser of untrusted bytes under another user, without descriptors, and with limits.

It has a memory of its own: what shares a memory shares its secrets. Its result is read as data,
whatever it writes.
"""

import json
import os
import resource
from typing import Any

import ramet

NOBODY = 65534


def parse(data: bytes) -> Any:
    """Give up all rights, then parse the bytes."""
    os.closerange(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    return json.loads(data), os.getuid()


def main() -> None:
    """One that parses, one that does not, one that tries to open a file."""
    value, uid = ramet.clone(parse, b'{"a": [1, 2]}', trusted=False).result(20)
    print(value, uid == (NOBODY if os.geteuid() == 0 else os.getuid()))
    error = ramet.clone(parse, b"[" * 100_000, trusted=False).exception(20)
    print(error.type_name if isinstance(error, ramet.RemoteError) else error)


if __name__ == "__main__":
    main()
