import functools
import os
import xml.etree.ElementTree as ET
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F

from ...constants import SECONDS


def cells(child: ramet.Child[Any]) -> dict[str, str]:
    """The table by its first column; it is well-formed."""
    rows = ET.fromstring(child._repr_html_()).iter("tr")
    return {"".join(about.itertext()): words.text or "" for about, words in rows}


@pytest.mark.parametrize("flags", [F(0), F.VM | F.FS, F.VM | F.SIGHAND | F.THREAD], ids=str)
def test_a_notebook_shows_how_a_child_is(flags: F, nothing_left: object) -> None:
    """Running, ended, waited for; neither is waited for or reaped by being shown."""
    wait, let_go = os.pipe()
    child = ramet.clone(os.read, wait, 1, flags=int(flags))
    shown = cells(child)
    assert shown["state"] == "running"
    assert shown["runs"] == "read"
    assert list(shown)[2:] == [str(flag) for flag in flags]
    os.write(let_go, b".")
    assert child.result(SECONDS) == b"."
    assert cells(child)["state"] == str(child.exit_status)
    os.close(wait)
    os.close(let_go)


def test_who_has_ended_is_not_reaped_by_being_shown() -> None:
    """The zombie stays until somebody waits for it."""
    child = ramet.clone(int)
    os.waitid(os.P_PIDFD, child.fileno(), os.WEXITED | os.WNOWAIT)
    assert cells(child)["state"] == "has ended, not waited for yet"
    assert child.exit_status is None
    assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT) is not None
    assert child.wait(SECONDS).success


def test_a_child_that_another_has_reaped_is_shown() -> None:
    """Its /proc is gone, and its pid free."""
    child = ramet.clone(int)
    os.waitpid(child.pid, 0)
    assert cells(child)["state"] == "has ended, not waited for yet"
    child.wait(SECONDS)
    assert cells(child)["state"] == str(child.exit_status)


def test_a_child_whose_descriptor_was_closed_is_shown() -> None:
    """By its pid, or with the reason: never an exception."""
    with ramet.clone(int) as child:
        pidfd = os.dup(child.fileno())
        os.close(child.fileno())
        assert cells(child)["state"]
        os.dup2(pidfd, child.fileno(), inheritable=False)
        os.close(pidfd)


def test_what_it_runs_is_only_text() -> None:
    """A program with its arguments; what looks like markup is none, and a long one is cut."""
    with ramet.Command(["true", "<script>alert(1)</script>", "x" * 9999]).spawn() as child:
        html = child._repr_html_()
        runs = cells(child)["runs"]
    assert "<script" not in html
    assert runs.startswith("true '<script>alert(1)</script>' xxx")
    assert len(runs) < 300


def test_what_cannot_be_named_is_shown() -> None:
    """A callable whose name is an error."""

    class Nameless:
        def __call__(self) -> None: ...

        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

        def __repr__(self) -> str:
            raise RuntimeError

    with ramet.clone(functools.partial(int)) as plain:
        assert "functools" in cells(plain)["runs"]
    with ramet.clone(Nameless()) as child:
        assert cells(child)["state"]


def test_a_bit_that_nobody_knows_is_no_error() -> None:
    """Flags of a newer kernel, and a handle whose child was not made."""
    from ramet._process.child_page import page

    html = page(0, "not made", F(1 << 45 | F.VM | 17), None)
    text = "".join(ET.fromstring(html).itertext())
    assert "Child, not made" in text
    assert "SIGCHLD" in text
    assert "CLONE_VM" in text
