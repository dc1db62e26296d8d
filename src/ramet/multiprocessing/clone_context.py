"""A context of multiprocessing whose processes are clones of a template."""

import os
import pickle
import secrets
import threading
import weakref
from collections.abc import Callable, Iterable, Sized
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, ClassVar, Literal, Self, Unpack

from .._core import Held
from .._setup.options import Options
from .._workers.crossing.messages import Channel
from .._workers.template.call_request import CallRequest
from .._workers.template.checks import checked_loading
from .._workers.template.template import Template
from .clone_process import process_class
from .crossing import Crossing
from .in_process import run
from .main_program import MAIN_KEYS, Way, definitions
from .popen import Popen
from .private_parts import contexts, resource_tracker, util
from .template_start import Recipe, TemplateStart, preparation_of


class _Name(str):
    """The start method's name; "spawn" in a process of spawn or forkserver, which has no such method."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        started_by = getattr(contexts.get_spawning_popen(), "method", _NAME)
        return str, (self[:] if started_by == _NAME else "spawn",)


_NAME = _Name("ramet")
_MOST_PASSED = 240  # 253 cross at once (SCM_MAX_FD), and some are the library's own
_AFTER_ALL_PROCESSES = -10  # of multiprocessing's exit handler, which joins them before


class CloneContext(BaseContext):
    """``Process``, ``Pool``, ``Queue``, ``Manager``, ``Lock`` and all else that a context has.

    context() makes one. Its template is started with the first process, in the process that starts that,
    and ends with close(), as a context manager, and at the interpreter's exit when all processes have been
    joined.
    """

    _name = _NAME
    _known: ClassVar = weakref.WeakValueDictionary["str", "CloneContext"]()

    def __init__(self, recipe: Recipe, token: str) -> None:
        self._recipe = recipe
        self._token = token
        self._known[token] = self
        self._forget_template()
        self.Process = process_class(self)

    def _forget_template(self) -> None:
        self._maker = os.getpid()
        self._lock = threading.Lock()
        self._template: Template | None = None
        self._started: TemplateStart | None = None
        self._end: Callable[[], object] = _nothing

    def __reduce__(self) -> Any:
        """In another process it is one context, however often it is sent there."""
        return _same_context, (self._token, self._recipe)

    # ---- its processes

    def _start(self, process: BaseProcess) -> Popen:
        """Start a process in the way of multiprocessing."""
        return Popen(process, self)

    def _clone(self, process: BaseProcess, popen: Popen) -> tuple[int, int, Channel]:
        """A clone that runs it: its pid, pidfd and channel, all the caller's."""
        preparation = preparation_of(process.name)
        template, start = self._running()
        for key in MAIN_KEYS if start.main != "each" else ():
            preparation.pop(key, None)
        what = definitions() if start.main == "never" else {}
        crossing = Crossing(popen, popen.descriptors)
        (prepared,) = crossing.plain(preparation)
        parts = crossing.with_definitions((self, process), what)
        _require_few(popen.descriptors)
        parent = popen.open_parent()
        request = CallRequest()
        request.pass_on((resource_tracker.getfd(), parent, *popen.descriptors))
        try:
            arguments = tuple(map(pickle.PickleBuffer, (prepared, *parts)))
            return template._hand_over(request, run, arguments).take()
        finally:
            os.close(parent)
            request.close()

    @property
    def template(self) -> Template:
        """What its processes are clones of, started if it was not yet; for ramet.Executor(mp_context=)."""
        return self._running()[0]

    def _running(self) -> tuple[Template, TemplateStart]:
        if self._maker != os.getpid():  # a fork of the process that has one
            self._forget_template()
        with Held(self._lock) as take:
            take()
            if self._template is None or self._started is None:
                self._started = TemplateStart(self._recipe)
                recipe = self._recipe
                self._template = Template._started_by(
                    self._started, recipe.spares, recipe.spares_memory, recipe.reload
                )
                self._end = util.Finalize(
                    self, self._template.close, exitpriority=_AFTER_ALL_PROCESSES
                )
            return self._template, self._started

    def close(self) -> None:
        """End the template and its spares; processes go on. Another is started with the next process."""
        if self._maker != os.getpid():
            return
        with Held(self._lock) as take:
            take()
            self._template = None
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- as BaseContext has them

    def set_executable(self, executable: Any) -> None:
        """The Python of spawned processes, and of templates from here on."""
        super().set_executable(executable)
        self.close()

    def _be_known(self) -> None:
        """multiprocessing.get_context("ramet") returns this one from here on."""
        contexts._concrete_contexts[_NAME] = self


def _nothing() -> None:
    """There is no template to end."""


def _require_few(descriptors: Sized) -> None:
    if len(descriptors) > _MOST_PASSED:
        raise ValueError(
            f"invalid process: expected at most {_MOST_PASSED} descriptors (of connections, queues, shared "
            f"arrays) in its arguments, got {len(descriptors)}"
        )


def _same_context(token: str, recipe: Recipe) -> CloneContext:
    return CloneContext._known.get(token) or CloneContext(recipe, token)


def context(
    preload: Iterable[str] = (),
    *,
    setup: Callable[[], object] | None = None,
    warm: Callable[[], object] | None = None,
    spares: int = 1,
    spares_memory: int | str | None = None,
    allow: Iterable[str] = (),
    reload: Literal["changed"] | None = None,
    main: Way | None = None,
    **options: Unpack[Options],
) -> CloneContext:
    """A context for multiprocessing and for what takes an ``mp_context``, instead of get_context("spawn").

    Its processes are as clean as spawn's, and start as fast as a fork: each is a clone of a template, a
    process that has loaded what they need. preload, setup, warm, spares, spares_memory, allow, reload,
    options: as for ramet.Template.
    main: how processes come by what the main program defines. "once": the template runs it, as
    ``__mp_main__``; "each": every process runs it, as spawn's do; "never": it is not run again, and its
    functions and classes are sent by value (cloudpickle). None: "once" for a program that compares
    ``__name__`` at its top level ("each", with a RuntimeWarning, if the template cannot run it), "never"
    for any other.

    Returns a context, which the caller may close(); see CloneContext.
    Raises TypeError and ValueError for invalid arguments; what else Template raises, a start of a process
    raises.
    Needs: Linux 5.3; the options' own.
    Source: multiprocessing.context.BaseContext; clone(2) CLONE_PARENT.
    """
    given = checked_loading(preload, setup, warm, allow)
    recipe = Recipe(
        *(tuple(given.preload), setup, warm, spares, spares_memory, tuple(given.allow)),
        *(reload, main, options),
    )
    recipe.check()
    return CloneContext(recipe, secrets.token_hex(8))


def set_start_method(context: CloneContext, force: bool = False) -> None:
    """Let multiprocessing itself use that context: multiprocessing.Process, Pool and get_context().

    In the place of multiprocessing.set_start_method("spawn"). Raises RuntimeError as that does, when one
    has been set or used before, unless force; TypeError for anything but a CloneContext.
    """
    if not isinstance(context, CloneContext):
        raise TypeError(
            f"invalid context: expected one of ramet.multiprocessing.context(), got {context!r}"
        )
    default = contexts._default_context
    if not force and default.get_start_method(allow_none=True) is not None:
        raise RuntimeError("context has already been set")
    context._be_known()
    default.set_start_method(_NAME, force=True)
