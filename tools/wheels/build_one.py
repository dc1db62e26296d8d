"""Build the wheel of this tree for the Python that runs this, or for the same Python of another machine.

    python build_one.py DIRECTORY MACHINE [ROOT]

DIRECTORY gets the wheel. MACHINE is as in uname -m. ROOT: for another machine, a root directory with that
Python and its headers. Beside this Python there must be meson-python, meson, ninja and ziglang.

The compiler is zig's, which has the headers and the symbols of each glibc for each machine: what it links
needs no newer one than GLIBC, wherever it is built.
"""

import os
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path

GLIBC = "2.28"
_TREE = Path(__file__).parents[2]
_VERSION = f"python{sysconfig.get_python_version()}"
_MACHINE_FILE = """\
[host_machine]
system = 'linux'
cpu_family = '{machine}'
cpu = '{machine}'
endian = 'little'
[binaries]
c = {compiler}
nm = 'nm'
python = '{python}'
[built-in options]
c_args = ['-idirafter', '{headers}']
"""


def main(directory: Path, machine: str, root: Path | None) -> None:
    """Build it."""
    if root is not None and "_PYTHON_HOST_PLATFORM" not in os.environ:
        _begin_again_as(machine, root)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "machine.ini").write_text(_machine_file(machine, root or Path("/"), scratch))
        kind = "native" if root is None else "cross"
        _build(directory, scratch / "build", f"--{kind}-file={scratch}/machine.ini")


def _begin_again_as(machine: str, root: Path) -> None:
    """As a Python that takes itself for the other machine's: sysconfig reads these when it begins."""
    (facts,) = root.glob(f"usr/lib/{_VERSION}/_sysconfigdata__{machine}-linux-gnu.py")
    os.environ["_PYTHON_HOST_PLATFORM"] = f"linux-{machine}"
    os.environ["_PYTHON_SYSCONFIGDATA_NAME"] = facts.stem
    with tempfile.TemporaryDirectory() as alone:
        (Path(alone) / facts.name).write_bytes(facts.read_bytes())
        os.environ["PYTHONPATH"] = alone
        sys.exit(os.spawnv(os.P_WAIT, sys.executable, [sys.executable, *sys.argv]))


def _machine_file(machine: str, root: Path, scratch: Path) -> str:
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:
        sys.exit("there is no ziglang beside this Python")
    zig = Path(spec.origin).with_name("zig")
    return _MACHINE_FILE.format(
        machine=machine,
        compiler=[str(zig), "cc", "-target", f"{machine}-linux-gnu.{GLIBC}"],
        python=sys.executable,
        headers=_python_headers(root, scratch / "headers"),
    )


def _python_headers(root: Path, links: Path) -> Path:
    """Debian's Python includes <MULTIARCH/pythonX.Y/pyconfig.h>, which only Debian's compilers find."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "none"
    (links / multiarch).mkdir(parents=True)
    own = root.absolute() / "usr/include" / multiarch / _VERSION
    if own.exists():
        (links / multiarch / _VERSION).symlink_to(own)
    return links


def _build(directory: Path, scratch: Path, setup_args: str) -> None:
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.chdir(_TREE)
    sys.path.insert(0, "build-aux")
    backend = __import__("backend")
    backend.build_wheel(str(directory), {"build-dir": str(scratch), "setup-args": setup_args})


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2], Path(sys.argv[3]) if sys.argv[3:] else None)
