"""Ramet makes processes on Linux, flag by flag."""

from . import lowlevel
from .child import Child
from .errors import ChildDied, CloneError, ResultError, SpawnError, TimeoutExpired
from .exit_status import ExitStatus
from .flags import CloneFlag
from .function import clone, fork, vfork
from .popen import Popen, run

__all__ = [
    "Child",
    "ChildDied",
    "CloneError",
    "CloneFlag",
    "ExitStatus",
    "Popen",
    "ResultError",
    "SpawnError",
    "TimeoutExpired",
    "clone",
    "fork",
    "lowlevel",
    "run",
    "vfork",
]

__version__ = "0.1.0"
