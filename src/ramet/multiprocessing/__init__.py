"""multiprocessing with clones of a template: ``context()`` in the place of ``get_context("spawn")``."""

from typing import TYPE_CHECKING

from .clone_context import CloneContext, context, set_start_method

__all__ = ["CloneContext", "context", "set_start_method"]


if not TYPE_CHECKING:  # with it, a type checker would accept any name

    def __getattr__(name: str) -> object:
        """Raise AttributeError: what multiprocessing has at this place is an attribute of a context."""
        hint = ""
        if name == "get_context":
            hint = "; it is context(), of which preload=[...] is what its processes have loaded"
        elif not name.startswith("_") and hasattr(CloneContext, name):
            hint = f"; a context has it: context().{name}"
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
