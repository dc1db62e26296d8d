"""The build backend: meson-python, with a ninja that stays.

An editable install rebuilds itself when it is imported, with the ninja that built it first. Under
pip's build isolation that ninja lies in a temporary directory which is gone by then, and every
import fails. So an editable install is built with a copy that is kept in the build directory.
"""

import os
import shutil
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

KEPT_NINJA = Path("build", "tools", "ninja")


def build_editable(
    wheel_directory: str,
    config_settings: Mapping[str, str | list[str]] | None = None,
    metadata_directory: str | None = None,
) -> str:
    keep_ninja()
    return meson_build_editable(wheel_directory, config_settings, metadata_directory)


def keep_ninja() -> None:
    found = shutil.which("ninja")
    if "NINJA" in os.environ or found is None:
        return
    KEPT_NINJA.parent.mkdir(parents=True, exist_ok=True)
    # Replaced in one step: a running import may be executing the copy that is there.
    fresh = KEPT_NINJA.with_suffix(f".{os.getpid()}")
    shutil.copy2(found, fresh)
    fresh.replace(KEPT_NINJA)
    os.environ["NINJA"] = str(KEPT_NINJA.absolute())
