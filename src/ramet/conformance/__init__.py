"""The law compared with the running kernel, by real calls, granted and refused."""

from .run import Report, check_kernel

__all__ = ["Report", "check_kernel"]
