"""What a child in shared memory has opened in its own table of descriptors, and left to its caller.

In the caller's table the numbers mean something else, or nothing: to use such an object, or to give it
up, would read, write or close what the caller has under that number.
"""

import gc
import io
import mmap
import os
import select
import sys
import threading
from _socket import socket
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, islice
from typing import Any, cast

from .. import _core
from ..errors import ResultError

_BUFFERED = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)
_STANDARD = 2  # the last number that is everybody's
_KCMP_FILE = 0
_NO_NUMBER = 0xFFFFFFFF
_FIRST = object.__basicsize__ // tuple.__itemsize__  # the word behind what every object has

_kept: list[object] = []


def close(left: list[Any], result: object) -> ResultError | None:
    """In the child, when its function is over: as a program's files are closed at its end.

    result: of the function; what is to be raised in its place if it is one of them, else None.
    """
    is_thread = threading.get_native_id() != os.getpid()
    maker = os.getpid() if is_thread else os.getppid()
    own = [each for each in left if _is_own(_number(each), maker)]
    if _is_own(_tracker_number(), maker):
        _forget_tracker()
    files = _above(own)
    refusal = _refusal(result, {id(each) for each in (*own, *files)})
    for file in files:
        with suppress(Exception):  # a buffer that cannot be written any more
            file.close()
    for each in own:
        if isinstance(each, mmap.mmap):  # what it maps is the caller's as well
            _forget(each)
            continue
        with suppress(Exception):
            each.close()
        with suppress(OSError):  # a socket that is used by a file stays open
            _kind(each).close(each)
    return refusal


def abandon(left: list[Any]) -> None:
    """In the caller, when the child has died: its table is gone."""
    own = [each for each in left if (_number(each) or 0) > _STANDARD]
    for each in own:
        if isinstance(each, socket):
            each.detach()
        else:
            _forget(each)
    _above(own)  # what is given up there has no number any more
    if _tracker_number() is not None and not _is_our_child(_tracker()._pid):
        _forget_tracker()


def _refusal(result: object, own: set[int]) -> ResultError | None:
    """own: what has a descriptor of that table, by id()."""
    found = _first_held(result, own)
    if found is None:
        return None
    verb = "is" if found is result else "holds"
    return ResultError(
        f"the result {verb} {found!r}, whose descriptor is of the child's own table and ends with it: "
        "share the table (CloneFlag.FILES), or open it in the caller"
    )


# Where a list of dictionaries has wrappers: that deep, and among so many objects, is looked.
_DEPTH = 4
_MOST_LOOKED_AT = 10_000
_CONTAINERS = (list, tuple, set, frozenset)
# Where what wraps a file or a socket has it: tempfile, gzip, bz2, zipfile, socket, os.popen.
_WRAPPED = ("file", "_file", "fileobj", "raw", "buffer", "fp", "_fp", "_sock", "_stream")


def _first_held(result: object, own: set[int]) -> object | None:
    level = [result]
    for _ in range(_DEPTH):
        for each in level:
            if id(each) in own:
                return each
        parts = chain.from_iterable(map(_parts, level))
        level = list(islice(parts, _MOST_LOOKED_AT))
    return None


def _parts(each: object) -> Iterable[object]:
    """What is in a container, and what a wrapper wraps: nothing of the caller's runs for it."""
    if type(each) in _CONTAINERS:
        return cast("Iterable[object]", each)
    if type(each) is dict:
        return chain(each, each.values())
    attributes = _attributes(each)
    return [attributes[name] for name in _WRAPPED if name in attributes]


def _attributes(each: object) -> dict[str, Any]:
    try:
        attributes = object.__getattribute__(each, "__dict__")
    except AttributeError:
        return {}
    return attributes if type(attributes) is dict else {}


def _kind(each: Any) -> Any:
    return next(
        kind for kind in (io.FileIO, socket, select.epoll, mmap.mmap) if isinstance(each, kind)
    )


def _number(each: Any) -> int | None:
    """None where it has none, or no longer."""
    if isinstance(each, mmap.mmap):
        number = None if _MAPPING is None else _core.words_of(each)[_MAPPING] & _NO_NUMBER
        return None if number == _NO_NUMBER else number
    try:
        number = _kind(each).fileno(each)
    except ValueError:
        return None
    return None if number < 0 else number


def _is_own(number: int | None, maker: int) -> bool:
    """Whether the number is another file in the maker's table, or none."""
    if number is None or number <= _STANDARD:
        return False
    try:
        return _core.kcmp(maker, threading.get_native_id(), _KCMP_FILE, number, number) != 0
    except OSError:
        pass  # a number of one of the two only, or kcmp is not permitted
    try:
        theirs, ours = os.stat(f"/proc/{maker}/fd/{number}"), os.fstat(number)
    except OSError:
        return True
    return (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino)


def _forget(each: Any) -> None:
    """The object has no number any more; where that cannot be, it is kept for ever."""
    place = _MAPPING if isinstance(each, mmap.mmap) else _FIRST
    if place is not None and _core.words_of(each)[place] & _NO_NUMBER == _number(each):
        _core.forget_number(each, place)
    else:
        _kept.append(each)


def _place_in_mappings() -> int | None:
    """In which word a mapping has its number: one of no file has -1 there."""
    with mmap.mmap(-1, mmap.PAGESIZE) as mapping:
        words = _core.words_of(mapping)
    places = [place for place, word in enumerate(words) if word & _NO_NUMBER == _NO_NUMBER]
    return places[0] if len(places) == 1 else None


_MAPPING = _place_in_mappings()


def _above(left: Iterable[object]) -> list[Any]:
    """The buffered and text files that write to these; what opens them anew is told to."""
    raws = [each for each in left if isinstance(each, io.FileIO)]
    buffered = _users_of(raws, _BUFFERED)
    texts = _users_of(buffered, (io.TextIOWrapper,))
    _have_opened_anew({id(file) for file in raws + buffered + texts})
    _forget_shared_memory({id(each) for each in left})
    return texts + buffered


def _users_of(files: list[Any], kinds: tuple[type, ...]) -> list[Any]:
    users = gc.get_referrers(*files) if files else []
    return [user for user in users if issubclass(type(user), kinds)]


def _have_opened_anew(files: set[int]) -> None:
    """A handler of logging opens its file when it has none; what is there stays there."""
    logging = sys.modules.get("logging")
    for reference in list(getattr(logging, "_handlerList", ())):
        handler = reference()
        if logging and isinstance(handler, logging.FileHandler) and id(handler.stream) in files:
            handler.stream = None
            handler.mode = "a"


def _forget_shared_memory(mappings: set[int]) -> None:
    """It has the number besides, and closes it by itself."""
    module = sys.modules.get("multiprocessing.shared_memory")
    if module is None:
        return
    for each in gc.get_objects():
        if type(each) is module.SharedMemory and id(getattr(each, "_mmap", None)) in mappings:
            each._fd = -1


def _tracker() -> Any:
    """What multiprocessing knows of the process that tracks its resources; None if it needs none."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    return getattr(module, "_resource_tracker", None)


def _tracker_number() -> int | None:
    number: int | None = getattr(_tracker(), "_fd", None)
    return number


def _forget_tracker() -> None:
    """The next who needs one starts another."""
    tracker = _tracker()
    tracker._fd = tracker._pid = None


def _is_our_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
