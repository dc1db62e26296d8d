"""The law held against the running kernel: real calls, right and wrong, and what came of them."""

from .run import Report, check_kernel

__all__ = ["Report", "check_kernel"]
