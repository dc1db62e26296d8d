"""Copies of this process from which something is taken away that this machine grants."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

import ramet
from ramet import CloneFlag as F
from ramet._kernel.names import CAPABILITIES
from ramet._sandbox.planning.machine import Machine, this_machine

from ...constants import SECONDS

T = TypeVar("T")

MS_RDONLY = 1


def seen(prepare: Callable[[], object], ask: Callable[[Machine], T], **options: object) -> T:
    """What a copy of this process is answered that has prepared itself so."""

    def in_copy() -> T:
        prepare()
        return ask(this_machine())

    with ramet.clone(in_copy, **options) as child:  # type: ignore[arg-type]
        return child.result(SECONDS)


def as_root_of_a_namespace(
    prepare: Callable[[], object], ask: Callable[[Machine], T], flags: F = F.NEWUSER | F.NEWNS
) -> T:
    """The same of a copy that is the root of user and mount namespaces of its own, or of others."""
    maps = {"setgroups": "deny", "uid_map": f"0 {os.geteuid()} 1", "gid_map": f"0 {os.getegid()} 1"}

    def map_and_prepare() -> None:
        for name, text in maps.items():
            Path(f"/proc/self/{name}").write_text(text)
        prepare()

    return seen(map_and_prepare, ask, flags=flags)


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [word.encode() for word in (source, target, kind)]
    if libc.mount(*words, flags, None):
        raise OSError(ctypes.get_errno(), "mount")


def without_capabilities(*names: str) -> dict[str, Any]:
    """Options of a copy that has all capabilities of this process but these; none but with no name."""
    own = int(Path("/proc/thread-self/status").read_text().split("CapPrm:")[1].split()[0], 16)
    kept = [name for name, bit in CAPABILITIES.items() if own >> bit & 1 and name not in names]
    kept = kept if names else []
    return {"bounding_caps": kept, "permitted_caps": kept, "inheritable_caps": []}


def refused() -> list[str]:
    """What this machine itself does not grant."""
    machine = this_machine()
    needed = [machine.user_namespace, machine.mounts, machine.proc_of_its_own, machine.seccomp]
    needed += [machine.landlock_answer, *machine.namespaces.values()]
    return [str(answer) for answer in needed if not answer.granted]


needs_all = pytest.mark.skipif(bool(refused()), reason="needs a machine that grants all")


def needs_landlock(abi: int) -> pytest.MarkDecorator:
    """Of TCP ports since 4 (Linux 6.7), of signals and abstract sockets since 6 (Linux 6.12)."""
    return pytest.mark.skipif(this_machine().landlock_abi < abi, reason=f"needs Landlock ABI {abi}")
