"""What an executor that was told of no modules loads for functions of the program itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from ...constants import PATIENT_SECONDS

pytestmark = pytest.mark.usefixtures("nothing_left")

PROGRAM = """
import os, sys, time
import one_module
import ramet
from ramet._workers.template import source_files

source_files._OF_PYTHON += ({packages!r},)
IS_LOADED = "'one_module' in __import__('sys').modules"

def refers_to_it(x):
    return one_module.number + x

def call_until(executor, is_so):
    while not executor.submit(eval, is_so).result():
        refers = [executor.submit(refers_to_it, n) for n in range(2)]
        assert [one.result() for one in refers] == [7, 8]

{rest}
"""


HANGS_IN_A_TEMPLATE = """
import sys, time

number, frame = 7, sys._getframe()
while frame is not None:
    if frame.f_code.co_filename.endswith("_workers/in_template/loading.py"):
        time.sleep(1000)
    frame = frame.f_back
"""


def run(
    path: Path, module: str, rest: str, packages: str = ""
) -> "subprocess.CompletedProcess[str]":
    """The program, and what it said. packages: the directory of what is an installed package to it."""
    (path / "one_module.py").write_text(module)
    (path / "program.py").write_text(PROGRAM.format(packages=packages or f"{path}/", rest=rest))
    command = [sys.executable, "program.py"]
    return subprocess.run(
        command, cwd=path, capture_output=True, text=True, timeout=PATIENT_SECONDS, check=False
    )


def test_a_package_is_loaded_once_a_function_is_called_again(tmp_path: Path) -> None:
    """Calls go on meanwhile, and the processes of those that run stay."""
    told = run(
        tmp_path,
        "number = 7",
        """
with ramet.Executor(2) as executor:
    before = executor._pool._template.pid
    call_until(executor, IS_LOADED)
    assert executor._pool._template.pid != before
with ramet.Executor(2) as executor:
    list(executor.map(refers_to_it, range(8), chunksize=2))
    call_until(executor, IS_LOADED)
print("loaded")
""",
    )
    assert (told.stdout, told.stderr, told.returncode) == ("loaded\n", "", 0)


def test_the_programs_own_modules_are_left_to_the_calls(tmp_path: Path) -> None:
    """But for the packages that they have imported."""
    told = run(
        tmp_path,
        "import colorsys\nnumber = 7",
        """
with ramet.Executor(2) as executor:
    call_until(executor, "'colorsys' in __import__('sys').modules")
    print(executor.submit(eval, IS_LOADED).result())
""",
        packages="/nothing",
    )
    assert (told.stdout, told.stderr, told.returncode) == ("False\n", "", 0)


@pytest.mark.parametrize("options", ["preload=()", "preload=['json']", "template=ramet.Template()"])
def test_who_says_what_to_load_gets_that(options: str, tmp_path: Path) -> None:
    """An empty list is nothing."""
    told = run(
        tmp_path,
        "number = 7",
        f"""
with ramet.Executor(2, {options}) as executor:
    before = executor._pool._template.pid
    assert list(executor.map(refers_to_it, range(20))) == list(range(7, 27))
    assert executor._pool._template.pid == before
    print(executor.submit(eval, IS_LOADED).result())
""",
    )
    assert (told.stdout, told.stderr, told.returncode) == ("False\n", "", 0)


def test_what_no_template_can_load_is_told_once(tmp_path: Path) -> None:
    """Here, a module with a thread. The calls import it as before."""
    told = run(
        tmp_path,
        "from threading import Event, Thread\nnumber = 7\nThread(target=Event().wait, daemon=True).start()",
        """
with ramet.Executor(2) as executor:
    thread = None
    while thread is None or thread.is_alive():
        assert list(executor.map(refers_to_it, range(4))) == [7, 8, 9, 10]
        thread = executor._pool._learning._thread
    assert list(executor.map(refers_to_it, range(9))) == list(range(7, 16))
""",
    )
    assert (told.stdout, told.returncode) == ("", 0)
    assert told.stderr.count("each call imports one_module anew") == 1
    assert "does not survive a fork: thread" in told.stderr


def test_what_no_template_can_load_costs_no_other(tmp_path: Path) -> None:
    """A package beside it is loaded, and the warning names it alone."""
    (tmp_path / "another_module.py").write_text("number = 7")
    told = run(
        tmp_path,
        "from threading import Event, Thread\nnumber = 7\nThread(target=Event().wait, daemon=True).start()",
        """
import another_module

def refers_to_it(x):
    return another_module.number + one_module.number + x - 7

with ramet.Executor(2) as executor:
    call_until(executor, "'another_module' in __import__('sys').modules")
    executor._pool._learning._thread.join()
    print(executor.submit(eval, IS_LOADED).result())
""",
    )
    assert (told.stdout, told.returncode) == ("False\n", 0)
    assert told.stderr.count("each call imports") == 1
    assert "each call imports one_module anew" in told.stderr


def test_a_shutdown_does_not_wait_for_what_is_loaded(tmp_path: Path) -> None:
    """A module that hangs, as one may that asks a server."""
    told = run(
        tmp_path,
        HANGS_IN_A_TEMPLATE,
        """
with ramet.Executor(2) as executor:
    while executor._pool._learning._start._loading is None:
        assert list(executor.map(refers_to_it, range(4))) == [7, 8, 9, 10]
print("over")
""",
    )
    assert (told.stdout, told.stderr, told.returncode) == ("over\n", "", 0)
