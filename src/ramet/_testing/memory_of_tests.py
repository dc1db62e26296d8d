"""The memory that tests may have, each a budget of its own."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from .._limits.memory import MemoryBudget, MemoryLimits
from .._limits.resident_watch import limit_data


class MemoryOfTests:
    """Budgets of all sizes that tests ask for. Theirs is what they have beyond the session."""

    def __init__(self) -> None:
        self._limits: dict[int, MemoryLimits] = {}

    def take(self, budget_bytes: int) -> MemoryBudget:
        """A budget for one test, which is given back."""
        if budget_bytes not in self._limits:
            self._limits[budget_bytes] = MemoryLimits(budget_bytes)
        return self._limits[budget_bytes].take()

    def give_back(self, budget: MemoryBudget) -> None:
        """The test has ended, and all that it started."""
        self._limits[budget.budget_bytes].give_back(budget)

    def close(self) -> None:
        """Remove the cgroups."""
        for limits in self._limits.values():
            limits.close()


class DataLimit:
    """RLIMIT_DATA of a test without a cgroup, as a plugin in its clone.

    It holds while the phases of the test run, and not while pytest makes their reports: a MemoryError there
    would be none of the test's. The session looks at what is resident besides.
    """

    __test__ = False

    def __init__(self, budget_bytes: int) -> None:
        self._outside, _ = limit_data(budget_bytes)
        self._inside, _ = resource.getrlimit(resource.RLIMIT_DATA)
        _set_soft_limit(self._outside)

    @contextmanager
    def _holds(self) -> Iterator[None]:
        _set_soft_limit(self._inside)
        try:
            yield
        finally:
            self._inside, _ = resource.getrlimit(resource.RLIMIT_DATA)  # the test may have set it
            _set_soft_limit(self._outside)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        """Limit the setup."""
        with self._holds():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Limit the test."""
        with self._holds():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        """Limit the teardown."""
        with self._holds():
            return (yield)


def _set_soft_limit(wanted: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    is_beyond = hard != resource.RLIM_INFINITY and not 0 <= wanted <= hard
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (hard if is_beyond else wanted, hard))


def first_in_clone(budget: MemoryBudget, config: pytest.Config) -> Callable[[], object]:
    """What a clone does first, so that the budget holds for it and all that it starts."""
    if budget.directory is not None:  # it is made there
        return lambda: None
    entry = budget.entry
    if entry is not None:
        return lambda: os.write(entry, b"0")
    # The session looks at what is resident; before that a MemoryError may come.
    return lambda: config.pluginmanager.register(DataLimit(budget.budget_bytes))
