import signal

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import _core


def test_this_kernel_knows_what_it_should() -> None:
    """What the kernel is asked of once, it answers as its version says."""
    import platform

    version = tuple(map(int, platform.release().split("-")[0].split(".")[:2]))
    assert _core.has_clear_sighand() == (version >= (5, 5))


@pytest.mark.parametrize("kernel_clears", [False, True])
def test_no_handler_of_ours_is_left_in_the_child(
    kernel_clears: bool, monkeypatch: pytest.MonkeyPatch, nothing_left: object
) -> None:
    """In shared memory our handlers are gone, whether the kernel clears them or the child does."""
    monkeypatch.setattr(_core, "has_clear_sighand", lambda: kernel_clears)
    heard: list[int] = []
    old = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    child = ramet.clone(lambda: signal.raise_signal(signal.SIGUSR1), flags=F.VM)
    program = ramet.Popen(["sh", "-c", "kill -USR1 $$; sleep 1000"])
    assert child.wait(20).signal == signal.SIGUSR1
    assert program.wait(20) == -signal.SIGUSR1
    signal.signal(signal.SIGUSR1, old)
    assert heard == []
