"""Inspecting running tasks: what two share, what of a child's memory is its own, and a trace of them."""

from .memory import memory
from .memory_report import ChildMemory, MappingMemory, Memory, TypeMemory
from .relation import Relation, relation
from .tracing import trace

__all__ = [
    "ChildMemory",
    "MappingMemory",
    "Memory",
    "Relation",
    "TypeMemory",
    "memory",
    "relation",
    "trace",
]
