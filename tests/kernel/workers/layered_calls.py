"""What calls of the tests of layers call: a module that imports next to nothing."""

import os
import subprocess
import time
from pathlib import Path


def append(path: Path, text: str) -> list[str]:
    """Returns what was beside the file before."""
    beside = sorted(os.listdir(path.parent))
    with path.open("a") as file:
        file.write(text)
    return beside


def script(command: str, place: str) -> None:
    """In a shell."""
    subprocess.run(["sh", "-ec", command], check=True, cwd=place)


def write_and(end: str, path: Path) -> None:
    """And end in that way."""
    path.write_text("x")
    match end:
        case "abort":
            os.abort()
        case "exit":
            os._exit(3)
        case "raise":
            raise ValueError(end)
        case "memory":
            held = [bytearray(os.urandom(1 << 20)) for _ in range(4096)]
            del held
        case _:
            if os.fork() == 0:
                os.setsid()
            while True:
                path.with_name(f"{os.getpid()}-{time.monotonic_ns()}").write_text("x")
