"""Evaluates the rows for one request.

No flag is named here: the rows say what is forbidden, what is shared, and why.
"""

import functools
import operator
from typing import Any, TypeAlias

from ..flags import FACTS, CloneFlag
from .caller import Caller
from .conditions import OF_CALLER, OF_FIELDS, Condition
from .effects import EFFECTS, PARENT_KEEPS_SIGNAL
from .outcome import Effects, Outcome
from .request import CSIGNAL, WORD, Call, Request, make_request
from .rows import RULES
from .rule import Rule
from .version import NEWEST, Version, is_newer_than_rows, kernel_version, spans

_PRIVILEGED = Caller()
_MOST_CALLERS = 64
_ABOVE_BIT_63 = 3 << 64  # the library's own two, for any kernel
# Mask, value, any_of, when, raw, and their rule: what the loop below reads.
_Entry: TypeAlias = tuple[int, int, int, Condition | None, bool, Rule]
_Entries: TypeAlias = tuple[_Entry, ...]


def predict(
    flags: int,
    *,
    exit_signal: int | None = None,
    call: Call = "clone3",
    caller: Caller | None = None,
    kernel: str | None = None,
    **fields: Any,
) -> Outcome:
    """What a kernel will answer to this request, worked out without asking it.

    flags: CloneFlag or a number. In clone() all eight bits of the low byte are the exit signal; in clone3
    they are flags, as in the kernel. exit_signal: the number. call: "clone", "clone3",
    "unshare" or "setns". caller: by default a privileged one without any special
    state. kernel: a version such as "6.9", by default the newest that the rows know.
    fields: those of ``struct clone_args``, see Request.

    Raises ValueError for a number of more than 64 bits, for an invalid version, and for fields
    that contradict each other; TypeError for an unknown field.

    >>> predict(CloneFlag.VM | CloneFlag.FS).shares["fs"]
    True
    >>> predict(CloneFlag.SIGHAND).broken[0].id
    'D4'

    Source: clone(2), unshare(2), setns(2), kernel/fork.c.
    """
    request = make_request(flags, exit_signal, call, fields)
    return evaluate(request, caller or _PRIVILEGED, kernel_version(kernel or NEWEST))


def evaluate(request: Request, caller: Caller, version: Version) -> Outcome:
    """The same for a Request."""
    table = table_for(version, request.call)
    raw = request.flags
    flags = table.seen(raw)
    broken: list[Rule] = []
    notes: list[Rule] = []
    for mask, value, any_of, when, is_raw, rule in table.entries_for(caller)[request.plain]:
        bits = raw if is_raw else flags
        if (
            bits & mask == value
            and (not any_of or bits & any_of)
            and (when is None or when(request, caller))
        ):
            (broken if rule.errno else notes).append(rule)
    return Outcome(request, caller, version, flags, tuple(broken), tuple(notes), table.effects)


class Table:
    """What one kernel knows of one call."""

    def __init__(self, version: Version, call: Call) -> None:
        self._call = call
        self.rules = tuple(
            rule for rule in RULES if call in rule.calls and spans(version, rule.since, rule.until)
        )
        self.entries: _Entries = tuple(
            (rule.all_of | rule.none_of, rule.all_of, rule.any_of, rule.when, rule.raw, rule)
            for rule in self.rules
        )
        self._of_privileged = self._asked_of(_PRIVILEGED)
        self._of_others: dict[Caller, tuple[_Entries, _Entries]] = {}
        rows = [row for row in FACTS if spans(version, row.since, row.until)]
        known = (row.value for row in rows if call != "clone" or "clone" in row.calls)
        self._known = functools.reduce(operator.or_, known, _ABOVE_BIT_63)
        # Bits that meant another flag to that kernel than they do today.
        self._moved = tuple(
            (row.value, flag)
            for row in rows
            if row.until
            and call == "clone"
            and (flag := CloneFlag.parse(row.name).value) != row.value
        )
        self.effects: Effects = EFFECTS[spans(version, PARENT_KEEPS_SIGNAL, None)]

    def entries_for(self, caller: Caller) -> tuple[_Entries, _Entries]:
        """The rules for any request, and those for one without fields, of this caller."""
        if caller is _PRIVILEGED:
            return self._of_privileged
        entries = self._of_others.get(caller)
        if entries is None:
            if len(self._of_others) >= _MOST_CALLERS:
                self._of_others.clear()
            entries = self._of_others[caller] = self._asked_of(caller)
        return entries

    def _asked_of(self, caller: Caller) -> tuple[_Entries, _Entries]:
        nothing = Request(0, 0, self._call, {})
        entries = tuple(
            (mask, value, any_of, None if when in OF_CALLER else when, raw, rule)
            for mask, value, any_of, when, raw, rule in self.entries
            if when is None or when not in OF_CALLER or when(nothing, caller)
        )
        return entries, tuple(entry for entry in entries if entry[3] not in OF_FIELDS)

    def seen(self, flags: int) -> int:
        """The flags as this kernel reads them."""
        seen = flags & self._known
        for bit, meaning in self._moved:
            if flags & bit:
                seen = seen & ~bit | meaning
        return seen


@functools.lru_cache(maxsize=128)
def table_for(version: Version, call: Call) -> Table:
    """Made once for each kernel and call."""
    return Table(version, call)


def certainly_broken(
    flags: int, exit_signal: int, call: Call, version: Version
) -> tuple[Rule, ...]:
    """The rules of the bits alone that refuse this for every caller, on this kernel and later ones.

    None for a kernel that is newer than the rows, which may have dropped a rule. A
    negative exit signal is a very large one, as in the kernel.
    """
    if call == "clone":
        request = Request(flags & ~CSIGNAL, exit_signal | flags & CSIGNAL, call, {})
    else:
        request = Request(flags, exit_signal & WORD, call, {})
    outcome = evaluate(request, _PRIVILEGED, version)
    is_newer = is_newer_than_rows(version)
    return tuple(
        rule
        for rule in outcome.broken
        if rule.certain and (rule.kernel_function == "none" or not is_newer)
    )


def possibly_broken(request: Request, version: Version, errno: str) -> tuple[Rule, ...]:
    """The rules that give this errno for such flags, where the deciding fact cannot be read."""
    table = table_for(version, request.call)
    flags = table.seen(request.flags)
    return tuple(
        {
            rule.id: rule
            for mask, value, any_of, _, is_raw, rule in table.entries
            if rule.unseen
            and rule.errno == errno
            and (rule.field is None or getattr(request, rule.field))
            and (bits := request.flags if is_raw else flags) & mask == value
            and (not any_of or bits & any_of)
        }.values()
    )
