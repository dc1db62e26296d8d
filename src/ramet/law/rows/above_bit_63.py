"""What stands above bit 63, where no kernel reaches it: the library answers in its place."""

from ...flags import CloneFlag
from ..rule import Rule

ROWS = (
    Rule(
        id="ramet-pid",
        any_of=CloneFlag.PID.value,
        kernel_function="none",
        since="2.5.16",
        certain=True,
        sentence=(
            "CLONE_PID is gone since Linux 2.5.16 and its bit is CLONE_PIDFD today: two tasks "
            "cannot have one pid"
        ),
        remedy="use CLONE_THREAD for a task that answers to its caller's pid",
    ),
    Rule(
        id="ramet-stopped-thread",
        all_of=CloneFlag.STOPPED.value | CloneFlag.THREAD.value,
        kernel_function="none",
        since="2.6.38",
        certain=True,
        sentence=(
            "CLONE_STOPPED cannot go with CLONE_THREAD, since SIGSTOP stops the whole group, the "
            "caller with it"
        ),
        remedy="drop one of the two",
    ),
    Rule(
        id="ramet-stopped-vfork",
        all_of=CloneFlag.STOPPED.value | CloneFlag.VFORK.value,
        kernel_function="none",
        since="2.6.38",
        certain=True,
        sentence=(
            "CLONE_STOPPED cannot go with CLONE_VFORK, since a caller that waits for its child "
            "cannot resume it"
        ),
        remedy="drop one of the two",
    ),
)
