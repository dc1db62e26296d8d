"""The steps that need more than one call, or more than one option; rows.py says who asks for them."""

import os
import signal
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from .._kernel.clone_bits import FILES, SIGHAND
from .._kernel.names import AT_FDCWD, PR_SET_KEEPCAPS, SCHEDULERS
from ..flags import signal_name
from . import order
from .descriptor_moves import LAST_DESCRIPTOR, Moves
from .order import NO_SLOTS, Section, Slots, Step, Steps

MAPS_GATE, START_GATE = 1, 2

_ADDR_NO_RANDOMIZE = 0x0040000
_FURTHER = 8  # descriptors that a child has open for a moment
_ALL_BITS = (1 << 64) - 1  # of a set of capabilities: it is left as it is; native/child/plan.h
_SCHED_ATTR = struct.Struct("=IIQiI3Q")
_RLIMIT = struct.Struct("=2Q")
_CAPABILITY_SETS = frozenset({"permitted_caps", "inheritable_caps", "ambient_caps"})

# The signals that Python ignores for itself and that programs expect to find at their default.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Confining(Protocol):
    """What the steps of a sandbox are made by."""

    @property
    def descriptors(self) -> Sequence[int]:
        """Those that the child needs while it is set up."""

    def enter(self, steps: Steps, free: int, slots: Slots) -> None:
        """Leave the caller's namespaces.

        free: the number of a descriptor that nothing else uses. slots: for what it takes with it.
        """

    def inside(self, steps: Steps, slots: Slots) -> None:
        """What is done there before anything else."""

    def kept(self, free: int) -> Sequence[int]:
        """Descriptors that stay when the others are closed, until finish()."""

    def restrict_paths(self, steps: Steps) -> None:
        """Rules on paths that only the caller may open: with its rights, before it becomes another user."""

    def finish(self, steps: Steps, free: int) -> None:
        """The last steps before the program."""


class Setup(NamedTuple):
    """All that the steps are made from: the options, and what the launch has found for them."""

    validated: Mapping[str, Any]
    flags: int = 0
    shared_table: bool = False  # the clone call shares the descriptors, whatever the flags say
    moves: Moves | None = None
    cgroup: tuple[int, bytes] | None = None  # where to write itself into: directory and file
    joined: Sequence[tuple[str, int, int]] = ()  # for an error, a descriptor, what of it
    maps: Sequence[tuple[str, bytes]] = ()  # files of /proc/self that the child writes itself
    maps_by_parent: bool = False
    last_gate: bool = False  # whether the child waits once more before its program
    confining: Confining | None = None


def _step(
    section: Section, rank: int = 0, *, of_false: bool = False
) -> Callable[[Callable[[Setup, Steps, Any], None]], Step]:
    return lambda do: Step(section, do, rank, of_false=of_false)


@_step(order.OWN_FILES)
def own_files(s: Setup, steps: Steps, _: object) -> None:
    if s.moves is None:
        return
    if s.shared_table and not s.moves.close_others:
        if s.moves:
            steps.add("unshare(FILES)", "UNSHARE", FILES)
    elif s.shared_table:
        first = _first_not_needed(s, s.moves.near)
        steps.add("close_range(UNSHARE)", "OWN_FILES", _first_not_needed(s, s.moves.above), first)
    s.moves.prepare(steps)


def _first_not_needed(s: Setup, above: int) -> int:
    """What the steps before the moves use by number stays in the table as well."""
    used = [descriptor for _, descriptor, _ in s.joined]
    used += [
        s.validated[one] for one in ("controlling_terminal", "foreground") if one in s.validated
    ]
    if s.cgroup is not None:
        used.append(s.cgroup[0])
    if s.confining is not None:
        used += s.confining.descriptors
    return max(above, *(number + 1 for number in used)) if used else above


@_step(order.ID_MAPS)
def id_maps(s: Setup, steps: Steps, _: object) -> None:
    for name, text in s.maps:
        _write_proc(name, text, steps)
    if s.maps_by_parent:
        steps.add("wait for the id maps", "GATE", MAPS_GATE, False)


def _write_proc(name: str, text: bytes, steps: Steps) -> None:
    path = f"/proc/self/{name}".encode()
    steps.add(f"write {name}", "WRITE", AT_FDCWD, path, text, len(text), file=path)


@_step(order.ACCOUNTING)
def cgroup(s: Setup, steps: Steps, _: object) -> None:
    if s.cgroup is not None:
        directory, path = s.cgroup
        steps.add("write cgroup.procs", "WRITE", directory, path, b"0", 1, file=path)


@_step(order.ACCOUNTING, 1)
def oom_score_adj(_: Setup, steps: Steps, score: int) -> None:
    _write_proc("oom_score_adj", b"%d" % score, steps)


@_step(order.JOIN)
def join(s: Setup, steps: Steps, _: object) -> None:
    for label, descriptor, which in s.joined:
        steps.add(label, "SETNS", descriptor, which)


@_step(order.SANDBOX)
def enter_sandbox(s: Setup, steps: Steps, _: object) -> None:
    if s.confining is not None:
        slots = _free_slots(s)
        s.confining.enter(steps, _free_number(s), slots)
        s.confining.inside(steps, slots)


@_step(order.PLACE, 3)
def sandbox_paths(s: Setup, steps: Steps, _: object) -> None:
    if s.confining is not None:
        s.confining.restrict_paths(steps)


@_step(order.RULES)
def sandbox_rules(s: Setup, steps: Steps, _: object) -> None:
    if s.confining is not None:
        s.confining.finish(steps, _free_number(s))


def _free_number(s: Setup) -> int:
    """Above all that is in the table of the child, and that it opens on its way."""
    if s.moves is None:
        return LAST_DESCRIPTOR
    opened = len(s.moves.saved) + len(s.moves.fetched)
    return _first_not_needed(s, s.moves.above) + opened + _FURTHER


def _free_slots(s: Setup) -> Slots:
    """Beside those of the moves, where the table has room, and above the number that is kept free."""
    if s.moves is None or s.confining is None:
        return NO_SLOTS
    kept = s.confining.kept(_free_number(s))
    least = max(kept) + 1 if kept else _first_not_needed(s, s.moves.near)
    return Slots(len(s.moves.saved) + len(s.moves.fetched), least)


@_step(order.DESCRIPTORS)
def descriptors(s: Setup, steps: Steps, _: object) -> None:
    if s.moves is None:
        return
    own = s.shared_table and s.moves.close_others
    kept = () if s.confining is None else s.confining.kept(_free_number(s))
    end = _first_not_needed(s, s.moves.above) if own else LAST_DESCRIPTOR
    s.moves.carry_out(steps, end, kept)


@_step(order.LIMITS)
def rlimits(_: Setup, steps: Steps, limits: Mapping[str, tuple[int, int, int]]) -> None:
    for name, (resource, soft, hard) in limits.items():
        limit = bytearray(_RLIMIT.pack(soft, hard))
        steps.add(f"setrlimit({name})", "PRLIMIT", 0, resource, limit, 0)


@_step(order.LIMITS)
def scheduler(_: Setup, steps: Steps, wanted: tuple[int, tuple[int, ...]]) -> None:
    policy, needs = wanted
    if policy == SCHEDULERS["DEADLINE"]:
        attr = bytearray(_SCHED_ATTR.pack(_SCHED_ATTR.size, policy, 0, 0, 0, *needs))
        steps.add("sched_setattr", "SCHED_SETATTR", 0, attr, 0)
        return
    parameter = bytearray(struct.pack("=i", needs[0] if needs else 0))
    steps.add("sched_setscheduler", "SCHED_SETSCHEDULER", 0, policy, parameter)


@_step(order.LIMITS, of_false=True)
def personality(s: Setup, steps: Steps, _: object) -> None:
    persona = s.validated["personality"] if "personality" in s.validated else _own_personality()
    if "aslr" in s.validated:
        persona &= ~_ADDR_NO_RANDOMIZE
        persona |= 0 if s.validated["aslr"] else _ADDR_NO_RANDOMIZE
    steps.add("personality", "PERSONALITY", persona)


def _own_personality() -> int:
    with open("/proc/self/personality", "rb") as file:
        return int(file.read(), 16)


@_step(order.PLACE, 2)
def chdir(s: Setup, steps: Steps, _: object) -> None:
    cwd = s.validated.get("cwd", b"/")
    if "root" in s.validated:  # a way that begins at the old cwd would lead out of the new root
        cwd = os.path.join(b"/", cwd)
    steps.add("chdir", "CHDIR", cwd, file=cwd)


@_step(order.IDENTITY)
def bounding_set(_: Setup, steps: Steps, kept: int) -> None:
    steps.add("prctl(PR_CAPBSET_DROP)", "BOUNDING_SET", kept)


@_step(order.IDENTITY, 2)
def keep_capabilities(s: Setup, steps: Steps, _: object) -> None:
    if "user" in s.validated and not _CAPABILITY_SETS.isdisjoint(s.validated):
        steps.add("prctl(PR_SET_KEEPCAPS)", "PRCTL", PR_SET_KEEPCAPS, 1)


@_step(order.IDENTITY, 6)
def capability_sets(s: Setup, steps: Steps, _: object) -> None:
    # An ambient capability must be permitted, which it is, and inheritable, which it becomes. What was
    # kept across a change of the user only for that is not to stay.
    inheritable = s.validated.get("inheritable_caps", _ALL_BITS)
    ambient = s.validated.get("ambient_caps", 0)
    kept = ambient if s.validated.get("user") else _ALL_BITS
    permitted = s.validated.get("permitted_caps", kept)
    steps.add("capset", "CAPABILITIES", permitted, inheritable, ambient)


@_step(order.PARENT_DEATH)
def parent_death(s: Setup, steps: Steps, _: object) -> None:
    number = signal.SIGKILL if s.validated.get("die_with_parent") else s.validated["pdeathsig"]
    steps.add("prctl(PR_SET_PDEATHSIG)", "PARENT_DEATH", int(number))


@_step(order.SIGNALS)
def dispositions(s: Setup, steps: Steps, _: object) -> None:
    defaults = list(s.validated.get("default_signals", ()))
    if s.validated.get("restore_signals", True) and not s.flags & SIGHAND:
        defaults += _IGNORED_BY_PYTHON
    actions = [(int(number), signal.SIG_DFL) for number in defaults]
    actions += [(number, signal.SIG_IGN) for number in s.validated.get("ignored_signals", ())]
    for number, action in actions:
        steps.add(f"sigaction({signal_name(number)})", "SIGNAL_ACTION", number, int(action))


@_step(order.LAST_GATE)
def last_gate(s: Setup, steps: Steps, _: object) -> None:
    if s.last_gate:  # where it can be terminated: with SIGHAND the handlers would be ours
        own_handlers = not s.flags & SIGHAND
        steps.add("wait for the start", "GATE", START_GATE, own_handlers)


# What looks for itself whether there is anything to do.
ALWAYS = dict.fromkeys((own_files, descriptors, dispositions, last_gate))
