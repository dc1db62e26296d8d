"""Root directories with another Debian, for another machine or with a Python that this system lacks.

Packages are unpacked and not installed: what a guest needs of their scripts' work is done here.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ramet

from .packages import DEBIAN_NAMES, Archive

_PACKAGES = (
    "base-files", "base-passwd", "bash", "binutils", "coreutils", "dash", "findutils", "gcc", "grep",
    "hostname", "libc-bin", "libc6-dev", "libseccomp2", "mount", "netbase", "procps", "sed", "tar",
    "util-linux",
)  # fmt: skip
_LINKS = {"bin/sh": "dash", "usr/bin/cc": "gcc", "usr/bin/awk": "mawk"}  # update-alternatives' work
_GLIBC_MINORS = range(5, 37)  # those that wheels are made for, up to that of the oldest suite


@dataclass(frozen=True)
class Root:
    """What is in it: Debian's suite, for a machine as in uname -m, with that version of Python."""

    suite: str
    machine: str
    python: str

    @property
    def name(self) -> str:
        """Its name, and that of its directory."""
        return f"{self.suite}-{self.machine}-python{self.python}"


def make(root: Root, mirror: str | None, cache: Path) -> Path:
    """The directory, made once and kept in the cache. PackageError where its packages cannot be had."""
    directory, made_by = cache / "roots" / root.name, Path(__file__).read_text()
    if not _is_made(directory, made_by):
        shutil.rmtree(directory, ignore_errors=True)
        archive = Archive(root.suite, DEBIAN_NAMES[root.machine], mirror, cache / "apt")
        archive.update()
        python = f"python{root.python}"
        packages = [*_PACKAGES, python, f"{python}-dev", f"lib{python}-testsuite"]
        archive.unpack(packages, directory, all_needed=True)
        _settle(directory)
        _make_links_relative(directory, Path("usr/lib", python))
        _compile(directory, root, Path("usr/lib", python))
        (directory / "made").write_text(made_by)
    return directory


def _is_made(directory: Path, made_by: str) -> bool:
    """Whether it is there, made as these sources make it."""
    try:
        return (directory / "made").read_text() == made_by
    except FileNotFoundError:
        return False


def _settle(directory: Path) -> None:
    for name in ("passwd", "group"):
        master = directory / "usr/share/base-passwd" / f"{name}.master"
        shutil.copy(master, directory / "etc" / name)
    for link, target in _LINKS.items():
        if not (directory / link).is_symlink() and not (directory / link).exists():
            (directory / link).symlink_to(target)
    (directory / "etc/hosts").write_text("127.0.0.1 localhost\n")
    for place in ("proc", "sys", "dev", "run", "tmp", "var/tmp", "opt", "mnt"):
        (directory / place).mkdir(parents=True, exist_ok=True)
    ramet.run(["/sbin/ldconfig", "-r", directory], check=True)


def _make_links_relative(directory: Path, place: Path) -> None:
    """Those that name a file by its path in the guest: here another has that, or none."""
    for link in (directory / place).glob("*.py"):
        if link.is_symlink() and os.path.isabs(target := os.readlink(link)):
            link.unlink()
            link.symlink_to(os.path.relpath(target, "/" / place))


def make_environment(
    directory: Path, root: Root, use: str, requirements: Sequence[str | Path], pip: Sequence[str]
) -> Path:
    """A virtual environment in it, with wheels for its machine; its Python's path as the guest sees it.

    It is written as files, since its Python may not run here. use: what it is for, as its name; what has
    been there under this name is gone. requirements: as pip takes them; of each there must be a wheel. pip:
    the command of one that runs here.
    """
    version, seen = f"python{root.python}", Path("/opt") / use
    environment = directory / seen.relative_to("/")
    site = environment / "lib" / version / "site-packages"
    shutil.rmtree(environment, ignore_errors=True)
    site.mkdir(parents=True)
    (environment / "bin").mkdir()
    (environment / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {root.python}\n")
    for name in ("python", "python3", version):
        (environment / "bin" / name).symlink_to(f"/usr/bin/{version}")
    command: list[str | Path] = [*pip, "install", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--no-compile", "--target", site]
    command += [f"--python-version={root.python}"]
    command += [f"--platform=manylinux_2_{minor}_{root.machine}" for minor in _GLIBC_MINORS]
    ramet.run([*command, *requirements], check=True)
    _compile(directory, root, site.relative_to(directory))
    for script in (site / "bin").glob("*"):
        _move(script, environment / "bin", f"#!{seen}/bin/python\n".encode())
    return seen / "bin" / "python"


def _compile(directory: Path, root: Root, place: Path) -> None:
    """Have bytecode beside the sources there, which a guest cannot write.

    Without it each process in the guest compiles all that it imports. It is the same on any machine; where
    no Python of that version runs here, there is none.
    """
    compiler = ["-m", "compileall", "-q", "-x", "/test/"]
    if root.machine == os.uname().machine:
        python = f"/usr/bin/python{root.python}"
        ramet.run(["/usr/sbin/chroot", directory, python, *compiler, "/" / place])
    elif here := shutil.which(f"python{root.python}"):
        ramet.run([here, *compiler, "-j0", "-s", directory, "-p", "/", directory / place])


def _move(script: Path, to: Path, first_line: bytes) -> None:
    """Pip has written the Python into it that pip ran with."""
    content = script.read_bytes()
    if content.startswith(b"#!"):
        content = first_line + content.partition(b"\n")[2]
    (to / script.name).write_bytes(content)
    (to / script.name).chmod(0o755)
