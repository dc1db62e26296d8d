"""The template of an executor, each of whose calls ends with all that it has started."""

import math
from typing import Any

from ...errors import TemplateError
from ..template.called_child import CalledChild
from ..template.link import EndedError
from ..template.template import Template


class TreeTemplate(Template):
    """An executor's: each call ends with all that it started, where it can make pid namespaces.

    The executor reaps the children.
    """

    _ends_trees = True
    calls_that_wait = 0  # at the executor, for any process

    def await_clone(self, count: int) -> tuple[int, float] | None:
        """A descriptor that can be read when there is a clone for a call, or why there is none.

        With it, how many seconds the process may take to answer. None where nothing need be waited for: the
        call tells what is wrong, if anything is. count: so many are asked for, if none is being made.
        """
        link = self._link
        try:
            if link.has_answer():
                return None
            if not link.awaits_spares():
                self._ask_for_spares(count)
            return link.fileno(), math.inf if link.patience is None else link.patience
        except (EndedError, OSError, TemplateError):
            return None

    def _has_time_for_spares(self) -> bool:
        return self.calls_that_wait <= self._link.spares

    def _call_ended(self, child: CalledChild[Any]) -> None:  # noqa: ARG002
        self._refill()
