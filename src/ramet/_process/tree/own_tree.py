"""A process that ends with all that it has started, where neither a namespace nor a cgroup sees to it.

It is a subreaper, and a signal has it kill what is below it, and then itself. That signal comes with the
end of its parent too, in place of a SIGKILL, which what it has started would outlive.
"""

import signal
from collections.abc import Mapping

from ... import _core
from ..._kernel import procfs

__all__ = ["END_SIGNAL", "end_own_tree", "ends_own_tree", "has_handler", "is_ending_own_tree"]

# A real-time signal, since no other is free: a program that the process executes is killed by it.
END_SIGNAL = signal.SIGRTMAX - 2
_BIT = 1 << (END_SIGNAL - 1)  # in the masks of /proc/PID/status


def end_own_tree(*, with_parent: bool) -> None:
    """In that process: at the signal, from here on. with_parent: that comes with the end of its parent.

    The handler is in C, and runs whatever Python does; not while all threads block the signal.
    Source: PR_SET_CHILD_SUBREAPER(2const), PR_SET_PDEATHSIG(2const), signal(7).
    """
    _core.end_tree_at(END_SIGNAL, with_parent)


def ends_own_tree(pid: int) -> bool:
    """Whether the signal has a handler there, without which it ends the process alone, and is heard.

    Taken for so where no descriptor is free to look: nor is one to find the tree in any other way.
    """
    try:
        status = procfs.status(pid)
        is_blocked = int(status["SigBlk"], 16) & _BIT
        return has_handler(status) and not is_blocked and not status["State"].startswith("T")
    except (FileNotFoundError, ProcessLookupError, KeyError):
        return False
    except OSError:
        return True


def is_ending_own_tree(pid: int) -> bool:
    """Whether the handler is at work there, or is about to be, after the signal was sent.

    All signals are blocked meanwhile, of the thread that it runs in: the first one, if that hears it.
    """
    try:
        status = procfs.status(pid)
        comes = (int(status["SigBlk"], 16) | int(status["ShdPnd"], 16)) & _BIT
        return has_handler(status) and bool(comes) and not status["State"].startswith("T")
    except (OSError, KeyError):
        return False


def has_handler(status: Mapping[str, str]) -> bool:
    """Whether a process with that /proc/PID/status has it, heard or not."""
    return bool(int(status["SigCgt"], 16) & _BIT)
