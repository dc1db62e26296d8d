"""Inspecting running tasks: what two of them share, and what of a child's memory is its own."""

from .memory import memory
from .memory_report import ChildMemory, MappingMemory, Memory, TypeMemory
from .relation import Relation, relation

__all__ = [
    "ChildMemory",
    "MappingMemory",
    "Memory",
    "Relation",
    "TypeMemory",
    "memory",
    "relation",
]
