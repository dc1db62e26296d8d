"""Which flags do more than share: a row for each behaviour that kernels have had."""

from ..flags import CloneFlag
from .caller import Caller
from .outcome import Effects

# Before that, a child of CLONE_PARENT got the requested exit signal.
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
