"""What a template is asked for, and what it says: the kinds of its messages and what they carry."""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, NamedTuple

# Kinds; native/python/channel.h has MADE and MAKE, and what MADE carries, too.
LOADED, FAILED, MADE, REFUSED, LOADS = range(32, 37)  # of what the template says
PIDS = Struct("=ii")  # of MADE: the clone's and its init's, 0 for none; native/python/channel.h
LOAD, MAKE, DERIVE, CONFINE, GUARD, FOLLOW = range(48, 54)  # of what it is asked for


class Loading(NamedTuple):
    """What a template does before it serves."""

    preload: Sequence[str]
    setup: Callable[[], object] | None
    warm: Callable[[], object] | None
    allow: Sequence[str]
    # Whether its caller believes what it and its clones send, as for clone(); False: they are confined.
    trusted: bool | None = None
    # Whether cloudpickle is imported before a call comes by value: later a sandbox may hide it.
    by_value: bool = False


class Making(NamedTuple):
    """A request for a clone."""

    flags: int = 0
    set_tid: tuple[int, ...] | None = None
    spare: bool = False
    measured: bool = False  # it says what memory it has of its own once it is warm
    tree: bool = False  # all that it starts is to end with it
    by_value: bool = False  # for calls that cloudpickle reads
    in_python: bool = False  # spares, for calls that are not plain: plain_calls.c


class Confining(NamedTuple):
    """Steps by which a process confines itself: see ramet._sandbox.confinement.TemplateSteps."""

    leave: tuple[list[Any], list[Any]]
    enter: tuple[list[Any], list[Any]]
    call: tuple[list[Any], list[Any]]
    allow: Sequence[str]
