"""The stage in a process of its own, made again when it ends, with an outer limit on all of it."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .rows import FOLDER, Escape

TREE = str(Path(__file__).parents[3])
COMPILER = shutil.which("cc") or shutil.which("gcc")
MOST_PROCESSES, MOST_MEMORY = 2000, 4 << 30
_FLAGS = ("-O1", "-Wall", "-Wextra", "-Wno-unused-result", "-pthread")


# Who has the subordinate ids of the file that is named next; what comes after it is run as that user.
_SCRIPT = """\
mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid &&
exec setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
"""
AS_PLAIN_USER = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _SCRIPT)
SUBORDINATE_IDS = "65534:300000:65536\n"


def build(made: Path) -> None:
    """Compile the program with all attempts."""
    sources = sorted(map(str, FOLDER.glob("*.c")))
    subprocess.run([COMPILER or "cc", *_FLAGS, "-o", str(made), *sources, "-lrt"], check=True)


class Outside:
    """Whom the program cannot take more from than this, whatever gets through: all of it has a limit."""

    def __init__(self) -> None:
        self._groups = []
        limits = {
            "pids": {"pids.max": MOST_PROCESSES},
            "memory": {"memory.limit_in_bytes": MOST_MEMORY},
        }
        for hierarchy, files in limits.items():
            group = Path("/sys/fs/cgroup", hierarchy, f"ramet-escapes-{os.getpid()}")
            try:
                group.mkdir()
                for name, value in files.items():
                    (group / name).write_text(str(value))
            except (
                OSError
            ):  # no such hierarchy, or none for us; each attempt ends by itself as well
                continue
            self._groups.append(group)

    def keep(self, pid: int) -> None:
        """Put a process there, with all that it will make."""
        for group in self._groups:
            (group / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Remove the groups."""
        for group in self._groups:
            group.rmdir()


class Trial:
    """A stage of its own, which is made again when it ends. runner: what runs the words after it."""

    def __init__(
        self, confinement: str, program: Path, outside: Outside, runner: Sequence[str] = ()
    ) -> None:
        self._runner = runner
        self._words = [confinement, str(program)]
        self._outside = outside
        self._start()

    def _start(self) -> None:
        secret = secrets.token_hex(16)
        asked, self._ask = os.pipe()
        self._answer, answered = os.pipe()
        words = [*self._words, secret, str(asked), str(answered)]
        self._process = subprocess.Popen(
            [*self._runner, sys.executable, "-m", "tests.crash.escapes.stage", *words],
            cwd=TREE,
            env={**os.environ, "SECRET": secret},
            stdin=subprocess.DEVNULL,
            pass_fds=(asked, answered),
            start_new_session=True,
        )
        self._outside.keep(self._process.pid)
        os.close(asked)
        os.close(answered)
        self._lines = open(self._answer)  # noqa: SIM115 - closed in close()
        assert self._lines.readline() == "ready\n", "the stage is not there"

    def ways_through(self, escape: Escape) -> list[str]:
        """What was seen outside, and the attempt's own word where that counts; empty: it was stopped."""
        os.write(self._ask, f"{json.dumps([escape.name, escape.limits])}\n".encode())
        line = self._lines.readline()
        if not line:
            self.close()
            self._start()
            return ["the caller of the sandbox has ended"]
        answer: dict[str, Any] = json.loads(line)
        own_word = (
            [f"it says so: {answer['said']}"] if answer["code"] == 0 and not escape.is_seen else []
        )
        self.said = f"after {answer['seconds']} s, with {answer['code']}: {answer['said']}"
        return [*answer["seen"], *own_word]

    def close(self) -> None:
        """End the stage, which removes what it has made."""
        os.close(self._ask)
        self._lines.close()
        self._process.wait(60)
