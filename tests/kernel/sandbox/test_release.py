"""Sandbox.release(): what a sandbox that was used keeps is let go of at once."""

import contextlib
import gc
import os
import sys
from collections.abc import Iterator

import pytest

import ramet
from ramet import Sandbox
from ramet._sandbox import kept
from ramet._sandbox.kept import confinement_of, found_confinement
from ramet._sandbox.of_program import OfProgram

from ...conftest import LeakCheck
from ...constants import SECONDS
from ...looking import directories_below
from .taken_away import needs_all

pytestmark = needs_all


@pytest.fixture
def nothing_but_release(nothing_left: LeakCheck) -> Iterator[None]:
    """Nothing is left by what it tests, and no collector of garbage helps."""
    while kept._kept:  # by the tests before
        kept._kept.popitem()[1].preparations.clear()
    nothing_left.start_again()
    gc.disable()
    yield
    gc.enable()


def run(sandbox: Sandbox, script: str = "echo done") -> str:
    argv = ["sh", "-c", script]
    return str(
        ramet.run(argv, sandbox=sandbox, capture_output=True, text=True, timeout=SECONDS).stdout
    )


def namespaces_kept() -> list[str]:
    """The namespaces that this process has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the list itself
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return sorted(one for one in found if one.startswith(("mnt:", "user:", "net:")))


def cgroups_made() -> list[str]:
    """Those of this process, in all hierarchies."""
    return directories_below("/sys/fs/cgroup", f"ramet-*-{os.getpid()}-*")


@pytest.mark.parametrize(
    "wishes",
    [{}, {"memory": "256M", "processes": 16}, {"warm": 2}, {"warm": 2, "memory": "256M"}],
    ids=["plain", "amounts", "warm", "warm with amounts"],
)
def test_nothing_is_kept(wishes: dict[str, object], nothing_but_release: None) -> None:
    """No child, descriptor, cgroup or namespace; and the sandbox can be used again, and released again."""
    sandbox = Sandbox().replace(**wishes)
    namespaces, cgroups = namespaces_kept(), cgroups_made()
    for _ in range(2):
        assert run(sandbox) == "done\n"
        assert namespaces_kept() != namespaces
        confinement = confinement_of(OfProgram, sandbox)
        assert (cgroups_made() != cgroups) is bool(confinement.amounts.controllers)
        prepared, waiting = confinement.prepared, []
        if prepared is not None:
            prepared.fill()
            waiting = [pid for child in prepared._ready for pid in child.ahead.pids]
            assert len(waiting) == 4
        del prepared, confinement
        sandbox.release()
        assert found_confinement(OfProgram, sandbox) is None
        assert namespaces_kept() == namespaces
        assert cgroups_made() == cgroups
        assert not [pid for pid in waiting if os.path.exists(f"/proc/{pid}")]


def test_an_equal_description_is_the_same(nothing_but_release: None) -> None:
    """What is kept belongs to a value, and not to an object; what is kept of another stays."""
    run(Sandbox(hostname="one"))
    run(Sandbox(hostname="two"))
    Sandbox(hostname="one").release()
    assert found_confinement(OfProgram, Sandbox(hostname="one")) is None
    assert found_confinement(OfProgram, Sandbox(hostname="two")) is not None
    Sandbox(hostname="two").release()


def test_what_was_not_used_has_nothing(nothing_but_release: None) -> None:
    """Neither a description that was never used, nor one that was released."""
    before = namespaces_kept()
    Sandbox(hostname="never used").release()
    assert namespaces_kept() == before


def test_a_function(monkeypatch: pytest.MonkeyPatch, nothing_but_release: None) -> None:
    """What is kept for ramet.clone() shows sys.path, which may be another by then."""
    before = namespaces_kept()
    sandbox = Sandbox(hostname="function")
    with ramet.clone(os.getpid, sandbox=sandbox) as child:
        assert child.result(SECONDS) == 2
    assert namespaces_kept() != before
    monkeypatch.setattr(sys, "path", [*sys.path, "/usr/share"])
    sandbox.release()
    assert namespaces_kept() == before


def test_what_runs_goes_on(nothing_but_release: None) -> None:
    """A program that runs is not ended, and has what it needs; a command can be spawned still."""
    before, cgroups = namespaces_kept(), cgroups_made()
    sandbox = Sandbox(memory="256M", warm=1)
    command = ramet.Command(["cat"], sandbox=sandbox, stdin=ramet.DEVNULL)
    with ramet.Popen(
        ["sh", "-c", "read line; test -d /proc/self && echo $line"],
        sandbox=sandbox,
        stdin=ramet.PIPE,
        stdout=ramet.PIPE,
        text=True,
    ) as process:
        sandbox.release()
        with command.spawn() as child:
            assert child.wait().success
        assert process.communicate("goes on", timeout=SECONDS)[0] == "goes on\n"
    assert process.returncode == 0
    del process, child, command
    assert namespaces_kept() == before
    assert cgroups_made() == cgroups


def test_a_copy_lets_go_of_its_own(nothing_but_release: None) -> None:
    """A copy of this process that releases it ends no child that waits here, and closes nothing here."""
    sandbox = Sandbox(warm=1)
    run(sandbox)
    prepared = confinement_of(OfProgram, sandbox).prepared
    assert prepared is not None
    prepared.fill()
    with ramet.clone(sandbox.release) as child:
        child.result(SECONDS)
    waiting = [pid for ready in prepared._ready for pid in ready.ahead.pids]
    assert waiting
    assert all(os.path.exists(f"/proc/{pid}") for pid in waiting)
    assert run(sandbox) == "done\n"
    del prepared
    sandbox.release()
