"""The flags that say what a child shares: memory, directories, files, handlers and the rest."""

import contextlib
import ctypes
import os
import platform
import signal
from collections.abc import Callable, Iterator
from typing import TypeVar

import ramet
from ramet import CloneError, lowlevel
from ramet import CloneFlag as F

from .probes import (
    LIBC,
    PATIENCE_SECONDS,
    KcmpType,
    ask,
    checked,
    exit_code,
    kcmp,
    proc_stat,
    proc_status,
)
from .row import NotPermitted, Row, Seen, Verdict, lacking, verdict

T = TypeVar("T")

_GROUP = "What a child shares"
_STACK_BYTES = 256 * 1024


# ---- what kcmp says, where it is permitted


def shares(kind: KcmpType) -> bool | None:
    """In a child: whether it shares this with its parent; None where kcmp is not permitted."""
    try:
        return kcmp(os.getpid(), os.getppid(), kind) == 0
    except (OSError, NotImplementedError):
        return None


def _agrees(without: bool | None, with_: bool | None) -> bool:
    return None in {without, with_} or (without, with_) == (False, True)


def _kcmp_says(without: bool | None, with_: bool | None) -> str:
    if None in {without, with_}:
        return "kcmp is not permitted here"
    words = {False: "two", True: "one and the same"}
    return f"kcmp sees {words[bool(without)]} without, {words[bool(with_)]} with"


# ---- VM


def _memory() -> Seen:
    def child_writes(flags: int) -> tuple[list[str], bool | None]:
        heap = ["parent"]

        def write() -> bool | None:
            heap.append("child")
            return shares(KcmpType.VM)

        same = ask(flags, write)
        return heap, same

    (own, own_kcmp), (shared, shared_kcmp) = child_writes(0), child_writes(F.VM)
    return Seen(
        without=f"child appends to a list: parent's is {own}",
        with_=f"child appends to a list: parent's is {shared}",
        verdict=verdict(
            own == ["parent"] and shared == ["parent", "child"] and _agrees(own_kcmp, shared_kcmp)
        ),
        detail=_kcmp_says(own_kcmp, shared_kcmp),
    )


# ---- FS


def _directories_and_umask() -> Seen:
    def child_changes(flags: int) -> tuple[str, str]:
        os.chdir("/")
        os.umask(0o022)

        def change() -> None:
            os.chdir("/proc")
            os.umask(0o077)

        ask(flags, change)
        return os.getcwd(), proc_status(os.getpid(), "Umask")

    own, shared = child_changes(0), child_changes(F.FS)
    own_root, shared_root = _roots()
    return Seen(
        without="parent's " + _places(own, own_root),
        with_="parent's " + _places(shared, shared_root),
        verdict=verdict(
            own == ("/", "0022")
            and shared == ("/proc", "0077")
            and (own_root, shared_root) in {("/", "/proc"), ("", "")}
        ),
        detail="child goes to /proc and takes umask 0077; "
        + ("its chroot is to /proc, too" if own_root else "chroot is not permitted here"),
    )


def _places(seen: tuple[str, str], root: str) -> str:
    cwd, umask = seen
    return f"cwd {cwd}, umask {umask}" + (f", root {root}" if root else "")


def _roots() -> tuple[str, str]:
    """The caller's root after its child's chroot, without FS and with it; "" where chroot is not permitted.

    A plain user has CAP_SYS_CHROOT in its own user namespace, so that is tried, too.
    """
    for flags in (0, F.NEWUSER):
        with contextlib.suppress(PermissionError, CloneError):
            return ask(flags, lambda: (_root_after_chroot(0), _root_after_chroot(F.FS)))
    return "", ""


def _root_after_chroot(flags: int) -> str:
    os.chroot("/")  # changes nothing, and shows whether it is permitted
    old_root, proc = os.open("/", os.O_PATH | os.O_DIRECTORY), os.stat("/proc")
    try:
        with ramet.clone(_leave_for_proc, flags=flags) as child:
            child.wait(PATIENCE_SECONDS)
        return "/proc" if os.path.samestat(os.stat("/"), proc) else "/"
    finally:
        os.fchdir(old_root)
        os.chroot(".")
        os.close(old_root)


def _leave_for_proc() -> None:
    os.chroot("/proc")
    os._exit(0)  # at once: this root has no modules to import


# ---- FILES


def _descriptors() -> Seen:
    def child_opens_and_closes(flags: int) -> tuple[bool, bool, bool | None]:
        reader, writer = os.pipe()
        kept = os.readlink(f"/proc/self/fd/{reader}")

        def change() -> tuple[int, bool | None]:
            os.close(reader)
            return os.open("/dev/null", os.O_RDONLY), shares(KcmpType.FILES)

        opened, same = ask(flags, change)
        seen = _open_file(reader) == kept, _open_file(opened) == "/dev/null", same
        os.close(writer)
        return seen

    kept, received, own_kcmp = child_opens_and_closes(0)
    shared_kept, shared_received, shared_kcmp = child_opens_and_closes(F.FILES)
    return Seen(
        without=_table(kept, received),
        with_=_table(shared_kept, shared_received),
        verdict=verdict(
            (kept, received, shared_kept, shared_received) == (True, False, False, True)
            and _agrees(own_kcmp, shared_kcmp)
        ),
        detail=_kcmp_says(own_kcmp, shared_kcmp),
    )


def _open_file(fd: int) -> str | None:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return None


def _table(kept: bool, received: bool) -> str:
    closed = "stays open" if kept else "is closed"
    opened = "is open there" if received else "is not"
    return f"what child closes {closed} in parent, what child opens {opened}"


# ---- SIGHAND and CLEAR_SIGHAND


def catches(number: int) -> bool:
    """Whether this process has a handler for a signal, by the kernel's table."""
    return _has(number, "SigCgt")


def _has(number: int, field: str) -> bool:
    return bool(int(proc_status(os.getpid(), field), 16) >> (number - 1) & 1)


def catch(number: int) -> None:
    """Set a handler in the kernel's table, from any thread or task; it never runs."""
    LIBC.signal(number, LIBC.getpid)


def ignore(number: int) -> None:
    """Ignore a signal, in the kernel's table, from any thread or task."""
    LIBC.signal(number, ctypes.c_void_p(signal.SIG_IGN))


def _handlers() -> Seen:
    def child_changes(flags: int) -> tuple[bool, set[int], set[int], set[int]]:
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1})

        def change() -> set[int]:
            catch(signal.SIGWINCH)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
            os.kill(os.getpid(), signal.SIGUSR1)
            return set(signal.sigpending())

        childs = ask(flags, change)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return catches(signal.SIGWINCH), set(blocked), set(signal.sigpending()), childs

    own, shared = child_changes(F.VM), child_changes(F.VM | F.SIGHAND)
    alone: tuple[set[int], set[int], set[int]] = ({signal.SIGUSR1}, set(), {signal.SIGUSR1})
    return Seen(
        without=_what_parent_has(own),
        with_=_what_parent_has(shared),
        verdict=verdict(own == (False, *alone) and shared == (True, *alone), Verdict.CHANGED),
        detail="only the handlers are shared: each task has its own blocked mask, "
        "and only THREAD shares pending signals",
    )


def _what_parent_has(seen: tuple[bool, set[int], set[int], set[int]]) -> str:
    handler, blocked, pending, _ = seen
    has = {
        "handler": handler,
        "blocked signal": signal.SIGUSR2 in blocked,
        "pending signal": bool(pending),
    }
    parts = (f"{'the' if there else 'no'} {what}" for what, there in has.items())
    return "of the child's, parent has " + ", ".join(parts)


def _cleared_handlers() -> Seen:
    catch(signal.SIGUSR1)
    ignore(signal.SIGUSR2)

    def look() -> tuple[str, str]:
        return _disposition(signal.SIGUSR1), _disposition(signal.SIGUSR2)

    own, cleared = ask(0, look), _where_known(F.CLEAR_SIGHAND, look)
    return Seen(
        without=f"what parent catches is {own[0]} in child, what it ignores {own[1]}",
        with_=f"what parent catches is {cleared[0]} in child, what it ignores {cleared[1]}",
        verdict=verdict(own == ("caught", "ignored") and cleared == ("default", "ignored")),
        detail="ignored signals stay ignored, as at an exec",
    )


def _disposition(number: int) -> str:
    if catches(number):
        return "caught"
    return "ignored" if _has(number, "SigIgn") else "default"


def _where_known(flag: F, fn: Callable[[], T]) -> T:
    """Make a child with a flag that this kernel may be too old for."""
    try:
        return ask(flag, fn)
    except CloneError as error:
        if error.rules:
            raise
        raise lacking(flag.facts.since, error.strerror or "") from None


# ---- SYSVSEM


class _SemaphoreOperation(ctypes.Structure):
    _fields_ = (("number", ctypes.c_ushort), ("change", ctypes.c_short), ("flags", ctypes.c_short))


_IPC_PRIVATE, _IPC_RMID, _GETVAL, _SEM_UNDO = 0, 0, 12, 0x1000


@contextlib.contextmanager
def _semaphore() -> Iterator[int]:
    try:
        identity = checked(LIBC.semget(_IPC_PRIVATE, 1, 0o600))
    except OSError as error:
        raise NotPermitted(f"no System V semaphore can be made here: {error.strerror}") from None
    try:
        yield identity
    finally:
        LIBC.semctl(identity, 0, _IPC_RMID)


def _semaphore_undo() -> Seen:
    def child_raises(flags: int) -> tuple[int, int]:
        with _semaphore() as identity:

            def raise_it() -> None:
                operation = _SemaphoreOperation(0, 1, _SEM_UNDO)
                checked(LIBC.semop(identity, ctypes.byref(operation), 1))

            def caller() -> int:
                ask(flags, raise_it)
                return checked(LIBC.semctl(identity, 0, _GETVAL))

            return ask(0, caller), checked(LIBC.semctl(identity, 0, _GETVAL))

    own, shared = child_raises(0), child_raises(F.SYSVSEM)
    return Seen(
        without=f"child adds 1 with SEM_UNDO and ends: semaphore is {own[0]}",
        with_=f"child adds 1 and ends: semaphore is {shared[0]}; when the caller ends: {shared[1]}",
        verdict=verdict(own == (0, 0) and shared == (1, 0)),
        detail="the undo is done when the last task that shares the list ends",
    )


# ---- IO

# libc has no wrapper for these two.
_IOPRIO_NUMBERS = {"x86_64": (251, 252), "aarch64": (30, 31)}
_IOPRIO_WHO_PROCESS = 1
_BEST_EFFORT = 2 << 13


def _io_priority() -> Seen:
    def child_sets(flags: int) -> tuple[int, bool | None]:
        # A caller without an I/O context of its own would have none to share.
        _set_ioprio(4)

        def change() -> bool | None:
            _set_ioprio(7)
            return shares(KcmpType.IO)

        same = ask(flags, change)
        return _ioprio(), same

    (own, own_kcmp), (shared, shared_kcmp) = child_sets(0), child_sets(F.IO)
    if (own, shared, shared_kcmp) == (4, 4, True):
        raise NotPermitted("a kernel without block devices has no I/O contexts")
    return Seen(
        without=f"child sets its I/O priority from 4 to 7: parent's is {own}",
        with_=f"child sets its I/O priority from 4 to 7: parent's is {shared}",
        verdict=verdict((own, shared) == (4, 7) and _agrees(own_kcmp, shared_kcmp)),
        detail=_kcmp_says(own_kcmp, shared_kcmp),
    )


def _set_ioprio(level: int) -> None:
    _ioprio_call(0, _BEST_EFFORT | level)


def _ioprio() -> int:
    return _ioprio_call(1, 0) & 0x7


def _ioprio_call(which: int, priority: int) -> int:
    numbers = _IOPRIO_NUMBERS.get(platform.machine())
    if numbers is None:
        raise NotPermitted(f"ioprio_set has no known number on {platform.machine()}")
    arguments = (numbers[which], _IOPRIO_WHO_PROCESS, 0, priority)
    return checked(LIBC.syscall(*map(ctypes.c_long, arguments)))


# ---- CSIGNAL


def signals_at_end(exit_signal: int) -> tuple[str, str]:
    """What /proc/PID/stat holds as a child's exit signal, and what its parent got at its end."""
    watched = {signal.SIGUSR2, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    pid = lowlevel.clone(lambda _: None, None, exit_signal, lowlevel.Stack(_STACK_BYTES))
    number = proc_stat(pid, 38)
    exit_code(pid)
    got = [name.name for name in watched if signal.sigtimedwait({name}, 0)]
    return number, ", ".join(got) or "no signal"


def _exit_signal() -> Seen:
    none, user = signals_at_end(0), signals_at_end(signal.SIGUSR2)
    return Seen(
        without=f"low byte {none[0]}: parent gets {none[1]}",
        with_=f"low byte {user[0]}: parent gets {user[1]}",
        verdict=verdict(none == ("0", "no signal") and user == ("12", "SIGUSR2")),
        detail="clone3 has a separate field for it",
    )


ROWS: tuple[Row, ...] = (
    Row("VM", _GROUP, "shares the memory and all page tables", _memory),
    Row("FS", _GROUP, "shares root directory, working directory and umask", _directories_and_umask),
    Row("FILES", _GROUP, "shares the table of open files", _descriptors),
    Row(
        "SIGHAND",
        _GROUP,
        "shares the tables of signal handlers, of blocked and of pending signals; needs VM",
        _handlers,
    ),
    Row("SYSVSEM", _GROUP, "shares the undo list of System V semaphores", _semaphore_undo),
    Row("IO", _GROUP, "shares the I/O context (since 2.6.25)", _io_priority),
    Row("CLEAR_SIGHAND", _GROUP, "resets the signal handlers (since 5.5)", _cleared_handlers),
    Row(
        "CSIGNAL",
        _GROUP,
        "the low byte: the signal that the child's end sends to its parent",
        _exit_signal,
    ),
)
