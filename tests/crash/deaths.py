"""Deaths of functions where nothing of libc's or Python's own is half done: they need no recovery."""

import gc
import os
import signal
import threading

import ramet
from ramet import CloneFlag as F


def deaths() -> None:
    """By their own hand, by ours, and by another's; then the collector, a thread and a fork."""
    reading, writing = os.pipe()
    never, _ = os.pipe()

    def rests(words: list[str]) -> None:
        kept = [words, {"a": bytearray(1000)}]
        os.write(writing, b"x")
        os.read(never, 1)
        del kept

    def faults(words: list[str]) -> None:
        kept = [words]
        os.kill(os.getpid(), signal.SIGKILL)
        del kept

    for _ in range(3):
        child = ramet.vfork(faults, ["of the dead"])
        assert child.wait().signal == signal.SIGKILL
        print("vfork", child.losses)
        child = ramet.clone(faults, ["of the dead"], flags=F.VM)
        assert child.wait().signal == signal.SIGKILL
        print("clone", child.losses)
    for end in ("kill", "by others"):
        child = ramet.clone(rests, ["of the dead"], flags=F.VM)
        os.read(reading, 1)
        if end == "kill":
            child.kill()
        else:
            signal.pidfd_send_signal(child.fileno(), signal.SIGKILL)
        assert child.wait().signal == signal.SIGKILL
        print(end, child.losses)
        gc.collect()
    assert ramet.clone(sum, [1, 2], flags=F.VM).result() == 3
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if (pid := os.fork()) == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print(ramet.recovery_status())
