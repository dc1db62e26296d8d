"""In the template of a context: what it does, once, for all processes."""

from collections.abc import Callable
from typing import Any

from .private_parts import processes, resource_tracker, spawn


def get_ready(tracker: int, main: dict[str, Any], setup: Callable[[], object] | None) -> None:
    """Take the caller's resource tracker, run its main program again, and its setup.

    main: spawn's preparation data for that; empty: it does not run here.
    """
    resource_tracker._resource_tracker._fd = tracker
    if main:
        own = processes.current_process()
        own._inheriting = True  # no process may be started by it
        try:
            spawn.prepare(main)
        finally:
            del own._inheriting
    if setup is not None:
        setup()
