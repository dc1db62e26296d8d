"""What /proc tells of who made whom."""

import os
from collections.abc import Iterator

_PPID, _START = 1, 19  # among the words behind the name in /proc/PID/stat, the state being 0


def is_ours() -> bool:
    """Whether /proc shows the pids that this process knows, and not those of another namespace."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """Whom a process has made or adopted. Only of one that is stopped it is sure to be the whole.

    Source: proc_pid_task_children(5).
    """
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [child for thread in threads for child in children_of_thread(pid, int(thread))]


def children_of_thread(pid: int, thread: int) -> list[int]:
    """Whom a thread has made or adopted; those of the whole process on a kernel that does not tell."""
    folder = f"/proc/{pid}/task/{thread}"
    try:
        with open(f"{folder}/children", encoding="ascii") as listing:
            return [int(word) for word in listing.read().split()]
    except OSError:
        # Gone, or a kernel without CONFIG_PROC_CHILDREN.
        return _children_by_search(pid) if os.path.exists(folder) else []


def parent(pid: int) -> int | None:
    """Whose child a process is, None when there is no such process."""
    words = _stat(f"/proc/{pid}/stat")
    return int(words[_PPID]) if words else None


def start(pid: int) -> str:
    """When a process was made: with the pid it names one process for good."""
    words = _stat(f"/proc/{pid}/stat")
    return words[_START] if words else ""


def states(pid: int) -> set[str]:
    """The letters of the states of all threads."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return set()
    return {words[0] for thread in threads if (words := _stat(f"/proc/{pid}/task/{thread}/stat"))}


def _children_by_search(pid: int) -> list[int]:
    return [other for other in _processes() if parent(other) == pid]


def _processes() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _stat(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []
