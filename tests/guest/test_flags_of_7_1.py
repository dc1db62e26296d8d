"""The four flags of Linux 7.1, through the library's own verbs."""

import os
import select
import signal
from pathlib import Path

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import lowlevel
from ramet._kernel.pidfd import exit_status
from ramet.lowlevel import CloneArgs, TidWord

from ..constants import SECONDS
from ..kernels import KERNEL

pytestmark = [
    pytest.mark.skipif(KERNEL < (7, 1), reason="Linux 7.1 has these flags"),
    pytest.mark.kernel,
]


def has_ended(pidfd: int, seconds: float = SECONDS) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def test_a_child_that_nobody_waits_for() -> None:
    """AUTOREAP leaves no zombie, and the pidfd tells how it ended (PIDFD_GET_INFO)."""
    child = ramet.clone(os._exit, 7, flags=F.AUTOREAP | F.PIDFD, exit_signal=0)
    assert child.pidfd is not None
    pidfd = os.dup(child.pidfd)
    assert has_ended(pidfd)
    assert exit_status(pidfd).code == 7
    assert child.wait(SECONDS).code == 7
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, 0)
    os.close(pidfd)


def test_a_child_gains_no_privileges() -> None:
    """NNP sets no_new_privs at birth."""

    def own() -> str:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(line for line in lines if line.startswith("NoNewPrivs"))

    assert ramet.clone(own, flags=F.NNP).result(SECONDS).split()[1] == "1"
    assert ramet.clone(own).result(SECONDS).split()[1] == "0"


def test_a_child_dies_with_its_pidfd() -> None:
    """PIDFD_AUTOKILL kills it when the last descriptor of the call is closed."""
    word = TidWord(-1)
    flags = F.PIDFD_AUTOKILL | F.PIDFD | F.AUTOREAP | F.NNP
    pid = lowlevel.clone3(CloneArgs(flags=flags, pidfd=word), lambda arg: signal.pause())
    watching = os.pidfd_open(pid)
    assert not has_ended(watching, 0.1)
    os.close(word.value)
    assert has_ended(watching)
    os.close(watching)


def test_a_child_with_no_mounts() -> None:
    """EMPTY_MNTNS gives it a mount namespace with an empty root."""
    assert ramet.clone(lambda: os.listdir("/"), flags=F.EMPTY_MNTNS).result(SECONDS) == []
    assert os.listdir("/") != []
