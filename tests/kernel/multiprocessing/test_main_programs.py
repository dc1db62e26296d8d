"""Main programs: what their processes have of them, and how often they run."""

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

BEGIN = """
import os, sys
import ramet.multiprocessing
print("runs", __name__, flush=True)
"""
GUARD = 'if __name__ == "__main__":'


def _output(folder: Path, program: str, *, code: int = 0, module: bool = False) -> str:
    """What a program writes to its output and, if it fails, to its error stream."""
    (folder / "program.py").write_text(BEGIN + dedent(program))
    how = ["-m", "program"] if module else ["program.py"]
    return _run([sys.executable, *how], folder, code=code)


def _run(argv: list[str], folder: Path, *, code: int = 0, typed: str | None = None) -> str:
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + (done.stderr if code else "")


GUARDED = """
import threading
lock = threading.Lock()  # which cannot be sent
class Word(str):
    def twice(self):
        with lock:
            return Word(self + self)
def work(queue, results):
    results.put(queue.get().twice())
if __name__ == "__main__":
    with ramet.multiprocessing.context() as context:
        for word in ("a", "b"):
            queue, results = context.Queue(), context.Queue()
            process = context.Process(target=work, args=(queue, results))
            process.start()
            queue.put(Word(word))
            result = results.get()
            process.join()
            print(result, type(result) is Word, process.exitcode)
"""


@pytest.mark.parametrize("module", [False, True])
def test_a_program_with_a_guard_runs_once_more(tmp_path: Path, module: bool) -> None:
    """In the template, as __mp_main__, whatever number of processes there are; as file and as module."""
    told = _output(tmp_path, GUARDED, module=module)
    assert told.splitlines() == ["runs __main__", "runs __mp_main__", "aa True 0", "bb True 0"]


def test_a_program_without_a_guard_runs_once(tmp_path: Path) -> None:
    """Its functions and classes, and what they refer to, are sent; objects of its classes go both ways."""
    program = GUARDED.replace(GUARD, "if True:").replace("with lock:", "if limit:")
    told = _output(tmp_path, "limit = 5" + program)
    assert told.splitlines() == ["runs __main__", "aa True 0", "bb True 0"]


def test_what_cannot_be_sent_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    """A function that uses a lock of a program without a guard."""
    told = _output(
        tmp_path,
        """
        import threading
        lock = threading.Lock()
        def work():
            lock.acquire()
        ramet.multiprocessing.context().Process(target=work).start()
        """,
        code=1,
    )
    assert "TypeError: cannot pickle '_thread.lock' object" in told
    assert "context(main='once')" in told


def test_a_process_that_lacks_a_definition_says_why(tmp_path: Path) -> None:
    """One that the program could not send with it, and that something is of which it reads later."""
    program = GUARDED.replace(GUARD, "if True:").replace(
        "result = results.get()", "result = Word()"
    )
    told = _output(tmp_path, program + "            sys.exit(process.exitcode + 1)", code=2)
    assert "Word of the main program could not be sent to this process" in told
    assert "context(main='once')" in told


@pytest.mark.parametrize(
    "line",
    [
        "import sqlite3; kept = sqlite3.connect(':memory:')",
        "assert __name__ != 'x' and sys.argv[0]",
    ],
)
def test_what_a_template_may_not_hold_is_made_in_each_process(tmp_path: Path, line: str) -> None:
    """A program that opens a database at its top level works as with spawn."""
    told = _output(tmp_path, line + GUARDED)
    lines = told.splitlines()
    assert lines.count("runs __mp_main__") == (3 if "sqlite3" in line else 1)
    assert {"aa True 0", "bb True 0"} < {*lines}


def test_the_reason_why_each_process_runs_the_program_is_told(tmp_path: Path) -> None:
    """As a warning, at the line that starts the first process."""
    line = "import sqlite3; kept = sqlite3.connect(':memory:')\n"
    told = _output(tmp_path, line + GUARDED + "    sys.exit(3)", code=3)
    assert "RuntimeWarning: each process runs the main program" in told
    assert "an open sqlite3 connection" in told
    assert "process.start()" in told


def test_what_fails_without_the_program_is_not_said_of_it(tmp_path: Path) -> None:
    """A module that cannot be loaded is an error, and no warning of the main program comes before."""
    told = _output(
        tmp_path,
        """
        if __name__ == "__main__":
            with ramet.multiprocessing.context(preload=["no_such_module"]) as context:
                context.Process(target=print).start()
        """,
        code=1,
    )
    assert "TemplateError" in told
    assert "no_such_module" in told
    assert "RuntimeWarning" not in told


def test_a_process_that_is_started_outside_of_the_guard_is_an_error(tmp_path: Path) -> None:
    """As with spawn: the process that would have to run the program ends with 1, and no other begins."""
    told = _output(
        tmp_path,
        f"""
        {GUARD}
            pass
        context = ramet.multiprocessing.context()
        process = context.Process(target=print, args=("it runs",))
        process.start()
        process.join()
        sys.exit(process.exitcode + 1)
        """,
        code=2,
    )
    assert "bootstrapping phase" in told
    assert "it runs" not in told


def test_a_prompt_can_start_processes(tmp_path: Path) -> None:
    """Functions that were typed reach a process, and a pool that is made after them."""
    typed = """
import ramet.multiprocessing
context = ramet.multiprocessing.context()
base = 10

def add(x):
    return base + x

p = context.Process(target=lambda: print("in a process", add(1), flush=True))
p.start()
p.join()
with context.Pool(1) as pool:
    print("in a pool", pool.map(add, [2]), flush=True)

"""
    told = _run([sys.executable, "-i", "-q"], tmp_path, typed=typed)
    assert told.split("\n")[:2] == ["in a process 11", "in a pool [12]"]


def test_the_way_can_be_chosen(tmp_path: Path) -> None:
    """main="each" runs the program in each process, main="never" in none."""
    for main, runs in (("each", 2), ("never", 0)):
        program = GUARDED.replace("context()", f"context(main={main!r})")
        told = _output(tmp_path, program.replace("with lock:", "if True:"))
        assert told.splitlines().count("runs __mp_main__") == runs
        assert {"aa True 0", "bb True 0"} < {*told.splitlines()}


def test_the_end_of_the_program_ends_daemons_and_waits_for_others(tmp_path: Path) -> None:
    """And then the template: nobody is left who would hold its output open."""
    told = _output(
        tmp_path,
        """
        import time
        def wait(reader):
            reader.recv()
            print("waited for", flush=True)
        if __name__ == "__main__":
            context = ramet.multiprocessing.context()
            reader, writer = context.Pipe(duplex=False)
            context.Process(target=time.sleep, args=(1000,), daemon=True).start()
            context.Process(target=wait, args=(reader,)).start()
            import atexit
            writer.send(None)
        """,
    )
    assert told.splitlines() == ["runs __main__", "runs __mp_main__", "waited for"]


def test_nothing_is_left_of_a_program_that_is_killed(tmp_path: Path) -> None:
    """The template ends with it, and its spares; a process that reads from it sees the end."""
    told = _output(
        tmp_path,
        """
        import multiprocessing, signal
        def wait(begun):
            begun.set()
            multiprocessing.parent_process().join()
            print("the parent has ended", flush=True)
        if __name__ == "__main__":
            context = ramet.multiprocessing.context(spares=3)
            begun = context.Event()
            context.Process(target=wait, args=(begun,)).start()
            begun.wait()
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        code=-9,
    )
    assert told.splitlines()[:3] == ["runs __main__", "runs __mp_main__", "the parent has ended"]


def test_processes_log_as_the_caller_does(tmp_path: Path) -> None:
    """log_to_stderr() holds in them, at its level."""
    told = _output(
        tmp_path,
        """
        import logging, multiprocessing
        if __name__ == "__main__":
            context = ramet.multiprocessing.context()
            context.log_to_stderr(logging.INFO)
            process = context.Process(name="logged")
            process.start()
            process.join()
            sys.exit(3)
        """,
        code=3,
    )
    assert "[INFO/logged] child process calling self.run()" in told
    assert "[INFO/logged] process exiting with exitcode 0" in told


NAMED_ALONE = """
import functools, typing
@functools.lru_cache(maxsize=7)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
Count = typing.NewType("Count", int)
def twice(n):
    return Count(2 * fib(n))
def size():
    return fib.cache_parameters()["maxsize"]
with ramet.multiprocessing.context().Pool(2) as pool:
    print(pool.map(twice, range(5)), pool.map(fib, [10]), pool.apply(size))
"""


def test_functions_with_a_cache_are_sent(tmp_path: Path) -> None:
    """Pickle has nothing but their names; so it is with NewType."""
    assert _output(tmp_path, NAMED_ALONE) == "runs __main__\n[0, 2, 2, 4, 6] [55] 7\n"


FILES = """
context = ramet.multiprocessing.context()
def write(file):
    file.write("lost")
try:
    context.Process(target=write, args=(open(os.devnull, "w"),)).start()
except TypeError as error:
    print(error)
def fail():
    raise ValueError("it")
process = context.Process(target=fail)
os.dup2(1, 2)
process.start()
process.join()
"""


def test_no_content_is_sent_for_a_file_and_tracebacks_have_lines(tmp_path: Path) -> None:
    """As "spawn" has it: cloudpickle would send what is in a text file, and no names of files."""
    lines = _output(tmp_path, FILES).splitlines()
    assert re.search("cannot pickle .*TextIOWrapper", lines[1])
    assert '    raise ValueError("it")' in lines


def test_a_pool_is_made_after_its_functions(tmp_path: Path) -> None:
    """Else its workers end one after the other, and say why."""
    told = _output(
        tmp_path,
        """
        with ramet.multiprocessing.context().Pool(1) as pool:
            def later(x):
                return x
            pool.map_async(later, [1]).get(1)
        """,
        code=1,
    )
    assert "the main program had not defined later when this process was started" in told


def test_what_a_handler_raises_is_no_reason_why_a_definition_is_missing(tmp_path: Path) -> None:
    """The process would begin without what a timer has interrupted: who starts it hears of that."""
    program = """
    import signal
    class Interrupting:
        def __reduce__(self):
            signal.raise_signal(signal.SIGALRM)
            return Interrupting, ()
    def takes(one=Interrupting()):
        pass
    def late(*_):
        raise TimeoutError("late")
    signal.signal(signal.SIGALRM, late)
    with ramet.multiprocessing.context(main="never") as context:
        try:
            context.Process(target=lambda: None).start()
        except TimeoutError as error:
            print(error)
    """
    assert _output(tmp_path, program) == "runs __main__\nlate\n"
