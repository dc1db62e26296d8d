"""What a child has of the thread that makes it: changes of one thread, and a look at what a task is.

As a program it says what it is; with the name of a way and of a thread it changes that thread, after a
first call, and tells in what its next child is not as the thread. With a cgroup besides it moves there,
and changes nothing else.
"""

import asyncio
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ...constants import (
    NOBODY,
    PR_CAPBSET_DROP,
    PR_GET_SECUREBITS,
    PR_GET_TIMERSLACK,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_SECUREBITS,
    PR_SET_TIMERSLACK,
    SYSTEM_CALLS,
)
from ...flag_values import *
from ...kernels import KERNEL
from ...seccomp import allow_all

State = dict[str, Any]
Changes = dict[str, Callable[[], object]]

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "uts", "user", "pid_for_children", "time_for_children")
LINES = ("NoNewPrivs", "Seccomp", "Seccomp_filters", "CapBnd", "CapInh", "Groups", "Uid", "Gid")
# As a program, from wherever it is started.
TREE = str(Path(__file__).parents[3])
CODE = f"import sys; sys.path.append({TREE!r}); from {__name__} import main; main()"
OPENED = "OF_THIS_THREAD_OPENED"

_libc = ctypes.CDLL(None, use_errno=True)


def called(function: str, *arguments: int) -> int:
    """What libc's function returns, or OSError."""
    result: int = getattr(_libc, function)(*[ctypes.c_long(a) for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), function)
    return result


def raw(name: str, *arguments: int) -> int:
    """A system call, which changes this thread alone where libc's function changes all."""
    return called("syscall", SYSTEM_CALLS[name], *arguments)


# ---- what a task is


def state() -> State:
    """All that the calling task has, and a program keeps of its maker."""
    with open("/proc/thread-self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    found: State = {name: status.get(name) for name in LINES}
    for name in NAMESPACES:
        found[name] = os.readlink(f"/proc/thread-self/ns/{name}")
    found["cwd"] = os.readlink("/proc/thread-self/cwd")
    found["root"] = _mount_at_root()
    with open("/proc/thread-self/cgroup") as file:
        found["cgroups"] = file.read()
    found["umask"] = status["Umask"]
    found["hostname"] = socket.gethostname()
    found["affinity"] = sorted(os.sched_getaffinity(0))
    found["policy"] = os.sched_getscheduler(0)
    found["nice"] = os.getpriority(os.PRIO_PROCESS, 0)
    found["mask"] = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    found["ioprio"] = raw("ioprio_get", 1, 0)
    found["securebits"] = called("prctl", PR_GET_SECUREBITS, 0, 0, 0, 0)
    found["timer slack"] = called("prctl", PR_GET_TIMERSLACK, 0, 0, 0, 0)
    found["personality"] = called("personality", 0xFFFFFFFF)
    try:
        found["session keyring"] = raw("keyctl", 0, -3, 0)
    except OSError as error:
        found["session keyring"] = error.errno
    opened = os.environ.get(OPENED)
    if opened:
        found["opened"] = os.readlink(f"/proc/thread-self/fd/{opened}")
    return found


def _mount_at_root() -> str:
    """By its number: a name says nothing of a root, which is always /."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    with open(f"/proc/thread-self/fdinfo/{root}") as file:
        lines = file.read().splitlines()
    os.close(root)
    return next(line for line in lines if line.startswith("mnt_id"))


# ---- changes of the calling thread


def unshare(flags: int) -> None:
    called("unshare", flags)


def _files() -> None:
    unshare(FILES)
    opened = os.open("/proc/version", os.O_RDONLY)
    os.environ[OPENED] = str(fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 100))
    os.close(opened)
    for _ in range(20):  # numbers that stand for other files in the table of the other threads
        os.dup(0)


def _fs() -> None:
    unshare(FS)
    os.chdir("/usr")
    os.umask(0o71)


def _root() -> None:
    """All is there again below another directory, in the mount namespace that is this thread's by now."""
    bind_all, private_all = 0x1000 | 0x4000, 0x40000 | 0x4000
    here, there = ctypes.create_string_buffer(b"/"), ctypes.create_string_buffer(b"/mnt")
    called("mount", 0, ctypes.addressof(here), 0, private_all, 0)
    called("mount", ctypes.addressof(here), ctypes.addressof(there), 0, bind_all, 0)
    os.chroot("/mnt")


def _hostname() -> None:
    unshare(NEWUTS)
    socket.sethostname("twig")


def _groups() -> None:
    groups = (ctypes.c_uint * 2)(5, 6)
    raw("setgroups", 2, ctypes.addressof(groups))


CHANGES: Changes = {
    "signal mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2}),
    "files": _files,
    "cwd and umask": _fs,
    # One processor leaves no choice.
    **(
        {"affinity": lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})}
        if len(os.sched_getaffinity(0)) > 1
        else {}
    ),
    "policy": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
    "nice": lambda: os.nice(1),  # no more: beside others who compute it would hardly run
    "ioprio": lambda: raw("ioprio_set", 1, 0, 2 << 13 | 6),
    "timer slack": lambda: called("prctl", PR_SET_TIMERSLACK, 123456, 0, 0, 0),
    "personality": lambda: called("personality", 0x0040000),
    "session keyring": lambda: raw("keyctl", 1, 0),
    "uts": _hostname,
    "net": lambda: unshare(NEWNET),
    "ipc": lambda: unshare(NEWIPC),
    "cgroup": lambda: unshare(NEWCGROUP),
    "mnt": lambda: unshare(NEWNS),
    "root": _root,
    # Before Linux 6.2 there is no child in shared memory afterwards: rule D7.
    **({"time": lambda: unshare(NEWTIME)} if KERNEL >= (6, 2) else {}),
    "securebits": lambda: called("prctl", PR_SET_SECUREBITS, 1 << 2, 0, 0, 0),
    "bounding set": lambda: called("prctl", PR_CAPBSET_DROP, 21, 0, 0, 0),
    "groups": _groups,
    "gid": lambda: raw("setresgid", NOBODY, NOBODY, NOBODY),
    "no_new_privs": lambda: called("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    "filter": allow_all,
}
NEED_RIGHTS = {
    "uts",
    "net",
    "ipc",
    "cgroup",
    "mnt",
    "root",
    "time",
    "securebits",
    "bounding set",
    "groups",
    "gid",
}
MAY_LACK = {"session keyring", "time"}  # kernels without them


def enter(cgroup: str) -> None:
    """The whole process, whichever of its threads asks for it."""
    with open(f"{cgroup}/cgroup.procs", "w") as file:
        file.write("0")


# ---- ways to a child


def _argv() -> list[str]:
    return [sys.executable, "-S", "-E", "-B", "-c", CODE]


def _passed() -> list[int]:
    return [int(os.environ[OPENED])] if OPENED in os.environ else []


def _by_program(**options: Any) -> State:
    import ramet

    done = ramet.run(_argv(), stdout=subprocess.PIPE, pass_fds=_passed(), check=True, **options)
    return dict(json.loads(done.stdout))


def _started() -> State:
    import ramet

    reading, writing = os.pipe()
    command = ramet.Command(_argv(), stdout=writing, pass_fds=_passed(), start=False)
    with command.spawn() as child, open(reading, "rb") as output:
        os.close(writing)
        child.start()
        return dict(json.loads(output.read()))


async def _in_loop(**options: Any) -> State:
    import ramet.aio

    done = await ramet.aio.run(
        _argv(), stdout=subprocess.PIPE, pass_fds=_passed(), check=True, **options
    )
    return dict(json.loads(done.stdout))


@contextmanager
def _asyncio(**options: Any) -> Iterator[Callable[[], State]]:
    with asyncio.Runner() as runner:
        yield lambda: runner.run(_in_loop(**options))


@contextmanager
def _trio(**options: Any) -> Iterator[Callable[[], State]]:
    import anyio

    yield lambda: anyio.run(lambda: _in_loop(**options), backend="trio")


@contextmanager
def _plain(way: Callable[[], State]) -> Iterator[Callable[[], State]]:
    yield way


def _in_namespace() -> State:
    import ramet

    return ramet.in_namespace(
        state, ipc=f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/ipc"
    )


def _cloned(flags: int) -> State:
    import ramet

    return ramet.clone(state, flags=flags).result(60)


WAYS: dict[str, Callable[[], Any]] = {
    "run": lambda: _plain(_by_program),
    "die_with_parent": lambda: _plain(lambda: _by_program(die_with_parent=True)),
    "oom_score_adj": lambda: _plain(lambda: _by_program(die_with_parent=True, oom_score_adj=900)),
    "start": lambda: _plain(_started),
    "asyncio": _asyncio,
    "asyncio die_with_parent": lambda: _asyncio(die_with_parent=True),
    "asyncio oom_score_adj": lambda: _asyncio(oom_score_adj=900),
    "trio": _trio,
    "copy": lambda: _plain(lambda: _cloned(0)),
    "VM": lambda: _plain(lambda: _cloned(VM)),
    "in_namespace": lambda: _plain(_in_namespace),
}


def differences(way: str, changes: Changes) -> list[str]:
    """In what the child of the calling thread, by that way, is not as it is, after all the changes."""
    told = []
    with WAYS[way]() as child:
        child()
        for name, change in changes.items():
            if name in NEED_RIGHTS and os.geteuid() != 0:
                continue
            before = state()
            try:
                change()
            except OSError as error:
                if name not in MAY_LACK:
                    told.append(f"{name}: {error}")
                continue
            if state() == before:
                told.append(f"{name}: nothing has changed")
        now, seen = state(), child()
    return told + [
        f"{key} is {seen.get(key)!r} in the child, and {now[key]!r} here"
        for key in now
        if seen.get(key) != now[key]
    ]


def main() -> None:
    """See the module."""
    if len(sys.argv) == 1:
        print(json.dumps(state()))
        return
    _, way, thread, *cgroups = sys.argv
    moves: Changes = {f"enter {each}": partial(enter, each) for each in cgroups}
    changes = moves or CHANGES
    if thread == "main":
        told = differences(way, changes)
    else:
        with ThreadPoolExecutor(1) as other:
            told = other.submit(differences, way, changes).result()
    print("\n".join(told))
    sys.exit(bool(told))
