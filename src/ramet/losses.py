"""What is lost with a child in shared memory that dies in the midst of its function."""

from typing import Any, NoReturn


class Losses:
    """What is lost with a child in shared memory that was killed, or that exec'ed.

    ``frames``: how many functions it was in; -1 where this Python's frames are not known, see
    `ramet.recovery_status()`. ``references``: how many their variables and open blocks held.
    ``given_up``: how many references of the dead functions were given up after the death, as a
    return would have done; 0 where it was not known to be safe, and then what ``references`` counts
    stays in memory. ``kept``: how many objects stay nevertheless, with all that they refer to: only
    the dead held them, and they may have a finalizer, which is not to run in another process.
    ``locks``: those that it held and that stay locked, described. ``released``: those that it held
    and that have been given back, as if an exception had left their blocks.

    A lock is found if it knows its owner (RLock; those of imports and of buffered files), or if the
    child was in a ``with`` block of it; the garbage collector is told of as one, and so are those that
    native code may have held, if it computed for another second and had to be killed in its midst.
    Not found is a threading.Lock that was acquired by a call, and else a lock inside libc or an
    extension module.
    """

    __slots__ = ("frames", "given_up", "kept", "locks", "references", "released")

    frames: int
    references: int
    locks: tuple[str, ...]
    released: tuple[str, ...]
    given_up: int
    kept: int

    def __init__(
        self,
        frames: int,
        references: int,
        locks: tuple[str, ...] = (),
        released: tuple[str, ...] = (),
        given_up: int = 0,
        kept: int = 0,
    ) -> None:
        put = object.__setattr__
        put(self, "frames", frames)
        put(self, "references", references)
        put(self, "locks", locks)
        put(self, "released", released)
        put(self, "given_up", given_up)
        put(self, "kept", kept)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Losses do not change: {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Losses, tuple(getattr(self, name) for name in _IN_ORDER)

    def __str__(self) -> str:
        frames, references = _counted(self.frames, "frame"), _counted(self.references, "reference")
        words = f"lost {frames} with {references}" if self.frames >= 0 else "lost unknown frames"
        if self.given_up:
            words += f"; gave up {self.given_up}, and kept {_counted(self.kept, 'object')}"
        if self.locks:
            words += f"; still locked: {', '.join(self.locks)}"
        if self.released:
            words += f"; given back: {', '.join(self.released)}"
        return words

    def __repr__(self) -> str:
        return f"<Losses: {self}>"


_IN_ORDER = ("frames", "references", "locks", "released", "given_up", "kept")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
