"""Tasks of dask in processes of their own: a plugin for the workers of a cluster.

``client.register_plugin(ramet.dask.ExecutorPlugin())``, then ``with dask.annotate(executor="ramet"): ...``.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor as AnyExecutor
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

try:
    from dask.typing import Key
    from distributed import Reschedule, Worker, WorkerPlugin
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "ramet.dask needs distributed: pip install 'ramet[dask]'", name=error.name
    ) from None

from ._process.awaiting import in_new_thread
from ._workers.executor.executor import Executor

__all__ = ["ExecutorPlugin"]

T = TypeVar("T")

# A task is called by a function of distributed's, which takes a second to import.
_ALWAYS_LOADED = ("distributed.worker",)


# Of a task that was killed because nobody wanted it: if it is wanted again by now, any worker may run it.
_GIVEN_UP = {"op": "task-erred", "actual_exception": Reschedule(), "thread": 0}


class ExecutorPlugin(WorkerPlugin):  # type: ignore[misc] # distributed's has few types
    """Gives each worker an executor that runs every task in a process of its own.

    executor: its name, for ``dask.annotate(executor="ramet")``. options: of ramet.Executor, such as
    timeout, memory and preload (the modules that tasks need). max_workers: by default the threads of the
    worker, which decide how many tasks run at once.

    A task that crashes, exceeds its memory or runs into its deadline raises ChildDied or
    DeadlineExceeded, as any exception of a task; the worker and its other tasks go on. One whose result
    nobody wants any more (``future.cancel()``) is killed. Each ends with all that it has started.

    Raises ValueError for a template or a sandbox; when it is registered, what ramet.Executor does.
    Needs: distributed, installed by the extra ``dask``, and ramet on scheduler and workers; what
    ramet.Executor needs.
    Source: clone(2).
    """

    def __init__(self, executor: str = "ramet", **options: Any) -> None:
        if not {"template", "mp_context"}.isdisjoint(options):
            raise ValueError(
                "invalid template of a plugin: it is of this process, and each worker makes its own; "
                "name in preload what it is to load"
            )
        if options.get("sandbox") is not None:
            raise ValueError(
                "invalid sandbox of a plugin: dask needs the class of each result, and a call in a sandbox "
                "sends data alone; a task can start what is to be confined: "
                "ramet.run(argv, sandbox=ramet.Sandbox(...))"
            )
        self.executor = executor
        self.name = f"ramet-executor-{executor}"  # another one of this name replaces it
        self._options = options

    async def setup(self, worker: Worker) -> None:
        """Make the executor; distributed calls this on each worker."""
        options = {"max_workers": worker.state.nthreads, **self._options}
        options["preload"] = [*_ALWAYS_LOADED, *options.get("preload", ())]
        self._made = await in_new_thread(partial(_Tasks, **options))
        worker.executors[self.executor] = self._made

    def transition(self, key: Key, start: str, finish: str, **_: Any) -> None:
        """Kill a task that runs and whose result nobody wants any more; distributed calls this."""
        if start in {"executing", "long-running"} and finish == "released":
            self._made.give_up(key)

    async def teardown(self, worker: Worker) -> None:
        """Kill the tasks and end the executor; distributed calls this when a worker closes."""
        if worker.executors.get(self.executor) is self._made:
            del worker.executors[self.executor]
        await in_new_thread(self._made.end)


class _Tasks(AnyExecutor):
    """What a worker takes for an executor: it knows which task each call is of."""

    def __init__(self, **options: Any) -> None:
        self._executor = Executor(**options)
        self._calls: dict[str, Future[Any]] = {}

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """The outcome of a task, as its worker expects it."""
        call = self._executor.submit(fn, *args, **kwargs)
        task = asyncio.current_task()
        name = "" if task is None else task.get_name()
        self._calls[name] = call
        told: Future[Any] = Future()

        def tell(call: Future[Any]) -> None:
            if self._calls.get(name) is call:
                del self._calls[name]
            if not told.set_running_or_notify_cancel():
                return
            if call.cancelled():
                told.set_result(_GIVEN_UP)
            elif (error := call.exception()) is not None:
                told.set_exception(error)
            else:
                told.set_result(call.result())

        call.add_done_callback(tell)
        told.add_done_callback(lambda told: told.cancelled() and call.cancel())
        return told

    def give_up(self, key: Key) -> None:
        """Kill the call of a task."""
        call = self._calls.get(f"execute({key!r})")  # as the worker names what executes it
        if call is not None:
            call.cancel()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)

    def end(self) -> None:
        """Kill all tasks, and wait until their processes are gone."""
        self._executor.kill_workers()
        self._executor.shutdown()
