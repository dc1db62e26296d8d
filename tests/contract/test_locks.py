"""How locks are held: by Held, since `with lock` may leave one locked on Python 3.14.

Neither does the block of Held give one back on Python 3.12 and 3.13 where a signal handler raises at the
jump to the head of a loop that has a condition: the compiler lists that jump with no block that it is in.
"""

import ast
from collections.abc import Iterator
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


def conditional_loops(node: ast.AST) -> Iterator[ast.AST]:
    """Those in the same frame as the node: with a condition that jumps back, or in which one may."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.While) or (
            isinstance(inner, ast.For)
            and any(isinstance(each, ast.If | ast.Match) for each in ast.walk(inner))
        ):
            yield inner
        elif isinstance(inner, ast.ListComp | ast.SetComp | ast.DictComp):
            yield from (each for each in inner.generators if each.ifs)
        if not isinstance(inner, ast.FunctionDef | ast.Lambda | ast.GeneratorExp):
            yield from conditional_loops(inner)


def test_no_loop_with_a_condition_is_in_a_block_that_holds_a_lock() -> None:
    """It is in a function of its own: what is raised there comes out of its call, which is in the block."""
    held = {
        f"{file.relative_to(ROOT)}:{node.lineno}": node
        for file in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.With) and "Held(" in ast.unparse(node.items[0])
    }
    assert len(held) > 20
    assert [place for place, node in held.items() if any(conditional_loops(node))] == []
