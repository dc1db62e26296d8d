"""What dies here does so in an interpreter of its own, as in tests/crash."""

from ..crash.conftest import in_new_python

__all__ = ["in_new_python"]
