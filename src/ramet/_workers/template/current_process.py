"""The process that a template is at present: another takes its place when it has died or is outdated."""

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from ..._core import Held, wait_readable
from ..._preflight.hints import warn_at_caller
from ..._sandbox.files.replaced import are_mounted
from ...errors import TemplateError, TemplateRestarted
from ..crossing.caller_state import CallerState
from .followed_caller import FollowedCaller
from .link import EndedError, Link
from .owned_clone import Clone
from .source_files import SourceFiles
from .starting import Fresh, Start, Started

_MOST_ATTEMPTS = 3  # of one call, with templates that end


class CurrentProcess:
    """One that clones can be asked of, by ``_link``, as long as it is not closed.

    Who is one asks _live() or _made_by_process() each time. Threads may find at once that it has ended:
    under the lock one of them starts the next.
    """

    def _start_process(self, start: Start, sources: SourceFiles | None) -> None:
        """Start the first. sources: the files that it loads, another being started when one has changed."""
        self._start = start
        self._lock = threading.RLock()
        self._is_closed = False
        self._holder: list[Link] = []
        self._finalizer = weakref.finalize(self, close_all, self._holder)
        started = start.start()
        self._holder.append(started.link)
        self._take(started, sources)

    def _take(self, started: Started, sources: SourceFiles | None) -> None:
        self._link = started.link
        self._caller = FollowedCaller(started, self._start.sandbox)
        self._loaded = frozenset(started.files)
        if sources is not None:
            sources.have_been_loaded(started.files)
        self._sources = sources
        self._prepare_process()

    def _prepare_process(self) -> None:
        """Called with each process, before a clone is asked of it."""

    def _is_there(self) -> bool:
        """Whether a call is served by the process that runs, so far as is known."""
        link = self._link
        pidfd = link.process.pidfd
        return pidfd is not None and not wait_readable(pidfd, 0.0) and not self._is_outdated(link)

    def _is_outdated(self, link: Link) -> bool:
        """Whether its source files have changed, or what its sandbox covers."""
        has_changed = self._sources is not None and self._sources.have_changed()
        return has_changed or bool(link.points[0] and not are_mounted(link.points))

    def _live(self) -> Link:
        """The process, or another one if its source files have changed, or what its sandbox covers."""
        self._require_open()
        return self._unchanged()

    def _unchanged(self) -> Link:
        link = self._link
        if self._is_outdated(link):
            self._replace(link)  # unless another thread has
        return self._link

    def _made_by_process(self, make: Callable[[Link], Clone]) -> tuple[Link, Clone]:
        """What its process makes, and which that was: another one if this one has ended."""
        for _ in range(_MOST_ATTEMPTS):
            link = self._live()
            try:
                return link, make(link)
            except EndedError:
                self._restart(link)
        raise TemplateError(
            f"the template's process has ended {_MOST_ATTEMPTS} times in a row, each time it was asked for "
            "a clone; what it wrote to its standard error may say why"
        )

    def _base_of_another(self, loading: tuple[Any, ...]) -> tuple[Link, CallerState, Clone]:
        """A clone that becomes a template of its own, of which process, and what that has of the caller."""
        caller = self._caller
        link, clone = self._made_by_process(lambda link: link.derive(loading))
        return link, caller.state, clone

    def _restart(self, ended: Link) -> None:
        with Held(self._lock) as take:
            take()
            if self._link is not ended:  # another thread has seen it before
                return
            self._require_open()
            status = ended.process.wait()
            self._replace(ended)
        warn_at_caller(
            f"the template's process {ended.process.pid} ended ({status}): another was started, "
            f"{self._link.process.pid}",
            TemplateRestarted,
        )

    def _replace(self, link: Link) -> None:
        with Held(self._lock) as take:
            take()
            if self._link is not link:
                return
            # Which may fail: then there is the old one still.
            sources = self._sources_before_next()
            self._exchange(link, self._start.start(), sources)

    def _sources_before_next(self) -> SourceFiles | None:
        """What may change while the next process starts."""
        return None if self._sources is None else self._sources.before_next()

    def _exchange(self, link: Link, started: Started, sources: SourceFiles | None) -> None:
        self._holder.append(started.link)
        if self._is_closed:  # close() waits for the lock, or was called by a signal handler
            close_all(self._holder)
        self._require_open()
        self._take(started, sources)
        link.close(ends_calls=False)
        with suppress(ValueError):  # such a handler has closed all meanwhile
            self._holder.remove(link)

    def _require_open(self) -> None:
        if self._is_closed:
            raise ValueError("invalid template: it has been closed")
        if self._link.maker != os.getpid():
            raise ValueError(
                f"invalid template: it is of process {self._link.maker}, of which this is a copy; "
                "make one here"
            )

    def _lacking(self, modules: Iterable[str]) -> list[str]:
        """Which of these modules of the caller the template's process has not loaded."""
        files = {name: getattr(sys.modules.get(name), "__file__", None) for name in modules}
        return [name for name, file in files.items() if file and file not in self._loaded]

    def _load_more(self, modules: Iterable[str]) -> None:
        """From here on calls are clones of another process, which has imported these.

        For a template of its own interpreter. Calls go on meanwhile. Raises as the constructor does.
        """
        assert isinstance(self._start, Fresh)
        start, sources = self._start.with_more(modules), self._sources_before_next()
        started = start.start()
        with Held(self._lock) as take:
            take()
            if self._is_closed:
                started.link.close()
                return
            self._start = start
            self._exchange(self._link, started, sources)


def close_all(links: list[Link]) -> None:
    """Those of a template, the last one first."""
    while links:
        link = links[-1]
        link.close()
        with suppress(ValueError):  # a signal handler has closed all meanwhile
            links.remove(link)
