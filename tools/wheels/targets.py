"""What a wheel is made for, and where a Python for it is."""

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import ramet
from tools.guest.roots import Root

HERE = platform.machine()
# Of a version that this machine lacks: the suite of Debian's that has it.
_SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid"}


@dataclass(frozen=True)
class Target:
    """A version of Python and a machine, as in uname -m."""

    version: str
    machine: str

    @classmethod
    def named(cls, name: str) -> "Target":
        """From "3.13", for this machine, or "3.13-aarch64"."""
        version, _, machine = name.partition("-")
        return cls(version, machine or HERE)

    def __str__(self) -> str:
        return f"{self.version}-{self.machine}"

    def python(self) -> Path | None:
        """One of that version that runs here and can build, or None."""
        found = shutil.which(f"python{self.version}")
        if found is None:
            return None
        can_build = ramet.run(
            ["sh", "build-aux/check_prerequisites.sh", found], stderr=ramet.DEVNULL, check=False
        )
        return Path(found) if can_build.returncode == 0 else None

    def root(self) -> Root | None:
        """A Debian for that machine with that version, or None."""
        suite = _SUITES.get(self.version)
        return None if suite is None else Root(suite, self.machine, self.version)
