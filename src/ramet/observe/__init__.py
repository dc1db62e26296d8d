"""Inspecting running tasks: what they share, what of a child's memory is its own, and a trace of them."""

from typing import TYPE_CHECKING

from .memory import memory
from .memory_report import ChildMemory, MappingMemory, Memory, TypeMemory
from .relation import Relation, relation
from .tree import tree
from .tree_report import Task, Tree

if TYPE_CHECKING:
    from .tracing import trace

__all__ = [
    "ChildMemory",
    "MappingMemory",
    "Memory",
    "Relation",
    "Task",
    "Tree",
    "TypeMemory",
    "memory",
    "relation",
    "trace",
    "tree",
]


if not TYPE_CHECKING:  # with it, a type checker would accept any name

    def __getattr__(name: str) -> object:
        # What ramet.relation() needs is imported more often, and in less time.
        if name == "trace":
            from .tracing import trace as found

            return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
