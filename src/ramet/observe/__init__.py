"""Inspecting running tasks: what they share, what of a child's memory is its own, and a trace of them."""

from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    # What ramet.relation() needs is imported more often, and in less time.
    if name == "trace":
        from .tracing import trace as found

        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
