"""Tracing a tree of tasks: each birth, exec and end, as events."""

from .calls import Call
from .events import (
    Adopted,
    Begun,
    Birth,
    Cost,
    End,
    Event,
    Exec,
    ExecRefused,
    Left,
    Moved,
    Refused,
    to_dict,
)
from .trace import Trace, trace

__all__ = [
    "Adopted",
    "Begun",
    "Birth",
    "Call",
    "Cost",
    "End",
    "Event",
    "Exec",
    "ExecRefused",
    "Left",
    "Moved",
    "Refused",
    "Trace",
    "to_dict",
    "trace",
]
