"""The memory that tests may have, each a budget of its own."""

import os
from collections.abc import Callable

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


def first_in_clone(budget: MemoryBudget) -> Callable[[], object]:
    """What a clone does first, so that the budget holds for it and all that it starts."""
    if budget.directory is not None:  # it is made there
        return lambda: None
    entry = budget.entry
    if entry is not None:
        return lambda: os.write(entry, b"0")
    # The session looks at what is resident; before that a MemoryError may come.
    return lambda: limit_data(budget.budget_bytes)
