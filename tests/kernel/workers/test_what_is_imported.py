"""What a caller and its template import: no more than their calls need, since each start waits for it."""

import subprocess
import sys

import pytest

import ramet

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


@pytest.mark.parametrize("spares", [0, 1])
def test_calls_by_value_find_what_reads_them(spares: int) -> None:
    """From the first one on the template has it, and no clone has to import it anew."""
    with ramet.Template([__name__], spares=spares) as template:
        assert not template.clone(has_cloudpickle).result()
        assert template.clone(lambda: 7).result() == 7
        template.clone(has_cloudpickle).result()  # by a spare that was there before
        assert template.clone(has_cloudpickle).result()
        assert template.clone(lambda: 7).result() == 7
