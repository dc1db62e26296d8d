"""What a template's process has of its caller's state: it is told what has changed, once that stays."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .telling import is_time

if TYPE_CHECKING:
    from .confined_start import Confined
    from .starting import Started


class FollowedCaller:
    """``state`` is the caller's that the process has; where that is not known, all differs from it."""

    def __init__(self, started: "Started", sandbox: "Confined | None") -> None:
        self.state = started.caller_state
        self._link = started.link
        self._sandbox = sandbox
        self._last: dict[str, Any] = {}
        self._times = 0  # that these were told with a call

    def changes(self) -> tuple[dict[str, Any], Sequence[int]]:
        """What a call is to be told, and the descriptors that go with it: see CallerState."""
        changes, files = self.state.changes()
        if not changes or not self._are_lasting(changes):
            return changes, files
        self._tell_process()
        return self.state.changes()

    def _are_lasting(self, changes: dict[str, Any]) -> bool:
        if changes != self._last:
            self._last, self._times = changes, 0
        self._times += 1
        return is_time(self._times)

    def _tell_process(self) -> None:
        before, now = self.state, self.state.now()
        changes, files = before.changes_to(now)
        # For calls that begin meanwhile, and for good where a signal handler raises, or it is refused.
        unsure = self.state = before.or_else(now)
        layer = None if self._sandbox is None else self._sandbox.new_layer()
        is_told = self._link.follow(changes, files, layer)
        if is_told and self.state is unsure:  # else a signal handler's call has told it more
            self.state = now
