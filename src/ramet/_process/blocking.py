"""The waits of a launch: blocking ones here, those of an event loop in ramet.aio."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from .._core import Underway
from ..exit_status import ExitStatus

T = TypeVar("T")


class Spawned(Protocol):
    """A program that can be spawned, such as a Command."""

    def spawn(self) -> Any:
        """Make the child."""


class Waits(Protocol):
    """The waits of a launch."""

    async def reach(self, child: Any, gate: int) -> tuple[int, int]:
        """Wait until the child is at that gate or has failed, and return its report."""

    async def run(self, command: Any) -> ExitStatus:
        """Run a program to its end."""


class Blocking:
    """Waits that block the calling thread."""

    async def reach(self, child: Underway, gate: int) -> tuple[int, int]:
        """See Waits."""
        report = child.reach(gate)
        assert report is not None  # without a timeout
        return report

    async def run(self, command: Spawned) -> ExitStatus:
        """See Waits."""
        status: ExitStatus = command.spawn().wait()
        return status


BLOCKING = Blocking()


def run_blocking(function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
    """Run a coroutine function whose waits all block: it needs no loop."""
    try:
        function(*arguments).send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # what the coroutine returns
    raise AssertionError("a coroutine with blocking waits was suspended")
