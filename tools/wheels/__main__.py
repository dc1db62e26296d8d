"""python -m tools.wheels: the sdist, and wheels, into build/wheels."""

import argparse
import os
import sys
from pathlib import Path

import ramet
from tools.guest.packages import PackageError

from .audit import audited
from .builders import PLACE, TREE, NoPythonError, build
from .targets import Target
from .trial import try_source, try_wheel

_ALL = ("3.11", "3.12", "3.13", "3.14", "3.13-aarch64")
_COMPILERS = ("gcc", "clang")


def main() -> int:
    """Build what is asked for; 1 when something could not be built."""
    parser = argparse.ArgumentParser(prog="python -m tools.wheels", description=__doc__)
    parser.add_argument(
        "targets",
        nargs="*",
        default=_ALL,
        help=f"versions of Python, of other machines with -MACHINE: {' '.join(_ALL)}",
    )
    parser.add_argument("--no-sdist", action="store_true", help="wheels only")
    arguments = parser.parse_args()
    built = [_wheel(Target.named(name)) for name in arguments.targets]
    if not arguments.no_sdist:
        _sdist()
    return 0 if all(built) else 1


def _wheel(target: Target) -> bool:
    mirror = os.environ.get("MIRROR")
    try:
        wheel = audited(build(target, mirror), PLACE)
    except (NoPythonError, PackageError) as error:
        print(f"no wheel for {target}: {error}", file=sys.stderr)
        return False
    print(f"{wheel.relative_to(TREE)}\n    {try_wheel(target, wheel, mirror)}", flush=True)
    return True


def _sdist() -> None:
    command: list[str | Path] = [sys.executable, "-m", "build", "--sdist", "--outdir", PLACE, TREE]
    ramet.run(command, check=True, stdout=ramet.DEVNULL)
    sdist = max(PLACE.glob("*.tar.gz"), key=lambda file: file.stat().st_mtime)
    print(sdist.relative_to(TREE))
    for compiler in _COMPILERS:
        print(f"    by {compiler}: {try_source(Path(sdist), compiler)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
