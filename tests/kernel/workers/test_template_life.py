"""A template from its start to its end: layers, spares, restarts, reloads, and the end of its caller."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import ramet
from ramet import CloneFlag as F
from ramet._process.tree import pid_namespace
from ramet._process.unreaped import reap_ended
from ramet._workers.crossing import messages
from ramet._workers.crossing.template_messages import LOADED, MADE, Loading
from ramet._workers.in_template import template_process
from ramet._workers.template import clones_by_name
from ramet._workers.template.link import Link
from ramet._workers.template.starting import Fresh

from ...activities import hang
from ...constants import PATIENT_SECONDS, SECONDS, WALL
from ...copies import forked
from ...looking import state_of
from ...waiting import exit_code, in_threads, until

pytestmark = pytest.mark.usefixtures("nothing_left")

LEAST_PIDS = 4  # after which half of them are fewer than half of all


def run(template: ramet.Template, fn: Any, *args: Any, **options: Any) -> Any:
    """The result of a call that is reaped."""
    with template.clone(fn, *args, **options) as child:
        return child.result(PATIENT_SECONDS)


def test_its_end_is_silent_where_python_is_to_go_on_with_a_dialog(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYTHONINSPECT, which calls find in their environment; what was registered for the end runs."""

    def at_end() -> None:
        import atexit
        import os

        atexit.register(os.write, 2, b"at the end")

    monkeypatch.setenv("PYTHONINSPECT", "1")
    with ramet.Template(["cloudpickle"], setup=at_end) as template:
        assert run(template, os.getenv, "PYTHONINSPECT") == "1"
    assert capfd.readouterr() == ("", "at the end")


def test_a_call_for_which_a_template_starts_again_takes_a_spare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are made first: no other clone is, for which it would wait, and the caller have no room."""
    clone = Link.clone

    with ramet.Template(spares=2) as template:
        killed = template._link

        def asked(link: Link, *asked: Any) -> Any:
            assert link is killed
            return clone(link, *asked)

        os.kill(template.pid, signal.SIGKILL)
        until(lambda: not template._is_there())
        for _ in range(2):  # of the one that was killed
            if (spare := template._spare()) is not None:
                spare[1].discard()
        monkeypatch.setattr(Link, "clone", asked)
        with pytest.warns(ramet.TemplateRestarted):
            assert run(template, abs, -1) == 1


# ---- layers


def test_a_derived_template_has_what_its_base_has_and_more() -> None:
    """The base does not get it, and neither ends with the other."""

    def loaded(name: str) -> bool:
        import sys

        return name in sys.modules

    with ramet.Template(["cloudpickle", "wave"]) as base:
        derived = base.derive(["colorsys"])
        with derived:
            assert [run(derived, loaded, name) for name in ("wave", "colorsys")] == [True, True]
            assert [run(base, loaded, name) for name in ("wave", "colorsys")] == [True, False]
            base.close()
            assert run(derived, loaded, "colorsys")


def test_a_derived_template_is_a_child_of_the_caller() -> None:
    """As its calls are: all are reaped by the caller."""
    with ramet.Template() as base, base.derive() as derived, derived.clone(os.getppid) as child:
        parent = Path(f"/proc/{derived.pid}/stat").read_text().rpartition(")")[2].split()[1]
        assert int(parent) == child.result(PATIENT_SECONDS) == os.getpid()


def test_a_derived_template_whose_base_was_closed_is_not_replaced() -> None:
    """The error says that its process has ended, and why there is no other."""
    base = ramet.Template()
    with base.derive(spares=0) as derived:
        base.close()
        assert run(derived, abs, -1) == 1
        os.kill(derived.pid, signal.SIGKILL)
        until(lambda: state_of(derived.pid) == "Z")
        with pytest.raises(
            ramet.TemplateError, match="cannot be started again from that which it was"
        ):
            derived.clone(abs, -2)
    with pytest.raises(ValueError, match="it has been closed"):
        base.derive()


def test_the_timeout_of_a_wait_is_told(shared: ramet.Template) -> None:
    """And not what was left of it."""
    with shared.clone(signal.pause) as child:
        for wait in (child.result, child.exception, child.wait):
            with pytest.raises(ramet.TimeoutExpired, match=r"not ended after 0\.01 seconds"):
                wait(0.01)
        child.kill()


@pytest.mark.parametrize("begins", ["ramet.Executor(1).submit(fn)", "ramet.Template().clone(fn)"])
def test_a_module_that_begins_a_call_as_it_is_imported_is_refused(
    begins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call of its functions would begin another, without end."""
    (tmp_path / "begins_at_once.py").write_text(
        "import os, ramet\n"
        "def fn(): return 1\n"
        f"if os.environ.get('RAMET_BEGINS'): {begins}.result()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "begins_at_once", raising=False)
    from begins_at_once import fn  # type: ignore[import-not-found]

    monkeypatch.setenv("RAMET_BEGINS", "1")
    with ramet.Executor(1) as executor:
        error = executor.submit(fn).exception(PATIENT_SECONDS)
        assert (
            "the module 'begins_at_once' is being imported for a call, and begins another"
            in str(error)
        )
        monkeypatch.delenv("RAMET_BEGINS")
        assert executor.submit(fn).result(PATIENT_SECONDS) == 1
        assert executor.submit(_nests).result(PATIENT_SECONDS) == 1


def test_a_module_may_begin_calls_of_others_as_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do not import it again."""
    (tmp_path / "begins_others.py").write_text(
        "import ramet\n"
        "with ramet.Executor(1) as executor: one = executor.submit(abs, -1).result()\n"
        "def fn(): return one\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "begins_others", raising=False)
    from begins_others import fn  # type: ignore[import-not-found]

    with ramet.Executor(1) as executor:
        assert executor.submit(fn).result(PATIENT_SECONDS) == 1


def _nests() -> int:
    """A call that has begun may begin others."""
    with ramet.Executor(1) as inner:
        return inner.submit(abs, -1).result()


def test_a_deadline_says_that_the_call_was_still_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its module was not preloaded, and takes long."""
    (tmp_path / "takes_long.py").write_text(
        "import os, select\ndef fn(): pass\nif os.environ.get('RAMET_SLOW'): select.select([], [], [])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "takes_long", raising=False)
    from takes_long import fn  # type: ignore[import-not-found]

    monkeypatch.setenv("RAMET_SLOW", "1")
    with ramet.Executor(1, timeout=1) as executor:
        error = executor.submit(fn).exception(PATIENT_SECONDS)
        other = executor.submit(signal.pause).exception(PATIENT_SECONDS)
    assert "preload=['takes_long']" in "".join(getattr(error, "__notes__", ()))
    assert not hasattr(other, "__notes__")


def test_a_derived_template_that_cannot_load_is_told() -> None:
    """The base goes on."""
    with ramet.Template() as base:
        with pytest.raises(ramet.TemplateError, match="no_such_module"):
            base.derive(["no_such_module"])
        assert run(base, abs, -1) == 1


def test_a_copy_of_the_caller_has_its_objects() -> None:
    """Template.from_here(): as they were at that moment."""
    words = ["before"]
    table = {id(words): words}

    def read(key: int) -> object:
        return table[key]

    _kept.append(words)
    with ramet.Template.from_here() as template:
        words.append("after")
        assert run(template, _last_of_kept) == ["before"]
        assert read(id(words)) == ["before", "after"]
    _kept.clear()


_kept: list[list[str]] = []


def _last_of_kept() -> list[str]:
    return _kept[-1]


# ---- spares


def test_spares_are_made_again_in_the_background() -> None:
    """Each serves one call; after it so many wait as before."""
    with ramet.Template(spares=2) as template:
        seen = {run(template, os.getpid) for _ in range(6)}
        assert len(seen) == 6
        until(lambda: len(children_of_this_process() - {template.pid}) >= 2)


@pytest.mark.parametrize("executes", [False, True])
def test_a_spare_that_ends_in_warm(executes: bool, tmp_path: Path) -> None:
    """Its call is not said to have ended it; one that ends itself is."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def warms() -> None:
        fifo.read_bytes()  # until the call was sent
        os._exit(3)

    with ramet.Template(warm=warms, spares=0 if executes else 1) as template, ExitStack() as stack:
        if executes:
            executor = stack.enter_context(ramet.Executor(1, template))
            call: Any = executor.submit(abs, 1)
            until(lambda: executor._pool._awaited)
        else:
            call = template.clone(abs, 1)
        fifo.write_bytes(b"")
        with pytest.raises(ramet.ChildDied, match="exited with 3") as caught:
            call.result()
        assert "in warm= of the template" in caught.value.__notes__[0]
    with ramet.Template() as template, pytest.raises(ramet.ChildDied) as ended:
        run(template, os._exit, 3)
    assert not hasattr(ended.value, "__notes__")


def test_it_is_told_by_a_template_that_is_slow_as_well(tmp_path: Path) -> None:
    """It goes on when the caller has seen the end of the clone, of whose socket it holds no end."""
    fifo, seen = tmp_path / "fifo", tmp_path / "seen"
    os.mkfifo(fifo)
    os.mkfifo(seen)

    def waits_after_telling() -> None:
        tell = template_process._Template._tell

        def tell_and_wait(*words: Any) -> None:
            template_process._Template._tell = tell  # type: ignore[method-assign]
            tell(*words)
            seen.read_bytes()

        template_process._Template._tell = tell_and_wait  # type: ignore[method-assign,assignment]

    def warms() -> None:
        fifo.read_bytes()  # until the call was sent
        os._exit(3)

    with ramet.Template(setup=waits_after_telling, warm=warms, spares=1) as template:
        call = template.clone(abs, 1)
        fifo.write_bytes(b"")
        with pytest.raises(ramet.ChildDied) as caught:
            call.result()
        template._link  # noqa: B018
        seen.write_bytes(b"")
        assert "in warm= of the template" in caught.value.__notes__[0]


_before: set[int] = set()


@pytest.fixture(autouse=True)
def _know_children() -> None:
    """Those that tests before have left on purpose, such as the tracker of multiprocessing."""
    _before.clear()
    _before.update(children_of_this_process())


def children_of_this_process() -> set[int]:
    """As the kernel lists them, but for those from before the test."""
    found: set[int] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(pid) for pid in listing.read_text().split()}
    return found - _before


def test_a_spare_has_been_warmed_up(tmp_path: Path) -> None:
    """By the function that the template was given, once in each and before its call."""
    seen = tmp_path / "seen"

    def warms() -> None:
        with seen.open("a") as file:
            file.write(f"{os.getpid()}\n")

    with ramet.Template(["cloudpickle", "pathlib"], warm=warms, spares=1) as template:
        until(seen.exists)
        assert str(run(template, os.getpid)) in seen.read_text().split()


def test_spares_have_no_more_memory_than_is_said() -> None:
    """With room for none there is none, and calls run all the same."""
    with ramet.Template(spares=8, spares_memory=1) as template:
        assert children_of_this_process() == {template.pid}
        assert run(template, os.getppid) == os.getpid()
        assert children_of_this_process() == {template.pid}
    with ramet.Template(spares=2, spares_memory=1 << 30) as template:
        until(lambda: len(children_of_this_process()) == 3)


@pytest.mark.filterwarnings("ignore::ramet.TemplateRestarted")
def test_a_process_whose_spares_have_less_has_more_of_them(tmp_path: Path) -> None:
    """How many there may be is asked of each process anew."""
    large = tmp_path / "large"
    large.touch()
    kept: list[bytes] = []

    def warm() -> None:
        if large.exists():
            kept.append(b"x" * (64 << 20))

    with ramet.Template(spares=2, spares_memory="32M", warm=warm) as template:
        assert template._spares == 0
        large.unlink()
        os.kill(template.pid, signal.SIGKILL)
        for _ in range(2):  # the first is run by the one that was measured
            run(template, abs, -1)
        assert template._spares == 2


def test_a_spare_that_was_killed_is_not_used() -> None:
    """The call runs in another."""
    with ramet.Template(spares=1) as template:
        run(
            template, abs, -1, flags=F.CLEAR_SIGHAND
        )  # made after the spare, which is complete then
        (spare,) = children_of_this_process() - {template.pid}
        os.kill(spare, signal.SIGKILL)
        until(lambda: state_of(spare) == "Z")
        assert run(template, os.getpid) != spare


def test_what_no_spare_can_serve_is_cloned(request: pytest.FixtureRequest) -> None:
    """A namespace of its own is the clone call's."""
    request.getfixturevalue("root")
    with ramet.Template(spares=1) as template:
        here = os.readlink("/proc/self/ns/net")
        assert run(template, os.readlink, "/proc/self/ns/net", flags=F.NEWNET) != here
        assert run(template, os.readlink, "/proc/self/ns/net") == here


# ---- a process that has died


def test_a_template_that_was_killed_is_started_again() -> None:
    """The next call says so by a warning, and runs; setup has been done again."""

    def counts() -> None:
        import builtins

        builtins.is_set_up = True  # type: ignore[attr-defined]

    with ramet.Template(["cloudpickle"], setup=counts) as template:
        first = template.pid
        os.kill(first, signal.SIGKILL)
        with pytest.warns(ramet.TemplateRestarted, match=rf"{first} ended \(killed by SIGKILL\)"):
            while template.pid == first:  # a spare that is there is another process
                assert run(template, eval, "is_set_up")
        assert run(template, eval, "is_set_up")


def test_a_template_that_was_killed_is_derived_from() -> None:
    """Another is started, as for a call."""
    with ramet.Template(["wave"], spares=0) as template:
        first = template.pid
        os.kill(first, signal.SIGKILL)
        with pytest.warns(ramet.TemplateRestarted), template.derive(["colorsys"]) as derived:
            assert run(derived, eval, "'wave' in __import__('sys').modules")
        assert template.pid != first


def test_a_warning_of_a_restart_is_at_the_line_of_the_call() -> None:
    """Of the user's own file."""
    with ramet.Template(spares=0) as template:
        os.kill(template.pid, signal.SIGKILL)
        with pytest.warns(ramet.TemplateRestarted) as told, template.clone(abs, -1) as child:
            assert child.result(PATIENT_SECONDS) == 1
    assert told[0].filename == __file__


def test_threads_that_find_it_dead_start_it_once() -> None:
    """One warning, and all their calls run."""
    with ramet.Template(spares=0) as template, pytest.warns(ramet.TemplateRestarted) as told:
        os.kill(template.pid, signal.SIGKILL)
        in_threads(4, lambda: run(template, abs, -1))
    assert len(told) == 1


def test_calls_that_run_go_on_when_their_template_dies() -> None:
    """They are the caller's children."""
    gate, opener = os.pipe()
    with ramet.Template(spares=0) as template:
        with template.clone(lambda: os.read(3, 1), fds={3: gate}) as child:
            os.kill(template.pid, signal.SIGKILL)
            os.write(opener, b"x")
            assert child.result(PATIENT_SECONDS) == b"x"
        os.close(gate)
        os.close(opener)


def test_a_call_that_runs_goes_on_where_pids_have_begun_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its pid is as that of a clone of which its template had no time to tell."""
    with ramet.Template(spares=0) as template:
        child = template.clone(hang)
        while (since := template._link._last_told - child.pid) < LEAST_PIDS:
            assert run(template, abs, -1) == 1
        monkeypatch.setattr(clones_by_name, "_pid_max", lambda: since * 3 // 2)
    with child:
        assert child.poll() is None


@pytest.mark.usefixtures("root")
def test_the_init_of_a_clone_that_was_lost_is_reaped_at_once() -> None:
    """Its caller may do nothing more by which it would be reaped later."""
    told, tells = os.pipe()

    def make_init() -> None:
        Path("/proc/self/comm").write_text("ramet:lost")
        os.write(tells, str(pid_namespace.new()[0]).encode())
        hang()

    maker = forked(make_init)
    init = int(os.read(told, 20))
    os.close(told)
    os.close(tells)
    until(lambda: Path(f"/proc/{init}/comm").read_text() == "ramet:losti\n")
    names = clones_by_name.ClonesByName("ramet:lost", is_doubted=True, is_confined=False)
    try:
        names.end_told((0, init))
        assert state_of(init) == ""
    finally:
        os.kill(maker, signal.SIGKILL)
        assert exit_code(maker) == -signal.SIGKILL
        reap_ended()


def test_a_derived_template_whose_base_was_killed_before_it_told_of_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that has loaded by then, and is ready to serve."""
    loaded, tells = os.pipe()

    def send(channel: Any, kind: int, *what: Any, **how: Any) -> None:
        """In the copies of this process that are the templates."""
        if kind == MADE:
            os.read(loaded, 1)
            os.kill(os.getpid(), signal.SIGKILL)
        messages.send(channel, kind, *what, **how)
        if kind == LOADED:
            os.write(tells, b"x")

    monkeypatch.setattr(template_process, "send", send)
    with ramet.Template.from_here(spares=0) as template, pytest.warns(ramet.TemplateRestarted):
        os.read(loaded, 1)
        with pytest.raises(ramet.TemplateError, match="has ended 3 times"):
            template.derive()
    os.close(loaded)
    os.close(tells)


def _loads_for_nobody() -> None:
    control, callers = messages.channels()
    callers.close()
    template = template_process._Template(control, dies_with_caller=False)
    template.load(lambda: Loading((), None, None, (), trusted=True))


def test_a_template_whose_caller_has_gone_as_it_loaded_says_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nobody is there whom a traceback would tell anything."""
    assert ramet.clone(_loads_for_nobody).wait(PATIENT_SECONDS).success
    assert capfd.readouterr() == ("", "")


# ---- source files that change


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's, without a compiled copy."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    file = tmp_path / "module_that_changes.py"
    file.write_text("value = 1\n")
    return file


VALUE = "__import__('module_that_changes').value"


def test_a_changed_source_file_starts_another_process(module: Path) -> None:
    """With reload="changed", also below it; without, the old one goes on."""
    with (
        ramet.Template([module.stem], reload="changed") as template,
        template.derive() as derived,
        ramet.Template([module.stem]) as other,
    ):
        assert [run(each, eval, VALUE) for each in (template, derived, other)] == [1, 1, 1]
        first = template.pid
        assert run(template, eval, VALUE) == 1
        assert template.pid == first
        module.write_text("value = 'another'\n")
        assert [run(each, eval, VALUE) for each in (template, derived, other)] == [
            "another",
            "another",
            1,
        ]
        assert template.pid != first


def _starts_then(template: ramet.Template, act: Callable[[], object]) -> Callable[[], Any]:
    """Start its process, as it does; then act, before that is known to have loaded."""
    start = template._start.start

    def starts() -> Any:
        started = start()
        act()
        return started

    return starts


def test_a_source_file_that_changes_while_it_is_loaded(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Again: the process has read what was there before, and another one is started for the next call."""
    with ramet.Template([module.stem], reload="changed") as template:
        module.write_text("value = 'another'\n")
        with monkeypatch.context() as patch:
            late = _starts_then(template, lambda: module.write_text("value = 'the last'\n"))
            patch.setattr(template._start, "start", late)
            run(template, abs, -1)
        assert run(template, eval, VALUE) == "the last"
        last = template.pid
        assert run(template, eval, VALUE) == "the last"
        assert template.pid == last


def test_one_that_changes_while_the_first_process_loads_it(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before which nobody knows what it loads."""
    begun = Fresh.start

    def late(start: Fresh) -> Any:
        started = begun(start)
        module.write_text("value = 'the last'\n")
        return started

    with monkeypatch.context() as patch:
        patch.setattr(Fresh, "start", late)
        template = ramet.Template([module.stem], reload="changed")
    with template:
        assert run(template, eval, VALUE) == "the last"
        last = template.pid
        assert run(template, eval, VALUE) == "the last"
        assert template.pid == last


def test_a_changed_source_file_ends_processes_that_wait_for_further_calls(module: Path) -> None:
    """Of an executor with reuse: its next call has the new source, as with one call for each process."""
    with (
        ramet.Template([module.stem], reload="changed") as template,
        ramet.Executor(1, template=template, reuse=100) as executor,
    ):
        assert executor.submit(eval, VALUE).result() == 1
        assert executor.submit(eval, VALUE).result() == 1
        module.write_text("value = 'another'\n")
        assert executor.submit(eval, VALUE).result() == "another"
        module.write_text("value = 1 / 0\n")
        with pytest.raises(ramet.TemplateError, match="ZeroDivisionError"):
            executor.submit(eval, VALUE).result()
        module.write_text("value = 'right again'\n")
        assert executor.submit(eval, VALUE).result() == "right again"


def test_a_source_file_that_fails_now_is_told_at_the_call(module: Path) -> None:
    """And when it is right again, calls run."""
    with ramet.Template([module.stem], reload="changed") as template:
        module.write_text("value = 1 / 0\n")
        with pytest.raises(ramet.TemplateError, match="ZeroDivisionError"):
            template.clone(eval, VALUE)
        module.write_text("value = 'right again'\n")
        assert run(template, eval, VALUE) == "right again"


# ---- the end


def test_close_ends_the_process_and_all_spares() -> None:
    """Nothing of them is left, and a call is refused."""
    template = ramet.Template(spares=3)
    template.close()
    assert children_of_this_process() == set()
    with pytest.raises(ValueError, match="invalid template: it has been closed"):
        template.clone(abs, -1)
    template.close()


def test_close_while_a_call_starts_another_process(tmp_path: Path) -> None:
    """Of another thread: nothing of that process is left, and the call is refused."""
    begun, goes_on = tmp_path / "begun", tmp_path / "goes_on"

    def setup() -> None:
        if begun.exists():
            begun.write_bytes(b"x")
            goes_on.read_bytes()

    template = ramet.Template(["cloudpickle", "pathlib"], setup=setup, spares=2)
    os.mkfifo(begun)
    os.mkfifo(goes_on)
    os.kill(template.pid, signal.SIGKILL)
    with ThreadPoolExecutor(2) as threads:
        call = threads.submit(calls_until_refused, template)
        assert begun.read_bytes() == b"x"
        closed = threads.submit(template.close)
        until(lambda: template._is_closed)
        goes_on.write_bytes(b"x")
        assert "it has been closed" in call.result(PATIENT_SECONDS)
        closed.result(PATIENT_SECONDS)
    assert children_of_this_process() == set()


def calls_until_refused(template: ramet.Template) -> str:
    """What is said then. Spares of a process that was killed serve calls still."""
    while True:
        try:
            run(template, abs, -1)
        except ValueError as error:
            return str(error)


def test_close_by_a_signal_handler_while_a_call_starts_another_process(tmp_path: Path) -> None:
    """It has the lock then that another thread would wait for."""
    mark, caller = tmp_path / "mark", os.getpid()

    def setup() -> None:
        if mark.exists():
            os.kill(caller, signal.SIGUSR1)

    template = ramet.Template(["cloudpickle", "pathlib"], setup=setup, spares=2)
    mark.touch()
    os.kill(template.pid, signal.SIGKILL)
    before = signal.signal(signal.SIGUSR1, lambda *_: template.close())
    try:
        assert "it has been closed" in calls_until_refused(template)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert children_of_this_process() == set()


def test_a_template_that_nobody_refers_to_ends() -> None:
    """As its spares do; the check of what is left looks at it."""
    ramet.Template(spares=2)


def test_a_copy_of_the_caller_cannot_use_its_template() -> None:
    """os.fork's child is told what to do; the template is as before."""
    with ramet.Template() as template:

        def refused() -> str:
            try:
                template.clone(abs, -1)
            except ValueError as error:
                return str(error)
            return ""

        with ramet.clone(refused) as child:
            assert "make one here" in child.result(PATIENT_SECONDS)
        assert run(template, abs, -1) == 1


def test_a_copy_of_the_caller_waits_for_a_child_of_its_template(shared: ramet.Template) -> None:
    """As for any other child of its parent: it learns how that ended, and has no outcome to read."""
    child = shared.clone(time.sleep, 1000)
    told = os.eventfd(0)

    def waits() -> tuple[bool, ramet.ExitStatus, str]:
        begun = time.monotonic()
        with suppress(ramet.TimeoutExpired):
            child.wait(0.05)
        has_waited = time.monotonic() - begun >= 0.05
        os.eventfd_write(told, 1)
        status = child.wait()
        try:
            return has_waited, status, repr(asyncio.run(awaited(child)))
        except ramet.ChildDied as died:
            return has_waited, status, type(died).__name__

    with ramet.clone(waits) as copy:
        os.eventfd_read(told)
        child.kill()
        has_waited, status, outcome = copy.result(PATIENT_SECONDS)
    os.close(told)
    assert has_waited
    assert status.signal == child.wait().signal == signal.SIGKILL
    assert outcome == "ChildDied"


def test_await_of_a_child_that_another_thread_has_waited_for(shared: ramet.Template) -> None:
    """The outcome is there, whoever has read it, and closed what it came by."""
    child = shared.clone(abs, -1)
    begun = child.__await__()
    child.wait()
    assert asyncio.run(awaited(Begun(begun))) == 1


async def awaited(child: Awaitable[object]) -> object:
    return await child


class Begun(NamedTuple):
    """What awaits begins before the loop does."""

    steps: Generator[object, object, object]

    def __await__(self) -> Generator[object, object, object]:
        return self.steps


PROGRAM = """
import os, subprocess, sys, time
import ramet

def hangs():
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print("begun", os.getppid(), flush=True)
    time.sleep(1000)

if {here}:
    template = ramet.Template.from_here(spares=2)
else:
    template = ramet.Template(spares=2).derive(spares=2)
child = template.clone(hangs)
with ramet.Executor(1) as executor:
    executor.submit(hangs)
    time.sleep(1000)
"""


@pytest.mark.parametrize("here", [False, True], ids=["fresh", "from_here"])
def test_all_ends_with_a_caller_that_is_killed(here: bool) -> None:
    """Templates, spares and calls by the kernel's parent-death signal, wherever the caller was."""
    with (
        ramet.Subreaper(),
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(here=here)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as caller,
    ):
        assert caller.stdout is not None
        for _ in range(2):
            assert caller.stdout.readline().startswith("begun")
        below = all_below(caller.pid)
        assert sum(map(must_end, below)) >= 4
        caller.kill()
        caller.wait()
        deadline = time.monotonic() + SECONDS
        while left := {pid for pid in below if must_end(pid)}:
            reap_all()  # the init of a namespace waits for that
            if time.monotonic() > deadline:
                break
        told = [commands(pid) for pid in left]
        for pid in children_of_this_process():
            os.kill(pid, signal.SIGKILL)
        until(lambda: reap_all() or not children_of_this_process())
    assert told == []


def reap_all() -> bool:
    """Reap the children that have ended and that nobody else waits for. Whether none is left."""
    try:
        while os.waitpid(-1, WALL | os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return True
    return False


def all_below(pid: int) -> set[int]:
    """All descendants."""
    listings = Path(f"/proc/{pid}/task").glob("*/children")
    found = {int(one) for listing in listings for one in listing.read_text().split()}
    return found.union(*(all_below(one) for one in found))


def commands(pid: int) -> str:
    """What it runs."""
    return Path(f"/proc/{pid}/status").read_text().partition("\n")[0]


def must_end(pid: int) -> bool:
    """Whether it runs and is no sleep(1), which a call without a namespace may leave."""
    try:
        name, state = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(") ")[::2]
    except OSError:
        return False
    return state[0] != "Z" and name != "sleep"


def test_a_template_made_by_a_thread_outlives_it() -> None:
    """Parent death follows the thread that has made it, and yet nothing ends with that thread."""
    made: list[ramet.Template] = []
    thread = threading.Thread(target=lambda: made.append(ramet.Template(spares=1)))
    thread.start()
    thread.join()
    with made[0] as template:
        first = template.pid
        assert run(template, abs, -1) == 1
        assert run(template, abs, -2) == 2
        assert template.pid == first
