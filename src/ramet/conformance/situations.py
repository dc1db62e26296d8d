"""Callers in a special state. Each is a process that enters it and describes itself."""

import ctypes
import os
from collections.abc import Callable, Iterator
from typing import TypeAlias

from ..flags import CloneFlag as F
from ..law import Caller
from ..law.conditions import DEEPEST_USER_NS
from .requests import SIGCHLD, subsets
from .trial import Case, Kernel

Asked: TypeAlias = tuple[Case, Caller]
Situation: TypeAlias = Callable[[Kernel], Iterator[Asked]]

_LIBC = ctypes.CDLL(None, use_errno=True)
_A_THREAD = F.VM | F.SIGHAND | F.THREAD
_MS_REC_PRIVATE, _MS_BIND = 0x4000 | 0x40000, 0x1000

_ASKED = (
    *(F(0), F.VM, F.FS, F.PARENT, F.NEWPID, F.NEWUSER, F.NEWTIME, F.NEWUTS, F.NEWNS, F.NEWCGROUP),
    *(F.NEWUSER | F.NEWPID, F.NEWUSER | F.NEWUTS, F.NEWUSER | F.FS, F.PARENT | F.NEWPID),
    *(F.VM | F.NEWTIME, F.VM | F.NEWPID, _A_THREAD, _A_THREAD | F.NEWUTS, _A_THREAD | F.NEWPID),
    *(F.NEWIPC | F.SYSVSEM, F.THREAD, F.SIGHAND, F.NEWPID | F.NEWUTS),
)


def _asked(caller: Caller) -> Iterator[Asked]:
    for flags in _ASKED:
        quiet = bool(flags & (F.THREAD | F.PARENT))
        yield Case(int(flags), 0 if quiet else SIGCHLD), caller


def _refused(caller: Caller, *flags: F) -> Iterator[Asked]:
    for asked in flags:
        yield Case(int(asked), 0), caller


def _unshared(flags: F) -> bool:
    return bool(_LIBC.unshare(ctypes.c_int(int(flags))) == 0)


def map_user_namespace() -> bool:
    """Become root of a new user namespace; False where that is not allowed."""
    uid, gid = os.geteuid(), os.getegid()
    if not _unshared(F.NEWUSER):
        return False
    for name, line in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)
    return True


def unshare_pids() -> bool:
    """Let the next child of this process be the init of a new pid namespace."""
    return _unshared(F.NEWPID)


def unmapped_ids(kernel: Kernel) -> Iterator[Asked]:
    """In a user namespace in which no id is mapped."""
    if _unshared(F.NEWUSER):
        kernel.look_again()
        yield from _asked(Caller.current())


def mapped_ids(kernel: Kernel) -> Iterator[Asked]:
    """As root of its own user namespace."""
    if map_user_namespace():
        kernel.look_again()
        yield from _asked(Caller.current())


def deepest_user_namespace(kernel: Kernel) -> Iterator[Asked]:
    """In the deepest user namespace that there can be."""
    if all(map_user_namespace() for _ in range(DEEPEST_USER_NS)):
        kernel.look_again()
        deep = Caller.current()._replace(user_ns_depth=DEEPEST_USER_NS)
        yield from _asked(deep)


def other_clocks(kernel: Kernel) -> Iterator[Asked]:
    """Its children get another time namespace than its own."""
    if _unshared(F.NEWTIME):
        kernel.look_again()
        yield from _asked(Caller.current())


def other_pids(kernel: Kernel) -> Iterator[Asked]:
    """Its children get another pid namespace, whose init then ends."""
    if not _unshared(F.NEWPID):
        return
    kernel.look_again()
    caller = Caller.current()
    yield from _refused(caller, _A_THREAD, _A_THREAD | F.NEWUTS, F.NEWPID, F.NEWPID | F.NEWUSER)
    kernel.ask(Case(0, SIGCHLD))
    kernel.look_again()
    dead = Caller.current()._replace(children_init_dead=True)
    yield from _refused(dead, F(0), F.VM, F.VM | F.VFORK, F.NEWUSER, _A_THREAD, F.NEWPID)


def namespace_init(_: Kernel) -> Iterator[Asked]:
    """The init of a pid namespace: only refusals, since /proc is another namespace's."""
    init = Caller.current()._replace(pid_ns_init=os.getpid() == 1)
    if init.pid_ns_init:
        yield from _refused(init, F.PARENT, F.PARENT | F.VM, F.PARENT | F.NEWPID, F.PARENT | F.FS)
        yield from _refused(init, F.PARENT | F.NEWNS | F.FS, F.PARENT | _A_THREAD)


def traced(_: Kernel) -> Iterator[Asked]:
    """A traced caller, whose tracer gets the children of CLONE_PTRACE as well."""
    caller = Caller.current()
    for flags in subsets((F.PTRACE, F.UNTRACED, F.VM, F.SIGHAND, F.THREAD, F.PARENT)):
        for exit_signal in (0, SIGCHLD):
            yield Case(flags, exit_signal), caller


def chrooted(kernel: Kernel) -> Iterator[Asked]:
    """With another root directory, with a /proc in it, in its own mount namespace."""
    if not _unshared(F.NEWNS):
        return
    null = None
    _LIBC.mount(null, b"/", null, ctypes.c_ulong(_MS_REC_PRIVATE), null)
    if _LIBC.mount(b"none", b"/tmp", b"tmpfs", ctypes.c_ulong(0), null):
        return
    os.makedirs("/tmp/root/proc")
    if _LIBC.mount(b"/proc", b"/tmp/root/proc", null, ctypes.c_ulong(_MS_BIND), null):
        return
    os.chroot("/tmp/root")
    os.chdir("/")
    kernel.look_again()
    yield from _asked(Caller.current())


SITUATIONS: tuple[Situation, ...] = (
    unmapped_ids,
    mapped_ids,
    deepest_user_namespace,
    other_clocks,
    other_pids,
    chrooted,
)
