"""How locks are held: by Held, since `with lock` may leave one locked on Python 3.14."""

import ast
from pathlib import Path

import ramet

ROOT = Path(ramet.__file__).parent
KINDS = {"Condition", "Lock", "RLock"}


def names_of_locks(tree: ast.AST) -> set[str]:
    """The names, and the attributes, that a file gives a new lock."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = node.value.func
            if getattr(made, "attr", getattr(made, "id", None)) in KINDS:
                found |= {
                    getattr(target, "attr", getattr(target, "id", "")) for target in node.targets
                }
        elif isinstance(node, ast.AnnAssign) and getattr(node.annotation, "id", "") in KINDS:
            found.add(getattr(node.target, "attr", getattr(node.target, "id", "")))
    return found


def test_no_lock_is_held_by_the_with_statement_alone() -> None:
    """But for that of a command, which is for other threads than the one in which handlers run."""
    files = {*ROOT.rglob("*.py")} - {*ROOT.glob("cli/*.py")}
    trees = {file: ast.parse(file.read_text()) for file in files}
    locks = {name for tree in trees.values() for name in names_of_locks(tree)} - {""}
    assert {"_lock", "_reading", "_ending", "sending"} <= locks
    held = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if getattr(item.context_expr, "attr", getattr(item.context_expr, "id", "")) in locks
    ]
    assert held == []
