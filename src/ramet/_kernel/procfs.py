"""Tasks as /proc shows them: their status and state, their parents and children."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from resource import RUSAGE_SELF, getrusage

from ..errors import spawn_error
from .signal_handlers import is_from_handler

# Places among the words of /proc/TASK/stat that follow the name, the first of which is the state.
STATE, PPID, FLAGS, NUM_THREADS, START_TIME, EXIT_SIGNAL, EXIT_CODE = 0, 1, 6, 17, 19, 35, 49
_KERNEL_THREAD = 0x0020_0000  # PF_KTHREAD, include/linux/sched.h
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # to look: that says not what is there


def shows_own_pids() -> bool:
    """Whether /proc is mounted and is that of this process's own pid namespace."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError as error:
        if is_from_handler(error):
            raise
        return False


def require_own_pids(step: str) -> None:
    """Raise SpawnError for a step of a child that is looked for by its pid, where /proc has others.

    In the /proc of an outer pid namespace that pid is a stranger's, whose files would be opened.
    """
    if not shows_own_pids():
        reason = "no /proc of this pid namespace is mounted to find the child in: mount one"
        raise spawn_error(step, errno.ESRCH, "/proc", reason)


def status(task: int | str) -> dict[str, str]:
    """The fields of /proc/TASK/status by name. Source: proc_pid_status(5)."""
    with open(f"/proc/{task}/status", encoding="utf-8", errors="replace") as lines:
        fields = (line.partition(":") for line in lines)
        return {name: " ".join(value.split()) for name, _, value in fields}


def stat(task: int | str) -> list[str]:
    """The words of /proc/TASK/stat that follow the name, which may itself hold brackets.

    Source: proc_pid_stat(5).
    """
    with open(f"/proc/{task}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def named_stat(task: int | str) -> tuple[str, list[str]]:
    """The name of a task, and the same words; quickly, since every task of a system may be asked."""
    before, _, after = text_of(f"/proc/{task}/stat").rpartition(")")
    return before.partition("(")[2], after.split()


def number_of_mount(descriptor: int) -> int:
    """That of the mount on which an open file is. Source: proc_pid_fdinfo(5), mnt_id."""
    told = text_of(f"/proc/thread-self/fdinfo/{descriptor}")
    return int(told.partition("mnt_id:")[2].split()[0])


def text_of(path: str) -> str:
    """A file of /proc, which comes in one piece or a few."""
    return bytes_of(path).decode(errors="replace")


def bytes_of(path: str) -> bytes:
    """The same as it is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _read(descriptor)
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    parts = [os.read(descriptor, _PAGE)]
    while len(parts[-1]) == _PAGE:
        parts.append(os.read(descriptor, _PAGE))
    return b"".join(parts)


def is_of_kernel(words: list[str]) -> bool:
    """Whether a task of which /proc/TASK/stat has these words is a thread of the kernel."""
    return len(words) > FLAGS and bool(int(words[FLAGS]) & _KERNEL_THREAD)


def stat_if_any(task: int | str) -> list[str]:
    """The same; empty when there is no such task."""
    try:
        return stat(task)
    except OSError:
        return []


def stat_for_certain(task: int | str) -> list[str]:
    """The same; OSError where there is no descriptor or memory to look with."""
    try:
        return stat(task)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        return []


def children(pid: int) -> list[int]:
    """The children of a process, also those that were reparented to it. Complete only while it is stopped.

    Source: proc_tid_children(5).
    """
    return [child for thread in threads(pid) for child in children_of_thread(pid, int(thread))]


def children_for_certain(pid: int) -> list[int]:
    """The same; OSError where there is no descriptor or memory to look with."""
    tids = threads_for_certain(pid)
    return [child for thread in tids for child in children_of_thread(pid, int(thread))]


def children_of_thread(pid: int, thread: int) -> list[int]:
    """The children of one thread; of the whole process on a kernel without CONFIG_PROC_CHILDREN."""
    folder = f"/proc/{pid}/task/{thread}"
    try:
        with open(f"{folder}/children", encoding="ascii") as listing:
            return [int(word) for word in listing.read().split()]
    except OSError:
        return _children_by_search(pid) if os.path.exists(folder) else []


def parent(pid: int) -> int | None:
    """The pid of the parent of a process, None when there is no such process."""
    words = stat_if_any(pid)
    return int(words[PPID]) if words else None


def start_time(pid: int) -> str:
    """When a process was made: pid and start time together identify one process."""
    words = stat_if_any(pid)
    return words[START_TIME] if words else ""


def state(task: int | str) -> str:
    """The letter of the task's state, empty when there is no such task."""
    words = stat_if_any(task)
    return words[STATE] if words else ""


def states(pid: int) -> set[str]:
    """The letters of the states of all threads; OSError as of stat_for_certain()."""
    each = (stat_for_certain(f"{pid}/task/{thread}") for thread in threads_for_certain(pid))
    return {words[STATE] for words in each if words}


def threads(pid: int) -> list[str]:
    """The tids of a process; empty when there is none. Source: proc_pid_task(5)."""
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def threads_for_certain(pid: int) -> list[str]:
    """The same; OSError where there is no descriptor or memory to look with."""
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        return []


def other_threads() -> list[int]:
    """The tids of this process but for the calling thread's, as this /proc counts them.

    /proc may be that of an outer pid namespace, in which os.getpid() is another number.
    """
    own = int(os.path.basename(os.readlink("/proc/thread-self")))
    return [tid for tid in map(int, os.listdir("/proc/self/task")) if tid != own]


def number_of(pidfd: int) -> int:
    """The number by which /proc has the process of a pidfd; an OSError where it has none.

    Source: pidfd_open(2), /proc/PID/fdinfo.
    """
    number = int(_fields_of(pidfd).get("Pid", "0"))
    if number <= 0:
        raise ProcessLookupError(errno.ESRCH, "/proc does not show the process of the pidfd")
    return number


def numbers_of_all_pidfds() -> set[int]:
    """The numbers of all processes of which this process has a pidfd."""
    found = set()
    for name in os.listdir("/proc/thread-self/fd"):
        with suppress(OSError):  # another file, or closed meanwhile
            found.add(number_of(int(name)))
    return found


def number_by_pid(pid: int) -> int:
    """The number by which /proc has a process of this pid namespace; an OSError where it has none."""
    if shows_own_pids():
        return pid
    pidfd = os.pidfd_open(pid)
    try:
        return number_of(pidfd)
    finally:
        os.close(pidfd)


def wait_status_of(pidfd: int) -> int | None:
    """How a process ended that nobody has reaped; None where it was reaped, or may not be looked at.

    As wait(2) tells it. Source: proc_pid_stat(5) exit_code.
    """
    try:
        number = number_of(pidfd)
        words = stat(number)
        code = int(words[EXIT_CODE])
        if code == 0:  # also where the status may not be looked at, as this then may not
            os.readlink(f"/proc/{number}/ns/user")
        still_its = number_of(pidfd) == number
    except OSError:
        return None
    return code if still_its and words[STATE] == "Z" else None


def pids_of(*pidfds: int) -> list[int]:
    """The pids of the processes of pidfds in the caller's pid namespace, whichever /proc is mounted."""
    level = len(_numbers("status"))
    found = []
    for pidfd in pidfds:
        pids = _numbers(f"fdinfo/{pidfd}")
        pid = int(pids[level - 1]) if 0 < level <= len(pids) else 0
        found.append(pid if pid > 0 else number_of(pidfd))
    return found


def _numbers(name: str) -> list[bytes]:
    """What a file of the calling thread's says of NSpid; quickly, since each confined call asks."""
    descriptor = os.open(f"/proc/thread-self/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(descriptor, _PAGE)
    finally:
        os.close(descriptor)
    _, found, rest = text.partition(b"\nNSpid:")
    return rest.partition(b"\n")[0].split() if found else []


_PAGE = 4096  # such a file comes in one piece


def _fields_of(descriptor: int) -> dict[str, str]:
    with open(f"/proc/thread-self/fdinfo/{descriptor}", encoding="ascii") as lines:
        fields = (line.partition(":") for line in lines)
        return {name: " ".join(value.split()) for name, _, value in fields}


def _children_by_search(pid: int) -> list[int]:
    return [other for other in processes() if parent(other) == pid]


def processes() -> Iterator[int]:
    """The pids of all processes that /proc shows."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def own_peak_kib() -> int:
    """The most resident memory that this process has had, in KiB: a program begun in it has it counted."""
    try:
        with open("/proc/self/status", "rb") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(b"VmHWM:")), 0)
    except OSError:  # no less than that
        return getrusage(RUSAGE_SELF).ru_maxrss
