"""How the commands read the number of a process."""

from typing import Any

import click


class _Pid(click.IntRange):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; click's own error for another word speaks of an integer range."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"expected the number of a process, got {value!r}", param, ctx)


PID = _Pid(min=1)
