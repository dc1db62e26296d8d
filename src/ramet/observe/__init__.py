"""Inspecting running tasks: what they share, and what of a child's memory is its own."""

from .memory import memory
from .memory_report import ChildMemory, MappingMemory, Memory, TypeMemory
from .relation import Relation, relation
from .tree import tree
from .tree_report import Task, Tree

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
    "tree",
]
