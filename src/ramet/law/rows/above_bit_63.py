"""Flags above bit 63, which no kernel reads: the library answers for them."""

from ...flags import CloneFlag
from ..rule import Rule

# fmt: off
ROWS = (
    Rule(
        id="ramet-pid", kernel_function="none", since="2.5.16", certain=True,
        any_of=CloneFlag.PID.value,
        sentence="CLONE_PID is gone since Linux 2.5.16 and its bit is CLONE_PIDFD today: two "
                 "processes cannot have one pid",
        remedy="use CLONE_THREAD for a task with its caller's pid",
    ),
    Rule(
        id="ramet-stopped-thread", kernel_function="none", since="2.6.38", certain=True,
        all_of=CloneFlag.STOPPED.value | CloneFlag.THREAD.value,
        sentence="CLONE_STOPPED excludes CLONE_THREAD, since SIGSTOP stops the whole group, the "
                 "caller included",
        remedy="drop one of the two",
    ),
    Rule(
        id="ramet-stopped-vfork", kernel_function="none", since="2.6.38", certain=True,
        all_of=CloneFlag.STOPPED.value | CloneFlag.VFORK.value,
        sentence="CLONE_STOPPED excludes CLONE_VFORK, since a caller that is suspended until its "
                 "child's end cannot resume it",
        remedy="drop one of the two",
    ),
)
# fmt: on
