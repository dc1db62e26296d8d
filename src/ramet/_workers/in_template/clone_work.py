"""What a template gives its clones to do: to those that the core makes alone, and to those of Python."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from ... import _core
from ..crossing.messages import Channel
from ..crossing.template_messages import Making
from ..in_call.serving import Act, Served

MOST_HOT_BYTES = 1 << 20  # of pages that a spare copies because calls before have
CALLS_BETWEEN_LOOKS = 512


class Confines(NamedTuple):
    """Steps that a clone carries out, with their labels: made before it, so that it has nothing to make."""

    plan: _core.Plan
    labels: Sequence[tuple[str, bytes | None]]


class Given(NamedTuple):
    """What all clones by one request are given."""

    kind: int
    parts: Sequence[Any]
    making: Making
    confines: Sequence[Confines]  # what it does first


class Begun(NamedTuple):
    """What a clone is given; the core makes it, too: native/python/serve_clones.c."""

    given: Given
    channel: Channel
    in_namespace: bool  # whether it is in a pid namespace of its own
    # How far the core came, if it began: which plan has failed, at which step, with which errno; what
    # Channel.serve_plain() said or raised, and in which process.
    failed: tuple[int, int, int] | None = None
    served: Served | None = None


class AtOnce(NamedTuple):
    """All that a clone does which serves plain calls; the core does it: native/python/serve_at_once.c."""

    plans: Sequence[_core.Plan]  # Given.confines
    renewals: list[Act]
    channels: list[Channel]  # where its own is noted: leave_channel()
    before: Act | None
    after: Act | None
    finish: Act | None
    trust: int  # whether its caller loads pickles of it; a number: with credentials_now() as that
    last: Act | None
    let_go_milliseconds: int
    # In a spare: calls to warm up, what is done then, and the pages to copy, of so many bytes at most.
    calls: tuple[bytes, ...] = ()
    ready: tuple[Act, ...] = ()
    hot_pages: _core.HotPages | None = None
    most_hot_bytes: int = MOST_HOT_BYTES
    calls_between_looks: int = CALLS_BETWEEN_LOOKS


# What a clone that Python makes is given: the caller's end of the channel, the init of its namespace, the
# first steps, and the template's parent besides.
First: TypeAlias = tuple[Begun, Channel, tuple[int, int] | None, _core.Plan, int]

# The request's part, the clone call, whether in a pid namespace, the first steps, Given, and AtOnce.
Known: TypeAlias = tuple[bytes, _core.Request, bool, _core.Plan, Any, tuple[Any, ...] | None]
