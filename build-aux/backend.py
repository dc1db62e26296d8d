"""The build backend: meson-python, with an editable install that costs a process nothing.

With that of meson-python each process that imports the package runs ninja first, and compiles all modules
that it imports, since no bytecode is kept: 0.3 s. Here a path file names the sources, and a link beside
them the extension. Whoever changes a C file compiles it, which `make` does for each of its goals.
"""

import base64
import hashlib
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

from mesonpy import (
    build_editable as meson_build_editable,
)
from mesonpy import (
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

SOURCES = Path("src").absolute()
REPLACED = {"_ramet_editable_loader.py", "ramet-editable.pth"}


def build_editable(
    wheel_directory: str,
    config_settings: Mapping[str, str | list[str]] | None = None,
    metadata_directory: str | None = None,
) -> str:
    settings = {"build-dir": f"build/{sys.implementation.cache_tag}", **(config_settings or {})}
    name = meson_build_editable(wheel_directory, settings, metadata_directory)
    link_extension(Path(str(settings["build-dir"])))
    replace_loader(Path(wheel_directory, name))
    return name


def link_extension(build: Path) -> None:
    """Have the build directory's beside the modules, whatever is compiled there later."""
    (made,) = build.absolute().glob(f"native/python/_core{sysconfig.get_config_var('EXT_SUFFIX')}")
    link = SOURCES / "ramet" / made.name
    link.unlink(missing_ok=True)
    link.symlink_to(Path("../..") / made.relative_to(SOURCES.parent))


def replace_loader(wheel: Path) -> None:
    """Put a path file into the wheel, and leave out the loader of meson-python."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name not in REPLACED}
    files["ramet.pth"] = f"{SOURCES}\n".encode()
    (record,) = (name for name in files if name.endswith(".dist-info/RECORD"))
    del files[record]
    lines = [f"{name},sha256={digest(content)},{len(content)}" for name, content in files.items()]
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def digest(content: bytes) -> str:
    """As a wheel's RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
