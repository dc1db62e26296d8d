"""100 workers, each with its own working directory, which threads cannot have."""

import os
import tempfile
from pathlib import Path

import ramet
from ramet import CloneFlag as F


def work(folder: str, results: dict[str, str]) -> None:
    """Use relative paths, as a program that is alone in its process does."""
    os.chdir(folder)
    os.umask(0o077)
    Path("result").write_text(f"{os.getpid()}")
    results[folder] = os.getcwd()


def main() -> None:
    """All at once, in one memory."""
    before = os.getcwd()
    results: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as parent:
        folders = [tempfile.mkdtemp(dir=parent) for _ in range(100)]
        children = [ramet.clone(work, folder, results, flags=F.VM) for folder in folders]
        for child in children:
            child.result(60)
        assert results == {folder: os.path.realpath(folder) for folder in folders}
        pids = {Path(folder, "result").read_text() for folder in folders}
    print(f"{len(pids)} workers, {len(results)} directories; mine is still {os.getcwd() == before}")


if __name__ == "__main__":
    main()
