"""The kernels that guests boot: which there are, and their files."""

from dataclasses import dataclass
from pathlib import Path

from .packages import DEBIAN_NAMES, Archive, PackageError


@dataclass(frozen=True)
class Kernel:
    """A line of Linux versions, and the suite of Debian's that has it."""

    version: str
    suite: str


KERNELS = (
    Kernel("5.10", "bullseye"),
    Kernel("6.1", "bookworm"),
    Kernel("6.12", "trixie"),
    Kernel("7.2", "sid"),
)


def named(version: str) -> Kernel:
    """The kernel of that version; SystemExit where there is none."""
    for kernel in KERNELS:
        if kernel.version == version:
            return kernel
    known = ", ".join(kernel.version for kernel in KERNELS)
    raise SystemExit(f"no kernel {version!r}: expected one of {known}")


def fetch(kernel: Kernel, machine: str, mirror: str | None, cache: Path) -> Path:
    """The directory with its image and its modules, unpacked once and kept in the cache.

    machine: its name as in uname -m. mirror: as for Archive. PackageError where it cannot be had: a suite
    may have a newer one by now, and old suites leave the mirrors.
    """
    directory = cache / f"linux-{kernel.version}-{machine}"
    if not (directory / "unpacked").exists():
        debian_name = DEBIAN_NAMES[machine]
        archive = Archive(kernel.suite, debian_name, mirror, cache / "apt")
        archive.update()
        packages = _packages(archive, f"linux-image-cloud-{debian_name}")
        if not any(f"-{kernel.version}." in package for package in packages):
            raise PackageError(f"Debian {kernel.suite} has no Linux {kernel.version}: {packages}")
        archive.unpack(packages, directory)
        (directory / "unpacked").touch()
    return directory


def image(directory: Path) -> Path:
    """The file to boot."""
    (found,) = directory.rglob("vmlinuz*")
    return found


def _packages(archive: Archive, package: str) -> list[str]:
    """Those with the kernel's files: image and modules are in one package, or in several of its version."""
    needed = archive.dependencies(package)
    own = [each for each in needed if each.startswith("linux-") and "cloud" in each]
    return own + [further for each in own for further in _packages(archive, each)]
