"""What is lost with a child in shared memory that dies in the midst of its function."""

from typing import Any, NoReturn


class Losses:
    """What is lost with a child in shared memory that was killed, or that exec'ed.

    ``frames``: how many functions it was in. ``references``: how many their variables and open
    blocks hold, which nobody gives up any more; so what they refer to stays in memory. ``locks``:
    those that it held and that stay locked, described. ``released``: those that it held and that
    have been given back, as if an exception had left their blocks.

    A lock is found if it knows its owner (RLock; those of imports and of buffered files), or if the
    child was in a ``with`` block of it. Not found is a threading.Lock that was acquired by a call,
    and a lock inside libc or an extension module.
    """

    __slots__ = ("frames", "locks", "references", "released")

    frames: int
    references: int
    locks: tuple[str, ...]
    released: tuple[str, ...]

    def __init__(
        self,
        frames: int,
        references: int,
        locks: tuple[str, ...] = (),
        released: tuple[str, ...] = (),
    ) -> None:
        put = object.__setattr__
        put(self, "frames", frames)
        put(self, "references", references)
        put(self, "locks", locks)
        put(self, "released", released)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Losses do not change: {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Losses, (self.frames, self.references, self.locks, self.released)

    def __str__(self) -> str:
        words = (
            f"lost {_counted(self.frames, 'frame')} with {_counted(self.references, 'reference')}"
        )
        if self.locks:
            words += f"; still locked: {', '.join(self.locks)}"
        if self.released:
            words += f"; given back: {', '.join(self.released)}"
        return words

    def __repr__(self) -> str:
        return f"<Losses: {self}>"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
