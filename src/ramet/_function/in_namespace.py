"""A Python function in existing namespaces: setns(2) in a child, the caller stays in its own."""

import os
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, TypeVarTuple

from .._kernel.names import HasFileno
from ..flags import CloneFlag
from .clone import clone, vfork
from .setup import FunctionSetup

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Namespace: TypeAlias = int | str | os.PathLike[str] | HasFileno


def in_namespace(
    fn: Callable[[*Ts], T],
    *args: *Ts,
    user: Namespace | None = None,
    mnt: Namespace | None = None,
    net: Namespace | None = None,
    uts: Namespace | None = None,
    ipc: Namespace | None = None,
    cgroup: Namespace | None = None,
    pid: Namespace | None = None,
    timeout: float | None = None,
) -> T:
    """Run ``fn(*args)`` in existing namespaces, in shared memory: clone(2) with VM, and setns(2).

    Each namespace is given as the pid of a process in it, a path (``/run/netns/blue``,
    ``/proc/1/ns/uts``), or an open descriptor; paths and pids are opened in the caller's namespaces, before
    any is entered. timeout: in seconds, after which the function is killed. All threads of the caller's
    process stay in their namespaces.

    Returns the object that fn returned; an exception that it raised is raised here.
    Raises ValueError when no namespace is given, FileNotFoundError (ENOENT) for one that does not
    exist, SpawnError for one that cannot be entered (EPERM, EINVAL), ChildDied.
    Needs: CAP_SYS_ADMIN in the user namespace that owns each of them; for ``user``, in that one.
    Source: setns(2), namespaces(7).
    """
    given = {"user": user, "mnt": mnt, "net": net, "uts": uts, "ipc": ipc, "cgroup": cgroup}
    given["pid"] = pid
    wanted = {kind: namespace for kind, namespace in given.items() if namespace is not None}
    if not wanted:
        raise ValueError(f"in_namespace() needs at least one of {', '.join(given)}: got none")
    setup = FunctionSetup({"namespaces": wanted}, CloneFlag.VM, for_its_children=True)
    body: Callable[..., T] = fn if pid is None else _as_a_child
    arguments: tuple[Any, ...] = args if pid is None else (fn, *args)
    with clone(setup.before(body), *arguments, flags=CloneFlag.VM, timeout=timeout) as child:
        return child.result()


def _as_a_child(fn: Callable[..., T], *args: Any) -> T:
    """setns() puts only later children into a pid namespace. vfork(), since no thread can be made then."""
    with vfork(fn, *args) as child:
        return child.result()
