"""In a process of a context: it leaves what is the template's, becomes the caller's, and runs."""

import atexit
import multiprocessing
import os
import pickle
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import _core
from .._workers.in_call.plan_of_call import passed
from .main_program import define
from .private_parts import processes, resource_tracker, spawn, util

_PR_SET_PDEATHSIG = 1
# The places of the descriptors that go with each process; those of its objects follow.
TRACKER, PARENT, FIRST = range(3)


def received_descriptor(place: int) -> int:
    """The number here of a descriptor that came with this process."""
    return passed[FIRST + place]


def run(preparation: Any, data: Any, *buffers: Any) -> NoReturn:
    """Be the process. preparation, data: see CloneContext._clone."""
    code = 1
    try:
        _leave_template()
        processes.current_process()._inheriting = True
        try:
            start_method = _become(pickle.loads(preparation))
            own = _unpickled(data, buffers, start_method)
        finally:
            del processes.current_process()._inheriting
        code = own._bootstrap(parent_sentinel=passed[PARENT])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        _core.flush_standard_streams()
        os._exit(code)


def _leave_template() -> None:
    """Its exit handlers and finalizers run in the template; and a process may outlive its parent."""
    _core.do_steps(_core.Plan([("PRCTL", _PR_SET_PDEATHSIG, 0)]))
    atexit._clear()
    atexit.register(util._exit_function)
    util._finalizer_registry.clear()
    util._run_after_forkers()
    tracker = resource_tracker._resource_tracker
    if tracker._fd is not None:
        os.close(tracker._fd)
    tracker._fd = passed[TRACKER]


def _become(preparation: dict[str, Any]) -> str | None:
    """As spawn does, but for the start method, whose context is not there yet."""
    start_method: str | None = preparation.pop("start_method")
    spawn.prepare(preparation)
    return start_method


def _unpickled(data: Any, buffers: Sequence[Any], start_method: str | None) -> Any:
    (context, own), definitions, missing = pickle.loads(data, buffers=buffers)
    define(definitions, missing)
    context._be_known()
    multiprocessing.set_start_method(start_method, force=True)
    return own
