"""A backend of joblib that runs every batch of calls in a process of its own.

Importing this module registers it: ``with joblib.parallel_config(backend="ramet", n_jobs=4): ...``.
"""

import copy
import os
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

try:
    import cloudpickle  # noqa: F401 - each batch needs it
    import joblib
    from joblib._memmapping_reducer import _get_backing_memmap, _reduce_memmap_backed
    from joblib._parallel_backends import AutoBatchingMixin, FallbackToBackend, SequentialBackend
    from joblib.parallel import ParallelBackendBase
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "ramet.joblib needs joblib and cloudpickle: pip install 'ramet[joblib]'", name=error.name
    ) from None

from ._workers.crossing.pickling import Batch
from ._workers.executor.executor import Executor
from ._workers.executor.needed_modules import modules_of
from ._workers.template.template import Template
from .errors import TemplateError

__all__ = ["RametBackend"]

_PROTOCOL = 5

# With these its caller decides what is loaded, and with the last two what variables there are.
_DECIDE_MODULES = {"preload", "template", "sandbox"}
_DECIDE_VARIABLES = {"template", "sandbox"}

# What Parallel gives every backend, for the backends that keep arrays in files. Here they cross in memory.
_OF_OTHER_BACKENDS = {"context", "context_id", "max_nbytes", "mmap_mode", "temp_folder", "verbose"}


class RametBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc] # joblib has no types
    """The backend "ramet" of joblib: each batch of calls in a process of its own.

    options: of ramet.Executor, given to joblib.parallel_config() or parallel_backend(). timeout, memory:
    of each batch, which holds as many calls as joblib puts in it (``batch_size`` of Parallel). preload: by
    default the modules that the first batch needs, and none in a sandbox. inner_max_num_threads: as for the
    backend loky.

    With n_jobs=1 joblib runs the calls itself, in the caller. A call that dies raises ChildDied, or
    DeadlineExceeded, from Parallel; what still runs is killed then, as after Ctrl-C. The template stays for
    the next call of Parallel within the same block of parallel_config(), or of the same Parallel object.

    Needs: joblib, installed by the extra ``joblib``; what ramet.Executor needs.
    Source: clone(2).
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads, **options
        )
        self._executor: Executor | None = None
        self._made_for: tuple[int, dict[str, Any]] | None = None
        self._wanted: tuple[int, dict[str, Any]] = (1, {})
        self._running: set[Future[Any]] = set()
        self._has_looked = False  # at a batch of this call of Parallel
        self._preloaded: set[str] = set()

    # ---- what joblib asks for

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many batches run at once: ``n_jobs``, of which -1 means all processors and None one."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs < 0:
            return max(len(os.sched_getaffinity(0)) + 1 + n_jobs, 1)
        return n_jobs

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,  # noqa: ARG002 # joblib's
        require: str | None = None,  # noqa: ARG002
        **options: Any,
    ) -> int:
        """A call of Parallel begins. Returns how many batches run at once."""
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        # Which refers to this: together they would stay until Python's collector comes, with the template.
        self.parallel = None if parallel is None else weakref.proxy(parallel)
        given = {**self.backend_kwargs, **options}
        self._wanted = n_jobs, {k: v for k, v in given.items() if k not in _OF_OTHER_BACKENDS}
        self._has_looked = False
        return n_jobs

    def submit(
        self, func: Callable[[], Any], callback: Callable[[Future[Any]], object] | None = None
    ) -> Future[Any]:
        """Run a batch. Returns its future."""
        batch = _Batch(func, sees_files=not _is_confined(self._wanted[1]))
        future = self._executor_for(batch).submit(batch)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The results of a batch."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: ARG002 # joblib's
        """Kill all batches, with what they have started; the template stays."""
        for future in list(self._running):
            future.cancel()

    def terminate(self) -> None:
        """A call of Parallel is over; its template stays."""
        self.reset_batch_stats()

    # ---- the executor

    def _executor_for(self, func: Callable[[], Any]) -> Executor:
        if self._executor is None or self._made_for != self._wanted or self._lacks_modules_of(func):
            self._close()
            n_jobs, options = self._wanted
            self._preloaded.update(modules_of(func))
            self._has_looked = True
            given = {**options, "max_workers": n_jobs}
            if options.keys().isdisjoint(_DECIDE_VARIABLES):
                given.setdefault("env", {**os.environ, **self._prepare_worker_env(n_jobs)})
            self._executor = _made(given, sorted(self._preloaded))
            self._made_for = self._wanted
        return self._executor

    def _lacks_modules_of(self, func: Callable[[], Any]) -> bool:
        """Whether each batch of a further call of Parallel would import what the template has not."""
        is_decided = self._has_looked or not self._wanted[1].keys().isdisjoint(_DECIDE_MODULES)
        self._has_looked = True
        return not is_decided and not self._preloaded.issuperset(modules_of(func))

    def _close(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)


class _Batch(Batch):
    """A batch of calls, that an error can name. sees_files: whether its process sees the caller's."""

    def __init__(self, calls: Callable[[], Any], *, sees_files: bool) -> None:
        self._calls = calls
        self._sees_files = sees_files

    def __getstate__(self) -> dict[str, Any]:
        """For its process, with arrays of files by the names of these."""
        calls = copy.copy(self._calls)
        if self._sees_files and hasattr(calls, "items"):
            calls.items = [(fn, _by_file(args), _by_file(named)) for fn, args, named in calls.items]
        return {"_calls": calls}

    def __call__(self) -> Any:
        return self._calls()

    def calls(self) -> Sequence[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]]:
        return getattr(self._calls, "items", None) or [(self._calls, (), {})]

    def __repr__(self) -> str:
        items = self.calls()
        fn = items[0][0]
        return f"a batch of {len(items)}, first {getattr(fn, '__qualname__', repr(fn))}"


class _ByFile:
    """What is pickled in the place of an array in a file, and is the same file's array in the process.

    As with joblib's own backends: what calls write to it the caller finds, and a large one is not copied.
    """

    def __init__(self, array: Any, of_file: Any) -> None:
        self._array, self._of_file = array, of_file

    def __reduce__(self) -> Any:
        return _reduce_memmap_backed(self._array, self._of_file)


def _by_file(value: Any) -> Any:
    """The value, or a container of these, with numpy's memmaps by their files."""
    if type(value) in (list, tuple):
        return type(value)(map(_by_file, value))
    if type(value) is dict:
        return {key: _by_file(item) for key, item in value.items()}
    if "numpy" not in sys.modules or not isinstance(value, sys.modules["numpy"].ndarray):
        return value
    of_file = _get_backing_memmap(value)
    return _ByFile(value, of_file) if _is_in_a_file(of_file) else value


def _is_in_a_file(array: Any) -> bool:
    """Whether it is one that has a name; what is written to a copy-on-write one is in no file."""
    is_shared = getattr(array, "mode", None) in ("r", "r+", "w+")
    return is_shared and array.filename is not None and os.path.isfile(array.filename)


def _is_confined(options: dict[str, Any]) -> bool:
    template = options.get("template")
    is_in_its = isinstance(template, Template) and template._start.sandbox is not None
    return is_in_its or options.get("sandbox") is not None


def _made(options: dict[str, Any], modules: list[str]) -> Executor:
    if not options.keys().isdisjoint(_DECIDE_MODULES):
        preload = _with_our_own(options.pop("preload", ()))
        return Executor(preload=preload, **options)
    try:
        return Executor(preload=modules, **options)
    except TemplateError as error:
        warnings.warn(
            f"each batch imports its modules anew, since they cannot be preloaded: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        return Executor(preload=(), **options)


def _with_our_own(preload: Any) -> Any:
    """And what each batch is made of; what is no list of names the executor refuses."""
    is_list = isinstance(preload, Sequence) and not isinstance(preload, str)
    return [__name__, *preload] if is_list else preload


joblib.register_parallel_backend("ramet", RametBackend)
