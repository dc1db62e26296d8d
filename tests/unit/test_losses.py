import pickle
from threading import Lock, RLock, Thread, get_ident

import pytest

from ramet import ChildDied, ExitStatus, Losses
from ramet._core import Held
from ramet._function.recovery import _Stock


def test_losses_say_what_is_lost() -> None:
    """Frames and references are counted, and each lock is named, whatever became of it."""
    assert str(Losses(1, 2)) == "lost 1 frame with 2 references"
    assert str(Losses(1, 2, given_up=2, kept=1)) == (
        "lost 1 frame with 2 references; gave up 2, and kept 1 object"
    )
    assert str(Losses(3, 1, ("<a lock>",), ("the import lock of 'x'",))) == (
        "lost 3 frames with 1 reference; still locked: <a lock>; released: the import lock of 'x'"
    )


def test_losses_do_not_change() -> None:
    """They are a record."""
    with pytest.raises(AttributeError, match="frames"):
        Losses(1, 2).frames = 3


def test_the_error_tells_of_the_losses() -> None:
    """ChildDied says what was lost with the child, after a journey between processes too."""
    died = ChildDied(ExitStatus.from_wstatus(9), 4711, Losses(1, 2, given_up=1, kept=3))
    for error in (died, pickle.loads(pickle.dumps(died))):
        assert error.losses is not None
        assert (error.losses.frames, error.losses.given_up, error.losses.kept) == (1, 1, 3)
        assert str(error).endswith(
            "killed by SIGKILL; lost 1 frame with 2 references; gave up 1, and kept 3 objects"
        )
    assert ChildDied(ExitStatus.from_wstatus(9), 4711).losses is None


def test_a_lock_of_another_owner_keeps_no_other_from_being_given_back() -> None:
    """It is told as one that stays locked."""
    of_another, lock = RLock(), Lock()
    first, second = Held(of_another), Held(lock)
    thread = Thread(target=first)
    thread.start()
    thread.join()
    second()
    code = test_a_lock_of_another_owner_keeps_no_other_from_being_given_back.__code__
    stock = _Stock([(code, (), (first.__exit__, second.__exit__))], get_ident(), True, b"")
    stock.give_back_own_locks()
    assert not lock.locked()
    assert stock.locks == stock.released == [f"a lock of {code.co_qualname}"]
