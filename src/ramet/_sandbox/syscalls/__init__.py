"""Which system calls a child that is not trusted may make: rows, and the kernel's filter."""

from .filter import Filter, compiled, compiled_for_calls

__all__ = ["Filter", "compiled", "compiled_for_calls"]
