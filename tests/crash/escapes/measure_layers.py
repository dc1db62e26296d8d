"""Measures which layer stops each escape alone: `python -m tests.crash.escapes.measure_layers`.

It writes layers.txt anew, from which docs/reference/sandbox_escapes.md is made. It is to be run as a
plain user, the harder case: root gives what it confines an id that nobody has.
"""

import os
import tempfile
from pathlib import Path

from .confinements import LAYERS
from .rows import FOLDER, escapes
from .trial import Outside, Trial, build

FILE = FOLDER / "layers.txt"
LEAD = """\
# Which layers stop an escape, each alone, measured by measure_layers.py as a plain user: rights (no
# capability, no new privileges, closed descriptors, its own environment, limits), and rights with
# namespaces, with landlock or with the filter.
"""


def stoppers(program: Path) -> dict[str, list[str]]:
    """The layers that stop each."""
    found: dict[str, list[str]] = {escape.name: [] for escape in escapes()}
    for layer in ("rights", *LAYERS):
        outside = Outside()
        trial = Trial(f"{layer} alone", program, outside)
        for escape in escapes():
            if not trial.ways_through(escape):
                found[escape.name].append(layer)
        trial.close()
        outside.close()
    return found


def main() -> None:
    """Measure, and write."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = Path(folder) / "escapes"
        build(program)
        lines = [
            f"{name}: {' '.join(layers)}".rstrip() for name, layers in stoppers(program).items()
        ]
    FILE.write_text(LEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
