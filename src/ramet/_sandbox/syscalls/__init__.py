"""Which system calls a child that is not trusted may make: rows, and the kernel's filter."""

from .filter import (
    Filter,
    compiled,
    of_a_call,
    without_limits_of_others,
    without_network,
    without_snapshots,
    without_sockets_past_namespaces,
    without_ways_past_ports,
)

__all__ = [
    "Filter",
    "compiled",
    "of_a_call",
    "without_limits_of_others",
    "without_network",
    "without_snapshots",
    "without_sockets_past_namespaces",
    "without_ways_past_ports",
]
