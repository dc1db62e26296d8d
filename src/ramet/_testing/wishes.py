"""What is wished for a test: whether it runs in a clone, and within which limits."""

from typing import Any, NamedTuple

import pytest

from .._kernel.timeouts import checked_timeout
from .._limits.byte_counts import parsed_memory

_MARK = "ramet"


class Wishes(NamedTuple):
    """The limits of a test in a clone. ``timeout``: in seconds. ``memory``: as it was given."""

    timeout: float | None = None
    memory: int | str | None = None
    net: bool = False

    @classmethod
    def of(cls, item: pytest.Item) -> "Wishes | None":
        """Those of a test: what its nearest mark says, then the next one's, then the options'.

        None when it runs in the session's process. Raises a UsageError that names the test.
        """
        marks = list(item.iter_markers(_MARK))
        options = item.config.option
        if not marks and not options.ramet:
            return None
        said = {
            "clone": True,
            "timeout": options.ramet_timeout,
            "memory": options.ramet_memory,
            "net": options.ramet_net,
        }
        try:
            for mark in reversed(marks):
                said |= _said_by(mark)
            clone = _checked_flag("clone", said.pop("clone"))
            return cls(**said)._checked() if clone else None
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from None

    def _checked(self) -> "Wishes":
        checked_timeout(self.timeout)
        if self.memory is not None:
            parsed_memory("memory", self.memory)
        _checked_flag("net", self.net)
        return self


def _said_by(mark: pytest.Mark) -> dict[str, Any]:
    known = {*Wishes._fields, "clone"}
    wrong = [*map(repr, mark.args), *(name for name in mark.kwargs if name not in known)]
    if wrong:
        raise TypeError(
            f"invalid @pytest.mark.{_MARK}: expected {', '.join(sorted(known))} by name, "
            f"got {', '.join(wrong)}"
        )
    return {name: value for name, value in mark.kwargs.items() if value is not None}


def _checked_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"invalid {name}: expected True, False or None, got {value!r}")
    return value
