"""The flags that say what a child shares: VM, FS, FILES, SIGHAND, SYSVSEM, IO and their kin."""

import contextlib
import ctypes
import os
import platform
import signal
import stat
from collections.abc import Iterator

import ramet
from ramet import CloneError, lowlevel
from ramet import CloneFlag as F

from .probes import (
    LIBC,
    PATIENCE_SECONDS,
    WALL,
    KcmpType,
    ask,
    checked,
    exit_code,
    kcmp,
    proc_stat,
    proc_status,
)
from .row import NotPermitted, Row, Seen, Verdict, verdict

_GROUP = "What a child shares"
_STACK_BYTES = 256 * 1024


def shares(kind: KcmpType) -> bool | None:
    """In a child: whether it has this in common with its parent; None where kcmp is not allowed."""
    try:
        return kcmp(os.getpid(), os.getppid(), kind) == 0
    except (OSError, NotImplementedError):
        return None


def _kcmp_note(seen: dict[str, bool | None]) -> str:
    if None in seen.values():
        return "kcmp is not permitted here"
    words = {True: "one for both", False: "one each"}
    return "kcmp: " + ", ".join(f"{how} {words[bool(same)]}" for how, same in seen.items())


def _agrees(without: bool | None, with_: bool | None) -> bool:
    """Whether kcmp says so, too, or cannot be asked."""
    return None in (without, with_) or (without, with_) == (False, True)


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
        without=f"child appends to a list, parent's stays {own}",
        with_=f"parent's list becomes {shared}",
        verdict=verdict(
            own == ["parent"] and shared == ["parent", "child"] and _agrees(own_kcmp, shared_kcmp)
        ),
        detail=_kcmp_note({"without": own_kcmp, "with": shared_kcmp}),
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
    roots = _roots()
    return Seen(
        without=_where(own, roots and roots[0], "stays"),
        with_=_where(shared, roots and roots[1], "becomes"),
        verdict=verdict(
            own == ("/", "0022")
            and shared == ("/proc", "0077")
            and roots in (None, ("/", "/proc"))
        ),
        detail="" if roots else "chroot could not be tried: it needs CAP_SYS_CHROOT",
    )


def _where(seen: tuple[str, str], root: str | None, becomes: str) -> str:
    cwd, umask = seen
    return f"parent's cwd {becomes} {cwd}, umask {umask}" + (f", root {root}" if root else "")


def _roots() -> tuple[str, str] | None:
    """The caller's root after its child's chroot, without FS and with it; None where none is allowed.

    A plain user has CAP_SYS_CHROOT in a user namespace of its own, so that is tried, too.
    """

    def both() -> tuple[str, str]:
        return _root_after_chroot(0), _root_after_chroot(F.FS)

    for flags in (0, F.NEWUSER):
        with contextlib.suppress(PermissionError, CloneError):
            return ask(flags, both)
    return None


def _root_after_chroot(flags: int) -> str:
    old_root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    proc = os.stat("/proc")
    # Asked beforehand, so that the child need not bring an exception across from another root.
    os.chroot("/")
    with ramet.clone(lambda: (os.chroot("/proc"), os._exit(0)), flags=flags) as child:
        child.wait(PATIENCE_SECONDS)
    now = "/proc" if os.path.samestat(os.stat("/"), proc) else "/"
    os.fchdir(old_root)
    os.chroot(".")
    os.close(old_root)
    return now


# ---- FILES


def _descriptors() -> Seen:
    def child_opens_and_closes(flags: int) -> tuple[bool, bool, bool | None]:
        reader, writer = os.pipe()

        def change() -> tuple[int, bool | None]:
            os.close(reader)
            os.close(writer)
            return os.open("/dev/null", os.O_RDONLY), shares(KcmpType.FILES)

        opened, same = ask(flags, change)
        return _is_open(reader, stat.S_ISFIFO), _is_open(opened, stat.S_ISCHR), same

    kept, foreign, own_kcmp = child_opens_and_closes(0)
    kept_shared, foreign_shared, shared_kcmp = child_opens_and_closes(F.FILES)
    return Seen(
        without=_table(kept, foreign),
        with_=_table(kept_shared, foreign_shared),
        verdict=verdict(
            (kept, foreign, kept_shared, foreign_shared) == (True, False, False, True)
            and _agrees(own_kcmp, shared_kcmp)
        ),
        detail=_kcmp_note({"without": own_kcmp, "with": shared_kcmp}),
    )


def _is_open(fd: int, kind: "type[stat.S_ISFIFO]") -> bool:
    try:
        return bool(kind(os.fstat(fd).st_mode))
    except OSError:
        return False


def _table(kept: bool, foreign: bool) -> str:
    closed = "stays open" if kept else "is closed"
    opened = "is here, too" if foreign else "is not here"
    return f"what the child closes {closed}, what it opens {opened}"
