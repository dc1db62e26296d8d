import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

TREE = Path(__file__).parents[2]
NOTEBOOKS = sorted((TREE / "examples").glob("*.ipynb"))


def outputs(notebook: Path) -> Any:
    """What the cells show, with any number of several digits as one word."""
    cells = json.loads(notebook.read_text())["cells"]
    shown = json.dumps([cell["outputs"] for cell in cells if cell["cell_type"] == "code"])
    return json.loads(re.sub(r"(execution_count\": )?\d\d+", r"\g<1>0", shown))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_shows_what_its_cells_show(
    notebook: Path, tmp_path: Path, nothing_left: object
) -> None:
    """Its outputs are the real ones, and nothing is complained of."""
    written = tmp_path / "executed.ipynb"
    done = subprocess.run(
        [sys.executable, "-W", "error", TREE / "build-aux" / "notebook.py", notebook, written],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert outputs(written) == outputs(notebook)


def test_there_is_a_notebook_with_pictures() -> None:
    """Ten cells, and each picture is a document of its own."""
    (notebook,) = NOTEBOOKS
    cells = json.loads(notebook.read_text())["cells"]
    assert len([cell for cell in cells if cell["cell_type"] == "code"]) == 10
    shown = [
        output["data"] for cell in cells for output in cell.get("outputs", []) if "data" in output
    ]
    pictures = ["".join(data["image/svg+xml"]) for data in shown if "image/svg+xml" in data]
    assert len(pictures) == 4
    for picture in pictures:
        assert ET.fromstring(picture).tag.endswith("svg")
