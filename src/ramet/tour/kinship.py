"""What two tasks share, by kcmp(2)."""

from ramet import CloneFlag

from .probes import KcmpType, ask, kcmp

# Not IO: tasks that have no I/O context yet count as sharing it.
_KINDS = {
    KcmpType.VM: "memory",
    KcmpType.FS: "directories",
    KcmpType.FILES: "files",
    KcmpType.SIGHAND: "handlers",
    KcmpType.SYSVSEM: "semaphore undo",
}


def have_undo_list() -> None:
    """Give this task a list of semaphore undos: two tasks without one would count as sharing it."""
    ask(CloneFlag.SYSVSEM, _nothing)


def shared_by(pid: int, other: int) -> tuple[str, ...] | None:
    """The names of what two tasks share; None where kcmp is not allowed."""
    try:
        return tuple(name for kind, name in _KINDS.items() if kcmp(pid, other, kind) == 0)
    except (OSError, NotImplementedError):
        return None


def in_words(shared: tuple[str, ...] | None) -> str:
    """The text for a row."""
    if shared is None:
        return "kcmp is not permitted"
    return f"shares {', '.join(shared) or 'nothing'}"


def _nothing() -> None:
    pass
