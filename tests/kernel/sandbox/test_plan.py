import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from ramet import DEVNULL, SandboxError, clone, run
from ramet import CloneFlag as F
from ramet._sandbox.description import Sandbox
from ramet._sandbox.planning.machine import this_machine
from ramet._sandbox.planning.plan import plan

from ...constants import PATIENT_SECONDS, SECONDS
from .taken_away import MS_RDONLY, mount, needs_all, needs_landlock

MS_REC, MS_PRIVATE = 0x4000, 1 << 18

pytestmark = [needs_all, pytest.mark.kernel]


def in_own_interpreter(code: str) -> Any:
    """What a statement of Python prints as JSON, which sets filters on itself first."""
    start = f"import json, os, sys\nsys.path.append({str(Path(__file__).parents[3])!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=PATIENT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_this_machine() -> None:
    """Where all is granted, the best sandbox is made of all, whoever the caller is."""
    found = plan(Sandbox())
    found.refuse_if_short()
    assert found.namespaces == {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"}
    assert found.seccomp
    assert found.own_id in (
        {"unused id"} if os.geteuid() == 0 else {"caller's id", "subordinate id"}
    )


@needs_landlock(6)
def test_in_a_container_without_namespaces() -> None:
    """Its filter refuses namespaces and mounts: what landlock and a filter keep of the wishes is said."""
    told = in_own_interpreter(
        """
        from tests.seccomp import be_in_a_container
        be_in_a_container()
        import ramet
        from ramet._sandbox.description import Sandbox
        from ramet._sandbox.planning.plan import plan
        found = plan(Sandbox())
        rows = {row.wish: [row.met, row.mechanism] for row in found.rows}
        try:
            found.refuse_if_short()
        except ramet.SandboxError as error:
            refused = [error.wish, error.errno, error.remedy, [rule.id for rule in error.rules]]
        print(json.dumps([rows, sorted(found.namespaces), found.seccomp, refused]))
        """
    )
    rows, namespaces, seccomp, (wish, number, remedy, rules) = told
    assert namespaces == []
    assert seccomp is True
    assert rows["read"][0] == rows["network"][0] == "partly"
    assert rows["read"][1].startswith("landlock ABI ")
    assert rows["syscalls"] == ["fully", "a seccomp filter"]
    assert rows["tmp"] == rows["proc"] == ["not", ""]
    assert rows["own sockets only"][0] == "fully"
    assert wish == "tmp"
    assert number == 1
    assert "ramet-filter" in rules
    assert remedy


def test_a_write_path_on_a_read_only_mount(tmp_path: Path) -> None:
    """The mount is named; a layer needs no writing there."""
    ids = {"setgroups": "deny", "uid_map": f"0 {os.geteuid()} 1", "gid_map": f"0 {os.getegid()} 1"}

    def look() -> list[Any]:
        for name, text in ids.items():
            Path(f"/proc/self/{name}").write_text(text)
        mount("tmpfs", str(tmp_path), "tmpfs", MS_RDONLY)
        sandbox = Sandbox().replace(write=[tmp_path])
        found = [row for row in plan(sandbox).rows if row.path]
        layered = [row for row in plan(sandbox.replace(overlay=True)).rows if row.path]
        return [[row.shortfall, row.remedy] for row in found] + [len(layered)]

    with clone(look, flags=F.NEWUSER | F.NEWNS) as child:
        told = child.result(SECONDS)
    path = str(tmp_path)
    assert told == [
        [
            f"{path!r} is on a file system that is mounted read-only, at {path!r}",
            f"mount -o remount,rw {path}, or overlay=True",
        ],
        0,
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose sandbox is another user")
def test_a_layer_over_files_whose_ids_cannot_be_mapped(tmp_path: Path) -> None:
    """The plan says so, nothing starts in vain, and with "best" the directory is read-only."""

    def look() -> list[Any]:
        mount("none", "/", "", MS_REC | MS_PRIVATE)
        mount("none", str(tmp_path), "ramfs")
        tmp_path.chmod(0o777)
        sandbox = Sandbox(write=[tmp_path], overlay=True)
        script = ["sh", "-c", ": > here", "sh"]
        with pytest.raises(SandboxError) as refused:
            run(script, cwd=tmp_path, sandbox=sandbox)
        best = sandbox.replace(require="best")
        done = run(script, cwd=tmp_path, sandbox=best, stderr=DEVNULL)
        return [refused.value.wish, refused.value.remedy, done.returncode, os.listdir(tmp_path)]

    with clone(look, flags=F.NEWNS) as child:
        wish, remedy, status, left = child.result(PATIENT_SECONDS)
    assert wish == "write"
    assert f"idmapped mounts below {str(tmp_path)!r}" in remedy
    assert (status != 0, left) == (True, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose sandbox is another user")
def test_a_layer_of_a_file_whose_ids_cannot_be_mapped(tmp_path: Path) -> None:
    """It is written to the copy of it in the layer, which is elsewhere."""
    if not this_machine().idmap(tempfile.gettempdir()).granted:
        pytest.skip("no ids are mapped where layers are")

    def look() -> list[str]:
        mount("none", "/", "", MS_REC | MS_PRIVATE)
        mount("none", str(tmp_path), "ramfs")
        tmp_path.chmod(0o755)
        (file := tmp_path / "file").write_text("old")
        sandbox = Sandbox(write=[file], overlay=True)
        done = run(["sh", "-c", 'printf new > "$1"', "sh", file], sandbox=sandbox, check=True)
        assert done.changes is not None
        with done.changes as changes:
            return [change.kind for change in changes] + [file.read_text()]

    with clone(look, flags=F.NEWNS) as child:
        assert child.result(PATIENT_SECONDS) == ["modified", "old"]
