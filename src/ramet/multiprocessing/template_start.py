"""How a context's template is started, and started again."""

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .._preflight.hints import warn_at_caller
from .._program.command import Command
from .._workers.crossing.template_messages import Loading
from .._workers.template.checks import (
    checked_loading,
    refuse_foreign,
    require_reload,
    require_spares,
)
from .._workers.template.starting import Fresh, Started
from ..errors import TemplateError
from .in_template import get_ready
from .main_program import MAIN_KEYS, WAYS, Way, way_of
from .private_parts import resource_tracker, spawn

_OF_THE_TEMPLATE = ("sys_path", "sys_argv", "orig_dir", *MAIN_KEYS)
_MODULES = ("ramet.multiprocessing.in_process", "ramet.multiprocessing.clone_context")


class Recipe(NamedTuple):
    """What a context was asked for; it crosses to its processes, which may start others."""

    preload: Sequence[str]
    setup: Callable[[], object] | None
    warm: Callable[[], object] | None
    spares: int
    spares_memory: int | str | None
    allow: Sequence[str]
    reload: str | None
    main: Way | None
    options: Mapping[str, Any]

    def check(self) -> None:
        """Raises TypeError and ValueError for what no template can be made of."""
        if self.main not in {None, *WAYS}:
            raise ValueError(
                f"invalid main: expected 'once', 'each', 'never' or None, got {self.main!r}"
            )
        require_spares(self.spares)
        require_reload(self.reload)
        if self.options.get("sandbox") is not None:
            raise ValueError(
                "invalid sandbox for a context: multiprocessing loads pickles that its processes write; "
                "use ramet.Executor(sandbox=...), whose results are data"
            )
        refuse_foreign(self.options, of_context=True)
        Fresh(self.loading(), self.options)
        Command((sys.executable,), **self.options)

    def loading(self) -> Loading:
        """Of its template."""
        return checked_loading(self.preload, self.setup, self.warm, self.allow)


class TemplateStart:
    """Starts the process of the template; ``main`` is the way that was found for the main program."""

    trusted: bool | None = None

    sandbox = None

    def __init__(self, recipe: Recipe) -> None:
        self._loading = recipe.loading()
        self._options = recipe.options
        self._is_given = recipe.main is not None
        what = preparation_of("a template")
        self.main: Way = recipe.main or way_of(what)
        self.executable = os.fsdecode(spawn.get_executable())

    def start(self) -> Started:
        """Start it, with the caller's resource tracker of this moment.

        A program that the template cannot run once for all, since it raises or leaves something open that
        no clone can use, is run in each process.
        """
        if self.main != "once":
            return self._started({})
        what = preparation_of("a template")
        try:
            return self._started({key: what[key] for key in _OF_THE_TEMPLATE if key in what})
        except TemplateError as error:
            if self._is_given:
                raise
            why = error
        started = self._started({})  # where this fails as well, it was not the main program
        try:
            self._warn(why)
        except RuntimeWarning:  # the caller has made errors of them
            started.link.close()
            raise
        self.main = "each"
        return started

    def _warn(self, why: TemplateError) -> None:
        warn_at_caller(
            f"each process runs the main program, which its template cannot do once for all: {why}; "
            "context(main='each') says so",
            RuntimeWarning,
            through="multiprocessing",  # whose Process.start() the caller calls
        )

    def _started(self, main: dict[str, Any]) -> Started:
        tracker: int = resource_tracker.getfd()
        loading = self._loading._replace(
            preload=[*_MODULES, *self._loading.preload],
            setup=functools.partial(get_ready, tracker, main, self._loading.setup),
            by_value=self.main == "never",
        )
        passed = (*(self._options.get("pass_fds") or ()), tracker)
        options = {**_standard_input(), **self._options, "pass_fds": passed}
        return Fresh(loading, options, self.executable).start()


def preparation_of(name: str) -> dict[str, Any]:
    """Spawn's preparation data; RuntimeError while the main program is imported."""
    found: dict[str, Any] = spawn.get_preparation_data(name)
    return found


def _standard_input() -> dict[str, int]:
    """The caller's, as for multiprocessing's own processes."""
    try:
        os.fstat(0)
    except OSError:
        return {}
    return {"stdin": 0}
