"""The context in the places where multiprocessing's own are: pools, queues, managers, mp_context."""

import importlib
import multiprocessing
import multiprocessing.context
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ramet.multiprocessing
from ramet import TemplateError, TemplateRestarted
from ramet.multiprocessing import CloneContext

pytestmark = pytest.mark.usefixtures("tracker", "nothing_left")


def _square(number: int) -> int:
    return number * number


def test_a_pool_works(context: CloneContext) -> None:
    """Its workers are clones, and more are made when one has done its tasks."""
    with context.Pool(2, maxtasksperchild=2) as pool:
        assert pool.map(_square, range(10), chunksize=1) == [n * n for n in range(10)]
        pool.close()
        pool.join()


def test_an_executor_takes_it(context: CloneContext) -> None:
    """concurrent.futures' own, by mp_context."""
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(_square, range(10))) == [n * n for n in range(10)]
        assert executor.submit(os.getppid).result() == os.getpid()


def test_an_executor_of_clones_takes_it(context: CloneContext) -> None:
    """ramet.Executor, by mp_context: its calls are in clones of the context's template, which goes on."""
    for _ in range(2):
        with ramet.Executor(2, mp_context=context) as executor:
            assert list(executor.map(_square, range(10))) == [n * n for n in range(10)]
            assert executor.submit(_has_numbers, "multiprocessing.process").result()
    assert context.template.pid == context.template.pid
    with pytest.raises(ValueError, match="no template beside it"):
        ramet.Executor(2, context.template, mp_context=context)


def _has_numbers(name: str) -> bool:
    return name in sys.modules


def test_a_manager_serves(context: CloneContext) -> None:
    """Its server is a clone, and processes reach its objects."""
    with context.Manager() as manager:
        numbers = manager.dict({1: 1})
        process = context.Process(target=numbers.update, args=({2: 4},))
        process.start()
        process.join()
        assert numbers.copy() == {1: 1, 2: 4}


def _work(queue: Any, results: Any, lock: Any, event: Any, total: Any) -> None:
    event.wait()
    for number in iter(queue.get, None):
        results.put(number * number)
        with lock:
            total.value += number


def test_what_processes_share_reaches_them(context: CloneContext) -> None:
    """Queues, a lock, an event and a value, as arguments."""
    queue, results = context.Queue(), context.SimpleQueue()
    lock, event, total = context.Lock(), context.Event(), context.Value("i", 0, lock=False)
    with closing(queue), closing(results):
        arguments = (queue, results, lock, event, total)
        processes = [context.Process(target=_work, args=arguments) for _ in range(2)]
        for process in processes:
            process.start()
        for item in (1, 2, 3, None, None):
            queue.put(item)
        event.set()
        assert sorted(results.get() for _ in range(3)) == [1, 4, 9]
        for process in processes:
            process.join()
        assert total.value == 6
        queue.close()
        queue.join_thread()


def _fill(name: str, letter: bytes) -> None:
    memory: Any = shared_memory.SharedMemory(name)
    memory.buf[:1] = letter
    memory.close()


def test_shared_memory_is_the_callers(context: CloneContext) -> None:
    """A process that has attached it does not unlink it: the resource tracker is the caller's."""
    memory: Any = shared_memory.SharedMemory(create=True, size=16)
    try:
        for letter in (b"a", b"b"):
            process = context.Process(target=_fill, args=(memory.name, letter))
            process.start()
            process.join()
            assert (process.exitcode, bytes(memory.buf[:1])) == (0, letter)
    finally:
        memory.close()
        memory.unlink()


def _send_sum(array: Any, connection: Any) -> None:
    array += 1
    connection.send((array.sum(), array.flags.writeable))


def test_an_array_reaches_a_process(context: CloneContext) -> None:
    """It is the process's own, to be written to, and crosses beside the pickle."""
    array = np.zeros(1 << 20)
    reader, writer = context.Pipe(duplex=False)
    with reader, writer:
        process = context.Process(target=_send_sum, args=(array, writer))
        process.start()
        assert reader.recv() == (1 << 20, True)
        process.join()
    assert array.sum() == 0


class _Loader:
    """The use that torch's DataLoader makes of a multiprocessing_context, in brief."""

    def __init__(self, data: list[int], workers: int, context: CloneContext) -> None:
        assert isinstance(context, multiprocessing.context.BaseContext)
        self.data = data
        self.results = context.Queue()
        self.done = context.Event()
        self.indices = [context.Queue() for _ in range(workers)]
        self.workers = []
        for number, index_queue in enumerate(self.indices):
            index_queue.cancel_join_thread()
            worker = context.Process(
                target=_load, args=(number, data, index_queue, self.results, self.done)
            )
            worker.daemon = True
            worker.start()
            self.workers.append(worker)

    def __iter__(self) -> Iterator[int]:
        for place in range(len(self.data)):
            self.indices[place % len(self.indices)].put(place)
        found = dict(self.results.get() for _ in self.data)
        yield from (found[place] for place in range(len(self.data)))

    def close(self) -> None:
        self.done.set()
        for queue in self.indices:
            queue.put(None)
            queue.close()
        for worker in self.workers:
            worker.join()
        for queue in (*self.indices, self.results):
            queue.close()
            queue.join_thread()


def _load(number: int, data: list[int], indices: Any, results: Any, done: Any) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    for place in iter(indices.get, None):
        assert parent.is_alive()
        results.put((place, _square(data[place])))
    assert done.is_set()
    results.close()
    results.join_thread()


def test_a_data_loader_takes_it(context: CloneContext) -> None:
    """Daemons with a queue each, a queue of results and an event."""
    with closing(_Loader(list(range(20)), 2, context)) as loader:
        assert list(loader) == [n * n for n in range(20)]


class _Worker:
    def __init__(self, context: CloneContext, queue: Any) -> None:
        self.context = context
        self.queue = queue

    def go(self) -> None:
        own: object = multiprocessing.get_context()
        self.queue.put((own is self.context, multiprocessing.get_start_method()))
        process = self.context.Process(target=self.queue.put, args=("nested",))
        process.start()
        process.join()
        self.queue.put(process.exitcode)


def test_a_process_has_its_context_and_starts_others(context: CloneContext) -> None:
    """It is the default there, and the same object however it comes."""
    queue = context.SimpleQueue()
    with closing(queue):
        process = context.Process(target=_Worker(context, queue).go)
        process.start()
        assert [queue.get() for _ in range(3)] == [(True, "ramet"), "nested", 0]
        process.join()


def test_a_context_can_be_pickled(context: CloneContext) -> None:
    """Within one process it stays the same."""
    assert pickle.loads(pickle.dumps(context)) is context


@pytest.fixture
def no_start_method() -> Iterator[None]:
    """Multiprocessing without a start method, before and after."""
    default: Any = multiprocessing.context._default_context
    known: Any = multiprocessing.context._concrete_contexts  # type: ignore[attr-defined]
    before = default._actual_context
    default._actual_context = None
    yield
    default._actual_context = before
    known.pop("ramet", None)


def test_it_can_be_the_default(context: CloneContext, no_start_method: None) -> None:
    """Then multiprocessing.Process is a clone; it is set once, unless it is forced."""
    ramet.multiprocessing.set_start_method(context)
    default: list[object] = [
        multiprocessing.get_start_method(),
        multiprocessing.get_context("ramet"),
    ]
    assert default == ["ramet", context]
    queue: Any = multiprocessing.SimpleQueue()
    with closing(queue):
        process = multiprocessing.Process(target=_put_method, args=(queue,))
        process.start()
        assert queue.get() == "ramet"
        process.join()
        spawned = multiprocessing.get_context("spawn").Process(target=_put_method, args=(queue,))
        spawned.start()
        assert queue.get() == "spawn"
        spawned.join()
    with pytest.raises(RuntimeError, match="already been set"):
        ramet.multiprocessing.set_start_method(context)
    ramet.multiprocessing.set_start_method(context, force=True)


def _put_method(queue: Any) -> None:
    queue.put(multiprocessing.get_start_method())


def _ends(context: CloneContext, target: Callable[..., object] = _square, *args: Any) -> int | None:
    process = context.Process(target=target, args=args or (3,))
    process.start()
    process.join()
    exitcode: int | None = process.exitcode
    process.close()
    return exitcode


def test_a_closed_context_starts_another_template() -> None:
    """close() ends the template and its spares, and no process."""
    with ramet.multiprocessing.context(main="never") as context:
        running = context.Process(target=time.sleep, args=(1000,))
        running.start()
        context.close()
        assert running.is_alive()
        assert _ends(context) == 0
        running.kill()
        running.join()


def test_a_template_that_died_is_replaced() -> None:
    """With a warning; processes go on."""
    with ramet.multiprocessing.context(main="never", spares=0) as context:
        assert _ends(context) == 0
        assert context._template is not None
        os.kill(context._template.pid, signal.SIGKILL)
        with pytest.warns(TemplateRestarted, match="killed by SIGKILL"):
            assert _ends(context) == 0


def test_a_fork_of_the_caller_has_a_template_of_its_own(context: CloneContext) -> None:
    """It uses the context as its caller does."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if _ends(context) == 0 else 2
            context.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert _ends(context) == 0


def test_changed_source_files_are_loaded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With reload="changed" the next process is of another template."""
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "ramet_changing.py"
    module.write_text("number = 1")
    with ramet.multiprocessing.context(
        [module.stem], reload="changed", main="never", spares=0
    ) as context:
        assert _ends(context, _exit_with_number, module.stem) == 1
        module.write_text("number = 1 + 1")
        assert _ends(context, _exit_with_number, module.stem) == 2


def _exit_with_number(module: str) -> None:
    sys.exit(importlib.import_module(module).number)


def test_threads_start_processes_at_once(context: CloneContext) -> None:
    """Each gets its own."""
    with ThreadPoolExecutor(4) as threads:
        ends = [threads.submit(_ends, context, sys.exit, code) for code in range(8)]
        assert [end.result() for end in ends] == list(range(8))


def test_the_thread_that_started_the_template_may_end() -> None:
    """Neither the template nor a process ends with it."""
    with ramet.multiprocessing.context(main="never", spares=0) as context:
        started = []

        def start() -> None:
            started.append(context.Process(target=time.sleep, args=(1000,)))
            started[0].start()

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        assert _ends(context) == 0
        assert started[0].is_alive()
        started[0].terminate()
        started[0].join()
        assert started[0].exitcode == -signal.SIGTERM


def test_what_it_was_asked_for_is_done_in_the_template() -> None:
    """Modules are there, setup has run, and options hold for each process."""
    with ramet.multiprocessing.context(
        ["sched"], setup=_set_up, main="never", spares=0, nice=19
    ) as context:
        assert _ends(context, _check_template, "sched") == 0


def _set_up() -> None:
    os.environ["RAMET_SET_UP"] = str(os.getpid())


def _check_template(module: str) -> None:
    assert module in sys.modules
    assert os.environ["RAMET_SET_UP"] != str(os.getpid())
    assert os.nice(0) == 19


def test_the_executable_can_be_set() -> None:
    """By the name that multiprocessing has for it; a template is started with it."""
    with ramet.multiprocessing.context(main="never", spares=0) as context:
        try:
            context.set_executable("/nonexistent/python")
            with pytest.raises(FileNotFoundError):
                context.Process().start()
        finally:
            context.set_executable(sys.executable)
        assert _ends(context) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"preload": "numpy"}, TypeError, "expected a list of names of modules"),
        ({"preload": 5}, TypeError, "expected a list of names of modules, got 5"),
        ({"allow": ["x"]}, ValueError, "invalid allow"),
        ({"setup": 3}, TypeError, "expected a function"),
        ({"main": "twice"}, ValueError, "expected 'once', 'each', 'never' or None, got 'twice'"),
        ({"spares": -1}, ValueError, "invalid spares"),
        ({"reload": "always"}, ValueError, "expected 'changed' or None, got 'always'"),
        ({"nicee": 3}, TypeError, "nicee"),
        (
            {"timeout": 5},
            TypeError,
            r"its processes have no deadline; calls have: ramet.Executor\(timeout=",
        ),
        (
            {"memory": "1G"},
            TypeError,
            r"no limit of memory; .* ramet.Template.clone\(fn, memory=...\)$",
        ),
        (
            {"cpus": 1},
            TypeError,
            r"are in no sandbox; .*Executor\(sandbox=ramet.Sandbox\(cpus=...\)\)$",
        ),
        ({"executable": "x"}, ValueError, "invalid executable for a template"),
        ({"sandbox": ramet.Sandbox()}, ValueError, "invalid sandbox for a context"),
    ],
)
def test_invalid_arguments_are_refused_at_once(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    """When the context is made, not when a process is started."""
    with pytest.raises(error, match=words):
        ramet.multiprocessing.context(**arguments)


def test_a_module_that_cannot_be_preloaded_is_named() -> None:
    """By the first start of a process; nothing is left of that."""
    with (
        ramet.multiprocessing.context(["no_such_module"], main="never") as context,
        pytest.raises(TemplateError, match="no_such_module"),
    ):
        context.Process().start()


def test_only_a_context_of_ramet_is_set() -> None:
    """set_start_method() takes no name."""
    with pytest.raises(TypeError, match="invalid context"):
        ramet.multiprocessing.set_start_method("ramet")  # type: ignore[arg-type]
