"""What is measured against: small programs in C, and in Rust and Go where their compilers are."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent

Median = Callable[[int], float]


class Floors:
    """Programs that measure themselves, compiled into a folder."""

    def __init__(self, folder: Path, *, build: bool = True) -> None:
        self._folder = folder
        self.nop = str(folder / "nop")
        if build:
            self._build()

    def c(self, *words: str) -> Median:
        """The floor in C: see floor.c."""
        return self._median("floor", words)

    def in_clone(self, name: str) -> Median:
        """The floor in C, in clones of a process with numpy: see bare.c."""
        library = str(self._folder / "bare.so")

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
            if (self._folder / program).exists()
        ]

    def _median(self, program: str, words: tuple[str, ...]) -> Median:
        def median(count: int) -> float:
            argv = [str(self._folder / program), words[0], str(count), *words[1:]]
            return float(subprocess.run(argv, capture_output=True, check=True).stdout)

        return median

    def _build(self) -> None:
        arch = ROOT / "native" / "arch" / platform.machine()
        bare = ["-static", "-nostdlib", "-ffreestanding", f"-I{arch}"]
        self._compile("cc", "-O2", "-o", "floor", str(HERE / "floor.c"))
        self._compile("cc", "-O2", "-shared", "-fPIC", "-o", "bare.so", str(HERE / "bare.c"))
        self._compile("cc", "-O2", *bare, "-o", "nop", str(HERE / "nop.c"))
        if shutil.which("rustc"):
            self._compile("rustc", "-O", "-o", "floor_rust", str(HERE / "floor.rs"))
        if shutil.which("go"):
            self._compile("go", "build", "-o", "floor_go", str(HERE / "floor.go"))

    def _compile(self, *command: str) -> None:
        subprocess.run(command, cwd=self._folder, check=True)
