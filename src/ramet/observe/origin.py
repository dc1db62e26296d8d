"""From which process the memory of another was copied."""

from dataclasses import dataclass
from itertools import takewhile

from .._kernel import procfs
from ..lowlevel import KcmpType, kcmp
from .tasks import has_ended

# Where the program's code, its stack, its data and its heap begin. exec chooses them at random, and a copy
# of the memory has the same. Places among the words of /proc/PID/stat; 0 and 1 for who may not know.
_IMAGE = (23, 25, 42, 44)


@dataclass(frozen=True)
class Origin:
    """The process that a child is compared with: its pid, or None, and why there is none.

    ``same_memory``: both use one memory, so that nothing was copied.
    """

    pid: int | None
    why_none: str = ""
    same_memory: bool = False


def origin_of(pid: int, given: int | None) -> Origin:
    """The process whose memory it has a copy of: the given one, its parent, or a child of its parent.

    With CLONE_PARENT the parent is not the process that was copied. That is then the oldest child of the
    parent whose program began at the same random addresses, and older than the process itself.
    """
    image, parent = _image(pid), procfs.parent(pid) or 0
    siblings = _by_age(procfs.children(parent) if parent else [])
    candidates = [given] if given else [parent, *takewhile(pid.__ne__, siblings)]
    for other in candidates:
        if other != pid and image is not None and _image(other) == image:
            return _compared(pid, other)
    why = "it is the process itself" if given == pid else _why_none(parent, given)
    return Origin(None, why)


def _why_none(parent: int, given: int | None) -> str:
    if given is not None:
        return (
            f"process {given} has ended, or did not begin with the same exec: it is no copy of it"
        )
    if not has_ended(parent) and _image(parent) is None:
        return f"its parent, process {parent}, may not be read"
    return "it has no living parent whose memory it was copied from"


def _image(pid: int) -> tuple[str, ...] | None:
    words = procfs.stat_if_any(pid)
    places = tuple(words[place] for place in _IMAGE) if words else ()
    return places if places and {"0", "1"}.isdisjoint(places) else None


def _by_age(pids: list[int]) -> list[int]:
    return sorted(pids, key=lambda pid: (int(procfs.start_time(pid) or 0), pid))


def _compared(pid: int, other: int) -> Origin:
    """Two whose programs began at the same addresses: a copy, or one memory."""
    try:
        same = kcmp(pid, other, KcmpType.VM) == 0
    except OSError as error:
        return Origin(None, f"process {other} cannot be compared with it: {error.strerror}")
    return Origin(other, same_memory=same)
