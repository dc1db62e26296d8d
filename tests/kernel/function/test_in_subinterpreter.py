import array
import gc
import importlib
import mmap
import os
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

import ramet
from ramet import ChildDied
from ramet import CloneFlag as F

from ...constants import PATIENT_SECONDS as SECONDS
from ...waiting import until

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12, 4), reason="an interpreter with a GIL of its own needs Python 3.12.4"
)


class LeakCheck(Protocol):
    """What the fixture nothing_left gives."""

    def start_again(self) -> None: ...


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The functions of work_in_subinterpreter.py, as a module that can be imported by its name."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("work_in_subinterpreter")


HUGE_PAGE = 2 << 20


def own(fn: Callable[..., Any], *args: Any, **more: Any) -> ramet.Child[Any]:
    return ramet.clone(fn, *args, flags=F.VM, interpreter="own", **more)


def wait_until_set(memory: bytearray, place: int = 0) -> None:
    until(lambda: memory[place], SECONDS)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# ---- what crosses over


def test_it_is_a_process_of_its_own(nothing_left: LeakCheck) -> None:
    """The function has the child's pid, and its result comes back."""
    child = own(os.getpid)
    assert child.result(SECONDS) == child.pid != os.getpid()
    assert child.exit_status is not None
    assert child.exit_status.success


def test_python_runs_while_another_child_never_lets_go(work: Any, nothing_left: LeakCheck) -> None:
    """One child holds its GIL in native code for good: another and the caller run Python all the same."""
    stuck, memory = bytearray(1), bytearray(10)
    with own(work.backtrack, stuck) as child:
        wait_until_set(stuck)
        assert own(work.fill, memory, 0, 10, 3).result(SECONDS) == 10
        assert memory == bytes([3] * 10)
        assert child.poll() is None


def test_two_children_write_into_one_buffer(work: Any, nothing_left: LeakCheck) -> None:
    """Each fills its half of the caller's own memory."""
    memory = bytearray(1000)
    halves = [own(work.fill, memory, at, at + 500, at // 500 + 1) for at in (0, 500)]
    assert [half.result(SECONDS) for half in halves] == [1000, 1000]
    assert memory == bytes([1] * 500 + [2] * 500)


@pytest.mark.parametrize(
    ("owner", "seen"),
    [
        (bytearray(b"ab"), ("memoryview", "B", (2,), False, [97, 98])),
        (memoryview(b"ab"), ("memoryview", "B", (2,), True, [97, 98])),
        (array.array("h", [1, -2]), ("memoryview", "h", (2,), False, [1, -2])),
        (
            memoryview(bytearray(range(6))).cast("B", (2, 3)),
            ("memoryview", "B", (2, 3), False, [[0, 1, 2], [3, 4, 5]]),
        ),
        (memoryview(bytes(range(6)))[::2], ("memoryview", "B", (3,), True, [0, 2, 4])),
    ],
)
def test_memory_arrives_as_a_view(owner: Any, seen: Any, work: Any) -> None:
    """Format, shape and strides are the owner's, and whether it may be written."""
    assert own(work.described, owner).result(SECONDS) == seen


def test_a_mapping_is_lent(work: Any, nothing_left: LeakCheck) -> None:
    """What a child writes into a mapping of the caller's is there."""
    with mmap.mmap(-1, mmap.PAGESIZE) as mapping:
        own(work.fill, mapping, 0, 4, 9).result(SECONDS)
        assert mapping[:5] == b"\x09\x09\x09\x09\x00"


def test_a_numpy_array_is_lent(work: Any) -> None:
    """An array arrives as a view of its own memory, though numpy itself cannot be imported there."""
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    array = numpy.zeros((2, 3))
    kind, *rest = own(work.described, array).result(SECONDS)
    assert (kind, *rest) == ("memoryview", "d", (2, 3), False, [[0.0] * 3] * 2)
    own(work.fill, array.reshape(6), 0, 6, 1.5).result(SECONDS)
    assert (array == 1.5).all()
    with pytest.raises(ImportError, match="numpy"):
        own(importlib.import_module, "numpy").result(SECONDS)


def test_an_array_of_objects_is_refused(work: Any) -> None:
    """Its memory holds addresses of the caller's objects, which nobody else may touch."""
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    for objects in (numpy.array([None]), numpy.zeros(1, [("Only", "i4"), ("x", "O")])):
        with pytest.raises(TypeError, match="objects cannot be lent"):
            own(work.described, objects)
    named = numpy.zeros(1, [("Only", "i4")])
    assert own(work.described, named.view("i4")).result(SECONDS)[1] == "i"


def test_memory_is_lent_however_deep_it_lies(work: Any) -> None:
    """A buffer within other objects is lent as well, and one that is named twice is one."""
    memory = bytearray(b"x")
    assert own(work.nested, {"both": [memory, memory]}).result(SECONDS) == (True, ord("x"))


def test_what_is_lent_is_not_resized(work: Any, nothing_left: LeakCheck) -> None:
    """As long as a child sees the memory its owner cannot move it; afterwards it can."""
    memory = bytearray(2)
    child = own(work.wait_for, memory, 1)
    wait_until_set(memory, 1)
    with pytest.raises(BufferError):
        memory.extend(b"more")
    memory[0] = 1
    child.result(SECONDS)
    memory.extend(b"more")


class Memory(bytearray):
    """One that can be referred to weakly."""


def test_what_is_lent_lives_as_long_as_the_child(work: Any, nothing_left: LeakCheck) -> None:
    """The caller may let go of the owner: it is freed when the child is over, not before."""
    memory = Memory(2)
    watch = weakref.ref(memory)
    child = own(work.wait_for, memory, 1)
    wait_until_set(memory, 1)
    memory[0] = 1
    del memory
    child.result(SECONDS)
    gc.collect()
    assert watch() is None


def test_a_view_that_a_module_keeps_is_never_used(work: Any) -> None:
    """An interpreter that still refers to the caller's memory does not serve again."""
    own(work.count_calls).result(SECONDS)
    memory = bytearray(10)
    own(work.keep, memory).result(SECONDS)
    memory.extend(b"moved")
    assert own(work.count_calls).result(SECONDS) == 1


def test_an_interpreter_serves_again(work: Any) -> None:
    """What it has imported is there for the next child, as it was left."""
    first = own(work.count_calls).result(SECONDS)
    assert own(work.count_calls).result(SECONDS) == first + 1
    assert work.count == 0


def test_the_caller_is_as_it_is_now(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that served before has the caller's arguments and environment of today."""
    own(work.surroundings).result(SECONDS)
    monkeypatch.setenv("RAMET_TEST", "today")
    monkeypatch.setattr(sys, "argv", ["this", "program"])
    assert own(work.surroundings).result(SECONDS) == (["this", "program"], "today")


def test_objects_are_copied(work: Any) -> None:
    """Instances of importable classes cross over and come back, and so do their methods."""
    assert own(work.Point(3).moved, 4).result(SECONDS).x == 7


def test_a_large_result_comes_back() -> None:
    """As large as it is."""
    assert own(bytes, 30_000_000).result(SECONDS) == bytes(30_000_000)


def test_an_exception_comes_back(work: Any, nothing_left: LeakCheck) -> None:
    """With its class, and where it was raised."""
    with pytest.raises(work.Refused, match="no") as caught:
        own(work.refuse, "no").result(SECONDS)
    assert "in refuse" in str(caught.value.__cause__)


@pytest.mark.parametrize("thing", [threading.Lock(), open], ids=["lock", "open"])
def test_what_cannot_cross_over_is_refused(thing: object) -> None:
    """One error at once for an argument, and one for a result."""
    if thing is not open:
        with pytest.raises(TypeError, match="picklable for a subinterpreter: cannot pickle"):
            own(print, thing)
    with pytest.raises(ramet.ResultError, match="cannot pickle"):
        own(open, os.devnull).result(SECONDS)


def test_a_closure_is_refused() -> None:
    """A function without a name cannot bring along what it refers to."""
    number = 1
    with pytest.raises(TypeError, match="has a closure"):
        own(lambda: number)


def test_a_function_that_is_nowhere_to_be_found_says_so(
    work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that the child cannot import is named."""
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "kernel" not in entry])
    # The module has a name that no interpreter knows yet.
    monkeypatch.setitem(sys.modules, "work_nowhere", work)
    monkeypatch.setattr(work.refuse, "__module__", "work_nowhere")
    with pytest.raises(ModuleNotFoundError, match="work_nowhere"):
        own(work.refuse, "no").result(SECONDS)


# ---- main programs

MAIN = """
import sys, ramet
from ramet import CloneFlag as F
OFFSET = 10
class Number:
    def __init__(self, value): self.value = value
def work(number): return Number(number.value + OFFSET)
def main():
    for fn in (work, lambda number: work(number)):
        child = ramet.clone(fn, Number(1), flags=F.VM, interpreter="own")
        print(child.result().value, isinstance(child.result(), Number), __name__)
"""


def run_python(*args: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *args], input=text, capture_output=True, text=True, timeout=90, check=False
    )


@pytest.mark.parametrize("how", ["path", "module"])
def test_a_main_program_is_run_again(how: str, tmp_path: Path) -> None:
    """Functions and classes of a script are found there, below its guard nothing is done twice."""
    program = tmp_path / "program.py"
    program.write_text(f"{MAIN}\nif __name__ == '__main__':\n    main()\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['program']"
    if how == "path":
        done = run_python(str(program))
    else:
        done = run_python(
            "-c", f"{code}; import runpy; runpy.run_module('program', None, '__main__', True)"
        )
    assert (done.stdout, done.stderr) == ("11 True __main__\n" * 2, "")


def test_a_main_program_without_a_guard_is_told(tmp_path: Path) -> None:
    """What would go on for ever is refused, with the reason."""
    program = tmp_path / "program.py"
    program.write_text(f"{MAIN}\nmain()\n")
    done = run_python(str(program))
    assert done.returncode == 1
    assert 'below if __name__ == "__main__"' in done.stderr


SELF_CONTAINED = """
import math, sys
from functools import reduce
import only_once
import ramet
from ramet import CloneFlag as F
STEP = (1, 2.5, "x")
def double(number, *, by=2): return number * by
def work(number, again=True):
    total = reduce(lambda a, b: a + b, map(double, range(number)), math.floor(STEP[1]))
    return (total, work(2, False)) if again else __name__
for fn in (work, lambda n: work(n)):
    print(ramet.clone(fn, 5, flags=F.VM, interpreter="own").result())
"""


def test_a_function_that_needs_nothing_of_its_program_does_not_run_it(tmp_path: Path) -> None:
    """A script without a guard, and one that imports what cannot be imported there, is not run again."""
    program = tmp_path / "program.py"
    module = tmp_path / "only_once.py"
    module.write_text("from pathlib import Path\nPath(__file__ + '.1').touch(exist_ok=False)\n")
    program.write_text(SELF_CONTAINED)
    done = run_python(str(program))
    assert done.stderr == ""
    assert done.stdout == "(22, '__mp_main__')\n" * 2


NEEDS_ITS_PROGRAM = {
    "a list": "def work(): return LIST[0]",
    "a class": "def work(): return Box.value",
    "any name": "def work(): return globals()['LIST'][0]",
    "a change": "def work():\n    global made\n    made = 5\n    return made",
    "by another": "def other(): return LIST[0]\ndef work(): return other()",
    "a default": "def work(box=Box): return box.value",
}


@pytest.mark.parametrize("function", NEEDS_ITS_PROGRAM.values(), ids=NEEDS_ITS_PROGRAM.keys())
def test_a_function_that_needs_its_program_has_it(function: str, tmp_path: Path) -> None:
    """What cannot be sent is found by running the program again."""
    program = tmp_path / "program.py"
    program.write_text(f"""
import ramet, sys
from ramet import CloneFlag as F
LIST = [5]
class Box: value = 5
{function}
print(__name__, file=sys.stderr)
if __name__ == "__main__":
    print(ramet.clone(work, flags=F.VM, interpreter="own").result())
""")
    done = run_python(str(program))
    assert (done.stdout, done.stderr) == ("5\n", "__main__\n__mp_main__\n")


def test_a_number_of_numpys_arrives_as_a_number(work: Any, nothing_left: object) -> None:
    """There is no numpy there; its arrays arrive as memory, its numbers as Python's."""
    numpy = pytest.importorskip("numpy")
    values = [numpy.float64(3), numpy.int8(-1), numpy.bool_(True), numpy.complex64(1j)]
    seen = own(work.types_of, values).result(SECONDS)
    assert seen == ["float", "int", "bool", "complex"]


def test_a_prompt_sends_its_functions_by_their_code() -> None:
    """There is no file in which they could be found; what they use of it is refused by name."""
    lines = (
        "import ramet; from ramet import CloneFlag as F",
        "def double(number, *, by=2): return number * by",
        "own = lambda fn, *args: ramet.clone(fn, *args, flags=F.VM, interpreter='own')",
        "print(own(double, 4).result(), own(lambda: __name__).result())",
        "factor = 3",
        "try: own(lambda: factor)",
        "except TypeError as error: print(error)",
    )
    done = run_python("-", text="\n".join(lines))
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "8 __main__"
    assert "uses factor of a __main__ that has no file" in done.stdout


# ---- how it ends


def test_exit_codes(work: Any, nothing_left: LeakCheck) -> None:
    """sys.exit, os._exit and a program that it becomes end it as they end any process."""
    assert own(sys.exit, 3).wait(SECONDS).code == 3
    assert own(os._exit, 4).wait(SECONDS).code == 4
    assert own(os.execv, "/bin/sh", ["sh", "-c", "exit 5"]).wait(SECONDS).code == 5
    with pytest.raises(ChildDied):
        own(sys.exit, 3).result(SECONDS)


@pytest.mark.parametrize("what", ["spin", "backtrack", "wait_for"])
def test_it_is_killed(what: str, work: Any, nothing_left: LeakCheck) -> None:
    """In Python, in native code that never lets go of its GIL, and in a system call."""
    memory = bytearray(2)
    child = own(getattr(work, what), memory, *([1] if what == "wait_for" else []))
    wait_until_set(memory, what == "wait_for")
    child.kill()
    assert child.wait(SECONDS).signal == signal.SIGKILL
    memory.extend(b"given back")
    assert own(os.getppid).result(SECONDS) == os.getpid()


@pytest.mark.parametrize("what", ["spin", "backtrack"])
def test_a_deadline_is_kept(what: str, work: Any, nothing_left: LeakCheck) -> None:
    """Timeout= kills it, whatever it does, and the exit status says why."""
    child = own(getattr(work, what), bytearray(2), timeout=0.2)
    status = child.wait(SECONDS)
    assert (status.signal, status.reason) == (signal.SIGKILL, "deadline")


def test_it_is_interrupted(work: Any, nothing_left: LeakCheck) -> None:
    """Interrupt() raises in its function; finally runs, and the interpreter serves again."""
    before = own(work.count_calls).result(SECONDS)
    memory = bytearray(2)
    child = own(work.spin, memory)
    wait_until_set(memory)
    assert child.interrupt()
    assert child.wait(SECONDS).code == 143
    assert memory[1] == 1
    assert own(work.count_calls).result(SECONDS) == before + 1


def test_it_is_interrupted_by_an_exception_of_pythons_own(work: Any) -> None:
    """KeyboardInterrupt is the same there; a class of a module is not, and is refused."""
    memory = bytearray(2)
    child = own(work.spin, memory)
    wait_until_set(memory)
    for unknown in (ChildDied, ExceptionGroup):
        with pytest.raises(ValueError, match=f"got {unknown.__qualname__}"):
            child.interrupt(unknown)
    assert child.interrupt(KeyboardInterrupt)
    assert isinstance(child.exception(SECONDS), KeyboardInterrupt)
    assert not child.interrupt()


def test_terminate_kills_what_does_not_listen(work: Any, nothing_left: LeakCheck) -> None:
    """Native code that never comes back is killed after the time of grace."""
    memory = bytearray(1)
    child = own(work.backtrack, memory)
    wait_until_set(memory)
    child.terminate(grace=0.05)
    assert child.wait(SECONDS).signal == signal.SIGKILL


def test_a_crash_is_the_childs_alone(work: Any, nothing_left: LeakCheck) -> None:
    """SIGSEGV in the child is ChildDied."""
    if sys.version_info < (3, 13):
        pytest.skip("before 3.13 no such interpreter has ctypes")
    with pytest.raises(ChildDied, match="SIGSEGV"):
        own(work.crash).result(SECONDS)


@pytest.mark.parametrize("way", ["recurse", "recurse_in_c"])
def test_a_recursion_has_its_limit(way: str, work: Any, nothing_left: LeakCheck) -> None:
    """Too deep a recursion is an exception, in Python and in C."""
    assert isinstance(own(getattr(work, way)).exception(SECONDS), RecursionError)


def test_it_waits_for_its_threads(work: Any, nothing_left: LeakCheck) -> None:
    """A thread that outlives the function has done its work when the child is over."""
    memory = bytearray(1)
    name = own(work.thread_that_outlives_the_function, memory).result(SECONDS)
    assert (name, memory[0]) == ("MainThread", 7)


def test_daemon_threads_end_with_it(work: Any, nothing_left: LeakCheck) -> None:
    """Nobody waits for them, and the result is there all the same."""
    assert own(work.leave_a_daemon).result(SECONDS) == 5
    assert own(os.getppid).result(SECONDS) == os.getpid()


def test_many_at_once(work: Any, nothing_left: LeakCheck) -> None:
    """Each has an interpreter to itself."""
    memory = bytearray(2)
    children = [own(work.wait_for, memory, 1) for _ in range(12)]
    memory[0] = 1
    for child in children:
        child.result(SECONDS)


def test_threads_of_the_caller_make_them_at_once(work: Any, nothing_left: LeakCheck) -> None:
    """Interpreters are made, used and lost in several threads at a time."""
    results: list[int] = []

    def call() -> None:
        with own(work.spin, bytearray(2)) as child:
            results.append(own(abs, -3).result(SECONDS))
            child.kill()

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [3] * 4


def test_calls_leave_nothing(work: Any, nothing_left: LeakCheck) -> None:
    """After hundreds of calls, some of which raise, no memory and no mapping is gone."""

    def some() -> None:
        for _ in range(20):
            own(work.described, bytearray(100)).result(SECONDS)
            own(work.refuse, "no").exception(SECONDS)

    for _ in range(3):
        some()
    nothing_left.start_again()
    before = resident_bytes()
    for _ in range(10):
        some()
    # Huge pages come at a single touch, more of them where there is much memory for them.
    assert resident_bytes() < before + 4 * HUGE_PAGE


# ---- beside the rest


def test_a_fork_beside_it_is_well(work: Any, nothing_left: LeakCheck) -> None:
    """Copies of the process are made while one runs, and make interpreters of their own."""
    memory = bytearray(2)
    child = own(work.wait_for, memory, 1)
    wait_until_set(memory, 1)
    pid = os.fork()
    if pid == 0:
        os._exit(own(abs, -9).result(SECONDS))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert ramet.clone(abs, -8).result(SECONDS) == 8
    assert ramet.clone(abs, -7, flags=F.FILES).result(SECONDS) == 7
    memory[0] = 1
    child.result(SECONDS)


def test_what_it_cannot_do_it_says() -> None:
    """A fork, and a signal handler, are the main interpreter's alone."""
    with pytest.raises(RuntimeError, match="fork not supported"):
        own(os.fork).result(SECONDS)
    with pytest.raises(ValueError, match="main interpreter"):
        own(signal.signal, signal.SIGTERM, signal.SIG_IGN).result(SECONDS)


def test_a_child_in_shared_memory_makes_none(nothing_left: LeakCheck) -> None:
    """It could be killed while it does that, with what all interpreters need."""
    child = ramet.clone(lambda: own(abs, -1), flags=F.VM)
    with pytest.raises(RuntimeError, match="make the child from its caller"):
        child.result(SECONDS)


def test_programs_can_be_started_in_it() -> None:
    """Subprocess works there."""
    assert own(subprocess.check_output, ["echo", "hello"]).result(SECONDS) == b"hello\n"


def test_ramet_within_says_why_not(work: Any) -> None:
    """It can be imported, and tells that it makes no tasks there."""
    with pytest.raises(RuntimeError, match="in an interpreter with a GIL of its own"):
        own(work.uses_ramet).result(SECONDS)


def test_ramet_in_a_subinterpreter_of_pythons_says_why_not(tmp_path: Path) -> None:
    """The same where Python itself made the interpreter."""
    program = textwrap.dedent(f"""\
        import sys
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        code = '''
        import sys
        sys.path[:] = {sys.path!r}
        import ramet
        try:
            ramet.run(["true"])
        except RuntimeError as error:
            print(error, flush=True)
        '''
        other = interpreters.create()
        print(interpreters.run_string(other, code.replace("\\n        ", "\\n")))
        interpreters.destroy(other)
        """)
    done = run_python("-c", program)
    assert "makes no tasks in an interpreter with a GIL of its own" in done.stdout
    assert done.stderr == ""
    assert "None" in done.stdout


def test_its_names(work: Any) -> None:
    """Name= is what ps shows and what threading calls it."""
    assert own(work.names, name="worker").result(SECONDS) == ("worker", "worker")


def test_its_surroundings(tmp_path: Path, nothing_left: LeakCheck) -> None:
    """The vocabulary of any child: done before the function, and a step that fails is named."""
    assert own(os.getcwd, cwd=tmp_path).result(SECONDS) == str(tmp_path)
    assert own(os.nice, 0, nice=19).result(SECONDS) == 19
    with pytest.raises(FileNotFoundError, match="step 'chdir' failed"):
        own(os.getcwd, cwd="/nowhere").result(SECONDS)


def test_it_shares_what_its_flags_say(tmp_path: Path, nothing_left: LeakCheck) -> None:
    """The working directory with FS, and descriptors with FILES."""
    before = os.getcwd()
    own(os.chdir, str(tmp_path)).result(SECONDS)
    assert os.getcwd() == before
    fd = ramet.clone(
        os.open, os.devnull, os.O_RDONLY, flags=F.VM | F.FILES, interpreter="own"
    ).result(SECONDS)
    os.close(fd)


def test_an_unborn_child_gives_back_what_was_lent(work: Any, nothing_left: LeakCheck) -> None:
    """When the kernel refuses, the memory is the caller's again."""
    memory = bytearray(1)
    with pytest.raises(ramet.CloneError):
        own(work.spin, memory, set_tid=[1])

    def is_ours() -> bool:
        try:
            memory.extend(b"more")
        except BufferError:
            return False
        return True

    until(is_ours, SECONDS)
