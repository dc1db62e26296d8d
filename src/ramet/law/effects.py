"""Which flags do what a table of shared things cannot say: one row for each way kernels had of it."""

from ..flags import CloneFlag
from .caller import Caller
from .outcome import Effects

# Before that, a child of CLONE_PARENT kept the exit signal that was asked for.
PARENT_KEEPS_SIGNAL = "2.6.30"


class _OwnSignal(Effects):
    def exit_signal(self, flags: int, asked: int, caller: Caller) -> int:  # noqa: ARG002 - its base's
        return -1 if flags & self.thread else asked


def _row(kind: type[Effects]) -> Effects:
    return kind(
        thread=CloneFlag.THREAD.value,
        siblings=CloneFlag.THREAD.value | CloneFlag.PARENT.value,
        new_pids=CloneFlag.NEWPID.value,
        stopped=CloneFlag.STOPPED.value,
        suspending=CloneFlag.VFORK.value,
        traced=CloneFlag.PTRACE.value,
        memory=CloneFlag.VM.value,
        clears=CloneFlag.CHILD_CLEARTID.value,
        words={
            "ptid": CloneFlag.PARENT_SETTID.value,
            "ctid": CloneFlag.CHILD_SETTID.value,
            "pidfd": CloneFlag.PIDFD.value,
        },
    )


EFFECTS = {False: _row(_OwnSignal), True: _row(Effects)}
