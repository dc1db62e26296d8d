"""Files from which a sandbox is made, replaced between two programs: what they are by now counts."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import Sandbox

from .suites import directory, run, told
from .taken_away import needs_all

pytestmark = needs_all

NO_DIRECTORIES = (
    '{"defaultAction": "SCMP_ACT_ALLOW", '
    '"syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}'
)


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of this machine."""
    with directory() as path:
        yield path


def test_a_filter(outside: Path) -> None:
    """Of a file that has changed its content, or has become another."""
    file, sandbox = outside / "filter", Sandbox(syscalls=outside / "filter")
    file.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}')
    told("mkdir /tmp/made", sandbox)
    file.write_text(NO_DIRECTORIES)
    assert "Operation not permitted" in run("mkdir /tmp/made", sandbox).stderr
    file.unlink()
    with pytest.raises(ramet.SandboxError, match="filter' does not exist"):
        run("true", sandbox)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_network_namespace(outside: Path) -> None:
    """The one to which the path leads by now."""
    place, seen = outside / "network", []
    sandbox = Sandbox(network=place)
    with (
        ramet.Popen(["cat"], flags=F.NEWNET, stdin=ramet.PIPE) as first,
        ramet.Popen(["cat"], flags=F.NEWNET, stdin=ramet.PIPE) as second,
    ):
        for holder in (first, second):
            place.unlink(missing_ok=True)
            place.symlink_to(f"/proc/{holder.pid}/ns/net")
            seen.append(told("readlink /proc/self/ns/net", sandbox).strip())
            assert seen[-1] == os.readlink(f"/proc/{holder.pid}/ns/net")
        for holder in (first, second):
            holder.communicate(b"")
    assert seen[0] != seen[1]
