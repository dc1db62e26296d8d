"""Requests about the fields: sizes, signals, stacks, addresses, pids and cgroups."""

import contextlib
import os
import resource
import tempfile
from collections.abc import Iterator
from typing import Any

from ..flags import CloneFlag as F
from ..law import Caller, Cgroup
from .requests import SIGCHLD, subsets
from .trial import Case, Kernel

_NOWHERE = 8
_KERNEL_SPACE = 0xFFFF_8000_0000_0000
_A_THREAD = F.VM.value | F.SIGHAND.value | F.THREAD.value
_64_BITS = (1 << 64) - 1
# They would kill or stop the caller itself; libc uses the last two itself and never blocks them.
_UNBLOCKABLE = {9, 19, 32, 33}

# Children in shared memory are made faster, and most of these requests are not about memory.
_OF_CLONE = tuple(
    F.VM.value | int(more)
    for more in (0, F.PARENT, F.DETACHED, F.SIGHAND | F.THREAD, 3 << 62 | 1 << 33)
)

_BESIDE_A_CGROUP = (F.VM, F.FS, F.SIGHAND, F.THREAD, F.PARENT, F.NEWUSER, F.NEWUTS, F.NEWCGROUP)

# The flags of Linux 7.1, and those that they need or exclude.
_NEWEST = (F.AUTOREAP, F.NNP, F.PIDFD_AUTOKILL, F.EMPTY_MNTNS)
_BESIDE_THE_NEWEST = (F.PIDFD, F.VM, F.SIGHAND, F.THREAD, F.PARENT)

Asked = tuple[Case, Caller]


@contextlib.contextmanager
def of_arguments(kernel: Kernel, caller: Caller) -> Iterator[Iterator[Asked]]:
    """All of them, with the files that they need, which are removed afterwards."""
    with contextlib.ExitStack() as held:
        yield _all(kernel, caller, held)


def _all(kernel: Kernel, caller: Caller, held: contextlib.ExitStack) -> Iterator[Asked]:
    for case in (
        *_structures(kernel),
        *_signals(),
        *_stacks(kernel),
        *_words(kernel),
        *_cgroups(held),
        *_newest(),
    ):
        yield case, caller
    yield from _pids(caller)
    yield from _limits(caller)


def _newest() -> Iterator[Case]:
    for flags in subsets((*_NEWEST, *_BESIDE_THE_NEWEST)):
        for exit_signal in (0, SIGCHLD):
            yield _case(flags, exit_signal)


def _case(flags: int = 0, exit_signal: int = SIGCHLD, **fields: Any) -> Case:
    return Case(int(flags), exit_signal, fields=fields)


def _structures(kernel: Kernel) -> Iterator[Case]:
    for size in (*range(106), 128, 4094, 4095, 4096, 4097, 5000, 1 << 20):
        yield _case(F.VM, size=size)
    for size in (87, 88, 89, 90, 96, 104, 4095, 4096, 4097):
        yield _case(F.VM, size=size, beyond=True)
    for args in (_NOWHERE, _KERNEL_SPACE, _64_BITS - 7):
        for size in (0, 63, 64, 88, 96, 4097):
            yield _case(exit_signal=0, args=args, size=size)
    for size in (64, 79, 80, 87, 88):
        yield _case(F.INTO_CGROUP, cgroup=1 << 31, size=size)
        yield _case(size=size, tls=kernel.page.tls)


def _signals() -> Iterator[Case]:
    for exit_signal in (*range(70), 128, 145, 255, 256, 273, 1 << 31, 1 << 32, _64_BITS):
        if exit_signal not in _UNBLOCKABLE:
            yield _case(F.VM, exit_signal=exit_signal)
        for flags in (F.VM | F.PARENT, _A_THREAD):
            yield _case(flags, exit_signal=exit_signal)
    for exit_signal in range(256):
        for flags in _OF_CLONE:
            if exit_signal in _UNBLOCKABLE and not flags & (F.PARENT | F.THREAD):
                continue
            yield Case(flags, exit_signal, "clone")
    for bit in range(64):
        if 1 << bit != F.INTO_CGROUP.value:
            yield _case(1 << bit, exit_signal=0)
        if 1 << bit not in {F.VM.value, F.INTO_CGROUP.value}:
            yield _case(1 << bit | F.VM.value | F.SIGHAND.value, exit_signal=0)


def _stacks(kernel: Kernel) -> Iterator[Case]:
    stack, size = kernel.page.stack, kernel.page.stack_size
    bad = ((0, 1), (0, size), (stack, 0), (_NOWHERE, 0), (_KERNEL_SPACE, size), (stack, _64_BITS))
    for base, length in (*bad, (stack, 1 << 63), (_64_BITS - 15, 16), (_64_BITS - 15, 32)):
        yield _case(stack=base, stack_size=length)
        yield _case(F.VM, stack=base, stack_size=length)
    yield _case(stack=0, stack_size=0)
    yield _case(F.VM | F.VFORK, stack=0, stack_size=0)
    yield _case(F.VM, stack=stack, stack_size=size // 2)


def _words(kernel: Kernel) -> Iterator[Case]:
    page = kernel.page
    addresses = (_NOWHERE, 0, _KERNEL_SPACE, _64_BITS)
    for flags in (0, F.VM.value, _A_THREAD):
        signal = 0 if flags == _A_THREAD else SIGCHLD
        for bad in addresses:
            yield _case(F.PIDFD | flags, signal, pidfd=bad)
            yield _case(F.PARENT_SETTID | flags, signal, parent_tid=bad)
            yield _case(F.CHILD_SETTID | F.CHILD_CLEARTID | flags, signal, child_tid=bad)
            yield _case(F.PIDFD | F.PARENT_SETTID | flags, signal, pidfd=bad, parent_tid=bad)
            yield _case(flags, signal, pidfd=bad, parent_tid=bad, child_tid=bad)
        for tls in (*addresses, page.tls, 1 << 63):
            yield _case(F.SETTLS | flags, signal, tls=tls)
            yield _case(flags, signal, tls=tls)
            yield _case(F.SETTLS | F.NEWIPC | F.SYSVSEM | flags, signal, tls=tls)
    yield _case(F.PIDFD | F.PARENT_SETTID, pidfd=page.ptid, parent_tid=page.ptid)
    for bad in (_NOWHERE, _KERNEL_SPACE):
        for flags in (F.PIDFD, F.PARENT_SETTID):
            yield Case(int(flags), SIGCHLD, "clone", {"parent_tid": bad})


def _pids(caller: Caller) -> Iterator[Asked]:
    used = (os.getpid(), os.getppid(), 1)
    caller = caller._replace(tids_in_use=frozenset(used))
    free = _free_pid(caller.pid_max)
    for pid in (*used, free, 0, -1, -(1 << 31), caller.pid_max, caller.pid_max + 1, (1 << 31) - 1):
        yield _case(set_tid=[pid]), caller
        yield _case(F.PIDFD, set_tid=[pid], pidfd=_NOWHERE), caller
        yield _case(F.SETTLS, set_tid=[pid], tls=_KERNEL_SPACE), caller
        for flags in (F.NEWPID, F.NEWPID | F.NEWUSER):
            yield _case(flags, set_tid=[pid]), caller
            yield _case(flags, set_tid=[1, pid]), caller
    for count in (2, 3, 31, 32):
        yield _case(set_tid=[free] * count), caller._replace(pid_ns_depth=0)
    for count in (0, 33, 34, 1 << 40, _64_BITS):
        yield _case(set_tid=0x10000, set_tid_size=count), caller
        yield _case(set_tid=0, set_tid_size=count), caller
    for bad in (_NOWHERE, _KERNEL_SPACE):
        yield _case(set_tid=bad, set_tid_size=1), caller
        yield _case(set_tid=bad, set_tid_size=33), caller
        yield _case(F.THREAD, set_tid=bad, set_tid_size=1), caller
    yield _case(F.INTO_CGROUP, cgroup=1 << 31, set_tid=_NOWHERE, set_tid_size=1), caller


def _free_pid(limit: int) -> int:
    """A pid that is free and will not be given out soon, as the kernel gives out pids upwards."""
    candidate = min(limit, 1 << 22) - 7
    while os.path.exists(f"/proc/{candidate}"):
        candidate -= 1
    return candidate


def _limits(caller: Caller) -> Iterator[Asked]:
    """Requests of a caller at a limit. The limits are restored before the next request."""
    with _lowered(resource.RLIMIT_NOFILE, 0):
        full = caller._replace(descriptors_exhausted=True)
        yield _case(F.PIDFD), full
        yield _case(F.PIDFD, pidfd=_NOWHERE), full
        yield Case(int(F.PIDFD), SIGCHLD, "clone"), full
    if os.getuid():
        with _lowered(resource.RLIMIT_NPROC, 1):
            many = caller._replace(nproc_exceeded=True)
            for flags in (0, F.NEWUSER, F.NEWNS | F.FS, F.NEWUTS, _A_THREAD):
                yield _case(int(flags), 0), many


@contextlib.contextmanager
def _lowered(limit: int, to: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (to, hard))
    try:
        yield
    finally:
        resource.setrlimit(limit, (soft, hard))


# ---- cgroups


def _cgroups(held: contextlib.ExitStack) -> Iterator[Case]:
    def case(about: Cgroup, fd: int, flags: int = 0, signal: int = SIGCHLD, **more: Any) -> Case:
        fields = {"cgroup": about, **more}
        return Case(int(F.INTO_CGROUP) | int(flags), signal, fields=fields, cgroup_fd=fd)

    nothing = Cgroup(is_directory=False)
    for fd in (9999, (1 << 31) - 1, _opened("/dev/null", held), _opened("/", held)):
        yield case(nothing, fd)
        yield case(nothing, fd, F.PIDFD, pidfd=_NOWHERE)
        yield case(nothing, fd, _A_THREAD, 0)
    root = _cgroup2_root()
    if root is None:
        return
    yield case(nothing, _opened(f"{root}/cgroup.procs", held, os.O_RDONLY))
    if not os.access(f"{root}/cgroup.procs", os.W_OK, effective_ids=True):
        closed = Cgroup(writable=False)
        fd = _opened(root, held)
        for flags in subsets(_BESIDE_A_CGROUP):
            yield case(closed, fd, flags)
            yield case(closed, fd, flags, 0)
        return
    try:
        good = _made(root, held)
    except OSError:
        return
    fd = _opened(good, held)
    good_one = Cgroup(writable=True)
    for flags in subsets(_BESIDE_A_CGROUP):
        yield case(good_one, fd, flags)
        yield case(good_one, fd, flags, 0)
    yield case(good_one, fd, F.NEWCGROUP)
    gone = tempfile.mkdtemp(prefix="ramet-law-", dir=root)
    gone_fd = _opened(gone, held)
    os.rmdir(gone)
    yield case(Cgroup(removed=True, writable=True), gone_fd)
    child = _made(good, held)
    try:
        with open(f"{child}/cgroup.type", "w") as file:
            file.write("threaded")
    except OSError:
        return
    yield case(Cgroup(domain_invalid=True, writable=True), _opened(_made(good, held), held))
    yield case(good_one, _opened(child, held))


def _cgroup2_root() -> str | None:
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, place, kind, *_ = line.split(" ")
            if kind == "cgroup2":
                return place
    return None


def _made(parent: str, held: contextlib.ExitStack) -> str:
    directory = tempfile.mkdtemp(prefix="ramet-law-", dir=parent)
    held.callback(os.rmdir, directory)
    return directory


def _opened(path: str, held: contextlib.ExitStack, how: int = os.O_PATH) -> int:
    fd = os.open(path, how | os.O_CLOEXEC)
    held.callback(os.close, fd)
    return fd
