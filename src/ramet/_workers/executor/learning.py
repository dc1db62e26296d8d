"""Loading what the functions of a program need, while their calls go on.

A script or a notebook says seldom what an executor is to preload. Each call of a function of its own would
import numpy anew.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain
from types import CodeType
from typing import Any

from ...errors import TemplateError
from ..template.abandoned_start import AbandonableStart
from ..template.template import Template
from .needed_modules import package_of, packages_of

_log = logging.getLogger("ramet.executor")
_MOST_KNOWN = 1000
# Processes for one set of modules: each takes an interpreter's start and the imports.
_MOST_STARTS = 16


class Learning:
    """What the thread of a pool has learned of the calls that are over.

    When a function of ``__main__`` is called again, another process of the template is started, with the
    installed packages that the function refers to; the next calls are clones of that.
    """

    def __init__(self, template: Template) -> None:
        self._template = template
        self._called: set[CodeType] = set()
        self._learned: set[CodeType] = set()  # whose packages have been looked for
        self._tried: set[str] = set()
        self._refused: set[str] = set()  # packages of which a module could not be loaded
        self._thread: threading.Thread | None = None
        self._start = AbandonableStart()
        self._is_over = False
        self.when_started: Callable[[], object] = _do_nothing
        """Called when calls are clones of another process by now, or are not."""

    def learn(self, fn: Callable[..., Any], *, is_called_again: bool) -> None:
        """A call of that function is over. is_called_again: others wait."""
        code = _code_of_main(fn)
        if code is None or code in self._learned or len(self._called) >= _MOST_KNOWN:
            return
        is_called_again = is_called_again or code in self._called
        self._called.add(code)
        if not is_called_again or self._is_loading or self._is_over:
            return
        self._learned.add(code)
        with suppress(Exception):  # of what is the program's
            needed = [name for name in packages_of(fn) if not self._is_tried(name)]
            self._begin(self._template._lacking(needed))

    def _is_tried(self, name: str) -> bool:
        return name in self._tried or package_of(name) in self._refused

    def _begin(self, lacking: list[str]) -> None:
        self._tried.update(lacking)
        if lacking:
            self._thread = threading.Thread(
                target=self._load, args=(lacking,), name="ramet-executor-loads", daemon=True
            )
            with suppress(RuntimeError, MemoryError):  # there is no room for one now
                self._thread.start()

    def stop(self) -> None:
        """Let go of what is being loaded."""
        self._is_over = True
        self._start.abandon()
        if self._is_loading:
            self._thread.join()  # type: ignore[union-attr]
        self.when_started = _do_nothing  # which may refer to who has this

    @property
    def _is_loading(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _load(self, modules: list[str]) -> None:
        """All at once; where that fails, in halves, so that a package that fails costs no other."""
        left, starts = [_by_package(modules)], 0
        while left and not self._is_over:
            packages = left.pop()
            names = list(chain.from_iterable(packages))
            error = self._error_of(names)
            starts += 1
            half = len(packages) // 2
            if isinstance(error, TemplateError) and half and starts < _MOST_STARTS:
                left += [packages[half:], packages[:half]]
            elif error is not None and not self._is_over:
                self._refuse(names, error)

    def _error_of(self, modules: list[str]) -> Exception | None:
        try:
            self._start.run(lambda: self._template._load_more(modules))
        except (TemplateError, OSError, ValueError) as error:
            return error
        finally:
            self.when_started()
        return None

    def _refuse(self, modules: list[str], error: Exception) -> None:
        self._refused.update(map(package_of, modules))
        names = ", ".join(modules)
        _log.warning("each call imports %s anew: no template could load it: %s", names, error)


def _do_nothing() -> None:
    pass


def _by_package(modules: list[str]) -> list[list[str]]:
    """Those of one package together, since a part of it imports the whole."""
    found: dict[str, list[str]] = {}
    for name in modules:
        found.setdefault(package_of(name), []).append(name)
    return list(found.values())


def _code_of_main(fn: Callable[..., Any]) -> CodeType | None:
    """That of a function which the program itself defines; None for any other."""
    while isinstance(fn, partial):
        fn = fn.func
    code = getattr(fn, "__code__", None)
    is_of_main = getattr(fn, "__module__", None) == "__main__"
    return code if is_of_main and isinstance(code, CodeType) else None
