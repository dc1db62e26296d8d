"""Inspecting running tasks: what two of them share."""

from .relation import Relation, relation

__all__ = ["Relation", "relation"]
