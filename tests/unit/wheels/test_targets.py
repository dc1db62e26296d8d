"""What wheels are made for, and the environments of other Debians that they are built in."""

import platform
from pathlib import Path

import pytest

from tools.guest import roots
from tools.wheels.builders import NoPythonError, build
from tools.wheels.targets import Target


def test_a_target_is_named_by_its_version_and_machine() -> None:
    """Without a machine it is this one."""
    assert Target.named("3.13-aarch64") == Target("3.13", "aarch64")
    assert Target.named("3.14") == Target("3.14", platform.machine())
    assert str(Target.named("3.13-aarch64")) == "3.13-aarch64"


def test_a_version_that_is_nowhere_is_said_to_be() -> None:
    """Neither here nor in a Debian."""
    with pytest.raises(NoPythonError, match=r"no python3\.99 with its headers is on the PATH"):
        build(Target.named("3.99"), None)
    with pytest.raises(NoPythonError, match=r"needs python3\.99 here"):
        build(Target("3.99", "riscv64"), None)


def test_a_version_of_debian_has_a_root() -> None:
    """Of the suite that has it."""
    assert Target("3.11", "aarch64").root() == roots.Root("bookworm", "aarch64", "3.11")
    assert Target("3.12", "x86_64").root() is None


def test_a_script_gets_the_python_of_its_environment(tmp_path: Path) -> None:
    """The one that pip wrote into it is another one; a program stays as it is."""
    script, program = tmp_path / "tool", tmp_path / "ninja"
    script.write_bytes(b"#!/of/pip/python\nimport tool\n")
    program.write_bytes(b"\x7fELF")
    (tmp_path / "bin").mkdir()
    for each in (script, program):
        roots._move(each, tmp_path / "bin", b"#!/opt/python\n")
    assert (tmp_path / "bin/tool").read_bytes() == b"#!/opt/python\nimport tool\n"
    assert (tmp_path / "bin/tool").stat().st_mode & 0o111
    assert (tmp_path / "bin/ninja").read_bytes() == b"\x7fELF"
