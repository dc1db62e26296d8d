import errno
import subprocess
import sys
import sysconfig
from collections.abc import Callable

import pytest

import ramet
from ramet import CloneError
from ramet import CloneFlag as F
from ramet._process import clone_call
from ramet.lowlevel import Stack, clone

ONLY_FREE_THREADED = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python always has its global lock"
)

SHARING: dict[str, Callable[[], object]] = {
    "clone": lambda: ramet.clone(int, flags=F.VM),
    "vfork": lambda: ramet.vfork(int),
    "lowlevel.clone": lambda: clone(lambda _: 0, None, F.VM | 17, Stack(256 * 1024)),
}


@pytest.mark.parametrize("verb", SHARING)
def test_without_the_lock_no_function_shares_the_memory(
    verb: str, monkeypatch: pytest.MonkeyPatch, nothing_left: object
) -> None:
    """Where Python goes without its global lock, a function in shared memory is refused."""
    monkeypatch.setattr(clone_call, "_GIL_IS_OFF", True)
    with pytest.raises(CloneError, match="only with Python's global lock") as caught:
        SHARING[verb]()
    assert caught.value.errno == errno.ENOTSUP
    assert [rule.id for rule in caught.value.rules] == ["ramet-no-gil"]


def said(code: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@ONLY_FREE_THREADED
def test_python_takes_its_lock_for_the_extension() -> None:
    """A free-threaded Python has its global lock once ramet is imported, and says so."""
    code = "import sys, ramet._process.clone_call; print(sys._is_gil_enabled())"
    assert said(code, "-W", "ignore::RuntimeWarning") == "True\n"
    assert said(code, "-W", "ignore::RuntimeWarning", "-X", "gil=0") == "False\n"


WITHOUT_THE_LOCK = """
import sys, threading, ramet
from ramet import CloneFlag as F

try:
    ramet.clone(int, flags=F.VM)
except ramet.CloneError as error:
    print(error.rules[0].id)

def many():
    for number in range(20):
        assert ramet.clone(pow, number, 2).result(20) == number**2
        assert ramet.run(["true"]).returncode == 0
        with ramet.Command(["sh", "-c", "exit 3"]).spawn() as child:
            assert child.wait(20).code == 3

threads = [threading.Thread(target=many) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sys._is_gil_enabled())
"""


@ONLY_FREE_THREADED
def test_all_else_needs_no_lock() -> None:
    """With the lock kept off, programs and functions with a memory of their own are made at once."""
    assert said(WITHOUT_THE_LOCK, "-X", "gil=0") == "ramet-no-gil\nFalse\n"
