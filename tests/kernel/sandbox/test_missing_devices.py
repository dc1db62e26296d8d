"""Sandboxes where /dev lacks some of the devices that they show, as in some containers."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

import ramet
from ramet import CloneFlag as F

from ...constants import PATIENT_SECONDS
from .taken_away import mount, needs_all

pytestmark = [pytest.mark.usefixtures("nothing_left"), needs_all]

T = TypeVar("T")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
MS_BIND, MS_REC = 0x1000, 0x4000


def where_dev_lacks(missing: tuple[str, ...], function: Callable[[], T]) -> T:
    """What that returns in a copy of this process whose /dev has all but these."""
    maps = {"setgroups": "deny", "uid_map": f"0 {os.geteuid()} 1", "gid_map": f"0 {os.getegid()} 1"}

    def in_copy() -> T:
        for name, text in maps.items():
            Path(f"/proc/self/{name}").write_text(text)
        mount("tmpfs", "/mnt", "tmpfs")
        for name in set(DEVICES) - set(missing):
            Path(f"/mnt/{name}").touch()
            mount(f"/dev/{name}", f"/mnt/{name}", "", MS_BIND)
        mount("/mnt", "/dev", "", MS_BIND | MS_REC)
        return function()

    with ramet.clone(in_copy, flags=F.NEWUSER | F.NEWNS) as child:
        return child.result(PATIENT_SECONDS)


def test_best_goes_on_without_and_says_what_is_lost() -> None:
    """Programs, functions and templates have the others."""

    def run() -> tuple[set[str], set[str], list[str]]:
        sandbox = ramet.Sandbox(require="best")
        with ramet.Popen(["ls", "/dev"], sandbox=sandbox, stdout=-1, text=True) as program:
            seen = set(program.communicate()[0].split())
        assert program.report is not None
        lost = [row.shortfall for row in program.report.lost if row.wish == "devices"]
        with (
            ramet.Template(sandbox=sandbox) as template,
            template.clone(os.listdir, "/dev") as call,
        ):
            seen_by_call = set(call.result(PATIENT_SECONDS))
        return seen, seen_by_call, lost

    seen, seen_by_call, lost = where_dev_lacks(("zero", "full"), run)
    assert seen & set(DEVICES) == seen_by_call & set(DEVICES) == set(DEVICES) - {"zero", "full"}
    assert lost == ["this machine has no /dev/zero, /dev/full"]


@pytest.mark.parametrize(
    ("missing", "require", "remedy"),
    [
        ("zero", "all", "mknod -m 666 /dev/zero c 1 5"),
        ("tty", "all", "mknod -m 666 /dev/tty c 5 0"),
        ("null", "best", "mknod -m 666 /dev/null c 1 3"),  # which covers files of /proc
    ],
)
def test_it_is_refused_with_the_wish_and_the_remedy(
    missing: str, require: str, remedy: str
) -> None:
    """Before anything is made."""

    def run() -> tuple[str, str, bool]:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(ramet.SandboxError, match=f"no /dev/{missing}") as caught:
            ramet.run(["true"], sandbox=ramet.Sandbox(require=require))
        error = caught.value
        return str(error.wish), str(error.remedy), os.listdir("/proc/self/fd") == before

    wish, told, nothing_is_left = where_dev_lacks((missing,), run)
    assert wish == "devices"
    assert remedy in told
    assert nothing_is_left
