"""A process that has victims, runs one attempt at a time as the caller of a sandbox, and says what it saw.

`python -m tests.crash.escapes.stage CONFINEMENT PROGRAM SECRET REQUESTS ANSWERS`. It is a process of its
own, so that an escape that kills or corrupts its caller does not end the tests. Requests and answers are
lines of JSON.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from . import libc
from .confinements import (
    CONFINEMENTS,
    CPU_SECONDS,
    DEADLINE_SECONDS,
    FILE_SIZE,
    MEMORY,
    OPEN_FILES,
    OUTPUT,
    PROCESSES,
    TAKEN_AWAY,
    TMP,
    take_away,
)
from .victims import Caller, Files, Groups, Objects, Sockets, Victim, as_words

GRACE_SECONDS = 1.5  # for a tree that is being killed
HIGH = 1000
PATIENCE_SECONDS = 10.0


class Stage:
    """All victims, and the program."""

    def __init__(self, confinement: str, program: Path, secret: str) -> None:
        self._is_confined = confinement != "unconfined"
        self._run = CONFINEMENTS[confinement]
        take_away(TAKEN_AWAY.get(confinement, ()))
        self._has_init = confinement in ("confined", "reading", "namespaces alone")
        self._secret = secret
        self._name = f"ramet-escape-{os.getpid()}"
        self._files = Files(secret, program)
        os.chdir(self._files.root / "outside")
        self._victim = Victim(self._files, f"{self._name}-giver")
        self._caller = Caller(secret)
        self._sockets = Sockets(self._files, self._name)
        self._objects = Objects(secret, self._name)
        self._groups = Groups(self._name)
        self._leave_open()
        self._before: dict[str, object] = {}

    def _leave_open(self) -> None:
        outside = self._files.root / "outside"
        opened = [
            os.open(outside / "secret", os.O_RDONLY),
            os.open(outside, os.O_RDONLY | os.O_DIRECTORY),
            os.open(outside / "file", os.O_RDWR | os.O_APPEND),
            os.open("/proc/self/ns/net", os.O_RDONLY),
        ]
        os.dup2(opened[0], HIGH)
        for descriptor in (*opened, HIGH, *self._sockets.left_open):
            os.set_inheritable(descriptor, True)
        self._left = opened

    def _told(self) -> dict[str, Any]:
        root, victim, caller = self._files.root, self._victim, self._caller
        init, init_memory = (1, caller.address) if self._has_init else (victim.pid, victim.address)
        objects, sockets = self._objects, self._sockets
        names = ("outside", "work", "shown", "bin", "services")
        return {
            "confined": "yes" if self._is_confined else "no",
            **{name: root / name for name in names},
            "hidden": root / "shown" / "hidden",
            "secret": root / "outside" / "secret",
            "temporary": self._files.temporary,
            "shared_memory": self._files.shared_memory,
            "handle": libc.handle_of(str(root / "outside" / "secret")),
            "victim": victim.pid,
            "victim_memory": hex(victim.address),
            "caller": os.getpid(),
            "caller_memory": hex(caller.address),
            "init": init,
            "init_memory": hex(init_memory),
            "high": HIGH,
            "uid": os.getuid(),
            "session": os.getsid(0),
            "group": os.getpgrp(),
            "terminal": caller.terminal,
            "giver": f"{self._name}-giver",
            "stream": sockets.stream,
            "datagram": sockets.datagram,
            "x": sockets.x,
            **sockets.ports,
            "net": os.readlink("/proc/self/ns/net"),
            **{
                name: getattr(objects, name)
                for name in ("shm", "sem", "msg", "mq", "key", "sysv_key")
            },
            "key_name": objects.key_name,
            "user_key_name": objects.user_key_name,
            "cgroup": self._groups.first,
            "cgroup2": self._groups.second,
            "memory": MEMORY,
            "tmp": TMP,
            "file_size": FILE_SIZE,
            "output": OUTPUT,
            "processes": PROCESSES,
            "open_files": OPEN_FILES,
            "cpu_milliseconds": int(CPU_SECONDS * 1000),
        }

    def _look(self) -> dict[str, object]:
        parts = (self._files, self._victim, self._caller, self._sockets, self._objects)
        return {name: told for part in parts for name, told in part.look().items()}

    def _mend(self) -> None:
        for part in (self._victim, self._files, self._caller, self._sockets, self._objects):
            part.mend()

    def try_out(self, name: str, limits: str) -> dict[str, Any]:
        """Run one attempt; what it said, and what was seen outside."""
        before = self._before or self._look()
        words = [str(self._files.root / "bin" / "escapes"), name, *as_words(self._told())]
        seconds = DEADLINE_SECONDS if limits == "deadline" else PATIENCE_SECONDS
        started = time.monotonic()
        run = self._run(words, self._files, limits, seconds)
        took = time.monotonic() - started
        seen = self._survivors()
        after = self._look()
        seen += [
            f"{key}: {before.get(key)!r} became {after.get(key)!r}"
            for key in before.keys() | after.keys()
            if before.get(key) != after.get(key)
        ]
        if self._secret.encode() in run.output:
            seen.append("the secret was printed")
        if len(run.output) > 2 * OUTPUT:
            seen.append(f"{len(run.output)} bytes were printed")
        if seen:
            self._mend()
        self._before = {} if seen else after
        said = run.output[:2000].decode(errors="replace")
        return {"code": run.code, "said": said, "seen": seen, "seconds": round(took, 3)}

    def _survivors(self) -> list[str]:
        """Says whether processes of the attempt are still there, and ends them."""
        deadline = time.monotonic() + (GRACE_SECONDS if self._is_confined else 0)
        while (
            lives := self._files.is_locked() or bool(self._running())
        ) and time.monotonic() < deadline:
            os.sched_yield()
        left = [f"{self._running()} are alive, or their children"] if lives else []
        while lives:
            for pid in self._running():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._reap()
            lives = self._files.is_locked() or bool(self._running())
        return left

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None or ended.si_pid == self._victim.pid:
                    return
                os.waitpid(ended.si_pid, 0)

    def _running(self) -> list[int]:
        program = str(self._files.root / "bin").encode()
        return [pid for pid in _pids() if _argument_of(pid).startswith(program)]

    def close(self) -> None:
        """Remove all that was made."""
        for part in (
            self._victim,
            self._caller,
            self._sockets,
            self._objects,
            self._groups,
            self._files,
        ):
            part.close()


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _argument_of(pid: int) -> bytes:
    try:
        opened = os.open(f"/proc/{pid}/cmdline", os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(opened, 256)
    except OSError:
        return b""
    finally:
        os.close(opened)


def main(confinement: str, program: str, secret: str, requests: str, answers: str) -> None:
    """Answer requests until there are no more."""
    for descriptor in (int(requests), int(answers)):
        os.set_inheritable(descriptor, False)
    stage = Stage(confinement, Path(program), secret)
    try:
        with open(int(requests)) as lines, open(int(answers), "w") as answered:
            answered.write("ready\n")
            answered.flush()
            for line in lines:
                answered.write(json.dumps(stage.try_out(*json.loads(line))) + "\n")
                answered.flush()
    finally:
        stage.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
