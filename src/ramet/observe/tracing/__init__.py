"""Tracing a tree of tasks: each clone call, exec and end, as events."""

from .calls import Call
from .events import (
    Adopted,
    Begun,
    Cost,
    End,
    Event,
    Exec,
    ExecRefused,
    Left,
    Made,
    Moved,
    Refused,
    to_dict,
)
from .trace import Trace, trace

__all__ = [
    "Adopted",
    "Begun",
    "Call",
    "Cost",
    "End",
    "Event",
    "Exec",
    "ExecRefused",
    "Left",
    "Made",
    "Moved",
    "Refused",
    "Trace",
    "to_dict",
    "trace",
]
