"""multiprocessing with clones of a template: ``context()`` in the place of ``get_context("spawn")``."""

from .clone_context import CloneContext, context, set_start_method

__all__ = ["CloneContext", "context", "set_start_method"]
