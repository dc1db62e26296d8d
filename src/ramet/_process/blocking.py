"""How a clone call waits, where it must: by blocking here, and in ramet.aio while a loop goes on."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from ..exit_status import ExitStatus

T = TypeVar("T")


class Underway(Protocol):
    """A child on its way to its program; see launching.Underway."""

    def reach(self, gate: int) -> tuple[int, int]:
        """Wait until the child is at that gate."""


class Spawned(Protocol):
    """What a program is started with, as with a Command."""

    def spawn(self) -> Any:
        """Make the child."""


class Waits(Protocol):
    """All that a clone call waits for."""

    async def reach(self, child: Any, gate: int) -> tuple[int, int]:
        """The child is at that gate, or has failed on the way: the report."""

    async def run(self, command: Any) -> ExitStatus:
        """A program has come to its end."""


class Blocking:
    """Waits for which the calling thread stands still."""

    async def reach(self, child: Underway, gate: int) -> tuple[int, int]:
        """See Waits."""
        return child.reach(gate)

    async def run(self, command: Spawned) -> ExitStatus:
        """See Waits."""
        status: ExitStatus = command.spawn().wait()
        return status


BLOCKING = Blocking()


def at_once(steps: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
    """What comes of steps whose waits are blocking, without any loop."""
    try:
        steps(*arguments).send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # what the coroutine returns
    raise AssertionError("a blocking wait has suspended its caller")
