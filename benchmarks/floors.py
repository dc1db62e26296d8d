"""What is measured against: small programs in C, and in Rust and Go where their compilers are."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .sandbox_room import Room

HERE = Path(__file__).parent
ROOT = HERE.parent

Median = Callable[[int], float]


class Floors:
    """Programs that measure themselves, compiled into ``folder``."""

    def __init__(self, folder: Path, *, build: bool = True) -> None:
        self.folder = folder
        self.nop = str(folder / "nop")
        if build:
            self._build()

    def c(self, *words: str) -> Median:
        """The floor in C: see floor.c."""
        return self._median("floor", words)

    def sandbox(self, room: Room, program: str, *, anew: bool) -> Median:
        """The floor of a sandbox in C, see sandbox_floor.c; anew: all is made for each child."""
        floor = str(self.folder / "sandbox_floor")
        kept = [] if anew else [*map(str, room.descriptors)]

        def median(count: int) -> float:
            argv = [floor, "anew" if anew else "kept", str(count)]
            argv += [room.description, room.filter, *kept, program]
            done = subprocess.run(
                argv, stdout=subprocess.PIPE, check=True, pass_fds=[] if anew else room.descriptors
            )
            return float(done.stdout)

        return median

    def in_clone(self, name: str) -> Median:
        """The floor in C, in clones of a process with numpy: see bare.c."""
        library = str(self.folder / "bare.so")

        def median(count: int) -> float:
            argv = [sys.executable, "-m", "benchmarks.bare", library, name, str(count)]
            return float(subprocess.run(argv, capture_output=True, check=True).stdout)

        return median

    def others(self, *words: str) -> list[tuple[str, Median]]:
        """The same job by the standard libraries of other languages, those that are here."""
        named = (("Rust std::process", "floor_rust"), ("Go os/exec", "floor_go"))
        return [
            (name, self._median(program, words))
            for name, program in named
            if (self.folder / program).exists()
        ]

    def _median(self, program: str, words: tuple[str, ...]) -> Median:
        def median(count: int) -> float:
            argv = [str(self.folder / program), words[0], str(count), *words[1:]]
            return float(subprocess.run(argv, capture_output=True, check=True).stdout)

        return median

    def _build(self) -> None:
        arch = ROOT / "native" / "arch" / platform.machine()
        bare = ["-static", "-nostdlib", "-ffreestanding", f"-I{arch}"]
        self._compile("cc", "-O2", "-o", "floor", str(HERE / "floor.c"))
        self._compile("cc", "-O2", "-o", "sandbox_floor", str(HERE / "sandbox_floor.c"))
        self._compile("cc", "-O2", "-shared", "-fPIC", "-o", "bare.so", str(HERE / "bare.c"))
        self._compile("cc", "-O2", *bare, "-o", "nop", str(HERE / "nop.c"))
        if shutil.which("rustc"):
            self._compile("rustc", "-O", "-o", "floor_rust", str(HERE / "floor.rs"))
        if shutil.which("go"):
            self._compile("go", "build", "-o", "floor_go", str(HERE / "floor.go"))

    def _compile(self, *command: str) -> None:
        subprocess.run(command, cwd=self.folder, check=True)
