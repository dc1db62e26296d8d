"""What programs with the same options ask of the kernel: prepared once, and kept."""

import functools
import os
import signal
from collections.abc import Mapping, Sequence
from threading import get_native_id
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from .._core import has_clone3, has_close_range
from .._kernel.clone_bits import (
    AUTOREAP,
    FILES,
    LOW_LEVEL,
    NEWPID,
    NEWUSER,
    PARENT,
    STOPPED,
    THREAD,
)
from .._kernel.descriptors import Descriptors
from .._process import launching
from .._process.request import cached_request, needs_address
from .._setup import id_maps
from .._setup.cache_key import cache_key
from .._setup.checks import descriptor_of
from .._setup.conflicts import refuse_conflicts
from .._setup.descriptor_moves import Moves
from .._setup.joined_namespaces import joined_namespaces
from .._setup.options import Options
from .._setup.rows import OPTIONS
from .._setup.step_makers import Setup
from .._setup.steps import steps_of
from .._setup.validate import ValidatedOptions, validate
from ..flags import SIGNAL_BITS

if TYPE_CHECKING:
    from .._sandbox.of_program import OfOneChild, OfProgram
    from .._setup.order import Steps

_NO_DESCRIPTOR = -1
_ENDS_OTHERWISE = PARENT | AUTOREAP
# A child with these does not know its maker's pid, or may not read its memory.
_CANNOT_READ_MAKER = PARENT | NEWPID | NEWUSER

_OPENS = frozenset(row.name for row in OPTIONS.values() if row.opens)
_OF_EXEC = frozenset(row.name for row in OPTIONS.values() if row.of_exec)
_OF_PREPARED = _OF_EXEC | {"stdin", "stdout", "stderr", "fds", "pass_fds", "cwd", "umask"}
_MOST_KEPT = 64
_NO_OPTIONS: ValidatedOptions = MappingProxyType({})


class _Opened(NamedTuple):
    """What is opened for a child: its cgroup, and the namespaces that it joins."""

    cgroup: int | None = None
    written: tuple[int, bytes] | None = None  # see _written_cgroup()
    joined: Sequence[tuple[str, int, int]] = ()  # see Setup
    pid_namespace: int = _NO_DESCRIPTOR


class Preparation:
    """What a command asks of the kernel beside its program; commands with the same options share it."""

    def __init__(self, validated: ValidatedOptions, held: Descriptors | None) -> None:
        self.flags = flags = _checked_flags(validated)
        # With other options a child that was confined ahead would have begun otherwise.
        self.is_usual_in_sandbox = _OF_PREPARED.issuperset(validated.keys() - {"sandbox"})
        self.confinement, confining, validated = _confined(validated)
        self.validated = validated
        self.waits_for_start = not validated.get("start", True)
        self.last_gate = self.waits_for_start or bool(flags & STOPPED)
        self.moves = moves = Moves(
            validated, may_fetch=has_close_range() and not flags & _CANNOT_READ_MAKER
        )
        shares_table = bool(flags & FILES) or (moves.close_others and has_close_range())
        maps = id_maps.by_child(validated) if id_maps.asked(validated) else ()
        maps_by_parent = not maps and id_maps.asked(validated)
        opened = _Opened() if held is None else _opened(validated, held)
        self.cgroup = opened.cgroup
        self.wanted = _wanted(validated, flags, opened, shares_table=shares_table)
        self.request_flags = cached_request("program", *self.wanted).flags  # refused here, if it is
        self.setup = Setup(
            validated,
            flags,
            shares_table,
            moves,
            cgroup=opened.written,
            joined=opened.joined,
            maps=maps,
            maps_by_parent=maps_by_parent,
            last_gate=self.last_gate,
            confining=confining,
        )
        self.manner = _manner(
            validated, opened.pid_namespace, waits=self.last_gate or maps_by_parent
        )
        self.has_gates_or_enters = self.manner.waits or opened.pid_namespace != _NO_DESCRIPTOR
        self.is_unwatched = self.confinement is not None and self.confinement.is_unwatched
        # The end of any other child needs more than the core does.
        self.is_plain = (
            self.cgroup is None
            and (self.confinement is None or self.is_unwatched)
            and not flags & _ENDS_OTHERWISE
        )
        self._view = None if self.confinement is None else self.confinement.ground.view
        self.steps = steps_of(self.setup)
        self._own_steps: dict[tuple[int, ...], tuple[object, Steps]] = {}

    def make_current(self) -> None:
        """Make the steps anew where its sandbox shows another view by now: a path may lead elsewhere."""
        view = None if self.confinement is None else self.confinement.ground.view
        if view is not self._view:
            self.steps = steps_of(self.setup)
            self._view = view

    def own_steps(self, own: "OfOneChild", taken_back: Mapping[str, Any]) -> "Steps":
        """The steps of one child in a sandbox; others have the same cgroups later.

        taken_back: what Confinement.taken_back() says of the thread that starts it.
        """
        view, kept_as = own.confinement.ground.view, tuple(own.entries)
        parts = (own.layer, own.told, own.tree)
        is_its_own = bool(taken_back) or any(one is not None for one in parts)
        seen, steps = self._own_steps.get(kept_as, (None, None))
        if is_its_own or steps is None or seen is not view:
            validated = {**taken_back, **self.validated, **own.implied}
            steps = steps_of(self.setup._replace(validated=validated, confining=own))
            if not is_its_own:
                if len(self._own_steps) >= _MOST_KEPT:
                    self._own_steps.clear()
                self._own_steps[kept_as] = view, steps
        return steps

    def is_guided(self) -> bool:
        """Whether its launch is more than one clone call of the calling thread.

        The parent-death signal of a child of the main thread comes at the end of the process.
        """
        if not self.manner.follows_process:
            return self.has_gates_or_enters
        return self.has_gates_or_enters or get_native_id() != os.getpid()


# To prepare takes most of the time of making a command, and many programs have the same options.
_kept: dict[tuple[object, ...], Preparation] = {}


def preparation_of(options: Options) -> tuple[ValidatedOptions, Preparation, Descriptors | None]:
    """The options that concern the program alone, and what all others ask of the kernel.

    Returns with them the descriptors that were opened for it, which the command is to hold.
    Raises TypeError, ValueError and UnknownNameError for invalid options.
    """
    if not options:
        return _NO_OPTIONS, _plain(), None
    program, around = _parted(options)
    if "sandbox" in around:
        around = dict(around)
        kept = _kept_in(around.pop("sandbox"))
    else:
        kept = _kept
    key = cache_key(around)
    found = None if key is None or kept is None else kept.get(key)
    if found is not None:
        return validate(program, OPTIONS) if program else _NO_OPTIONS, found, None
    validated = validate(options, OPTIONS)
    held = None if _OPENS.isdisjoint(validated) else Descriptors()
    made = Preparation(validated, held)
    if made.confinement is not None:
        kept = made.confinement.preparations
    if key is not None and kept is not None:
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        kept[key] = made
    return validated, made, held


@functools.cache
def _plain() -> Preparation:
    return Preparation(_NO_OPTIONS, None)


def _kept_in(sandbox: object) -> dict[tuple[object, ...], Preparation] | None:
    """Those of commands in a sandbox, as long as what it is made of is kept; None where none is."""
    from .._sandbox.description import Sandbox
    from .._sandbox.kept import found_confinement
    from .._sandbox.of_program import OfProgram

    found = found_confinement(OfProgram, sandbox) if isinstance(sandbox, Sandbox) else None
    return None if found is None else found.preparations


def _parted(options: Options) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The options that concern the program, and all others."""
    if _OF_EXEC.isdisjoint(options):
        return {}, options
    program: dict[str, Any] = {}
    around: dict[str, Any] = {}
    for name, value in options.items():
        (program if name in _OF_EXEC else around)[name] = value
    return program, around


def _checked_flags(validated: ValidatedOptions) -> int:
    flags: int = validated.get("flags", 0)
    if flags & THREAD:
        raise ValueError(
            "invalid flags: a program cannot be a thread (THREAD): its exec would end this process"
        )
    if flags & LOW_LEVEL:
        raise needs_address(flags)
    refuse_conflicts(validated, flags)
    if (
        validated.get("die_with_parent")
        and validated.get("pdeathsig", signal.SIGKILL) != signal.SIGKILL
    ):
        raise ValueError(
            "invalid pdeathsig with die_with_parent, which sends SIGKILL: leave one of them out"
        )
    return flags


def _confined(
    validated: ValidatedOptions,
) -> "tuple[OfProgram | None, OfOneChild | None, ValidatedOptions]":
    """The confinement of a sandbox, that of a child with nothing of its own, and what options hold then."""
    if "sandbox" not in validated:
        return None, None, validated
    from .._sandbox import of_program
    from .._sandbox.kept import confinement_of  # takes long to import, and few need it

    confinement = confinement_of(of_program.OfProgram, validated["sandbox"])
    held = {**validated, **confinement.implied(validated)}
    return confinement, of_program.OfOneChild(confinement), held


def _opened(validated: ValidatedOptions, held: Descriptors) -> _Opened:
    cgroup = _cgroup_directory(validated, held)
    return _Opened(cgroup, _written_cgroup(cgroup), *joined_namespaces(validated, held))


def _wanted(
    validated: ValidatedOptions, flags: int, opened: _Opened, *, shares_table: bool
) -> launching.Wanted:
    set_tid = validated.get("set_tid")
    return launching.Wanted(
        flags=flags & ~SIGNAL_BITS,
        exit_signal=_exit_signal(flags),
        set_tid=None if set_tid is None else tuple(set_tid),
        cgroup=opened.cgroup if opened.written is None else None,
        shares_table=shares_table,
    )


def _manner(validated: ValidatedOptions, pid_namespace: int, *, waits: bool) -> launching.Manner:
    # The kernel sends a parent-death signal at the end of the parent thread, which may be a helper.
    may_have_helper = waits or pid_namespace != _NO_DESCRIPTOR
    follows_process = bool(
        validated.get("die_with_parent") or ("pdeathsig" in validated and may_have_helper)
    )
    return launching.Manner(waits, follows_process, "oom_score_adj" in validated, pid_namespace)


def _exit_signal(flags: int) -> int:
    return flags & SIGNAL_BITS or (0 if flags & PARENT else signal.SIGCHLD)


def _cgroup_directory(validated: ValidatedOptions, held: Descriptors) -> int | None:
    cgroup = validated.get("cgroup")
    if isinstance(cgroup, str | bytes | os.PathLike):
        return held.open(os.open, cgroup, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return None if cgroup is None else descriptor_of("cgroup", cgroup)


def _written_cgroup(directory: int | None) -> tuple[int, bytes] | None:
    """Where the child has to write itself into: a directory, a file in it. None: the clone call does it.

    Hierarchies of version 1, and kernels without clone3, know no clone call into a cgroup.
    """
    if directory is None or (has_clone3() and _is_of_version_2(directory)):
        return None
    return directory, b"cgroup.procs"


def _is_of_version_2(directory: int) -> bool:
    try:
        os.stat("cgroup.controllers", dir_fd=directory)
    except FileNotFoundError:
        return False
    return True
