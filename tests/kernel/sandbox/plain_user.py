"""Copies of this process, which is root's, that are a plain user's who has subordinate ids."""

import ctypes
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

import ramet
from ramet import CloneFlag as F
from ramet._sandbox import kept

from ...constants import PATIENT_SECONDS
from .taken_away import mount

T = TypeVar("T")

PLAIN_USER = 65534  # nobody, who has a line in /etc/passwd: newuidmap asks for it
SUBORDINATE = range(300000, 300000 + 65536)
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4


def is_for_all(*paths: str) -> bool:
    """Whether all users can search the ways to these files."""
    ways = {way for path in paths for way in Path(os.path.realpath(path)).parents}
    return all(way.stat().st_mode & 1 for way in ways)


needs_subordinate_ids = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("newuidmap") is None,
    reason="becomes a plain user with subordinate ids, which needs root and newuidmap",
)
needs_python_for_all = pytest.mark.skipif(
    not is_for_all(sys.executable, os.__file__),
    reason="another user may not read the Python of root",
)


def inner_ids() -> set[str]:
    """As which a sandbox may see itself: root's as 1000, a plain user's also as that user."""
    return {"1000"} if os.geteuid() == 0 else {"1000", str(os.geteuid())}


def as_plain_user(etc: Path, ask: Callable[[], T]) -> T:
    """What a copy of this process is answered that is such a user; etc: where its files of /etc are."""
    for name in ("subuid", "subgid"):
        (etc / name).write_text(f"{PLAIN_USER}:{SUBORDINATE.start}:{len(SUBORDINATE)}\n")
        (etc / name).chmod(0o644)

    def become() -> T:
        mount("none", "/", "", MS_REC | MS_PRIVATE)
        for name in ("subuid", "subgid"):
            mount(str(etc / name), f"/etc/{name}", "", MS_BIND)
        os.setgroups([])
        os.setresgid(PLAIN_USER, PLAIN_USER, PLAIN_USER)
        os.setresuid(PLAIN_USER, PLAIN_USER, PLAIN_USER)
        set_dumpable(1)  # as after an exec
        kept.forget()
        return ask()

    # What is imported late may be in a directory that is root's.
    ramet.run(["true"], sandbox=ramet.Sandbox(), check=True)
    with ramet.clone(become, flags=F.NEWNS) as child:
        return child.result(PATIENT_SECONDS)


def dumpable() -> int:
    return int(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE))


def set_dumpable(value: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, value)
