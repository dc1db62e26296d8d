"""What a caller and its template import: no more than their calls need, since each start waits for it."""

import subprocess
import sys

import pytest

import ramet

from ..sandbox.taken_away import needs_all

NEEDLESS = {
    "cloudpickle",
    "difflib",
    "pathlib",
    "ramet._limits.memory",
    "ramet._sandbox.description",
    "ramet.law",
    "secrets",
}

IN_NEW_PYTHON = """
import sys
import ramet
needless = set(sys.argv[2:])
with ramet.Template(spares=int(sys.argv[1])) as template:
    print(template.clone(eval, f"{needless} & __import__('sys').modules.keys()").result())
print(needless & sys.modules.keys())
"""


@pytest.mark.parametrize("spares", [0, 1])
def test_what_a_plain_call_does_without(spares: int) -> None:
    """Neither of them has it: the sandbox, the law, and what only calls by value need."""
    argv = [sys.executable, "-c", IN_NEW_PYTHON, str(spares), *sorted(NEEDLESS)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\nset()\n", "")


def has_cloudpickle() -> bool:
    return "cloudpickle" in sys.modules


CONFINED_IN_NEW_PYTHON = """
import ramet
sandbox = ramet.Sandbox()
with ramet.Template(spares=0, sandbox=sandbox) as confined, ramet.Template(spares=0) as free:
    lists = [one.clone(eval, "[*__import__('sys').modules]").result() for one in (confined, free)]
print(*sorted(set(lists[0]) - set(lists[1]) - {"cloudpickle"}))
"""


@needs_all
def test_what_a_confined_template_has_beyond_another() -> None:
    """What its clones do themselves, and not how a sandbox is described and planned: each copies it."""
    argv = [sys.executable, "-c", CONFINED_IN_NEW_PYTHON]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    beyond = [name for name in done.stdout.split() if name.startswith("ramet")]
    assert beyond == [
        "ramet._kernel.mounts",
        "ramet._sandbox",
        "ramet._sandbox.files",
        "ramet._sandbox.files.in_a_call",
        "ramet._sandbox.own_places",
        "ramet._workers.in_template.own_mappings",
    ]


EXECUTOR_IN_NEW_PYTHON = """
import ramet, sys
imported = "[*__import__('sys').modules]"
spares, call, initializer = int(sys.argv[1]), eval(sys.argv[2]), eval(sys.argv[3])
with ramet.Template(spares=spares) as template:
    with ramet.Executor(1, template, initializer=initializer) as executor:
        called = {name for _ in "12" for name in call(executor, imported)}
    print(sorted(called - set(template.clone(eval, imported).result())))
"""
SUBMIT = "lambda executor, code: executor.submit(eval, code).result()"
MAP = "lambda executor, code: next(executor.map(eval, [code, code], chunksize=2))"


@pytest.mark.parametrize("spares", [0, 1])
@pytest.mark.parametrize(
    ("call", "initializer"), [(SUBMIT, "None"), (SUBMIT, "int"), (MAP, "None")]
)
def test_a_call_of_an_executor_imports_nothing_itself(
    spares: int, call: str, initializer: str
) -> None:
    """Whichever way its tree ends, and whatever it calls besides: each call would import it anew."""
    argv = [sys.executable, "-c", EXECUTOR_IN_NEW_PYTHON, str(spares), call, initializer]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("spares", [0, 1])
def test_calls_by_value_find_what_reads_them(spares: int) -> None:
    """From the first one on the template has it, and no clone has to import it anew."""
    with ramet.Template([__name__], spares=spares) as template:
        assert not template.clone(has_cloudpickle).result()
        assert template.clone(lambda: 7).result() == 7
        template.clone(has_cloudpickle).result()  # by a spare that was there before
        assert template.clone(has_cloudpickle).result()
        assert template.clone(lambda: 7).result() == 7
