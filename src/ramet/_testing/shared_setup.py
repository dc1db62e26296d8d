"""What is set up in the session for several tests, and what in the clone for one of them.

pytest sets up the fixtures of a test in the order of their scopes, the widest first. So all that are wider
than the function can be made in the session's process before the clone call, in pytest's own order, and
the clone makes the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pytest
from _pytest.runner import SetupState


class SharedSetup(SetupState):
    """pytest's own, which stops short of the test where that is to run in a clone."""

    def __init__(self) -> None:
        super().__init__()
        self._shared_for: pytest.Item | None = None
        self._before_clone: dict[Any, int] | None = None
        self._at_end_of_clone: Callable[[], object] = _nothing

    def setup(self, item: pytest.Item) -> None:
        """Set up what the test needs, here: in the session what is shared, in a clone the rest."""
        __tracebackhide__ = True
        if item is not self._shared_for:
            super().setup(item)
            return
        assert item.parent is not None
        super().setup(item.parent)  # type: ignore[arg-type]
        for name, definitions in _wide_fixtures(item).items():
            _make(item, name, definitions)

    def is_node_active(self, node: Any) -> bool:
        """Whether fixtures may be made for it: for a test, too, whose wider ones are being set up."""
        return node is self._shared_for or super().is_node_active(node)

    def teardown_exact(self, nextitem: pytest.Item | None) -> None:
        """Tear down what the next test does not need; in a clone, what was set up there."""
        __tracebackhide__ = True
        if self._before_clone is None:
            super().teardown_exact(nextitem)
        else:
            self._teardown_clone(self._at_end_of_clone)

    # ---- in the session

    @contextmanager
    def shared_for(self, item: pytest.Item) -> Iterator[None]:
        """In this block that test is set up no further than it shares fixtures with others."""
        self._shared_for = item
        try:
            yield
        finally:
            self._shared_for = None

    def changes_with(self, item: pytest.Item) -> bool:
        """Whether a fixture that others may be using is made anew for this test, with another parameter."""
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        return any(
            made[1] is not parameters.get(name)
            for name, definitions in _wide_fixtures(item).items()
            if (made := definitions[-1].cached_result) is not None
        )

    def ends_with(self, nextitem: pytest.Item | None) -> bool:
        """Whether anything that tests may be using is torn down before the next one."""
        needed = () if nextitem is None else nextitem.listchain()
        return any(
            len(finalizers) > 1
            for node, (finalizers, _) in self.stack.items()
            if node not in needed
        )

    # ---- in a clone

    def begin_clone(self, at_end: Callable[[], object]) -> None:
        """From here on it is the clone's; at_end: called when all is torn down, may raise."""
        self._before_clone = {node: len(finalizers) for node, (finalizers, _) in self.stack.items()}
        self._at_end_of_clone = at_end

    def stop_clone(self, at_end: Callable[[], object]) -> None:
        """Tear down what was set up there, in the middle of a test; at_end: called instead of the other."""
        if self._before_clone is not None:
            self._teardown_clone(at_end)

    def _teardown_clone(self, at_end: Callable[[], object]) -> None:
        """The test, then what it made itself of wider scope, but not what it was given."""
        __tracebackhide__ = True
        errors: list[BaseException] = []
        for finalize in chain(self._finalizers_of_clone(), (at_end,)):
            try:
                finalize()
            except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("errors during test teardown", errors)

    def _finalizers_of_clone(self) -> Iterator[Callable[[], object]]:
        before = self._before_clone or {}
        for node, (finalizers, _) in reversed(self.stack.items()):
            while len(finalizers) > before.get(node, 0):
                yield finalizers.pop()


def _nothing() -> None: ...


def _make(item: Any, name: str, definitions: Sequence[Any]) -> None:
    """That fixture, the last one of these: for a test, or for the narrower fixture that overrides it."""
    __tracebackhide__ = True
    known = item._fixtureinfo.name2fixturedefs
    whole, known[name] = known[name], definitions
    try:
        item._request.getfixturevalue(name)
    finally:
        known[name] = whole
    if len(definitions) < len(whole):
        item._request._fixture_defs.pop(name)  # by that name the test asks for another


def _wide_fixtures(item: pytest.Item) -> dict[str, Sequence[Any]]:
    """Those that outlive the test, by name, in the order in which pytest makes them.

    Each is the last one of several with its name. Where a narrower one asks for what it overrides, it is
    left out.
    """
    info = getattr(item, "_fixtureinfo", None)
    if info is None:  # no Python function: it has no fixtures
        return {}
    known: dict[str, Sequence[Any]] = {
        name: these for name, these in info.name2fixturedefs.items() if these
    }
    narrow = {"function"} if item.getparent(pytest.Class) else {"function", "class"}
    # The scope of a parameter counts, and it may be narrower than its fixture's.
    of_parameters = getattr(getattr(item, "callspec", None), "_arg2scope", {})

    def is_wide(name: str, definition: Any, asking: tuple[str, ...] = ()) -> bool:
        scope = of_parameters[name].value if name in of_parameters else definition.scope
        # Not of others: request; a circle, which pytest refuses; what it overrides, which is wide, too.
        others = [one for one in definition.argnames if one in known and one not in (*asking, name)]
        return scope not in narrow and all(
            is_wide(one, known[one][-1], (*asking, name)) for one in others
        )

    def wide_ones(name: str) -> Sequence[Any]:
        these = known[name]
        while these and not is_wide(name, these[-1]):
            asks_for_next = name in these[-1].argnames and name not in of_parameters
            these = these[:-1] if asks_for_next else ()
        return these

    names = (name for name in item.fixturenames if name in known)  # type: ignore[attr-defined]
    return {name: these for name in names if (these := wide_ones(name))}
