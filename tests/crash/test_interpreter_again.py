"""A host program that initializes Python again after it has finalized it."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from .conftest import deadline_seconds

COMPILER = shutil.which("cc") or shutil.which("gcc")
ROUNDS = 3

HOST = r"""
#include <Python.h>

int main(int count, char **words)
{
    for (int left = atoi(words[1]); count == 4 && left > 0; left--) {
        PyConfig config;
        PyConfig_InitPythonConfig(&config);
        PyConfig_SetBytesString(&config, &config.program_name, words[2]);
        PyStatus status = Py_InitializeFromConfig(&config);
        PyConfig_Clear(&config);
        if (PyStatus_Exception(status))
            Py_ExitStatusException(status);
        if (PyRun_SimpleString(words[3]) != 0 || Py_FinalizeEx() != 0)
            return 1;
    }
    return 0;
}
"""

CALLS = """
import signal, sys, threading
import ramet
from ramet import CloneFlag as F

THREAD = F.VM | F.SIGHAND | F.THREAD
results = [ramet.clone(divmod, 7, 3, flags=flags).result(20) for flags in (0, F.VM, THREAD)]
assert results == [(2, 1)] * 3, results
begun = threading.Event()

def stay():
    begun.set()
    signal.pause()

child = ramet.clone(stay, flags=F.VM)
begun.wait(20)
child.kill()
assert child.wait().signal == signal.SIGKILL
assert ramet.clone(len, "after it", flags=F.VM).result(20) == 8
if sys.version_info >= (3, 12, 4):
    child = ramet.clone(divmod, 7, 3, flags=F.VM, interpreter="own")
    assert child.result(20) == (2, 1)
assert ramet.run(["true"]).returncode == 0
print("all well", flush=True)
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The program."""
    library = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDLIBRARY"))
    if COMPILER is None or library.suffix != ".so" or not library.exists():
        pytest.skip("needs a C compiler and a libpython to link with")
    source, made = tmp_path / "host.c", tmp_path / "host"
    source.write_text(HOST)
    headers = {sysconfig.get_path(kind) for kind in ("include", "platinclude")}
    linked = [str(library), f"-Wl,-rpath,{library.parent}"]
    included = [f"-I{each}" for each in headers]
    subprocess.run([COMPILER, "-o", str(made), str(source), *included, *linked], check=True)
    return made


def test_an_interpreter_after_another_one(host: Path) -> None:
    """Functions in shared memory run, are killed and are recovered from in each of them."""
    # 3.14.10 forgets the directories of a virtual environment when it is initialized again.
    with_path = f"import sys\nsys.path[:] = {sys.path!r}\n{CALLS}"
    done = subprocess.run(
        [host, str(ROUNDS), sys.executable, with_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=deadline_seconds(),
    )
    assert (done.returncode, done.stdout) == (0, "all well\n" * ROUNDS), done.stderr
