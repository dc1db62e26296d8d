"""The code that runs in a subinterpreter: it unpickles the call, makes it, and writes the outcome.

This file is not imported there, since that would import ramet: its code is sent, after that of
result_layout.py, and runs in the same namespace. It gets memory only: ``views`` are the settings, the call,
the memory for the outcome, and the lent memory, see subinterpreter.py.
"""

import io
import json  # noqa: F401 - and traceback: for exceptions, when the child may not read files any more
import marshal
import os
import pickle
import runpy
import sys
import threading
import tokenize  # noqa: F401
import traceback  # noqa: F401
from contextlib import suppress
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._process.result_layout import call_and_put, put_failure  # noqa: TC004 - both run in one namespace

LENT_FROM = 3
MAIN = "__mp_main__"  # multiprocessing's name for the caller's __main__ when it runs again


class Interrupted(SystemExit):
    """The subinterpreter's ramet.Interrupted."""

    def __init__(self) -> None:
        super().__init__(128 + 15)


def run(arrival: tuple[tuple[memoryview, ...], int, int]) -> int:
    """Call the function and write its outcome. Returns the exit code."""
    views, failed_step, error = arrival
    if failed_step >= 0:
        return put_failure(views[2], failed_step, error)
    try:
        return call_and_put(views[2], lambda: _call(views))
    finally:
        _join_threads()
        _flush()


def _call(views: tuple[memoryview, ...]) -> object:
    settings = marshal.loads(views[0])
    _apply(settings)
    fn, args = _Unpickler(views, settings).load()
    return fn(*args)


def _apply(settings: dict[str, Any]) -> None:
    """Take over the caller's settings, also those that changed since an earlier call."""
    sys.path[:] = settings["path"]
    sys.argv[:] = settings["argv"]
    environment: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]
    environment.clear()
    environment.update(settings["environment"])  # without putenv(): the caller has called it
    _become_the_main_thread(settings["name"])


def _become_the_main_thread(name: str | None) -> None:
    """As after a fork: threading's main thread is that of an earlier call."""
    main: Any = threading.main_thread()
    threading._active.pop(main.ident, None)  # type: ignore[attr-defined]
    main._set_ident()
    main._set_native_id()
    threading._active[main.ident] = main  # type: ignore[attr-defined]
    main._name = name or "MainThread"
    if name is not None:
        with open("/proc/thread-self/comm", "wb") as comm:
            comm.write(os.fsencode(name))


def _join_threads() -> None:
    """Wait for the threads that the function started, daemons apart."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # none, broken, or closed
            stream.flush()


class _Unpickler(pickle.Unpickler):
    """Resolves names by import, lent memory by index, and other functions by their code."""

    def __init__(self, views: tuple[memoryview, ...], settings: dict[str, Any]) -> None:
        super().__init__(io.BytesIO(views[1]))
        self._views = views
        self._main: tuple[str, str] | None = settings["main"]
        self._functions = _main_functions(settings["functions"], settings["names"])

    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name == "__main__":
            _run_main(self._main)
        return super().find_class(module_name, global_name)

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, int):
            return self._views[LENT_FROM + pid]
        if len(pid) == 1:
            return self._functions[pid[0]]
        code, module, name, defaults, keyword_defaults = pid
        names = self._names_of(module)
        function = FunctionType(marshal.loads(code), names, name, defaults)
        function.__kwdefaults__ = keyword_defaults
        return function

    def _names_of(self, module: str | None) -> dict[str, Any]:
        """The globals for a function sent by its code; module: None for a __main__ without a file."""
        if module is None:
            return {"__name__": "__main__", "__builtins__": __builtins__}
        if module == "__main__":
            _run_main(self._main)
        return vars(import_module(module))


def _main_functions(
    functions: list[tuple[Any, ...]], names: dict[str, tuple[Any, ...]]
) -> list[FunctionType]:
    """Functions of the caller's main program that use these names of it only."""
    here: dict[str, Any] = {"__name__": MAIN, "__builtins__": __builtins__}
    made = []
    for code, name, defaults, keyword_defaults in functions:
        function = FunctionType(code, here, name, defaults)
        function.__kwdefaults__ = keyword_defaults
        made.append(function)
    for name, (kind, *what) in names.items():
        here[name] = made[what[0]] if kind == "function" else _meaning(kind, *what)
    return made


def _meaning(kind: str, what: Any, name: str = "") -> Any:
    if kind == "constant":
        return what
    found: Any = import_module(what)
    for part in name.split(".") if name else ():
        found = getattr(found, part)
    return found


def _run_main(main: tuple[str, str] | None) -> None:
    """Run the caller's main program again, under another name, for its classes and functions."""
    if main is None or vars(sys.modules["__main__"]).get("__ramet_main__") == main:
        return
    kind, name = main
    if kind == "module":
        names = runpy.run_module(name, run_name=MAIN, alter_sys=True)
    else:
        names = runpy.run_path(name, run_name=MAIN)
    module = type(sys)(MAIN)
    vars(module).update(names)
    vars(module)["__ramet_main__"] = main
    sys.modules["__main__"] = sys.modules[MAIN] = module
