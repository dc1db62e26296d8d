"""A concurrent.futures.Executor that runs every call in a process of its own."""

import itertools
import os
import signal
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as AnyExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn, ParamSpec, TypeVar, Unpack, cast

from ..._core import reads_call
from ..._kernel.timeouts import checked_timeout, deadline_after, seconds_until
from ..._limits.byte_counts import parsed_memory
from ..._setup.options import Options
from ..in_call.executor_calls import call_for_items
from ..template.checks import checked_loading, refuse_coroutine_function, require_spares
from ..template.template import Template
from .awaited import refuse_without_epoll
from .call import Call
from .call_future import CallFuture
from .late_pool import LatePool
from .learning import Learning
from .pool import Pool
from .progress import progress_bar
from .tally import Counts
from .tree_template import TreeTemplate
from .worker import Rules

T = TypeVar("T")
P = ParamSpec("P")

_MOST_SPARES = 4
_LIMITS = frozenset({"timeout", "memory"})  # of a call: perhaps fn's own, too


class Executor(AnyExecutor):
    """Runs every call in a process of its own, a clone of a template: a concurrent.futures.Executor.

    max_workers: calls at once; by default one for each processor of this process. template: whose modules
    the processes have; by default one is made, with ``preload`` and ``options`` (see ramet.Template);
    without ``preload`` it loads the installed packages that a function of ``__main__`` refers to, once
    that is called again. With a template, ``options`` are those of each process (see
    ramet.FunctionOptions). timeout: in seconds, from the start of a call, after which it is killed.
    memory: bytes ("512M") that a call may have beyond the template. spares: processes that wait ahead, by
    default one for each worker, four at most. reuse: how many calls a process runs. initializer: called
    with ``initargs`` in each process before its first call; where it raises, that is what comes of the
    call, and the process ends. capture_output: what a call writes is in its future's ``stdout`` and
    ``stderr``, instead of where the caller's goes. progress: True for a bar (needs rich, of the extra
    ``cli``), or a function that gets the counts when they change; one that raises is logged and not
    called again. max_tasks_per_child: the same as reuse. mp_context: a context of ramet.multiprocessing,
    whose template is used.

    A call that dies fails its own future alone, with a ChildDied that says how, which call, and with
    ``status.rusage``; at its deadline a DeadlineExceeded, with the Python ``stack`` where it stood.
    ``max_workers`` of the executor tells how many run at once.
    ``future.cancel()`` of a running call kills it. With the process of a call all that it has started ends:
    see CallFuture.tree_ended_by.

    Raises TemplateError when the template cannot load; TypeError and ValueError for invalid arguments.
    Needs: Linux 5.3; a pid namespace for each call needs CAP_SYS_ADMIN, also in the user
    namespace that owns the pid namespace of the caller.
    Source: clone(2), pid_namespaces(7), cgroups(7).
    """

    def __init__(  # noqa: PLR0917 # as ProcessPoolExecutor takes them
        self,
        max_workers: int | None = None,
        template: Template | None = None,
        preload: Iterable[str] | None = None,
        timeout: float | None = None,
        memory: int | str | None = None,
        spares: int | None = None,
        reuse: int | None = None,
        progress: bool | Callable[[Counts], object] | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_tasks_per_child: int | None = None,
        capture_output: bool = False,
        mp_context: Any = None,
        **options: Unpack[Options],
    ) -> None:
        most = _checked_count("max_workers", max_workers, len(os.sched_getaffinity(0)))
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        refuse_coroutine_function("initializer", initializer)
        if not isinstance(initargs, Iterable):
            raise TypeError(f"invalid initargs: expected a tuple of arguments, got {initargs!r}")
        if reuse is not None and max_tasks_per_child is not None and reuse != max_tasks_per_child:
            raise ValueError(
                f"invalid max_tasks_per_child: expected the same as reuse, {reuse}, "
                f"got {max_tasks_per_child}"
            )
        if spares is not None:
            require_spares(spares)
        if memory is not None:
            parsed_memory("memory", memory)
        reuse = _checked_count(
            "reuse", reuse, _checked_count("max_tasks_per_child", max_tasks_per_child, 1)
        )
        timeout = checked_timeout(timeout)
        if reuse == 1 and template is None and options.get("sandbox") is not None:
            timeout, options = _with_deadline_of_sandbox(timeout, options)
        rules = Rules(
            most=most,
            timeout=timeout,
            reuse=reuse,
            memory=memory,
            captures=bool(capture_output),
            options=None if template is None else dict(options),
            initializer=None if initializer is None else (initializer, tuple(initargs)),
        )
        if mp_context is not None:
            template = _template_of(mp_context, template)
        ahead = min(most, _MOST_SPARES) if spares is None else spares
        learns = preload is None and template is None and options.get("sandbox") is None
        told = _progress(progress)
        refuse_without_epoll()
        begin = partial(_begun_pool, template, preload or (), ahead, options, rules, told, learns)
        self.max_workers = most
        self._pool = cast("Pool", LatePool(begin)) if reads_call() else begin()
        self._finalizer = weakref.finalize(self, self._pool.close, cancels=False)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> CallFuture[T]:
        """Run ``fn(*args, **kwargs)`` in a process of its own. Returns its future.

        Raises RuntimeError after shutdown(). What cannot be pickled is the future's exception.
        """
        if not callable(fn):
            from ..._preflight.hints import no_callable

            raise no_callable(fn, "submit")
        if not _LIMITS.isdisjoint(kwargs):
            from ..._preflight.hints import refuse_limits_for_function

            refuse_limits_for_function(fn, args, kwargs)
        call = Call(fn, args, kwargs)
        self._pool.submit(call)
        return call.future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """The results of ``fn`` for the items of the iterables, in their order.

        timeout: in seconds from now, for all results; then TimeoutError. chunksize: items that one call
        takes. buffersize: how many calls are ahead of the one whose result is asked for; the iterables
        are read no further. By default all are submitted at once.
        """
        if not callable(fn):  # as in map(items, fn): zip() would say that fn cannot be iterated
            from ..._preflight.hints import no_callable

            raise no_callable(fn, "map")
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        items = zip(*iterables, strict=False)
        if chunksize == 1:
            each = (partial(self.submit, fn, *item) for item in items)
            return self._results(each, buffersize, timeout)
        chunks = iter(lambda: list(itertools.islice(items, chunksize)), [])
        calls = (partial(self.submit, call_for_items, fn, chunk) for chunk in chunks)
        return itertools.chain.from_iterable(self._results(calls, buffersize, timeout))

    def _results(
        self,
        calls: Iterator[Callable[[], CallFuture[Any]]],
        ahead: int | None,
        timeout: float | None,
    ) -> Iterator[Any]:
        deadline = deadline_after(timeout)
        futures = deque(begin() for begin in itertools.islice(calls, ahead))

        def results() -> Iterator[Any]:
            try:
                while futures:
                    futures[0].exception(seconds_until(deadline))
                    futures.extend(begin() for begin in itertools.islice(calls, 1))
                    yield futures.popleft().result()  # nothing here refers to it meanwhile
            finally:
                for future in futures:
                    future.cancel()

        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. wait: until all are done. cancel_futures: those that do not run yet."""
        self._finalizer.detach()
        self._pool.close(cancels=cancel_futures)
        if wait:
            self._pool.join()

    def terminate_workers(self) -> None:
        """Send SIGTERM to each process that runs a call; calls that are pending are cancelled."""
        self.shutdown(wait=False, cancel_futures=True)
        self._pool.signal(signal.SIGTERM)

    def kill_workers(self) -> None:
        """Kill each process that runs a call, and what it has started; pending calls are cancelled."""
        self.shutdown(wait=False, cancel_futures=True)
        self._pool.signal(signal.SIGKILL)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> Literal[False]:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.kill_workers()
        self.shutdown(wait=True)
        return False

    if not TYPE_CHECKING:  # to a type checker it would be a context manager of both kinds

        def __aenter__(self, *_: object) -> NoReturn:
            raise TypeError(
                "invalid block: expected 'with' for a ramet.Executor, got 'async with'; that is for "
                "ramet.aio.Executor, whose run() is awaited"
            )

        __aexit__ = __aenter__

        def __getattr__(self, name: str) -> NoReturn:
            from ..._preflight.hints import no_attribute_of

            raise no_attribute_of("Executor", self, name)


def _checked_count(name: str, given: int | None, default: int) -> int:
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"invalid {name}: expected an int or None, got {given!r}")
    if given <= 0:
        raise ValueError(f"{name} must be greater than 0")
    return given


def _template_of(mp_context: Any, template: Template | None) -> Template:
    found: object = None if template is not None else getattr(mp_context, "template", None)
    if not isinstance(found, Template):
        raise ValueError(  # noqa: TRY004 - there may be a template beside it
            "invalid mp_context: expected one of ramet.multiprocessing.context(), and no template "
            f"beside it, got {mp_context!r}: an executor's processes are clones of a template"
        )
    return found


def _begun_pool(
    template: Template | None,
    preload: Iterable[str],
    spares: int,
    options: Options,
    rules: Rules,
    progress: Callable[[Counts], object] | None,
    learns: bool,
) -> Pool:
    own = _own_template(template, preload, spares, options)
    try:
        own._request(memory=rules.memory, options=rules.options or {}).close()
    except BaseException:  # each call would be refused
        own.close()
        raise
    rules = rules._replace(most_output=own._most_output)
    return Pool(own, rules, progress, Learning(own) if learns else None)


def _own_template(
    template: Template | None, preload: Iterable[str], spares: int, options: Options
) -> TreeTemplate:
    """What an executor's processes are cloned from; the options are its own if there is no template."""
    if template is None:
        return TreeTemplate(preload, spares=spares, **options)
    if options.get("sandbox") is not None:
        raise ValueError(
            "invalid sandbox with template: expected one of them, got both; calls are in the sandbox "
            "of their template: ramet.Template(sandbox=...)"
        )
    if not isinstance(template, Template):
        raise TypeError(f"invalid template: expected a ramet.Template or None, got {template!r}")
    return template._derived(TreeTemplate, checked_loading(preload, None, None, ()), spares)


def _with_deadline_of_sandbox(
    timeout: float | None, options: Options
) -> tuple[float | None, Options]:
    """The executor keeps it, which asks a call where it stands before it kills it."""
    from ..._sandbox.description import Sandbox

    sandbox = options.get("sandbox")
    if not isinstance(sandbox, Sandbox) or sandbox.timeout is None:
        return timeout, options
    first = sandbox.timeout if timeout is None else min(timeout, sandbox.timeout)
    return first, {**options, "sandbox": sandbox.replace(timeout=None)}


def _progress(progress: Any) -> Callable[[Counts], object] | None:
    if progress is None or progress is False:
        return None
    if progress is True:
        return progress_bar()
    if not callable(progress):
        raise TypeError(f"invalid progress: expected True or a function, got {progress!r}")
    return progress  # type: ignore[no-any-return]
