"""Creates processes on Linux, with each clone flag under control."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from .flags import CloneFlag

# The law runs on any system and in a browser; everything else makes system calls of Linux.
if sys.platform == "linux":
    from subprocess import (
        DEVNULL,
        PIPE,
        STDOUT,
        CalledProcessError,
        CompletedProcess,
        SubprocessError,
        list2cmdline,
    )

    from . import lowlevel
    from ._caller_reader import readers as _caller_readers
    from ._function.clone import clone, fork, vfork
    from ._function.confined import makers as _confined_makers
    from ._function.in_namespace import in_namespace
    from ._process.child import Child
    from ._process.tree.subreaper import Subreaper, is_subreaper, set_subreaper
    from ._process.waiting import wait
    from ._program.command import Command
    from ._program.popen import Popen
    from ._program.run import call, check_call, check_output, getoutput, getstatusoutput, run
    from ._setup.options import FunctionOptions, Options
    from .errors import (
        ChildDied,
        CloneError,
        DeadlineExceeded,
        Interrupted,
        KeptGroupsWarning,
        PreexecWarning,
        RemoteError,
        ResultError,
        SandboxError,
        SpawnError,
        TemplateError,
        TemplateRestarted,
        TimeoutExpired,
        UnknownNameError,
    )
    from .exit_status import ExitStatus
    from .losses import Losses

    def _read_caller() -> object:
        from ._preflight.this_thread import read_caller

        return read_caller()

    _caller_readers.append(_read_caller)

    def _clone_confined(*asked: object) -> object:
        from ._workers.template.confined_clone import clone_confined

        return clone_confined(*asked)  # type: ignore[arg-type] # as clone() gives them

    _confined_makers.append(_clone_confined)

    if TYPE_CHECKING:
        from . import aio as aio
        from . import law as law
        from . import multiprocessing as multiprocessing
        from . import observe as observe
        from ._function.recovery import recovery_status
        from ._preflight.on_running_kernel import explain, predict
        from ._sandbox.description import Sandbox
        from ._workers.executor.executor import Executor
        from ._workers.template.template import Template
        from .observe.relation import Relation, relation
elif TYPE_CHECKING:
    from . import law as law
    from .law import explain, predict

__all__ = [
    "DEVNULL", "PIPE", "STDOUT", "CalledProcessError", "Child", "ChildDied", "CloneError",
    "CloneFlag", "Command", "CompletedProcess", "DeadlineExceeded", "Executor", "ExitStatus",
    "FunctionOptions",
    "Interrupted", "KeptGroupsWarning", "Losses", "Options", "Popen", "PreexecWarning", "Relation",
    "RemoteError", "ResultError", "Sandbox", "SandboxError", "SpawnError", "SubprocessError", "Subreaper",
    "Template",
    "TemplateError", "TemplateRestarted", "TimeoutExpired",
    "UnknownNameError", "call", "check_call", "check_output", "clone", "explain", "fork",
    "getoutput", "getstatusoutput", "in_namespace", "is_subreaper", "law", "list2cmdline",
    "lowlevel", "observe", "predict", "recovery_status", "relation", "run", "set_subreaper",
    "vfork", "wait",
]  # fmt: skip

__version__ = "0.1.0"


# Imported at first use, since they take long; aio needs anyio, an extra.
_AT_FIRST_USE = {
    "Relation": ".observe",
    "Executor": "._workers.executor.executor",
    "Sandbox": "._sandbox.description",
    "Template": "._workers.template.template",
    "aio": ".aio",
    "explain": "._preflight.on_running_kernel" if sys.platform == "linux" else ".law",
    "law": ".law",
    "multiprocessing": ".multiprocessing",
    "observe": ".observe",
    "predict": "._preflight.on_running_kernel" if sys.platform == "linux" else ".law",
    "recovery_status": "._function.recovery",
    "relation": ".observe",
}


if not TYPE_CHECKING:  # with it, a type checker would accept any name

    def __getattr__(name: str) -> object:
        """Import a name of _AT_FIRST_USE."""
        room = _AT_FIRST_USE.get(name)
        if room is None:
            hint = ""
            if not name.startswith("_"):  # who walks through sys.modules asks for such a name
                from ._preflight.hints import no_name_of_ramet

                hint = no_name_of_ramet(name, [*__all__, "aio", "multiprocessing"])
            error = AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
            if hint:
                error.name = name  # without it Python adds the nearest name once more
            raise error
        module = import_module(room, __name__)
        found = module if room == f".{name}" else getattr(module, name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """The public names and rooms, and the attributes of every module; aio if anyio is installed.

    These two are no names of ``from ramet import *``, which would hide Python's own multiprocessing.
    """
    from importlib.util import find_spec

    extra = ["multiprocessing", *(["aio"] if find_spec("anyio") else [])]
    return sorted([*__all__, *extra, *(name for name in globals() if name.startswith("__"))])
