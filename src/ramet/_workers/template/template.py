"""A process that has loaded what calls need, and is cloned for each of them."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar, TypeVarTuple, Unpack

from ..._core import Held
from ..._kernel.names import HasFileno
from ..._setup.options import FunctionOptions, Options
from ..crossing.pickling import pickled_call
from ..crossing.template_messages import Loading
from .call_request import AS_IT_IS
from .called_child import CalledChild
from .checks import checked_loading
from .cloning_process import CloningProcess
from .starting import Derived, Fresh, Here, Start

_REAPED_AFTER_RUN = 2

T = TypeVar("T")
D = TypeVar("D", bound="Template")
Ts = TypeVarTuple("Ts")


class _OfExecutors:
    """In the place of what an executor has: the error says so.

    A __getattr__ would do so as well, and each attribute of a template would take longer to find. dir()
    lists these two.
    """

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, template: object, kind: type) -> NoReturn:
        from ..._preflight.hints import no_attribute_of

        raise no_attribute_of("Template", kind if template is None else template, self._name)


class Template(CloningProcess):
    """A process that has loaded what calls need; each call runs in a clone of it, a child of the caller.

    preload: names of modules to import. setup: a function to call then, without arguments. The
    template then frees what can be freed, ends the pools of native threads by libc's fork handlers, and
    waits. It is a new interpreter: of the caller's objects it has none.
    spares: how many children wait ahead for a call, each warm, for one call alone; 0: each is cloned when
    its call comes. warm: a function that each spare calls ahead, without arguments, to touch what calls
    write to. spares_memory: the bytes ("256M") that spares may have of their own, all together; fewer
    are made then. allow: names of what a fork breaks ("threads", "sqlite3", "cuda", "grpc", "asyncio") that
    the template may hold nevertheless. reload: "changed" starts another process when the source file of
    a module in it has changed. options: see ramet.Options; of the process, and so of all its clones.

    It ends with close(), as a context manager, and with its caller's process, however that ends.
    A process that died is replaced at the next call, with a TemplateRestarted warning.

    Raises TemplateError when the process cannot load, with its traceback; ValueError and TypeError for
    invalid arguments; SpawnError as Command does.
    Needs: Linux 5.3; the options' own.
    Source: clone(2) CLONE_PARENT, PR_SET_PDEATHSIG(2const), memfd_create(2), unix(7) SCM_RIGHTS.
    """

    def __init__(
        self,
        preload: Iterable[str] = (),
        *,
        setup: Callable[[], object] | None = None,
        warm: Callable[[], object] | None = None,
        spares: int = 1,
        spares_memory: int | str | None = None,
        allow: Iterable[str] = (),
        reload: Literal["changed"] | None = None,
        **options: Unpack[Options],
    ) -> None:
        loading = checked_loading(preload, setup, warm, allow)
        sandbox = options.pop("sandbox", None)
        self._begin(_start(loading, options, sandbox), spares, spares_memory, reload)

    @classmethod
    def from_here(
        cls,
        *,
        setup: Callable[[], object] | None = None,
        warm: Callable[[], object] | None = None,
        spares: int = 1,
        spares_memory: int | str | None = None,
        allow: Iterable[str] = (),
    ) -> Self:
        """A template that is a copy of the calling process as it is, by libc's fork.

        The copy has all modules and objects of the caller, and of its threads the calling one alone: a lock
        that another holds meanwhile stays locked there. What was written to shared memory or a file is
        common.
        Parameters, errors and source: see the class.
        """
        made = cls.__new__(cls)
        made._begin(Here(checked_loading((), setup, warm, allow)), spares, spares_memory, None)
        return made

    def derive(
        self,
        preload: Iterable[str] = (),
        *,
        setup: Callable[[], object] | None = None,
        warm: Callable[[], object] | None = None,
        spares: int = 1,
        spares_memory: int | str | None = None,
        allow: Iterable[str] = (),
    ) -> "Template":
        """Another template, cloned from this one, that loads more: what this has loaded is shared.

        The caller closes the new one. It does not end with this one, but in a sandbox, of which it has one
        of its own, it does. Once this one is closed, the process of the new one is not replaced when it
        dies. Parameters and errors: see the class.
        """
        loading = checked_loading(preload, setup, warm, allow)
        return self._derived(Template, loading, spares, spares_memory)

    def _derived(
        self, kind: type[D], loading: Loading, spares: int, spares_memory: int | str | None = None
    ) -> D:
        """derive(), to a template of that class."""
        made = kind.__new__(kind)
        reload = "changed" if self._sources is not None else None
        start = Derived(self._base_of_another, loading, self._start)
        made._begin(start, spares, spares_memory, reload)
        return made

    @classmethod
    def _started_by(
        cls, start: Start, spares: int, spares_memory: int | str | None, reload: object
    ) -> Self:
        """One that ends by close() and not at the interpreter's exit."""
        made = cls.__new__(cls)
        made._begin(start, spares, spares_memory, reload)
        made._finalizer.atexit = False
        return made

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._link.process.pid

    def clone(
        self,
        fn: Callable[[*Ts], T],
        *args: *Ts,
        flags: int = 0,
        timeout: float | None = None,
        name: str | None = None,
        trusted: bool | None = None,
        set_tid: Sequence[int] | None = None,
        cgroup: int | HasFileno | str | os.PathLike[str] | None = None,
        memory: int | str | None = None,
        write: Sequence[str | os.PathLike[str]] | None = None,
        **options: Unpack[FunctionOptions],
    ) -> CalledChild[T]:
        """Run ``fn(*args)`` in a clone of the template: a new process that is a child of the caller.

        The parameters are those of ramet.clone(), as far as they are of a child with a memory of its own.
        flags: new namespaces, CLEAR_SIGHAND and STOPPED; the child shares nothing with the caller. With
        other flags than STOPPED, and with set_tid, no spare can serve.
        timeout: the seconds after which the call is killed. It is not asked for its Python stack before, as
        an Executor asks its calls.
        memory: the bytes ("512M") that the call may have resident beyond the template; with more it is
        killed, and its exit status has the reason "out of memory". A cgroup limits it, with all that it
        starts, where one can be made, and no sandbox has cgroups of its own for the call; else it is
        watched, and RLIMIT_DATA gives it a MemoryError first.
        write: with a sandbox, the paths of its ``write`` below which alone this call may write.
        Functions and classes are sent by name, and by value (cloudpickle) when they have none, or are of
        ``__main__``. Large buffers (numpy arrays) cross in a memfd, and go back in it if changed in place.
        The function finds the caller's working directory, environment, sys.argv, sys.path and standard
        output; and the template's standard input (/dev/null), umask and limits, which options change.

        Returns a Child, which the caller ends. Its result() returns when the outcome is there.
        Raises TypeError for what cannot be pickled, and what clone() raises for the options; TemplateError
        when another process had to be started and cannot load.
        Needs: what the options need.
        Source: clone(2) CLONE_PARENT.
        """
        if not callable(fn):
            from ..._preflight.hints import no_callable

            raise no_callable(fn, "clone")
        if (
            type(flags) is int  # others that are equal to 0 are no flags
            and flags == 0
            and not options
            and timeout is None
            and name is None
            and trusted is None
            and set_tid is None
            and cgroup is None
            and memory is None
            and write is None
        ):
            return self._begin_call(AS_IT_IS, fn, pickled_call(fn, args))
        if memory is not None and cgroup is not None:
            raise ValueError("invalid memory with cgroup: expected one of them, got both")
        call = pickled_call(fn, args)
        request = self._request(
            memory=memory,
            flags=flags,
            timeout=timeout,
            name=name,
            trusted=trusted,
            set_tid=set_tid,
            cgroup=cgroup,
            options=options,
        )
        if write is not None:
            self._restrict(request, write)
        return self._begin_call(request, fn, call)

    async def run(self, fn: Callable[[*Ts], T], *args: *Ts, **options: Any) -> T:
        """clone() and its result, under asyncio or trio, without a thread.

        The loop is blocked while the call is sent: a moment with a spare, as long as a clone takes without.
        Where many begin together, one is sent in each pass of the loop, whose other tasks run between: the
        last of them begins after as many passes.
        options: those of clone(). A cancellation kills the call and reaps it.

        Returns what the function returned. Raises as clone() and Child.result() do.
        Needs: anyio, installed by the extra ``aio``; what the options need.
        Source: clone(2) CLONE_PARENT, unix(7).
        """
        from ..._process.awaiting import at_its_turn  # needs anyio

        if not callable(fn):
            from ..._preflight.hints import no_callable

            raise no_callable(fn, "run")

        def begin() -> CalledChild[T]:
            return self.clone(fn, *args, **options)

        try:
            return await (begin() if self._link.spares else await at_its_turn(begin))
        finally:  # many may have run at once, and no call may follow
            self._ended.reap_first(_REAPED_AFTER_RUN)

    def close(self) -> None:
        """End its process and its spares. Calls that run go on, but end in a sandbox.

        A call of another thread that has just found the process dead, and starts another, is waited for.
        Where a signal handler has raised meanwhile it can be repeated, and goes on.
        """
        self._is_closed = True
        # In a copy of its process the lock may be held by a thread that is not there.
        with Held(self._lock) as take:
            if self._link.maker == os.getpid():
                take()
            self._end()
            self._finalizer.detach()  # at last: it goes on with what a signal handler has interrupted

    if not TYPE_CHECKING:  # to a type checker they would be attributes
        submit, map = _OfExecutors(), _OfExecutors()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _start(loading: Loading, options: Mapping[str, Any], sandbox: object) -> Start:
    if sandbox is None:
        return Fresh(loading, options)
    from .confined_start import confined  # whose imports take longer than all others

    return confined(loading, options, sandbox)
