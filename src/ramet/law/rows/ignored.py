"""What the kernel grants although it ignores a part of the request."""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import CLONE, Rule

_WORDS = CloneFlag.PARENT_SETTID.value | CloneFlag.CHILD_SETTID.value

# fmt: off
ROWS = (
    Rule(
        id="P1", kernel_function="schedule_tail", since="2.6.24", errno=None,
        any_of=_WORDS | CloneFlag.CHILD_CLEARTID.value, when=ask.settid_ignored,
        sentence="a tid word that cannot be written is no error: nothing is written",
        remedy="give the address of an int",
    ),
    Rule(
        id="P2", calls=CLONE, kernel_function="sys_clone", since="2.6.11", errno=None, raw=True,
        any_of=0xFFFF_FFFF_0000_0000,
        sentence="clone() has 32 bits of flags and ignores those above",
        remedy="use clone3",
    ),
    Rule(
        id="P2", calls=CLONE, kernel_function="sys_clone", since="2.6.11", errno=None,
        when=ask.exit_signal_never_sent,
        sentence="an exit signal from 65 to 255 is accepted and never sent; only __WALL and "
                 "__WCLONE wait for such a child",
        remedy="use a signal from 1 to 64, or 0 for none",
    ),
    Rule(
        id="P2", calls=CLONE, kernel_function="copy_process", since="2.6.30", errno=None,
        any_of=CloneFlag.THREAD.value | CloneFlag.PARENT.value, when=ask.exit_signal_given,
        sentence="clone() ignores the exit signal with CLONE_THREAD and CLONE_PARENT",
        remedy="give none",
    ),
    Rule(
        id="P2", calls=CLONE, kernel_function="sys_clone", since="2.6.11", errno=None,
        all_of=CloneFlag.DETACHED.value, none_of=CloneFlag.PIDFD.value,
        sentence="clone() ignores CLONE_DETACHED, which has had no effect since 2.6.0",
        remedy="drop it",
    ),
)
# fmt: on
