"""A function that makes another, and is killed before that one has run anything: neither is left."""

import os
import signal
import sys

import pytest

import ramet
from ramet import CloneFlag as F

from ..holding import hold

SHALLOW = {"beside": F.VM, "shared handlers": F.VM | F.SIGHAND, "shared files": F.VM | F.FILES}
CALLS = 3


def _goes_on() -> None:
    """Of the function that is to run never, or no longer."""
    while True:
        signal.pause()


def _make(how: str) -> None:
    """What is written before " in " is made by a child that is made as what follows it."""
    inner, _, outer = how.rpartition(" in ")
    function, arguments = (_make, (inner,)) if inner else (_goes_on, ())
    if outer == "vfork":
        ramet.vfork(function, *arguments)
    else:
        ramet.clone(function, *arguments, flags=SHALLOW[outer]).wait()


def program(how: str, kills: bool) -> None:
    """Traced from its first line on."""
    print(flush=True)
    input()
    child = ramet.clone(_make, how, flags=F.VM)
    if kills:
        input()
        child.kill()
    child.wait()
    for _ in range(CALLS):
        assert ramet.clone(len, "abc", flags=F.VM).result() == 3
        assert ramet.vfork(len, "abc").result() == 3


@pytest.mark.parametrize("kill", [None, "its maker"], ids=["by kill()", "by another"])
@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("beside", 2),
        ("vfork", 2),
        ("shared handlers", 2),
        ("shared files", 2),
        ("beside in vfork", 3),
        ("vfork in vfork", 3),
        ("vfork in beside", 3),
        ("beside in beside", 3),
    ],
)
def test_who_is_killed_takes_along_whom_it_has_just_made(
    how: str, number: int, kill: str | None
) -> None:
    """Its child has asked for no signal at its end by then: it would go on in memory that is another's."""
    command = f"from {__name__} import program; program({how!r}, {kill is None})"
    argv = [sys.executable, "-X", "faulthandler", "-c", command]
    assert hold(argv, number, kill) == (os.EX_OK, True)
