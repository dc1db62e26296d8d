"""Whether a subordinate id of the caller's may read what a sandbox shows, as the caller itself may.

What is shown is asked, and not what lies below a shown directory.
"""

import os

from ..description import Sandbox
from ..view import view_of
from .machine import Machine, Refused


def is_for_caller_alone(sandbox: Sandbox) -> bool:
    """Whether it is wished that the caller's own files can be written, or all read that it may read."""
    return bool(sandbox.write) or sandbox.root is not None


def refused_to_subordinate(machine: Machine, sandbox: Sandbox) -> Refused | None:
    """What keeps a subordinate id from reading what is shown; None where nothing does.

    Raises OSError for a path of the description that cannot be looked at.
    """
    modes = {one.path: _mode(is_directory=one.is_directory) for one in view_of(sandbox).shown}
    uses = {path: mode for path, mode in modes.items() if os.access(path, mode, effective_ids=True)}
    return machine.as_subordinate(uses, mounted=machine.mounts.granted)


def _mode(*, is_directory: bool) -> int:
    return os.R_OK | os.X_OK if is_directory else os.R_OK
