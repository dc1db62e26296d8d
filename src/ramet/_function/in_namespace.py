"""A Python function in namespaces that exist already: setns(2), without a step out of one's own."""

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
    """Run ``fn(*args)`` in existing namespaces, in this very memory: clone(2) with VM, and setns(2).

    Each namespace is the pid of a process that is in it, a path (``/run/netns/blue``,
    ``/proc/1/ns/uts``), or an open descriptor; a path and a pid are looked up in the caller's own
    file system before anything is entered. timeout: in seconds, after which the function is killed.
    The caller, and every other thread of its process, stays where it is.

    Returns what fn returned, the object itself; what it raised is raised here.
    Raises ValueError when no namespace is named, FileNotFoundError (ENOENT) for one that does not
    exist, SpawnError for one that cannot be entered (EPERM, EINVAL), ChildDied.
    Needs: CAP_SYS_ADMIN in the namespace, for ``user`` in itself.
    Source: setns(2), namespaces(7).
    """
    given = {"user": user, "mnt": mnt, "net": net, "uts": uts, "ipc": ipc, "cgroup": cgroup}
    given["pid"] = pid
    wanted = {kind: namespace for kind, namespace in given.items() if namespace is not None}
    if not wanted:
        raise ValueError(f"no namespace is named: {', '.join(given)}")
    setup = FunctionSetup({"namespaces": wanted}, CloneFlag.VM, for_its_children=True)
    body: Callable[..., T] = fn if pid is None else _as_a_child
    arguments: tuple[Any, ...] = args if pid is None else (fn, *args)
    with clone(setup.before(body), *arguments, flags=CloneFlag.VM, timeout=timeout) as child:
        return child.result()


def _as_a_child(fn: Callable[..., T], *args: Any) -> T:
    """A pid namespace is entered by children only; and no thread can be made any more for a host thread."""
    with vfork(fn, *args) as child:
        return child.result()
