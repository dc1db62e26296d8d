"""Debian's packages of any suite and architecture: fetched by apt, and unpacked, never installed."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import ramet

FETCH_SECONDS = 600
DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}  # of machines, as in uname -m
_KEYRINGS = "/usr/share/keyrings"


class PackageError(Exception):
    """Packages cannot be had; its text is apt's."""


class Archive:
    """One suite for one architecture. Of this system's own apt only the settings are read; nothing changes.

    suite: "bookworm". machine: Debian's name of it, "amd64". mirror: the address of an archive, or None
    for the one that this system's apt has. directory: where lists and packages are kept for the next time.
    """

    def __init__(self, suite: str, machine: str, mirror: str | None, directory: Path) -> None:
        self._suite = suite
        self._directory = directory.absolute() / f"{suite}-{machine}"
        self._options = _apt_options(self._directory, machine)
        self._mirror = mirror

    def update(self) -> None:
        """Read the lists of packages; once, where that is done it is not done again."""
        if (self._directory / "updated").exists():
            return
        for place in ("lists/partial", "archives/partial", "etc"):
            (self._directory / place).mkdir(parents=True, exist_ok=True)
        (self._directory / "status").touch()
        mirror = self._mirror or mirror_of_apt()
        (self._directory / "sources.list").write_text(f"deb {mirror} {self._suite} main\n")
        self._run("apt-get", "update", "--quiet")
        (self._directory / "updated").touch()

    def dependencies(self, package: str) -> list[str]:
        """The names that it depends on; of alternatives, the first."""
        shown = self._run("apt-cache", "show", "--no-all-versions", package)
        found = re.search(r"^Depends: (.*)$", shown, re.MULTILINE)
        return [each.split()[0].split(":")[0] for each in found[1].split(", ")] if found else []

    def unpack(self, packages: list[str], target: Path, *, all_needed: bool = False) -> None:
        """Fetch packages and lay their files into a directory. all_needed: and all that they depend on."""
        if all_needed:
            self._run("apt-get", "install", "--download-only", "--yes", "--quiet", *packages)
            files = sorted((self._directory / "archives").glob("*.deb"))
        else:
            fresh = self._directory / "fetched"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            self._run("apt-get", "download", "--quiet", *packages, cwd=fresh)
            files = sorted(fresh.iterdir())
        for file in files:
            target.mkdir(parents=True, exist_ok=True)
            _run(["dpkg-deb", "--extract", str(file), str(target)])

    def _run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        return _run([program, *self._options, *arguments], cwd)


def mirror_of_apt() -> str:
    """The archive that this system's packages come from."""
    told = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
        "Label: Debian",
    ]
    lines = _run(told).split()
    if not lines:
        raise PackageError("apt does not tell where Debian's packages are; say it: MIRROR=...")
    return lines[0]


def _apt_options(directory: Path, machine: str) -> list[str]:
    settings = {
        "APT::Architecture": machine,
        "APT::Architectures::": machine,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # it may not reach this directory
        "Acquire::Check-Valid-Until": "false",  # an old suite's lists are the last
        "Dir::Etc::SourceList": directory / "sources.list",
        "Dir::Etc::SourceParts": directory / "etc",
        "Dir::Etc::Preferences": "/dev/null",  # pins are meant for this system's suite
        "Dir::Etc::PreferencesParts": directory / "etc",
        "Dir::Etc::TrustedParts": _KEYRINGS,
        "Dir::State::Lists": directory / "lists",
        "Dir::State::Status": directory / "status",
        "Dir::Cache": directory,
        "Dir::Cache::Archives": directory / "archives",
    }
    return list(_words(settings))


def _words(settings: dict[str, object]) -> Iterator[str]:
    for name, value in settings.items():
        yield "--option"
        yield f"{name}={value}"


def _run(argv: list[str], cwd: Path | None = None) -> str:
    done = ramet.run(
        argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=FETCH_SECONDS, die_with_parent=True,
    )  # fmt: skip
    if done.returncode:
        raise PackageError(f"{' '.join(argv)} failed:\n{done.stdout[-2000:]}")
    return str(done.stdout)
