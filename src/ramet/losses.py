"""What is lost when a child in shared memory dies in its function."""

from typing import Any, NoReturn


class Losses:
    """What was lost with a child in shared memory that was killed or called exec.

    ``frames``: how many function calls it was in; -1 where the recovery does not know this Python's frames,
    see `ramet.recovery_status()`. ``references``: how many references their variables and open blocks held.
    ``given_up``: how many of these were dropped after the death, as a return would have done; 0 if that was
    not known to be safe, and then their objects stay in memory. ``kept``: how many
    objects were kept nevertheless, with all that they refer to: only the dead functions held them, and they
    may have a finalizer, which must not run in another process. ``locks``: descriptions of locks that it
    held and that stay locked. ``released``: those that it held and that were released, as if an exception
    had left their ``with`` blocks.

    A lock is found if it records its owner (RLock; those of imports and of buffered files), or if the child
    was in a ``with`` block of it. The garbage collector is listed as a lock, and so are locks that native
    code may have held when it computed for another second and had to be killed where it was. Not found
    are a threading.Lock that was acquired by a call, and other locks inside libc or an extension module.
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
        raise AttributeError(f"Losses are immutable: cannot change {name}")

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
            words += f"; released: {', '.join(self.released)}"
        return words

    def __repr__(self) -> str:
        return f"<Losses: {self}>"


_IN_ORDER = ("frames", "references", "locks", "released", "given_up", "kept")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
