"""What is set up in the session for several tests, and what in the clone for one of them.

pytest sets up the fixtures of a test in the order of their scopes, the widest first. So all that are wider
than the function can be made in the session's process before the clone call, in pytest's own order, and
the clone makes the rest.
"""

from collections.abc import Callable, Iterator
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
        for name in _wide_fixtures(item):
            item._request.getfixturevalue(name)  # type: ignore[attr-defined]

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
            for name, definition in _wide_fixtures(item).items()
            if (made := definition.cached_result) is not None
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


def _wide_fixtures(item: pytest.Item) -> dict[str, Any]:
    """Those that outlive the test, by name, in the order in which pytest makes them."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None:  # no Python function: it has no fixtures
        return {}
    definitions = {name: these[-1] for name, these in info.name2fixturedefs.items() if these}
    # The scope of a parameter counts, and it may be narrower than its fixture's.
    scopes = {name: definition.scope for name, definition in definitions.items()}
    narrow = {"function"} if item.getparent(pytest.Class) else {"function", "class"}
    of_parameters = getattr(getattr(item, "callspec", None), "_arg2scope", {})
    scopes.update({name: scope.value for name, scope in of_parameters.items()})

    def is_wide(name: str, asking: tuple[str, ...] = ()) -> bool:
        if name not in definitions or name in asking:  # request; a circle, which pytest refuses
            return True
        needed = definitions[name].argnames
        return scopes[name] not in narrow and all(is_wide(one, (*asking, name)) for one in needed)

    names = (name for name in item.fixturenames if name in definitions)  # type: ignore[attr-defined]
    return {name: definitions[name] for name in names if is_wide(name)}
