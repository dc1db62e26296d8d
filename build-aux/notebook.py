"""Runs the cells of a notebook and writes what they show: python build-aux/notebook.py NOTEBOOK [WRITTEN].

It asks values for what they show as IPython does: by the methods _repr_html_ and _repr_svg_, and by repr().
A kernel of Jupyter does the same, and is a hundred megabytes. Source: the notebook format, version 4.5.
"""

import ast
import io
import json
import sys
import types
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

SHOWN = {"text/html": "_repr_html_", "image/svg+xml": "_repr_svg_"}


def execute(notebook: dict[str, Any]) -> None:
    """Run the cells, and put what each shows into it; raises what a cell raises."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, 1):
        cell["execution_count"] = number
        cell["outputs"] = list(run("".join(cell["source"]), number, vars(main)))


def run(source: str, number: int, names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is printed, and what the value of a last expression shows."""
    body = ast.parse(source, f"cell {number}").body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    value = None
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(ast.Module(body, []), f"cell {number}", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
            data = shown(value) if value is not None else {}
    if text := printed.getvalue():
        yield {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}
    if value is not None:
        yield {
            "data": {kind: words.splitlines(keepends=True) for kind, words in data.items()},
            "execution_count": number,
            "metadata": {},
            "output_type": "execute_result",
        }


def shown(value: object) -> dict[str, str]:
    """By their MIME types, the forms that it has."""
    forms = {kind: getattr(value, name)() for kind, name in SHOWN.items() if hasattr(value, name)}
    return dict(sorted({**forms, "text/plain": repr(value)}.items()))


def main(read: str, written: str | None = None) -> None:
    """Run one, and write it in place or elsewhere."""
    notebook = json.loads(Path(read).read_text(encoding="utf-8"))
    execute(notebook)
    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)
    Path(written or read).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
