"""What a child in shared memory held when it died within its function.

The recovering thread of the child calls ``take_stock``: with the interpreter lock, and mostly in a thread
that has the child's identity, which is what the owner of a lock is known by. A lock is given back
where Python's own code promises to be in order whenever an exception comes, for a death is no more
than that; all others stay locked, for what they protect may be half changed.
"""

import gc
import io
import struct
import sys
import time
from _thread import RLock, allocate_lock, get_ident
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from types import BuiltinMethodType, CodeType, FunctionType, MethodType
from typing import Any, TypeAlias

from .. import _core
from ..losses import Losses

Frame: TypeAlias = tuple[CodeType, tuple[Any, ...], tuple[Any, ...]]
"""Its code, its variables, and what is kept for the ends of the blocks that it had entered."""

_LOCK, _RLOCK = type(allocate_lock()), type(RLock())
_MOST_LOOKED_AT = 5000
_WORD_BYTES = struct.calcsize("P")
_LOOKS, _PAUSE_SECONDS = 20, 0.001  # no event tells that a lock has got an owner
_BUFFERED = (io.BufferedWriter, io.BufferedReader, io.BufferedRandom)
# Locks of the standard library under which each change is one step.
_OF_ONE_STEP = (
    ("logging", "_lock"),
    ("threading", "_active_limbo_lock"),
    ("threading", "_shutdown_locks_lock"),
    ("tempfile", "_once_lock"),
    ("concurrent.futures.thread", "_global_shutdown_lock"),
)


def take_stock(  # noqa: PLR0917 - all that its one caller, the core, has found
    frames: int,
    references: int,
    given_up: int,
    kept: int,
    noted: list[Frame],
    ident: int,
    own_identity: bool,
    stack: bytes,
    collector: bool | None,
    at_work: bool,
) -> tuple[Losses, bool]:
    """After a death, with nothing running in those frames: what is lost, with what can be given back.

    frames, references: how many. given_up, kept: how many of the references are given up after this,
    and how many objects stay for ever. noted: the frames that it entered last, the very last first.
    ident: the child's identity. own_identity: the calling thread has it, and nobody else has had
    it; else it is another's. stack: what lay on its C stack. collector: whether the garbage
    collector, in which it died, has been given back; None where it was not seen to be in it.
    at_work: it was killed in native code that computed, and came to no rest.
    Returns the losses, and whether a lock stays that knows its owner by it.
    """
    stock = _Stock(noted, ident, own_identity, stack)
    if not _SWITCHED_OFF:
        _give_back(stock, own_identity, collector)
    stays = stock.find_the_rest()
    if at_work:
        stock.locks.append("those that the native code held in which it was killed, if any")
    locks, released = tuple(stock.locks), tuple(stock.released)
    return Losses(frames, references, locks, released, given_up, kept), stays


def _give_back(stock: "_Stock", own_identity: bool, collector: bool | None) -> None:
    """What cannot be found in this Python stays locked, and the rest is told."""
    with suppress(Exception):
        if own_identity:
            stock.give_back_imports()
    with suppress(Exception):
        stock.give_back_locks()
    with suppress(Exception):
        stock.give_back_own_locks()
    with suppress(Exception):
        stock.give_back_files()
    with suppress(Exception):
        stock.give_back_collector(collector)


def give_back_after_interrupt() -> None:
    """In the child, when its function is over, and an exception was raised in that from outside.

    It may come before the first line of a release() or __exit__() that is written in Python: then no
    `finally` gives that lock back any more.
    """
    if _SWITCHED_OFF:
        return
    stock = _Stock([], get_ident(), True, b"")
    with suppress(Exception):
        stock.give_back_imports()
    with suppress(Exception):
        stock.give_back_locks()


class _Stock:
    def __init__(self, noted: list[Frame], ident: int, own_identity: bool, stack: bytes) -> None:
        self._noted = noted
        self._stack = stack
        self._ident = ident
        self._own_identity = own_identity
        managers = [(code, one) for code, _, kept in noted for one in _managers_of(kept)]
        self._entered = [(lock, code) for code, one in managers for lock in _lock_in(one)]
        self._held = [(one, code) for code, one in managers if type(one) is _core.Held]
        self._entered += _taken_without_a_block(noted)
        self._entered += _taken_for_a_fork(noted)
        self._seen: list[object] = []
        self.locks: list[str] = []
        self.released: list[str] = []

    def give_back_imports(self) -> None:
        """As an import does that fails: the module is forgotten, and the next imports it anew."""
        from importlib import _bootstrap

        for lock, _ in self._entered:  # the inner ones, which the others need
            if any(getattr(each, "lock", None) is lock for each in _module_locks(_bootstrap)):
                lock.release()
                self._seen.append(lock)
        for lock in _module_locks(_bootstrap):
            if lock.owner == get_ident():
                _forget_half_a_module(lock.name)
                while lock.owner == get_ident():
                    lock.release()
                self.released.append(f"the import lock of {lock.name!r}")
        _wait_no_more(_bootstrap)
        if _released_global_import_lock():
            self.released.append("the import lock")

    def give_back_locks(self) -> None:
        """Those of the standard library that who logs, or makes a thread, will need."""
        for name, lock in _library_locks():
            times = self._times_held(lock)
            for _ in range(times):
                lock.release()
            self._seen.append(lock)
            if times:
                self.released.append(name)

    def give_back_own_locks(self) -> None:
        """This library's: what they guard is in order wherever an exception comes."""
        for held, code in self._held:
            if held.is_taken:
                told = self.released if _is_given_back(held) else self.locks
                told.append(f"a lock of {code.co_qualname}")

    def give_back_files(self) -> None:
        """Their buffers count what was written; what was being written may come once more."""
        if _OWNER is None:
            return
        held = _core.held_by(self._ident)
        if not self._own_identity:  # the caller of a vfork has it, too, and may be in another file
            held = [file for file in held if self._is_on_stack(file)]
        for file in held + _stay_entered(self._entered_files(), _OWNER):
            _core.leave_buffered(file)
            self.released.append(f"the lock of {_described(file)}")

    def _entered_files(self) -> list[Any]:
        """A thread that waited for the lock has it before the interpreter lock, and is no owner yet."""
        nobodys = _core.held_by(0)
        return [f for f in nobodys if self._is_on_stack(f) and _core.is_locked(f)]

    def _is_on_stack(self, file: object) -> bool:
        """A method of an object has it on its stack; an earlier call may have left it there, too."""
        return id(file).to_bytes(_WORD_BYTES, sys.byteorder) in self._stack

    def give_back_collector(self, done: bool | None) -> None:
        if done is None and _is_in_a_callback_of_gc(self._noted):
            done = _core.end_collection()
        if done is not None:
            (self.released if done else self.locks).append("the garbage collector")

    def find_the_rest(self) -> bool:
        """Add what stays locked; whether a lock among it knows its owner."""
        stays = False
        for lock, code in self._entered:
            if lock.locked() if type(lock) is _LOCK else lock._is_owned():
                stays |= self._add(lock, f" (entered in {code.co_qualname})")
        if self._own_identity:
            for lock in _recursive_locks(self._noted):
                if lock._is_owned():
                    stays |= self._add(lock, "")
        return stays

    def _add(self, lock: Any, where: str) -> bool:
        if any(lock is seen for seen in self._seen):
            return False
        self._seen.append(lock)
        self.locks.append(f"{lock!r}{where}")
        return type(lock) is _RLOCK and self._own_identity

    def _times_held(self, lock: Any) -> int:
        """In the child of a vfork the identity says nothing: the caller has it too."""
        entered = sum(each is lock for each, _ in self._entered)
        if type(lock) is _LOCK or not self._own_identity:
            return entered
        if not lock._is_owned():
            return 0
        count, _ = state = lock._release_save()
        lock._acquire_restore(state)
        return int(count)


# ---- what the frames refer to


def _managers_of(kept: tuple[Any, ...]) -> Iterator[Any]:
    """A `with` block keeps the method for its end; since 3.14 a function, and its object after it."""
    for place, entry in enumerate(kept):
        if type(entry) in (BuiltinMethodType, MethodType):
            yield entry.__self__
        elif getattr(entry, "__name__", "") == "__exit__" and place + 1 < len(kept):
            yield kept[place + 1]


def _is_given_back(held: _core.Held) -> bool:
    """Not an RLock that knows another owner."""
    try:
        held.__exit__()
    except RuntimeError:
        return False
    return True


def _lock_in(manager: Any) -> Iterator[Any]:
    """Of the lock itself, or of a threading.Condition."""
    threading = sys.modules.get("threading")
    if threading is not None and type(manager) is threading.Condition:
        manager = manager._lock
    if type(manager) in (_LOCK, _RLOCK):
        yield manager


def _recursive_locks(noted: list[Frame]) -> Iterator[Any]:
    """In the variables, and in the attributes of what these refer to."""
    looked_at = 0
    for _, variables, _ in noted:
        for value in variables:
            if type(value) is _RLOCK:
                yield value
            attributes = _attributes(value)
            looked_at += 1 + len(attributes)
            if looked_at > _MOST_LOOKED_AT:
                return
            yield from (each for each in attributes if type(each) is _RLOCK)


def _attributes(value: Any) -> list[Any]:
    try:
        return list(object.__getattribute__(value, "__dict__").values())
    except Exception:  # it has none, or they are not to be had
        return []


# ---- modules that were being imported


def _module_locks(bootstrap: Any) -> list[Any]:
    locks = [reference() for reference in list(bootstrap._module_locks.values())]
    return [lock for lock in locks if type(lock) is bootstrap._ModuleLock]


def _forget_half_a_module(name: str) -> None:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if spec is not None and getattr(spec, "_initializing", False):
        spec._initializing = False
        del sys.modules[name]


def _wait_no_more(bootstrap: Any) -> None:
    """It may have died waiting for an import, which others take for a circle one day."""
    waits_for = bootstrap._blocking_on.get(get_ident())
    if isinstance(waits_for, list):  # since 3.12
        waits_for.clear()
    elif waits_for is not None:
        del bootstrap._blocking_on[get_ident()]


def _released_global_import_lock() -> bool:
    import _imp

    times = 0
    try:
        while True:
            _imp.release_lock()
            times += 1
    except RuntimeError:  # it is not ours
        return times > 0


# ---- the standard library


def _library_locks() -> Iterator[tuple[str, Any]]:
    for module, attribute in _OF_ONE_STEP:
        lock = getattr(sys.modules.get(module), attribute, None)
        if type(lock) in (_LOCK, _RLOCK):
            yield f"the lock of {module}", lock
    logging = sys.modules.get("logging")
    for reference in list(getattr(logging, "_handlerList", ())):
        handler = reference()
        lock = getattr(handler, "lock", None)
        if type(lock) is _RLOCK:
            yield f"the lock of a logging.{type(handler).__name__}", lock


def _taken_without_a_block(noted: list[Frame]) -> Iterator[tuple[Any, CodeType]]:
    """tempfile's, held by the function that looks for the directory, as long as it runs."""
    tempfile = sys.modules.get("tempfile")
    lock = getattr(tempfile, "_once_lock", None)
    looks = getattr(getattr(tempfile, "_get_default_tempdir", None), "__code__", None)
    if type(lock) is _LOCK and lock.locked():
        yield from ((lock, code) for code, _, _ in noted if code is looks)


def _taken_for_a_fork(noted: list[Frame]) -> Iterator[tuple[Any, CodeType]]:
    """That of thread pools, which a handler of theirs takes before each fork, and gives back after it.

    Logging's handlers run in between, since pools import logging; and as these are Python, it is there
    that a fork lets others run, and is killed.
    """
    logging = sys.modules.get("logging")
    lock = getattr(sys.modules.get("concurrent.futures.thread"), "_global_shutdown_lock", None)
    if type(lock) is not _LOCK or not lock.locked():
        return
    handlers = [getattr(logging, name, None) for name in ("_prepareFork", "_afterFork")]
    if None in handlers:  # until 3.12, and logging itself calls these as well
        handlers = [getattr(logging, name, None) for name in ("_acquireLock", "_releaseLock")]
    codes = [getattr(handler, "__code__", None) for handler in handlers]
    for (code, *_), (caller, *_) in pairwise(noted):
        if any(code is each for each in codes) and caller.co_filename != code.co_filename:
            yield lock, code


# ---- the garbage collector


def _is_in_a_callback_of_gc(noted: list[Frame]) -> bool:
    """These are called at the beginning and at the end of a collection."""
    codes = {id(_code_of(callback)) for callback in gc.callbacks}
    return any(id(code) in codes for code, _, _ in noted)


def _code_of(callback: Any) -> CodeType | None:
    function = callback.__func__ if type(callback) is MethodType else callback
    if type(function) is not FunctionType:
        function = type(function).__dict__.get("__call__")
    return function.__code__ if type(function) is FunctionType else None


# ---- buffered files


def _stay_entered(files: list[Any], owner: int) -> list[Any]:
    """Those whose lock has no owner for good: one who lives becomes it with the interpreter lock."""
    for _ in range(_LOOKS):
        if files:
            time.sleep(_PAUSE_SECONDS)
        files = [f for f in files if not _core.words_of(f)[owner] and _core.is_locked(f)]
    return files


def _described(file: Any) -> str:
    """Without a line of Python that is not ours."""
    plain = type(file) in _BUFFERED and type(file.raw) is io.FileIO
    return repr(file) if plain else f"a {type(file).__name__}"


class _Probe(io.RawIOBase):
    """Sees in which word of a buffered file its owner is noted, while it is being written."""

    def __init__(self) -> None:
        self.file = io.BufferedWriter(self)
        self.places: set[int] = set()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        words = _core.words_of(self.file)
        self.places = {place for place, word in enumerate(words) if word == get_ident()}
        return len(data)


def _owner_word() -> int | None:
    probe = _Probe()
    probe.file.write(b"?")
    probe.file.flush()
    words = _core.words_of(probe.file)
    places = [place for place in probe.places if words[place] == 0]
    probe.file.detach()
    return places[0] if len(places) == 1 and places[0] > 0 else None


_OWNER = _owner_word()


# ---- what of this Python and this libc is known


def recovery_status() -> dict[str, str | None]:
    """What is repaired here after a function in shared memory dies, and what is not.

    Each part is a structure of libc's or of Python's own, which no call repairs: so the layout of
    each is compared with what is known by other means before the first such function is started.
    None: it is as expected. Otherwise a string that says why the part is off. A death then leaves
    what it would leave without ramet: locks stay locked, memory stays in use, and `Child.losses`
    tells what is known. All are off with ``RAMET_RECOVERY=off`` in the environment when ramet is
    imported.

    Source: docs/explanation/killed_functions.md.

    >>> import ramet
    >>> sorted(ramet.recovery_status())[:3]
    ['buffered files', 'condition variables', 'frames']
    """
    return _core.recovery_status()


class _Sample:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def _recognize(sample: _Sample) -> None:
    # The core looks for these numbers in the collector's memory: none may come in between.
    enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(_LOOKS):  # another thread may collect all the same
            collections = _collections()
            with sample:  # the core looks for it in this frame
                _core.recognize(sample, sys.getswitchinterval(), collections, _OWNER is not None)
            if collections == _collections():
                return
    finally:
        if enabled:
            gc.enable()


def _collections() -> tuple[int, ...]:
    return tuple(each["collections"] for each in gc.get_stats())


_recognize(_Sample())
_SWITCHED_OFF = "RAMET_RECOVERY=off" in _core.recovery_status().values()
if _OWNER is not None and not _SWITCHED_OFF:
    _core.know_buffered(_BUFFERED, _OWNER)
