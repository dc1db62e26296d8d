"""The pid namespaces in which a template makes clones, so that what a call has started ends with it."""

import errno
import os

from ... import _core
from ..._kernel.names import WALL
from ..._process.tree import pid_namespace
from ..crossing.template_messages import CONFINE, Making

_PATIENCE_SECONDS = 1.0


class PidNamespaces:
    """Those that one template makes, each with its init."""

    def __init__(self) -> None:
        self.may_nest = True
        # A pipe: its second end is held as long as another process has the memory of a confined clone.
        self._memory_ends: tuple[int, int] | None = None

    def hold_memory(self) -> None:
        """Have the next init give this memory back, unless what setup has started may run there."""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL)
        except ChildProcessError:
            self._memory_ends = os.pipe()

    def await_own_memory(self) -> None:
        """In a clone that will be a template: what it writes to while another has it is copied.

        Copies are small pages, scattered; each clone of this process would pay for them.
        """
        if self._memory_ends is None:
            return
        end, held = self._memory_ends
        os.close(held)
        _core.wait_readable(end, _PATIENCE_SECONDS)
        os.close(end)

    def new(self, *, needed: bool) -> tuple[int, int] | None:
        """The init of one that was not there; None where there can be none, and need not."""
        try:
            if not needed:
                # Before it is entered: in a user namespace without a pid namespace of its own this
                # process may not come back, and later clones would be in it as well.
                pid_namespace.leave()
            return pid_namespace.new(self._memory_ends[1] if self._memory_ends else -1)
        except OSError as error:
            if needed:
                raise
            self.may_nest = error.errno != errno.EPERM
            return None


def whose_end(kind: int, making: Making, *, is_new: bool) -> int:
    """The child with which its namespace ends, by its number: calls may outlive their template.

    is_new: no clone call has failed in it before, which may have taken the first number.
    """
    if kind == CONFINE or not is_new:
        return pid_namespace.FOR_ALL
    return making.set_tid[0] if making.set_tid else pid_namespace.FIRST_CHILD
