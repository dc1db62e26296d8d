"""Ramet's executor where programs look for concurrent.futures.ProcessPoolExecutor."""

from collections.abc import Callable
from concurrent import futures
from concurrent.futures import process
from typing import Any

import ramet


class ProcessPoolExecutor(ramet.Executor):
    """Called as the one whose place it takes: programs of the tests import it by the name of its class."""

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: object = None,  # noqa: ARG002 - a start method makes no clones
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
    ) -> None:
        super().__init__(
            max_workers,
            initializer=initializer,
            initargs=initargs,
            max_tasks_per_child=max_tasks_per_child,
        )


def take_its_place() -> None:
    """For who looks for it from now on."""
    for module in (futures, process):
        vars(module)["ProcessPoolExecutor"] = ProcessPoolExecutor
    # Where the others would break as well, one call fails: with one of these.
    vars(process)["BrokenProcessPool"] = (ramet.ChildDied, ramet.ResultError)
