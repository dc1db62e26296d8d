"""What a template does before it serves: it imports, runs setup, and leaves its clones nothing to do."""

import gc
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module

from ... import _core
from ..._kernel import procfs
from ..._kernel.timeouts import pauses
from ..crossing.messages import Channel, send
from ..crossing.template_messages import LOADS, Loading
from ..in_call.reading_call import reading
from ..in_call.serving import leave_channel
from .fork_handlers import leave_out_needless
from .fork_hazards import refuse_hazards, require_threads_shown, threads_left

_PATIENCE_SECONDS = 1.0
_NAME = "/proc/thread-self/comm"
# Of the copies of jemalloc in pyarrow and in polars, by the names that these give it: without the thread
# that gives memory back. Source: jemalloc(3), background_thread.
_SETTINGS_OF_ALLOCATORS = ("JE_ARROW_MALLOC_CONF", "_RJEM_MALLOC_CONF")
_NO_THREAD = "background_thread:false"


def load(loading: Loading, control: Channel) -> None:
    """Do what it says. What that raises goes to the template's caller. control: the template's socket."""
    require_threads_shown()
    with _no_threads_of_allocators():
        for name in loading.preload:
            _tell(control, f"while it imported {name!r}")
            with reading():
                __import__(name)
        if loading.setup is not None:
            _tell(control, "in setup")
            loading.setup()
        _tell(control, "after preload and setup")
        if loading.by_value:
            import_cloudpickle()
        _force_lazy_imports()
    _prepare_for_clones(loading.allow, control)


def _tell(control: Channel, moment: str) -> None:
    """Should this process end now, its caller knows where."""
    send(control, LOADS, (json.dumps([moment]).encode(),))


def import_cloudpickle() -> None:
    """Each call of a function of ``__main__`` would do that, anew. Where it is not, such a call says so."""
    with suppress(Exception):
        import_module("cloudpickle")


@contextmanager
def _no_threads_of_allocators() -> Iterator[None]:
    """What is loaded meanwhile, pandas with pyarrow above all, has no thread that nobody could end.

    A variable that the caller has set stays as it is; the others are gone again when a call looks.
    """
    unset = [name for name in _SETTINGS_OF_ALLOCATORS if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, _NO_THREAD))
    try:
        yield
    finally:
        for name in unset:
            if os.environ.get(name) == _NO_THREAD:  # else setup has set it
                del os.environ[name]


def _prepare_for_clones(allowed: Sequence[str], control: Channel) -> None:
    """Leave nothing that a clone would have to do, or that it must not have."""
    gc.collect()
    _end_native_pools()
    refuse_hazards(allowed)
    _core.flush_standard_streams()
    gc.collect()
    leave_out_needless([leave_channel], control)
    gc.freeze()
    _core.gather_objects(False)
    _core.make_huge()  # of which a clone has to copy a hundredth of the entries


def _end_native_pools() -> None:
    """OpenMP's; then OpenBLAS's, by libc's fork handlers without a fork once all other threads sleep."""
    _core.end_openmp_pools()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for pause in pauses():
        others = procfs.other_threads()
        if not others or _core.run_fork_handlers(others) or time.monotonic() > deadline:
            break
        time.sleep(pause)
    for pause in pauses():  # a thread that was joined is still seen for a moment
        if next(threads_left(), None) is None or time.monotonic() > deadline:
            return
        time.sleep(pause)


def _force_lazy_imports() -> None:
    """Python 3.15 leaves an import undone until its name is used, which would be in each clone."""
    import types

    lazy = getattr(types, "LazyImportType", None)
    # One that fails stays lazy, and fails in the call that uses it.
    tried: set[tuple[int, str]] = set()
    while lazy is not None and (found := _lazy_names(lazy) - tried):
        tried |= found
        for module in list(sys.modules.values()):
            for name in [name for number, name in found if number == id(module)]:
                with suppress(ImportError):
                    getattr(module, name)


def _lazy_names(lazy: type) -> set[tuple[int, str]]:
    """By the number of its module, each name whose import is not done; imports may bring others."""
    return {
        (id(module), name)
        for module in list(sys.modules.values())
        for name, value in list(getattr(module, "__dict__", {}).items())
        if isinstance(value, lazy)
    }


def take_name(name: str) -> bool:
    """Take a name, which clones take over. Returns whether it could be set."""
    try:
        with open(_NAME, "wb") as comm:  # text needs a codec, which may not be readable
            comm.write(name.encode())
    except OSError:
        return False
    return True


def may_take_name() -> bool:
    """Whether one can be set. It stays as it is."""
    try:
        with open(_NAME, "wb"):
            return True
    except OSError:
        return False


def source_files() -> list[str]:
    """The files of the modules that are loaded, but for those of Python itself."""
    modules = list(sys.modules.values())  # some of which are other objects
    files = (getattr(module, "__dict__", {}).get("__file__") for module in modules)
    return sorted({file for file in files if isinstance(file, str)})
