"""Pebble's process pool and decorators as they are called, with Ramet's executor to run the calls."""

import importlib
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from typing import Any

import ramet

pebble: Any = importlib.import_module("pebble")

# Where pebble's workers go on serving until the pool ends, an executor's serve so many calls.
FOR_EVER = 1_000_000


class ToldFuture(pebble.ProcessFuture):  # type: ignore[misc] # pebble is not installed everywhere
    """Pebble's future of a call that an executor runs."""

    def __init__(self, call: "Future[Any]") -> None:
        super().__init__()
        self._call = call
        self.set_running_or_notify_cancel()
        call.add_done_callback(self._tell)

    def cancel(self) -> bool:
        cancelled: bool = super().cancel()
        self._call.cancel()
        return cancelled

    def _tell(self, call: "Future[Any]") -> None:
        if call.cancelled():
            super().cancel()
        elif not self.done():
            error = call.exception()
            if error is None:
                self.set_result(call.result())
            else:
                self.set_exception(_as_pebble_has_it(error))


def _as_pebble_has_it(error: BaseException) -> BaseException:
    if not isinstance(error, ramet.ChildDied) or isinstance(error, ramet.DeadlineExceeded):
        return error
    status = error.status
    code = -int(status.signal) if status.signal is not None else status.code
    expired: BaseException = pebble.ProcessExpired(str(error), code=code, pid=error.pid)
    return expired


class ProcessPool(pebble.ProcessPool):  # type: ignore[misc]
    """What a pool is asked for; its map() is pebble's own, on schedule()."""

    def __init__(
        self,
        max_workers: int = multiprocessing.cpu_count(),
        max_tasks: int = 0,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        context: object = None,  # noqa: ARG002 - a start method makes no clones
    ) -> None:
        super().__init__(max_workers, max_tasks, initializer, initargs)
        self._how: dict[str, Any] = {
            "max_workers": max_workers,
            "reuse": max_tasks or FOR_EVER,
            "initializer": initializer,
            "initargs": tuple(initargs),
        }
        # Pebble has a deadline for each call, an executor one for all.
        self._executors: dict[float | None, ramet.Executor] = {}
        self._calls: list[Future[Any]] = []
        self._is_closed = self._is_stopped = False

    @property
    def active(self) -> bool:
        return not self._is_stopped

    def close(self) -> None:
        self._is_closed = True

    def stop(self) -> None:
        self._is_closed = self._is_stopped = True
        for executor in self._executors.values():
            executor.kill_workers()

    def join(self, timeout: float | None = None) -> None:
        if not self._is_closed:
            raise RuntimeError("The Pool is still running")
        if not self._is_stopped and wait(self._calls, timeout).not_done:
            raise TimeoutError("Tasks are still being executed")
        self._is_stopped = True
        for executor in self._executors.values():
            executor.shutdown()

    def schedule(
        self,
        function: Callable[..., Any],
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> ToldFuture:
        self._check_pool_status()
        if timeout not in self._executors:
            self._executors[timeout] = ramet.Executor(timeout=timeout, **self._how)
        call: Future[Any] = self._executors[timeout].submit(function, *args, **(kwargs or {}))
        self._calls.append(call)
        return ToldFuture(call)

    def _check_pool_status(self) -> None:
        if self._is_closed:
            raise RuntimeError("The Pool is not active")


def take_its_place() -> None:
    """For who looks for pebble's from now on; decorated functions have a fresh process for each call."""
    decorators = [sys.modules[f"pebble.{how}.process"] for how in ("concurrent", "asynchronous")]
    for module in (pebble, pebble.pool, pebble.pool.process, *decorators):
        vars(module)["ProcessPool"] = ProcessPool
    fresh = ProcessPool(max_workers=8, max_tasks=1)
    for module in decorators:
        _have_a_pool(module, fresh)


def _have_a_pool(module: Any, pool: ProcessPool) -> None:
    wrapper = module._process_wrapper

    def with_pool(*words: Any) -> Any:
        *others, given = words
        return wrapper(*others, given or pool)

    module._process_wrapper = with_pool
