"""A signal's handler that raises, wherever a birth stands."""

from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]


def raise_in_an_import(birth: str, module: str) -> None:
    import signal
    import sys

    import ramet
    from ramet import CloneFlag as F

    class Heard(BaseException):
        pass

    def handler(*_: object) -> None:
        raise Heard

    class Signaller:
        """A finder of modules that finds none."""

        def find_spec(self, name: str, *_: object) -> None:
            if name == module:
                signal.raise_signal(signal.SIGUSR1)

    births: dict[str, Callable[[Callable[..., Any]], Any]] = {
        "VM": lambda fn: ramet.clone(fn, flags=F.VM),
        "vfork": ramet.vfork,
        "options": lambda fn: ramet.clone(fn, flags=F.VM, nice=1),
        "lowlevel": lambda fn: ramet.lowlevel.clone(
            lambda _: fn(), None, F.VM | F.VFORK | signal.SIGCHLD
        ),
    }
    signal.signal(signal.SIGUSR1, handler)
    sys.meta_path.insert(0, Signaller())
    called: list[int] = []
    try:
        births[birth](lambda: called.append(1))
    except Heard:
        pass
    else:
        raise AssertionError("it was swallowed")
    assert not called
    del sys.meta_path[0]
    assert ramet.clone(int, flags=F.VM).result(30) == ramet.vfork(int).result(30) == 0


@pytest.mark.parametrize("birth", ["VM", "vfork", "options", "lowlevel"])
@pytest.mark.parametrize("module", ["ramet.burial", "ramet.left_threads"])
def test_the_first_birth_imports_what_it_needs(apart: Start, birth: str, module: str) -> None:
    """What is raised meanwhile is raised, nothing is born, and the next birth is as any other."""
    apart(raise_in_an_import, birth, module).finish()


def raise_at_a_burial() -> None:
    import os
    import signal
    import warnings

    import ramet

    class Heard(BaseException):
        pass

    def handler(*_: object) -> None:
        raise Heard

    def die() -> None:
        os.kill(os.getppid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGKILL)

    warnings.simplefilter("ignore", ResourceWarning)
    signal.signal(signal.SIGUSR1, handler)
    for _ in range(20):
        try:
            ramet.vfork(die)
            signal.sigpending()  # it comes with the next line, at the latest
        except Heard:
            continue
        raise AssertionError("it was swallowed")


def test_a_signal_during_a_burial_is_heard_after_it(apart: Start) -> None:
    """The main thread buries its vfork's dead, and no handler of the caller's runs meanwhile."""
    apart(raise_at_a_burial).finish()
