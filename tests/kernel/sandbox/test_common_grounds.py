"""Descriptions that differ in what each child has for itself alone begin in the same namespaces."""

from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import Sandbox

from .suites import directory, told
from .taken_away import needs_all

pytestmark = [needs_all, pytest.mark.usefixtures("nothing_kept")]

_NAMESPACE = "readlink /proc/self/ns/user"
_AMOUNTS: list[dict[str, Any]] = [{"open_files": 80}, {"open_files": 90, "file_size": 4096}]


@pytest.mark.parametrize(
    "wishes",
    [
        {"timeout": 60},
        {"open_files": 80},
        {"environment": []},
        {"memory": "256M"},
        {"output": "1M"},
        {"warm": 1},
    ],
    ids=lambda wishes: next(iter(wishes)),
)
def test_what_is_a_childs_own(wishes: dict[str, Any]) -> None:
    """Its amounts and environment: the namespaces are not made anew."""
    first = told(_NAMESPACE, Sandbox())
    assert told(_NAMESPACE, Sandbox(**wishes)) == first


@pytest.mark.parametrize(
    "wishes",
    [
        {"read": ["/var"]},
        {"hidden": ["/etc/passwd"]},
        {"tmp": "1M"},
        {"network": "loopback"},
        {"syscalls": None},
        {"syscalls": "strict"},
        {"processes": 16},
        {"hostname": "another"},
    ],
    ids=lambda wishes: str(next(iter(wishes.items()))),
)
def test_what_is_not(wishes: dict[str, Any]) -> None:
    """With another view, network, filter, name, or limit of processes it has a user of its own."""
    first = told(_NAMESPACE, Sandbox())
    assert told(_NAMESPACE, Sandbox(**wishes)) != first


def test_layers_are_of_one_description() -> None:
    """Each has its own directory of layers."""
    with directory() as work:
        sandbox = Sandbox(write=[work], overlay=True)
        first = told(_NAMESPACE, sandbox)
        assert told(_NAMESPACE, sandbox.replace(open_files=80)) != first


def test_its_own_amounts() -> None:
    """What a child has is what its own description says, whoever was first."""
    found = [told("ulimit -n; ulimit -f", Sandbox(**one)) for one in _AMOUNTS * 2]
    assert found == ["80\nunlimited\n", "90\n8\n"] * 2


def test_a_file_that_is_replaced_is_the_new_one_for_all() -> None:
    """The namespaces are made anew for the one that comes first, and the other has them as well."""
    with directory() as work:
        shown = work / "shown"
        shown.write_text("old")
        one, two = (Sandbox(read=[shown], **amounts) for amounts in _AMOUNTS)
        assert [told(f"cat {shown}", sandbox) for sandbox in (one, two)] == ["old", "old"]
        (work / "new").write_text("new")
        (work / "new").rename(shown)
        assert [told(f"cat {shown}", sandbox) for sandbox in (two, one)] == ["new", "new"]


def test_what_one_still_uses_is_not_released() -> None:
    """release() of a description lets go of what is its own alone."""
    one, two = (Sandbox(**amounts) for amounts in _AMOUNTS)
    first = told(_NAMESPACE, one)
    assert told(_NAMESPACE, two) == first
    one.release()
    assert told(_NAMESPACE, two) == first
    two.release()
    # Not compared with the first: the kernel gives the number of a namespace that is gone to another.
    assert told("ulimit -n", one) == "80\n"


def test_the_first_is_forgotten_before_the_second() -> None:
    """A command keeps what it needs when nothing else does."""
    one, two = (Sandbox(**amounts) for amounts in _AMOUNTS)
    command = ramet.Command(["true"], sandbox=one)
    told("true", two)
    one.release()
    two.release()
    assert command.spawn().wait().success


def test_a_system_file_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was looked at for a description before is looked at again when it is another."""
    with directory() as work:
        late = work / "late"
        monkeypatch.setattr("ramet._sandbox.system_files._SYSTEM_FILES", (str(late),))
        assert _lines(late) == ""
        late.write_text("there")
        assert _lines(late) == "there"
        late.unlink()
        late.symlink_to("/etc/nothing")
        assert _lines(late) == ""
        late.unlink()
        late.mkdir()
        assert _lines(late) == "a directory"


def test_settings_of_a_jdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are seen, of whichever version, and the settings of other programs beside them are not."""
    with directory() as work:
        monkeypatch.setattr("ramet._sandbox.system_files._ETC", str(work))
        for name in ("java-99-openjdk", "javac", "gitconfig"):
            (work / name).write_text("there")
        seen = {path.name for path in work.iterdir() if _lines(path)}
    assert seen == {"java-99-openjdk"}


def test_settings_of_programs() -> None:
    """Those that programs fail without, and that tell nothing of users, are seen where there are some."""
    paths = ["/etc/fonts", "/etc/java", "/etc/nsswitch.conf", "/etc/ssl/openssl.cnf"]
    there = [path for path in paths if Path(path).exists()]
    assert there
    assert told(["ls", "-d", *there], Sandbox()).split() == there


def _lines(path: Path) -> str:
    """What a description made now shows at the path."""
    script = f"if [ -d {path} ]; then echo a directory; elif [ -e {path} ]; then cat {path}; fi"
    sandbox = Sandbox(read=["/var/lib"])
    found = told(script, sandbox).strip()
    sandbox.release()
    return found
