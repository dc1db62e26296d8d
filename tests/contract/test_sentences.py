import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def tests_in(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if node.name.startswith("test_"):
                yield node


def test_every_test_says_what_must_hold() -> None:
    """Each test begins with a sentence."""
    silent = [
        f"{file.relative_to(TESTS)}:{test.lineno}: {test.name}"
        for file in sorted(TESTS.rglob("test_*.py"))
        for test in tests_in(file)
        if not ast.get_docstring(test)
    ]
    assert silent == []
