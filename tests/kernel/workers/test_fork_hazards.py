"""What a fork breaks: put right in each call, or refused by name when the template is made."""

import ctypes
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ramet
from ramet import CloneFlag as F

from ...constants import PATIENT_SECONDS
from ...waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")


def run(template: ramet.Template, fn: Any, *args: Any, **options: Any) -> Any:
    """The result of a call that is reaped."""
    with template.clone(fn, *args, **options) as child:
        return child.result(PATIENT_SECONDS)


def by_random() -> float:
    """Python's own numbers."""
    import random

    return random.random()


def by_numpy() -> float:
    """Those of numpy's common generator."""
    import numpy as np

    return float(np.random.random())


def by_uuid() -> str:
    """Of the time and the node, and of the kernel's numbers."""
    import uuid

    return f"{uuid.uuid1()} {uuid.uuid4()}"


# ---- put right


FUNCTIONS = [by_random, by_numpy, by_uuid, random.random, np.random.random]


@pytest.mark.parametrize("number", FUNCTIONS, ids=str)
def test_no_two_calls_have_the_same_numbers(number: Callable[[], object]) -> None:
    """Also where the template has used its own before, and by spares as by clones."""
    modules = ["random", "numpy.random", "uuid", "cloudpickle"]
    with ramet.Template(modules, setup=number, spares=2) as template:
        found = {run(template, number) for _ in range(6)}
    assert len(found) == 6


def test_what_a_call_prints_comes_before_its_result(
    shared: ramet.Template, capfd: pytest.CaptureFixture[str]
) -> None:
    """On both streams, without a flush of its own, and once."""

    def speaks() -> None:
        import sys

        sys.stdout.write("to the output")
        sys.stderr.write("to the errors")

    with shared.clone(speaks) as child:
        child.result(PATIENT_SECONDS)
        assert capfd.readouterr() == ("to the output", "to the errors")
    assert capfd.readouterr() == ("", "")


def test_what_setup_printed_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Though each clone has a copy of the streams."""
    with ramet.Template(setup=lambda: print("set up", end=" ")) as template:
        run(template, print, "called")
        run(template, print, "called")
    assert capfd.readouterr().out == "set up called\ncalled\n"


def test_an_interrupt_is_the_calls_and_not_the_templates(shared: ramet.Template) -> None:
    """A call that SIGINT reaches raises KeyboardInterrupt; the template ignores it."""
    os.kill(shared.pid, signal.SIGINT)
    with shared.clone(signal.raise_signal, signal.SIGINT) as child:
        assert isinstance(child.exception(PATIENT_SECONDS), KeyboardInterrupt)
    assert run(shared, abs, -1) == 1


def test_a_call_finds_the_caller_as_it_is_at_that_moment(
    shared: ramet.Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its directory, environment, sys.argv and sys.path, each time anew."""

    def place() -> tuple[Any, ...]:
        import os
        import sys

        home = os.environ.get("RAMET_HOME")
        return os.getcwd(), home, os.environ.get("LANG"), sys.argv, sys.path[0]

    monkeypatch.setenv("LANG", "C")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("RAMET_HOME", name)
        monkeypatch.setattr(sys, "argv", ["program", name])
        monkeypatch.setattr(sys, "path", [str(tmp_path / name), *sys.path])
        there = str(tmp_path / name)
        assert run(shared, place) == (there, name, "C", ["program", name], there)
    monkeypatch.delenv("RAMET_HOME")
    assert run(shared, place)[1] is None
    monkeypatch.delattr(sys, "argv")
    assert run(shared, place)[3] == []


class _Text(str):
    """A path that is text, as some libraries have it."""

    __slots__ = ()


@pytest.mark.parametrize("sandbox", [None, ramet.Sandbox()], ids=["open", "confined"])
def test_paths_that_are_no_text(
    sandbox: ramet.Sandbox | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Path on sys.path, which imports pass over, is left out; one in sys.argv is there as it is."""

    def ends_of_path() -> tuple[Any, ...]:
        kinds = sorted({type(one).__name__ for one in sys.path})
        return kinds, sys.path[0], sys.path[-1], type(sys.argv[1]).__name__

    monkeypatch.setattr(sys, "argv", ["program", tmp_path])
    text = str(tmp_path)
    monkeypatch.setattr(sys, "path", [_Text(text), tmp_path, os.fsencode(tmp_path), *sys.path])
    with ramet.Template(["pathlib"], sandbox=sandbox) as template:
        for number in range(2):
            monkeypatch.setattr(sys, "path", [tmp_path, *sys.path, Path("/tmp"), f"/{number}"])
            kinds, first, last, argument = run(template, ends_of_path)
            assert (kinds, first, last) == (["str"], text, f"/{number}")
            assert argument == "PosixPath"


def test_a_directory_that_was_removed_is_the_calls_as_well(
    shared: ramet.Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes nowhere else, and the next call is where the caller is then."""

    def write() -> None:
        Path("written").touch()

    (tmp_path / "removed").mkdir()
    monkeypatch.chdir(tmp_path / "removed")
    assert run(shared, os.getcwd) == str(tmp_path / "removed")
    os.rmdir(tmp_path / "removed")
    for fn in (write, os.getcwd):
        with shared.clone(fn) as child:
            assert isinstance(child.exception(PATIENT_SECONDS), FileNotFoundError)
    monkeypatch.chdir(tmp_path)
    assert run(shared, os.getcwd) == str(tmp_path)


def test_a_variable_reaches_programs_that_a_call_starts(
    shared: ramet.Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the environment of the process, not in os.environ alone."""

    def asked() -> str:
        import subprocess

        return subprocess.check_output(["printenv", "RAMET_HOME"], text=True)

    monkeypatch.setenv("RAMET_HOME", "here")
    assert run(shared, asked) == "here\n"


def test_what_atexit_has_runs_in_the_template_alone(tmp_path: Path) -> None:
    """Once, at its end; a call ends without it."""
    seen = tmp_path / "seen"

    def registers() -> None:
        import atexit
        import os

        atexit.register(lambda: seen.open("a").write(f"{os.getpid()}\n"))

    with ramet.Template(["pathlib"], setup=registers) as template:
        pid = template.pid
        for _ in range(3):
            run(template, abs, -1)
        assert not seen.exists()
    assert seen.read_text() == f"{pid}\n"


def test_the_wake_up_descriptor_is_not_the_callers() -> None:
    """A signal in a template made from here, or in a call of it, writes nothing to the caller's socket."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    os.set_blocking(ours, False)
    signal.set_wakeup_fd(theirs)
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with ramet.Template.from_here() as template:
            run(template, signal.raise_signal, signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.set_wakeup_fd(-1)
        os.close(theirs)
    with open(ours, "rb", 0) as reader:
        assert signal.SIGUSR1 not in (reader.read() or b"")


def test_the_wake_up_descriptor_of_setup_is_not_that_of_calls() -> None:
    """As an event loop sets it: what one call's signals wrote there another would read."""

    def sets_one() -> None:
        _, theirs = os.pipe()
        os.set_blocking(theirs, False)
        signal.set_wakeup_fd(theirs)

    with ramet.Template(["pathlib"], setup=sets_one) as template:
        assert run(template, signal.set_wakeup_fd, -1) == -1


def test_the_pool_of_a_native_library_is_no_hazard() -> None:
    """Numpy's has ended before the first clone call, and begins again in each call that needs it."""

    def multiplies() -> float:
        import numpy as np

        ones = np.ones((300, 300))
        return float((ones @ ones).sum())

    with ramet.Template(["numpy", "cloudpickle"], setup=multiplies) as template:
        assert run(template, multiplies) == 300.0**3


# ---- refused by name


def a_thread_that_stays() -> None:
    """One that waits for ever, whose name Python knows."""
    import threading

    threading.Thread(target=threading.Event().wait, daemon=True, name="the worker of mine").start()


def a_thread_below_python(name: str = "my-worker") -> None:
    """Another, whose name the kernel alone knows."""
    import _thread
    from pathlib import Path

    named, never = _thread.allocate_lock(), _thread.allocate_lock()
    named.acquire()
    never.acquire()

    def wait() -> None:
        Path("/proc/thread-self/comm").write_text(name)
        named.release()
        never.acquire()

    _thread.start_new_thread(wait, ())
    named.acquire()


def a_connection() -> None:
    """Of sqlite, open."""
    import builtins
    import sqlite3

    builtins.connection = sqlite3.connect(":memory:")  # type: ignore[attr-defined]


def a_loop() -> None:
    """An event loop that is not closed."""
    import asyncio
    import builtins

    builtins.loop = asyncio.new_event_loop()  # type: ignore[attr-defined]


def a_channel() -> None:
    """What looks like grpc's, which is not installed here."""
    import builtins
    import sys
    import types

    class Channel:
        pass

    module = types.ModuleType("grpc._cython.cygrpc")
    module.Channel = Channel  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    builtins.channel = Channel()  # type: ignore[attr-defined]


def a_device() -> None:
    """What looks like torch with an initialized device."""
    import sys
    import types

    torch = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(is_initialized=lambda: True)  # type: ignore[attr-defined]
    sys.modules["torch"] = torch


HAZARDS: dict[str, tuple[Callable[[], None], str]] = {
    "threads": (a_thread_that_stays, r"thread 'the worker of mine' \(end it in setup"),
    "sqlite3": (a_connection, r"an open sqlite3 connection \(close it in setup"),
    "asyncio": (a_loop, r"an asyncio event loop that is not closed \(close the loop"),
    "grpc": (a_channel, r"an open grpc Channel \(open channels in the calls"),
    "cuda": (a_device, r"CUDA, initialized by torch \(use the device"),
}


@pytest.mark.parametrize("name", HAZARDS)
def test_what_does_not_survive_a_fork_is_refused(name: str) -> None:
    """The error names it, what to do, and what to write for who knows better."""
    setup, text = HAZARDS[name]
    with pytest.raises(ramet.TemplateError, match=text) as raised:
        ramet.Template(["cloudpickle"], setup=setup)
    assert f"allow=['{name}']" in str(raised.value)


@pytest.mark.parametrize("name", HAZARDS)
def test_who_knows_better_may_have_it(name: str) -> None:
    """With its name in allow=, calls run."""
    setup, _ = HAZARDS[name]
    with ramet.Template(["cloudpickle"], setup=setup, allow=[name]) as template:
        assert run(template, abs, -1) == 1


def test_a_thread_that_python_does_not_know_has_the_kernels_name() -> None:
    """As the threads of libraries do."""
    with pytest.raises(ramet.TemplateError, match="thread 'my-worker' "):
        ramet.Template(["cloudpickle"], setup=a_thread_below_python)


POOL = """
#include <pthread.h>
#include <unistd.h>
static void *work(void *nothing) { for (;;) pause(); return nothing; }
int begin(void) { pthread_t one; return pthread_create(&one, NULL, work, NULL); }
"""
COMPILER = shutil.which("cc") or shutil.which("gcc")


def begin_pool(library: str) -> None:
    """Of two threads, to which it gives no names."""
    import ctypes

    loaded = ctypes.CDLL(library)
    assert [loaded.begin(), loaded.begin()] == [0, 0]


def pool_of(library: Path) -> Callable[[], None]:
    """A setup that has such a library, made of C, begin its pool."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    library.parent.mkdir()
    command = [COMPILER, "-shared", "-fPIC", "-pthread", "-x", "c", "-o", str(library), "-"]
    subprocess.run(command, input=POOL, text=True, check=True)
    return functools.partial(begin_pool, str(library))


def test_a_thread_without_a_name_has_that_of_its_library(tmp_path: Path) -> None:
    """Each has the program's else, which tells nobody what to do without."""
    setup = pool_of(tmp_path / "a_package" / "pool.so")
    with pytest.raises(
        ramet.TemplateError, match=r"thread '.*' of a_package/pool\.so \(2 of them\)"
    ):
        ramet.Template(["cloudpickle"], setup=setup)


@pytest.mark.parametrize("file", ["pyarrow/libarrow.so.2600", "numexpr/interpreter.abi3.so"])
def test_a_pool_that_a_copy_begins_anew_is_no_hazard(tmp_path: Path, file: str) -> None:
    """As that of a table that setup reads, and that of pandas where numexpr is installed."""
    with ramet.Template(["cloudpickle"], setup=pool_of(tmp_path / file)) as template:
        assert run(template, abs, -1) == 1


def test_a_thread_of_such_a_library_with_a_name_is_refused(tmp_path: Path) -> None:
    """It is of something else that the library does: arrow's, of a file system on the network."""

    def named() -> None:
        begin()
        own = int(os.path.basename(os.readlink("/proc/thread-self")))
        for tid in {int(one) for one in os.listdir("/proc/self/task")} - {own}:
            Path(f"/proc/self/task/{tid}/comm").write_text("AwsEventLoop 1")

    begin = pool_of(tmp_path / "pyarrow" / "libarrow.so.2600")
    refused = r"thread 'AwsEventLoop 1' of pyarrow/libarrow\.so\.2600 \(2 of them\)"
    with pytest.raises(ramet.TemplateError, match=refused):
        ramet.Template(["cloudpickle"], setup=named)


def test_jemallocs_threads_are_not_missed() -> None:
    """It has fork handlers of its own, and does in a copy what they would have done."""
    setup = functools.partial(a_thread_below_python, "jemalloc_bg_thd")
    with ramet.Template(["cloudpickle"], setup=setup) as template:
        assert run(template, abs, -1) == 1


def test_an_object_is_not_asked_what_it_is() -> None:
    """A proxy whose object is gone raises, and a lazy object would be evaluated."""

    def proxies() -> None:
        import asyncio  # noqa: F401 - of whose event loops there may be some
        import builtins
        import weakref

        class Lazy:
            def evaluate(self) -> type:
                raise RuntimeError("it is evaluated")

            vars()["__class__"] = property(evaluate)

        class Gone:
            pass

        builtins.proxies = weakref.proxy(Gone()), Lazy()  # type: ignore[attr-defined]

    with ramet.Template(["cloudpickle"], setup=proxies) as template:
        assert run(template, abs, -1) == 1


def test_allocators_are_asked_for_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pandas is refused else, as nobody can end the thread of pyarrow's; a call does not see that."""

    def keep_variables() -> None:
        import builtins

        builtins.variables = dict(os.environ)  # type: ignore[attr-defined]

    def kept_and_own(name: str) -> tuple[str | None, str | None]:
        import builtins

        return builtins.variables.get(name), os.environ.get(name)  # type: ignore[attr-defined]

    monkeypatch.setenv("_RJEM_MALLOC_CONF", "the caller's own")
    with ramet.Template(["cloudpickle"], setup=keep_variables) as template:
        for name, while_it_loads, in_a_call in (
            ("JE_ARROW_MALLOC_CONF", "background_thread:false", None),
            ("_RJEM_MALLOC_CONF", "the caller's own", "the caller's own"),
        ):
            assert run(template, kept_and_own, name) == (while_it_loads, in_a_call)


def test_nothing_is_left_of_what_a_refused_template_has_started(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A pool's processes would wait for ever; what setup has printed is there."""

    def a_pool() -> None:
        import builtins
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))
        place.write_text(str(pool.submit(os.getpid).result()))
        print("the pool is there")
        builtins.pool = pool  # type: ignore[attr-defined]

    place = tmp_path / "pid"
    with pytest.raises(ramet.TemplateError, match="does not survive a fork: thread"):
        ramet.Template(["cloudpickle"], setup=a_pool)
    until(lambda: not Path("/proc", place.read_text()).exists())
    assert capfd.readouterr().out == "the pool is there\n"


def test_all_that_is_refused_is_told_at_once() -> None:
    """Not one after the other."""

    def both() -> None:
        import asyncio
        import builtins
        import sqlite3

        builtins.kept = sqlite3.connect(":memory:"), asyncio.new_event_loop()  # type: ignore[attr-defined]

    with pytest.raises(ramet.TemplateError, match=r"sqlite3 connection.*event loop"):
        ramet.Template(["cloudpickle"], setup=both)


def test_what_was_closed_in_setup_is_no_hazard() -> None:
    """A closed connection, a closed loop, a thread that was joined."""

    def all_closed() -> None:
        import asyncio
        import builtins
        import sqlite3
        import threading

        connection, loop = sqlite3.connect(":memory:"), asyncio.new_event_loop()
        connection.close()
        loop.close()
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        builtins.kept = connection, loop, thread  # type: ignore[attr-defined]

    with ramet.Template(["cloudpickle"], setup=all_closed) as template:
        assert run(template, abs, -1) == 1


# ---- what fails as it loads


def test_a_module_that_fails_shows_its_traceback_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, with the line; nothing is left of the process."""
    (tmp_path / "it_fails.py").write_text("ratio = 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ramet.TemplateError, match="ZeroDivisionError") as raised:
        ramet.Template(["it_fails"])
    assert "ratio = 1 / 0" in str(raised.value.__cause__)


def test_a_module_that_ends_the_process_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash of an extension shows no traceback."""
    (tmp_path / "it_crashes.py").write_text("import os\nos.kill(os.getpid(), 11)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ramet.TemplateError, match="while it imported 'it_crashes': killed by SIGSEGV"
    ):
        ramet.Template(["json", "it_crashes"], rlimits={"CORE": 0})


@pytest.mark.parametrize(
    ("setup", "text"),
    [
        (lambda: int("x"), "ValueError"),
        (lambda: sys.exit("no licence"), "SystemExit: no licence"),
        (lambda: os._exit(3), "ended before it had loaded, in setup: exited with 3"),
        (lambda: os.abort(), "ended before it had loaded, in setup: killed by SIGABRT"),
    ],
    ids=["raises", "exits", "ends", "crashes"],
)
def test_a_setup_that_fails_is_told(setup: Callable[[], object], text: str) -> None:
    """Also when it ends the process."""
    with pytest.raises(ramet.TemplateError, match=text):
        ramet.Template(["cloudpickle"], setup=setup, rlimits={"CORE": 0})


def test_a_module_that_is_not_there_is_told() -> None:
    """By its name."""
    with pytest.raises(ramet.TemplateError, match="no_such_module"):
        ramet.Template(["no_such_module"])


@pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports came with Python 3.15")
def test_lazy_imports_are_done_in_the_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that a lazily imported module has itself: no call does them again."""
    (tmp_path / "lazy_one.py").write_text("lazy import lazy_two\n")
    (tmp_path / "lazy_two.py").write_text("lazy import colorsys\n")
    monkeypatch.syspath_prepend(tmp_path)
    with ramet.Template(["lazy_one"]) as template:
        assert run(template, lambda: {"lazy_two", "colorsys"} <= sys.modules.keys())


def told_without_proc() -> list[str]:
    """In a mount namespace of its own: what each says where /proc is an empty directory."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/proc", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    told = []
    for make in (ramet.Template, lambda: ramet.Executor(1).submit(divmod, 7, 3)):
        with pytest.raises(ramet.TemplateError) as refused:
            make()
        told.append(str(refused.value))
    return told


def test_a_template_without_a_proc_says_so() -> None:
    """Its threads are counted there: one that remains would be missing in each clone."""
    told = ramet.clone(told_without_proc, flags=F.NEWUSER | F.NEWNS).result(PATIENT_SECONDS)
    assert (
        told
        == [
            "there is no /proc of this pid namespace, in which a template counts its threads: mount one"
        ]
        * 2
    )


def used_without_sysctls() -> list[int]:
    """In a mount namespace of its own: the result of a call, and of one of a copy of the process."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/proc/sys", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    results = []
    for make in (ramet.Template, ramet.Template.from_here):
        with ramet.clone(signal.pause) as other:
            template = make()
            results.append(run(template, abs, -1))
            os.kill(template.pid, signal.SIGKILL)
            template.close()
            other.kill()
    return results


def test_a_template_needs_no_sysctls() -> None:
    """A /proc that was mounted with subset=pid, as systemd's ProcSubset=pid does it, has none."""
    told = ramet.clone(used_without_sysctls, flags=F.NEWUSER | F.NEWNS).result(PATIENT_SECONDS)
    assert told == [1, 1]
