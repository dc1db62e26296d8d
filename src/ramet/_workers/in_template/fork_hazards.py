"""What does not survive a fork, and a template must therefore not hold when it is cloned."""

import gc
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from ..._kernel import procfs
from ..._kernel.native_threads import files_of_waiting
from ...errors import TemplateError


def refuse_hazards(allowed: Collection[str]) -> None:
    """Raise TemplateError when this process holds what no clone of it can use.

    allowed: names of hazards that are not looked at.
    """
    found = [
        f"{what} ({remedy.format(allow=f'allow=[{name!r}]')})"
        for name, (find, remedy) in HAZARDS.items()
        if name not in allowed
        for what in [", ".join(_counted(find()))]
        if what
    ]
    if found:
        raise TemplateError(
            "invalid template: after preload and setup it holds what does not survive a fork: "
            + "; ".join(found)
        )


def require_threads_shown() -> None:
    """Raise TemplateError where /proc does not show the threads of this process."""
    try:
        procfs.other_threads()
    except FileNotFoundError:
        raise TemplateError(
            "there is no /proc of this pid namespace, in which a template counts its threads: mount one"
        ) from None


def _counted(found: Iterable[str]) -> Iterator[str]:
    """Each once, with how often it was found."""
    numbers: dict[str, int] = {}
    for one in found:
        numbers[one] = numbers.get(one, 0) + 1
    return (one if count == 1 else f"{one} ({count} of them)" for one, count in numbers.items())


# jemalloc's: its fork handlers free its locks in the child, which gives memory back without threads.
# LLVM's OpenMP, which is Intel's as well: its fork handlers begin other threads in the child.
# Source: jemalloc, background_thread_postfork_child(); LLVM, kmp_runtime, __kmp_atfork_child().
_NOT_MISSED = {"jemalloc_bg_thd", "openmp_worker"}
# Of pools whose threads have no names, the file: a copy of their process, when it uses them, begins others.
# numexpr, which pandas imports where it is installed, has its threads from then on, and compares its pid.
# Source: arrow, util/thread_pool.cc, ChildAfterFork(); numexpr, module.cpp, init_threads().
_BEGUN_ANEW = ("/pyarrow/libarrow.so", "/numexpr/interpreter.")
_PID_OF_A_CALL = 2  # in a pid namespace of its own


def threads_left() -> Iterator[str]:
    """Threads that remain: a clone would have the locks that they hold, and not the threads."""
    others = procfs.other_threads()
    if not others:
        return
    threading = sys.modules.get("threading")
    names = {} if threading is None else {one.native_id: one.name for one in threading.enumerate()}
    files = _files_of([tid for tid in others if tid not in names])
    for tid in others:
        own = _name_of(tid)
        if own and tid in names:
            yield f"thread {names[tid]!r}"
        elif own and own not in _NOT_MISSED:
            file = files.get(tid, "")
            if not _is_begun_anew(own, file):
                yield f"thread {own!r}{_shown(file)}"


def _files_of(threads: list[int]) -> dict[int, str]:
    """Those of what the library does not know, which tells people whose they are."""
    try:
        return files_of_waiting(threads) if threads else {}
    except OSError:  # they are hidden
        return {}


def _name_of(tid: int) -> str:
    """The kernel's name of a thread; empty when it has ended."""
    try:
        return procfs.text_of(f"/proc/self/task/{tid}/comm").strip()
    except OSError:
        return ""


def _is_begun_anew(own: str, file: str) -> bool:
    """Not one that has a name of its own: libarrow has others, which reach the network.

    Nor where a call, whose pid is 2, would be taken for this process.
    """
    if os.getpid() == _PID_OF_A_CALL or not any(part in file for part in _BEGUN_ANEW):
        return False
    return own == procfs.text_of("/proc/self/comm").strip()


def _shown(file: str) -> str:
    """The end of its path, which has the name of a package."""
    return f" of {'/'.join(file.split('/')[-2:])}" if file else ""


def _sqlite_connections() -> Iterator[str]:
    """sqlite3(3): a connection must not be carried across a fork."""
    sqlite3 = sys.modules.get("sqlite3")
    if sqlite3 is None:
        return
    for one in _objects_of(sqlite3.Connection):
        try:
            one.total_changes  # noqa: B018 - raises when it has been closed
        except sqlite3.ProgrammingError:
            continue
        yield "an open sqlite3 connection"


def _cuda() -> Iterator[str]:
    """A CUDA context cannot be used after a fork."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is not None and getattr(cuda, "is_initialized", bool)():
        yield "CUDA, initialized by torch"
        return
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if target.startswith(("/dev/nvidia", "/dev/kfd")):
            yield f"an open {target}"
            return


def _grpc_channels() -> Iterator[str]:
    """Channels of grpc have threads and locks of their own below Python."""
    cygrpc = sys.modules.get("grpc._cython.cygrpc")
    kinds = tuple(
        kind for kind in (getattr(cygrpc, "Channel", None), getattr(cygrpc, "Server", None)) if kind
    )
    for one in _objects_of(kinds) if kinds else ():
        yield f"an open grpc {type(one).__name__}"


def _event_loops() -> Iterator[str]:
    """A loop that runs belongs to the code around this call; one with a selector shares its epoll."""
    events = sys.modules.get("asyncio.events")
    if events is None:
        return
    if events._get_running_loop() is not None:
        yield "a running asyncio event loop"
        return
    for loop in _objects_of(events.AbstractEventLoop):
        if not loop.is_closed():
            yield "an asyncio event loop that is not closed"


def _objects_of(kinds: Any) -> Iterator[Any]:
    """By their own types: isinstance() asks a proxy for its class, which may be code of others."""
    for one in gc.get_objects():
        if issubclass(type(one), kinds):
            yield one


_JOIN = (
    "end it in setup, and start it in the calls; if a library has started it by its import: {allow}, where "
    "the calls can do without that thread, or leave the import to them"
)

# By the name that allow= takes: what finds it, and what to do about it.
HAZARDS: dict[str, tuple[Callable[[], Iterator[str]], str]] = {
    "threads": (threads_left, _JOIN),
    "sqlite3": (_sqlite_connections, "close it in setup, and connect in the calls, or {allow}"),
    "cuda": (_cuda, "use the device in the calls only, or {allow}"),
    "grpc": (_grpc_channels, "open channels in the calls, or {allow}"),
    "asyncio": (
        _event_loops,
        "close the loop in setup, and call asyncio.run() in the calls, or {allow}",
    ),
}
