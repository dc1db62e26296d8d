"""The namespace in copies of which the roots of sandboxes are built: of the caller's mounts, or of none."""

import os
import weakref
from typing import Any

import pytest

import ramet
from ramet._kernel.clone_bits import EMPTY_MNTNS, NEWNS
from ramet._sandbox.files import bare_mounts as module
from ramet._sandbox.planning import waiting_child

from ...kernels import KERNEL

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

NEVER, EVER = "1000.0", "2.6.11"  # versions of Linux


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Those of the children that make such namespaces, none of which is there yet."""
    seen: list[int] = []

    def kept_namespaces(flags: int, *args: Any) -> None:
        seen.append(flags)
        waiting_child.kept_namespaces(flags, *args)

    monkeypatch.setattr(module, "kept_namespaces", kept_namespaces)
    monkeypatch.setattr(module, "_made", weakref.WeakValueDictionary())
    return seen


def mount_points(hostname: str) -> list[str]:
    """Those that a program in a sandbox sees, by the description of that name alone."""
    sandbox = ramet.Sandbox(hostname=hostname)
    told = ramet.check_output(["/bin/cat", "/proc/self/mountinfo"], text=True, sandbox=sandbox)
    sandbox.release()
    return sorted(" ".join(line.split()[3:6]) for line in told.splitlines())


def test_the_callers_mounts_are_copied_only_where_the_kernel_cannot_do_without(
    flags: list[int],
) -> None:
    """Since Linux 7.1 a mount namespace can be made with nothing in it."""
    assert mount_points("bare")
    assert flags == [EMPTY_MNTNS if KERNEL >= (7, 1) else NEWNS]


def test_a_sandbox_is_the_same_either_way(
    flags: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the root was built in is not seen."""
    made_by_default = mount_points("bare")
    monkeypatch.setattr(module, "_EMPTY_SINCE", NEVER)
    monkeypatch.setattr(module, "_made", weakref.WeakValueDictionary())
    assert mount_points("copied") == made_by_default
    assert flags[1:] == [NEWNS]


def test_it_is_made_of_the_callers_where_an_empty_one_is_refused(
    flags: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's filter may forbid clone3(), which alone takes the flag; an older kernel lacks it."""
    monkeypatch.setattr(module, "_EMPTY_SINCE", EVER)
    monkeypatch.setattr(module, "EMPTY_MNTNS", EMPTY_MNTNS | ramet.CloneFlag.THREAD.value)
    assert mount_points("refused")
    assert flags[1:] == [NEWNS]
