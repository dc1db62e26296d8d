"""Prints every message of the library with its file and line: to be read in one go, as its users will.

A message is a text given to an exception, a warning, invalid() or add_note(), a part of an option's row or
kind, or a text of a constant, such as a table of hints; in C one given to PyErr_SetString(), PyErr_Format()
and PyErr_WarnEx(). With --docstrings: every docstring instead.

    python3 build-aux/list_messages.py [--docstrings] [FILE OR FOLDER...]
"""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_IN_C = re.compile(
    r'PyErr_(?:SetString|Format|Warn\w*)\([^;"]*((?:"(?:[^"\\]|\\.)*"\s*(?:PRI\w+)?\s*)+)'
)
_MESSAGE_CALL = re.compile(
    r"\w*(Error|Warning|Exception|Died|Exceeded|Exit)|add_note|warn\w*|invalid|_?[kK]ind|Option|Shell"
)
_CONSTANT = re.compile(r"_?[A-Z][A-Z_]+")
_LEAST_SPACES = 2  # of a sentence in a constant
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--docstrings", action="store_true")
    parser.add_argument("places", nargs="*", type=Path, default=[ROOT / "src", ROOT / "native"])
    options = parser.parse_args()
    for file in files(options.places):
        found = docstrings(file) if options.docstrings else messages(file)
        for line, text in sorted(found):
            print(f"{file.relative_to(ROOT)}:{line}: {text}")


def files(places: list[Path]) -> Iterator[Path]:
    for place in map(Path.resolve, places):
        if place.is_file():
            yield place
        else:
            yield from sorted(f for f in place.rglob("*") if f.suffix in {".py", ".c", ".h"})


def messages(file: Path) -> Iterator[tuple[int, str]]:
    source = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        for match in _IN_C.finditer(source):
            yield source.count("\n", 0, match.start()) + 1, " ".join(match[1].split())
        return
    tree = ast.parse(source)
    for constant in tree.body:
        if isinstance(constant, ast.Assign | ast.AnnAssign) and _CONSTANT.fullmatch(
            ast.unparse(
                constant.targets[0] if isinstance(constant, ast.Assign) else constant.target
            )
        ):
            yield from _sentences(constant)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _MESSAGE_CALL.fullmatch(
            ast.unparse(node.func).split(".")[-1]
        ):
            texts = [argument for argument in node.args if _has_text(argument)]
            texts += [keyword.value for keyword in node.keywords if _has_text(keyword.value)]
            for text in texts:
                yield text.lineno, ast.unparse(text)


def _sentences(constant: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(constant):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and text.count(" ") >= _LEAST_SPACES:
            yield getattr(node, "lineno", 1), repr(text)


def _has_text(argument: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
        for node in ast.walk(argument)
    )


def docstrings(file: Path) -> Iterator[tuple[int, str]]:
    if file.suffix == ".py":
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
                yield getattr(node, "lineno", 1), f"{getattr(node, 'name', '')}: {text}"


if __name__ == "__main__":
    main()
