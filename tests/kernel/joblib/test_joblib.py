"""Batches of joblib in processes of their own."""

import gc
import math
import multiprocessing
import os
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config

import ramet.joblib
from ramet._workers.executor.needed_modules import modules_of

from ...conftest import LeakCheck
from ...waiting import alarm, until
from ..sandbox.taken_away import needs_all


@pytest.fixture(autouse=True)
def all_ends(nothing_left: LeakCheck) -> Iterator[None]:
    """When a test is over its backends are, and their templates with them."""
    yield
    until(_all_have_ended)


def _all_have_ended() -> bool:
    gc.collect()  # joblib's objects refer to each other, and a thread's callback may refer to them still
    return not [t for t in threading.enumerate() if t.name == "ramet-executor"]


def _hang() -> None:
    select.select([], [], [])


def _own_pid(_: int) -> int:
    return int(os.readlink("/proc/self"))


def _roots(count: int) -> list[float]:
    found: list[float] = Parallel(n_jobs=2)(delayed(math.sqrt)(n) for n in range(count))
    return found


@pytest.mark.parametrize("batch_size", ["auto", 1, 7])
def test_results_come_in_their_order(batch_size: Any) -> None:
    """However joblib makes the batches."""
    with parallel_config(backend="ramet", n_jobs=2):
        found = Parallel(batch_size=batch_size)(delayed(math.sqrt)(n) for n in range(60))
    assert found == [math.sqrt(n) for n in range(60)]


def test_each_batch_has_a_process_of_its_own() -> None:
    """Also with the older parallel_backend()."""
    with joblib.parallel_backend("ramet", n_jobs=2):
        pids = Parallel(batch_size=2)(delayed(_own_pid)(n) for n in range(8))
    assert len(set(pids)) == 4
    assert os.getpid() not in pids


def test_one_job_runs_in_the_caller() -> None:
    """As with every backend of joblib."""
    assert Parallel(n_jobs=1, backend="ramet")([delayed(_own_pid)(0)]) == [os.getpid()]


@pytest.mark.parametrize("as_what", ["generator", "generator_unordered"])
def test_results_come_one_by_one(as_what: str) -> None:
    """A generator gives them as they come."""
    with parallel_config(backend="ramet", n_jobs=2):
        found = Parallel(return_as=as_what)(delayed(abs)(-n) for n in range(9))
        assert sorted(found) == [*range(9)]


def test_a_generator_that_is_dropped_kills_what_runs() -> None:
    """Joblib says that it has cancelled them."""
    with parallel_config(backend="ramet", n_jobs=2):
        fns = [abs, _hang, _hang]
        found = Parallel(return_as="generator", batch_size=1)(
            delayed(fn)(*([-1] if fn is abs else [])) for fn in fns
        )
        assert next(found) == 1
        with pytest.warns(UserWarning, match="cancelled"):
            del found


def test_closures_and_nested_calls() -> None:
    """What __main__ or a function defines is sent by value; Parallel in a batch uses threads."""
    with parallel_config(backend="ramet", n_jobs=2):
        factor = 3
        assert Parallel()(delayed(lambda n: n * factor)(n) for n in range(3)) == [0, 3, 6]
        assert Parallel()(delayed(_roots)(n) for n in range(3)) == [[], [0.0], [0.0, 1.0]]


def _fill(rows: Any, first: int, *, by: dict[str, Any]) -> bool:
    rows[first : first + 2] = by["source"][first : first + 2]
    return bool(rows.flags.owndata)


def test_what_calls_write_to_an_array_in_a_file_their_caller_finds(tmp_path: Path) -> None:
    """A memmap is the same file's in the process, as with loky; also a view, or in a container."""
    source = np.arange(12.0).reshape(6, 2)
    source.tofile(tmp_path / "source")
    given = np.memmap(tmp_path / "source", float, "r", shape=(6, 2))
    filled = np.memmap(tmp_path / "filled", float, "w+", shape=(2, 8, 2))
    with parallel_config(backend="ramet", n_jobs=2):
        calls = (delayed(_fill)(filled[1, 1:7], n, by={"source": given}) for n in (0, 2, 4))
        assert Parallel(batch_size=1)(calls) == [False] * 3
    assert filled[1, 1:7].tolist() == source.tolist()
    assert not filled[0].any()
    assert not filled[1, 0].any()


@pytest.mark.parametrize("mode", ["c", "r+"])
def test_an_array_whose_file_is_not_what_it_shows_is_copied(tmp_path: Path, mode: Any) -> None:
    """One that is copy-on-write has what the caller has put there; so has one whose file is gone."""
    np.zeros(4).tofile(tmp_path / "file")
    array = np.memmap(tmp_path / "file", float, mode)
    array[0] = 3
    if mode == "r+":
        (tmp_path / "file").unlink()
    with parallel_config(backend="ramet", n_jobs=2):
        assert Parallel()(delayed(np.sum)(array) for _ in range(2)) == [3, 3]


def test_an_exception_is_raised_and_the_next_call_works() -> None:
    """With the traceback of the process; the others are killed."""
    with parallel_config(backend="ramet", n_jobs=2):
        fns = [delayed(_hang)(), delayed(divmod)(1, 0)]
        with pytest.raises(ZeroDivisionError) as caught:
            Parallel(batch_size=1)(fns)
        assert "Traceback" in str(caught.value.__cause__)
        assert Parallel()(delayed(abs)(-n) for n in range(3)) == [0, 1, 2]


def test_a_death_names_the_function_and_the_signal() -> None:
    """No pool is broken by it: the next call works."""
    with parallel_config(backend="ramet", n_jobs=2):
        with pytest.raises(ramet.ChildDied, match=r"first raise_signal.*SIGABRT"):
            Parallel()(delayed(signal.raise_signal)(signal.SIGABRT) for _ in range(2))
        assert Parallel()([delayed(abs)(-1)]) == [1]


def test_deadlines() -> None:
    """Joblib's is for the wait for a result, the backend's for each batch."""
    with (
        parallel_config(backend="ramet", n_jobs=2),
        pytest.raises(multiprocessing.TimeoutError),
    ):
        Parallel(timeout=0.2)(delayed(_hang)() for _ in range(3))
    with (
        parallel_config(backend="ramet", n_jobs=2, timeout=0.2),
        pytest.raises(ramet.DeadlineExceeded),
    ):
        Parallel()(delayed(_hang)() for _ in range(3))


def test_an_interrupt_ends_it_at_once() -> None:
    """All batches are killed; the next call works."""
    with parallel_config(backend="ramet", n_jobs=2):
        Parallel()([delayed(abs)(-1)])
        with alarm(0.2, KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
            Parallel()(delayed(_hang)() for _ in range(3))
        assert Parallel()([delayed(abs)(-1)]) == [1]


def test_native_threads_are_limited() -> None:
    """inner_max_num_threads is in the environment of each process, as with loky."""
    with parallel_config(backend="ramet", n_jobs=2, inner_max_num_threads=3):
        found = Parallel()([delayed(os.getenv)("OMP_NUM_THREADS")] * 2)
    assert found == ["3", "3"]


def _homes(_: int) -> bool:
    return os.path.exists("/home")


@needs_all
def test_each_batch_may_be_in_a_sandbox(tmp_path: Path) -> None:
    """What is loaded ahead is for the caller to name; with one job there is no process to confine.

    An array in a file of the caller's, which it does not see, is copied.
    """
    array = np.memmap(tmp_path / "array", float, "w+", shape=3)
    with parallel_config(backend="ramet", n_jobs=2, sandbox=ramet.Sandbox(), preload=[__name__]):
        assert Parallel()(delayed(_homes)(n) for n in range(3)) == [False] * 3
        assert Parallel()(delayed(np.sum)(array) for _ in range(2)) == [0, 0]
    with (
        parallel_config(backend="ramet", n_jobs=2, sandbox=ramet.Sandbox(), env={}),
        pytest.raises(ValueError, match="invalid env with sandbox"),
    ):
        Parallel()(delayed(_homes)(n) for n in range(3))


def test_bad_input() -> None:
    """Each is one error."""
    with pytest.raises(TypeError, match="there is no option 'color'"):
        Parallel(n_jobs=2, backend="ramet", color="red")([delayed(abs)(-1)])
    with pytest.raises(TypeError, match=r"got one string; \['json'\] is one"):
        Parallel(n_jobs=2, backend="ramet", preload="json")([delayed(abs)(-1)] * 2)
    with pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0, backend="ramet")([delayed(abs)(-1)])


def test_what_cannot_be_pickled_is_named() -> None:
    """The argument of the call that has it, and not a part of the batch."""
    lock = threading.Lock()
    for wrong, what in ((delayed(divmod)(1, lock), "1"), (delayed(dict)(a=lock), "'a'")):
        refused = pytest.raises(TypeError, match=f"got argument {what} <unlocked")
        with parallel_config("ramet", n_jobs=2), refused:
            Parallel(batch_size=2)([delayed(divmod)(1, 2), wrong])


def test_what_the_calls_need_is_loaded_ahead() -> None:
    """The template imports the modules of the functions and of the arguments, not __main__."""
    value = delayed(math.sqrt)(select.poll), lambda: json.dumps
    import json

    found = modules_of(value)
    assert {"math", "json"} <= {*found, "math"}
    assert "__main__" not in found


def _joblib_was_loaded(_: int) -> bool:
    """Whether that was by the template: what it has loaded is kept from the collector."""
    return not any(each is vars(joblib) for each in gc.get_objects())


@pytest.mark.parametrize("given", ["preload", "template"])
def test_what_batches_are_made_of_is_loaded_ahead_too(given: str) -> None:
    """Also where other modules are named, or the template is another's."""
    with ramet.Template() as template:
        options: dict[str, Any] = {
            "preload": {"preload": ["json"]},
            "template": {"template": template},
        }
        with parallel_config(backend="ramet", n_jobs=2, **options[given]):
            assert Parallel()(delayed(_joblib_was_loaded)(n) for n in range(2)) == [True, True]


def _has_loaded(name: str, _: object) -> bool:
    """Whether that was by the template."""
    import sys

    module = sys.modules.get(name)
    return module is not None and not any(each is vars(module) for each in gc.get_objects())


def test_what_a_later_call_of_parallel_needs_is_loaded_ahead_too() -> None:
    """In the same block: else each of its batches would import it."""
    import colorsys

    with parallel_config(backend="ramet", n_jobs=2):
        assert Parallel()(delayed(math.sqrt)(n) for n in (4, 9)) == [2, 3]
        calls = [delayed(_has_loaded)("colorsys", colorsys)] * 2
        assert Parallel()(calls) == [True, True]
        before = _threads_of_executors()
        assert Parallel()(calls) == [True, True]
        assert _threads_of_executors() == before


def _threads_of_executors() -> int:
    return sum(thread.name == "ramet-executor" for thread in threading.enumerate())


@pytest.mark.parametrize("place", ["block", "call"])
def test_a_template_is_gone_with_what_it_was_made_for(place: str) -> None:
    """With the block, or the Parallel object: no collection has to come."""
    gc.collect()
    gc.disable()
    try:
        if place == "block":
            with parallel_config(backend="ramet", n_jobs=2):
                assert Parallel()(delayed(abs)(n) for n in range(2)) == [0, 1]
        else:
            assert Parallel(n_jobs=2, backend="ramet")(delayed(abs)(n) for n in range(2)) == [0, 1]
        until(lambda: _threads_of_executors() == 0)
    finally:
        gc.enable()


def test_a_template_outlives_an_exception_of_a_call() -> None:
    """As the block does."""
    with parallel_config(backend="ramet", n_jobs=2):
        templates = set()
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                Parallel()([delayed(divmod)(1, 0)] * 2)
            templates |= {
                thread.native_id
                for thread in threading.enumerate()
                if thread.name == "ramet-executor"
            }
        assert len(templates) == 1
