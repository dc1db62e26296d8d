"""What the tests of multiprocessing's context have in common."""

import gc
import multiprocessing
from collections.abc import Iterator
from multiprocessing import resource_tracker

import pytest

import ramet.multiprocessing
from ramet.multiprocessing import CloneContext


@pytest.fixture(scope="module")
def tracker() -> Iterator[None]:
    """Multiprocessing's resource tracker and its heap, which it keeps: before anything is counted."""
    resource_tracker.ensure_running()
    multiprocessing.RawValue("i")
    yield
    gc.collect()  # a semaphore that goes later would start it again
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def common_context(tracker: None) -> Iterator[CloneContext]:
    """A context that has its template, and does not run pytest's main program in its processes."""
    with ramet.multiprocessing.context(main="never", spares=0) as made:
        process = made.Process()
        process.start()
        process.join()
        yield made


@pytest.fixture
def context(common_context: CloneContext, nothing_left: object) -> CloneContext:
    """The same for a test that leaves nothing."""
    return common_context
