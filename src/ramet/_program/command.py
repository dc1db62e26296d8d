"""A program in a new task: what the child does before its exec is decided before the clone call."""

import errno
import functools
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from threading import get_native_id
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias, Unpack, cast

from .._core import Plan, has_clone3, has_close_range, new_child
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
from .._process.blocking import BLOCKING, Waits, run_blocking
from .._process.child import Child, make_child
from .._process.request import cached_request, needs_address
from .._process.tree import subreaper
from .._process.tree.own_cgroup import InitialCgroup
from .._process.unreaped import reap_ended, unreaped
from .._setup import id_maps
from .._setup.cache_key import cache_key
from .._setup.checks import DEVNULL, Environment, Text, descriptor_of
from .._setup.conflicts import refuse_conflicts
from .._setup.descriptor_moves import Moves, Received, inherited
from .._setup.joined_namespaces import joined_namespaces
from .._setup.login_groups import warn_of_kept_groups
from .._setup.options import Options
from .._setup.order import Steps
from .._setup.rows import OPTIONS
from .._setup.step_makers import MAPS_GATE, START_GATE, Setup, parent_death
from .._setup.step_reasons import likely_reason, reason_among, why_not_executed
from .._setup.steps import steps_of
from .._setup.validate import ValidatedOptions, validate
from ..errors import SpawnError, spawn_error
from ..exit_status import ExitStatus
from ..flags import SIGNAL_BITS, CloneFlag

if TYPE_CHECKING:
    from .._sandbox.of_program import InPlace, OfProgram
    from .._sandbox.prepared_children import PreparedChildren

Label: TypeAlias = tuple[str, Text | None]

_NO_DESCRIPTOR = -1
_NO_FAILURE = -1
_ENTERING = -2  # the helper thread could not enter the pid namespace
_AT_GATE = -3  # it ended while it waited at a gate
_NO_HELPER = -4  # the helper thread could not be made

_ENDS_OTHERWISE = PARENT | AUTOREAP
# A child with these does not know its maker's pid, or may not read its memory.
_CANNOT_READ_MAKER = PARENT | NEWPID | NEWUSER


_ENCODING, _ENCODING_ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()

# The errnos of execve for a name in no directory of PATH; EACCES if one may not be searched.
_NO_SUCH = (errno.ENOENT, errno.EACCES)
_OTHER_FILES = frozenset({"root", "namespaces"})
_PARENT_DEATH = frozenset(row.name for row in OPTIONS.values() if parent_death in row.steps)
_OPENS = frozenset(row.name for row in OPTIONS.values() if row.opens)


class Command:
    """A program and its options, prepared once: spawn() makes a task of it, many times.

    argv: the program and its arguments; a program without a slash is searched for along PATH. options: see
    ramet.Options. They are evaluated now: the environment, the id of a user, the number of a descriptor,
    which must stay open as long as the command is used. A command is immutable, and threads may share
    it. It holds descriptors of the cgroup and the namespaces that were named by path or pid.

    Raises TypeError, ValueError and UnknownNameError for invalid options, before any child is made.

    >>> Command(["true"]).spawn().wait().code
    0
    """

    __slots__ = (
        "__weakref__",
        "_argv",
        "_asked",
        "_exec",
        "_has_env",
        "_held",
        "_laid",
        "_last",
        "_made",
        "_plan",
        "_shown",
    )

    def __init__(self, argv: Sequence[Text], **options: Unpack[Options]) -> None:
        self._argv = _words(argv)
        if options.get("cwd") is not None and options.get("sandbox") is not None:
            options["cwd"] = _cwd_in_sandbox(options)
        self._shown = [word if type(word) is str else os.fsdecode(word) for word in argv]
        self._asked = argv[0], options  # for errors: as the caller gave them
        self._held: Descriptors | None = None
        self._last: LastPart | None = None
        validated: ValidatedOptions
        if not options:
            validated, self._made = _NO_OPTIONS, _plainly_made()
        else:
            validated = self._work_out(options)
        if "user" in options:  # which exists: validate() has looked it up
            warn_of_kept_groups(options)
        argv_of_exec = (validated["arg0"], *self._argv[1:]) if "arg0" in validated else self._argv
        paths = _paths(self._argv, validated, options.get("env"))
        self._exec = ("EXEC", paths, argv_of_exec, validated.get("env"))
        self._has_env = "env" in validated
        self._lay()

    def _lay(self) -> None:
        """Prepare the plan, of the steps before the program as they are by now."""
        steps, confinement = self._made.steps, self._made.confinement
        if confinement is not None and not self._has_env:
            self._exec = (*self._exec[:3], confinement.environment())
        self._plan = Plan([*steps.steps, self._exec])
        self._last = None
        self._laid = steps

    def _work_out(self, options: Options) -> ValidatedOptions:
        """Prepare all but the program itself; returns the options that concern the program."""
        program, around = _parted(options)
        if "sandbox" in around:
            around = dict(around)
            cache = _made_in(around.pop("sandbox"))
        else:
            cache = _made_before
        kept_as = cache_key(around)
        made = None if kept_as is None or cache is None else cache.get(kept_as)
        if made is None:
            validated = validate(options, OPTIONS)
            self._held = None if _OPENS.isdisjoint(validated) else Descriptors()
            self._made = _Made(validated, self._held)
            if self._made.confinement is not None:
                cache = self._made.confinement.made
            if kept_as is not None and cache is not None:
                if len(cache) >= _MOST_KEPT:
                    cache.clear()
                cache[kept_as] = self._made
            return validated
        self._made = made
        return validate(program, OPTIONS) if program else _NO_OPTIONS

    if not TYPE_CHECKING:  # with it, a type checker would accept any attribute

        def __getattr__(self, name: str) -> object:
            if name.startswith("_"):
                raise AttributeError(
                    f"'Command' object has no attribute {name!r}", name=name, obj=self
                )
            from .._preflight.hints import no_attribute_of

            raise no_attribute_of("Command", self, name)

    @property
    def argv(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return tuple(self._shown)

    @property
    def flags(self) -> CloneFlag:
        """The flags of the clone call, including those that the library adds."""
        return CloneFlag(self._made.request_flags)

    @property
    def steps(self) -> tuple[tuple[str, str | None], ...]:
        """The steps of the child, in order: each as a SpawnError names it, and the file that it uses."""
        return tuple(
            (label, None if file is None else os.fsdecode(file)) for label, file in self._labels()
        )

    def __repr__(self) -> str:
        return f"<Command {self._shown}>"

    def spawn(self) -> Child[None]:
        """Make a task of it: clone(2) with VM|VFORK, then execve(2).

        Returns the Child, which the caller waits for: its program runs, or it waits for start().
        Raises CloneError when no child was made; SpawnError (also a FileNotFoundError or PermissionError,
        as in subprocess) when a step before the program failed, and the child has been reaped then.
        Needs: what the options need.
        Source: clone(2), execve(2).
        """
        return make_child(self.new_child(), self.launch)

    def new_child(self) -> Child[None]:
        """The handle of a child that will be made; the library's own."""
        if unreaped:
            reap_ended()
        made = self._made
        child = new_child(Child, self._shown, made.flags, made.is_plain)
        if made.cgroup is not None:
            child._initial_cgroup = InitialCgroup.before_clone(made.cgroup)
        return child

    def give(self, pipes: Iterable[int]) -> None:
        """Let a confined program open them anew, as by /dev/stdout; the library's own."""
        if self._made.confinement is not None:
            self._made.confinement.give(pipes)

    def launch(self, child: Child[None]) -> None:
        """Make the child of that handle; the library's own."""
        made = self._made
        if made.confinement is not None:
            self._launch_confined(child)
            return
        if made.is_guided():
            run_blocking(cast(Launch, begin(self, child, None)).arrive, child, BLOCKING)
            return
        failed = launching.launch(made.wanted, self._plan, child)
        if failed is not None:
            self._fail(child, failed)

    def _launch_confined(self, child: Child[None]) -> None:
        made = self._made
        confinement = cast("OfProgram", made.confinement)
        confinement.make_current()
        made.make_current()
        if self._laid is not made.steps:
            self._lay()
        plan = self._plan
        if confinement.prepared is not None and self._launch_prepared(child, confinement):
            return
        labels = None
        own, supervision = confinement.new_parts()
        child.supervised_by(supervision)
        try:
            if not own.is_common:
                steps = made.own_steps(own)
                plan, labels = Plan([*steps.steps, self._exec]), steps.labels
            failed = launching.launch(made.wanted, plan, child)
        except BaseException:
            supervision.give_up()
            raise
        if failed is not None:
            supervision.give_up()
            self._fail(child, failed, labels)
        supervision.begin(child)

    def _launch_prepared(self, child: Child[None], confinement: "OfProgram") -> bool:
        """Have a child that was confined ahead go on with the program. False: there is none that could."""
        prepared = cast("PreparedChildren", confinement.prepared)
        if not self._made.is_usual_in_sandbox:
            return False
        last = self._last_part(inherited(), prepared.nothing)
        if last is None:
            return False
        waiting = prepared.take(confinement.ground.view)
        if waiting is None:
            prepared.fill_up()
            return False
        try:
            supervision = waiting.supervision
            supervision.on_end = prepared.fill_up
            child.supervised_by(supervision)
            failed = waiting.ahead.go(child, last.plan, last.sent)
        except BaseException as error:
            waiting.end()
            if isinstance(error, OSError):  # it has been killed, or there are no such descriptors
                return False
            raise
        if subreaper.blocks:
            subreaper.note(child.pid)
        if failed is not None:
            supervision.give_up()
            self._fail(child, failed, last.labels)
        supervision.begin(child)
        return True

    def _last_part(self, standard: tuple[int, ...], nothing: int) -> "LastPart | None":
        """What is left for a child that was confined ahead; None where that is too much for a message."""
        if self._last is not None and self._last.inherited == standard:
            return self._last
        received = Received(self._made.moves, standard, nothing)
        if not received.are_few:
            return None
        validated, steps = self._made.validated, Steps()
        received.carry_out(steps)
        if "umask" in validated:
            steps.add("umask", "UMASK", validated["umask"])
        if "cwd" in validated:
            steps.add("chdir", "CHDIR", validated["cwd"], file=validated["cwd"])
        plan = Plan([*steps.steps, self._exec])
        self._last = LastPart(standard, received.sent, plan, steps.labels)
        return self._last

    def _fail(
        self, child: Child[None], failed: launching.Report, labels: "Sequence[Label] | None" = None
    ) -> NoReturn:
        """Raise the error for the failed step and its errno."""
        step, number = failed
        if step == _NO_HELPER:
            raise spawn_error("clone(THREAD) of a helper", number, reason=_WHY_NO_HELPER)
        if step == _ENTERING:
            raise spawn_error("setns(pid)", number, reason=likely_reason("setns", number))
        child.wait()
        raise self._error_of(*self._labels(labels)[step], number)

    def _labels(self, of_steps: "Sequence[Label] | None" = None) -> "list[Label]":
        return [*(of_steps or self._made.steps.labels), ("execve", None)]

    def _error_of(self, label: str, file: "Text | None", number: int) -> SpawnError:
        named: str | bytes | None = None if file is None else os.fsdecode(file)
        argv0, options = self._asked
        reason = reason_among(self._made.validated, label, number)
        if label == "execve":
            named = os.fspath(options.get("executable") or argv0)
            if number in _NO_SUCH and len(self._shown) == 1 and " " in self._shown[0]:
                words = self._shown[0].split()
                reason = (
                    f"no program has this name; to run a command line, pass its words {words}, "
                    "or use a shell (shell=True, sh -c)"
                )
            elif number == errno.EACCES and (found := self._same_files()):
                reason = why_not_executed(found) or reason
            confined = self._made.confinement
            if confined is not None and number in _NO_SUCH:
                by_sandbox = confined.why_not_executed(self._exec[1]) or self._why_unseen(confined)
                reason = by_sandbox or reason
        elif label == "chdir" and (cwd := options.get("cwd")) is not None:
            named = os.fspath(cwd)
            if self._made.confinement is not None:
                reason = self._made.confinement.sight.why_unseen(os.fsdecode(cwd)) or reason
        elif number == errno.EMFILE and self._made.confinement is not None:
            reason = self._made.confinement.why_too_few_files or reason
        return spawn_error(label, number, named, reason)

    def _why_unseen(self, confinement: "OfProgram") -> str:
        begins = os.fsdecode(self._asked[1].get("cwd") or confinement.home)
        return confinement.sight.why_not_executed(map(os.fsdecode, self._exec[1]), begins)

    def _same_files(self) -> list[bytes]:
        """The paths of the program as this process finds the same files; none where it cannot."""
        options = self._asked[1]
        begins = os.fsencode(options.get("cwd") or "")
        is_known = _OTHER_FILES.isdisjoint(options) and (not begins or os.path.isabs(begins))
        return [os.path.join(begins, path) for path in self._exec[1]] if is_known else []


def begin(command: Command, child: Child[None], patience: float | None) -> "Launch | None":
    """Launch without suspending the caller; returns the rest of a launch that takes longer than patience.

    patience: in seconds; None: the rest is returned in any case.
    """
    made = command._made
    if made.confinement is not None:  # its child is made by another, for which the caller waits
        command.launch(child)
        return None
    if made.is_guided():
        patience = None
    elif made.manner.has_own_score and not _PARENT_DEATH.isdisjoint(made.validated):
        # A parent-death signal would come at the end of the helper that sets the score.
        command.launch(child)
        return None
    begun = launching.launch_beside(made.wanted, command._plan, made.manner, child, patience)
    if isinstance(begun, launching.Underway):
        return Launch(command, begun)
    if begun is not None:
        command._fail(child, begun)
    return None


class Launch:
    """A launch in which the parent opens gates, or goes on meanwhile.

    It does not refer to the child: the child refers to it while it waits for start().
    """

    __slots__ = ("_command", "_made", "_underway")

    def __init__(self, command: Command, underway: launching.Underway) -> None:
        self._command = command
        self._made = command._made
        self._underway = underway

    async def arrive(self, child: Child[None], waits: Waits) -> None:
        """Wait until the program runs, or the child is at the gate of start()."""
        made = self._made
        if made.setup.maps_by_parent:
            await self._at(MAPS_GATE, child, waits)
            await self._write_maps(child, waits)
        if not made.last_gate:
            self._see(child, await waits.reach(self._underway, launching.LAUNCHED))
            return
        await self._at(START_GATE, child, waits)
        if made.flags & STOPPED:
            self._underway.stop()
        if made.waits_for_start:
            child.wait_for_start(self.start)
        else:
            await self.start(child, waits)

    async def start(self, child: Child[None], waits: Waits) -> None:
        """Open the last gate; a child that is stopped passes it when it is resumed."""
        if self._made.waits_for_start and (status := child.poll()) is not None:
            raise _ended_early(status)
        self._underway.open(START_GATE)
        if self._made.flags & STOPPED:
            return
        step, _ = report = await waits.reach(self._underway, launching.LAUNCHED)
        if step == _AT_GATE and self._made.waits_for_start:
            raise _ended_early(child.wait())
        self._see(child, report)

    async def _write_maps(self, child: Child[None], waits: Waits) -> None:
        async def succeeds(words: list[str]) -> bool:
            command = Command(words, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
            return (await waits.run(command)).success

        await id_maps.write(child.pid, self._made.validated, succeeds)
        self._underway.open(MAPS_GATE)

    async def _at(self, gate: int, child: Child[None], waits: Waits) -> None:
        self._see(child, await waits.reach(self._underway, gate))

    def _see(self, child: Child[None], report: launching.Report) -> None:
        """Raise if a step has failed."""
        if report[0] not in {_NO_FAILURE, _AT_GATE}:
            self._command._fail(child, report)


class LastPart(NamedTuple):
    """What a child that was confined ahead is sent, and does then: its program's part of a command."""

    inherited: tuple[int, ...]
    sent: tuple[int, ...]
    plan: Plan
    labels: "Sequence[Label]"


_WHY_NO_HELPER = (
    "the helper thread that makes this child could not be made (after unshare(NEWPID) none can)"
)


def _ended_early(status: ExitStatus) -> SpawnError:
    return spawn_error("start", errno.ESRCH, reason=f"the child ended before its program: {status}")


class _Made:
    """What a command asks of the kernel, prepared."""

    def __init__(self, validated: ValidatedOptions, held: Descriptors | None) -> None:
        self.flags = flags = _checked_flags(validated)
        self.confinement: OfProgram | None = None
        confining: InPlace | None = None
        # With other options a child that was confined ahead would have begun otherwise.
        self.is_usual_in_sandbox = _OF_PREPARED.issuperset(validated.keys() - {"sandbox"})
        if "sandbox" in validated:
            from .._sandbox import of_program
            from .._sandbox.kept import confinement_of  # takes long to import, and few need it

            self.confinement = confinement_of(of_program.OfProgram, validated["sandbox"])
            confining = of_program.InPlace(self.confinement)
            validated = {**validated, **self.confinement.implied(validated)}
        self.validated = validated
        self.waits_for_start = not validated.get("start", True)
        self.last_gate = self.waits_for_start or bool(flags & STOPPED)
        self.moves = moves = Moves(
            validated, may_fetch=has_close_range() and not flags & _CANNOT_READ_MAKER
        )
        shares_table = bool(flags & FILES) or (moves.close_others and has_close_range())
        maps = id_maps.by_child(validated) if id_maps.asked(validated) else ()
        maps_by_parent = not maps and id_maps.asked(validated)
        self.cgroup: int | None = None
        written: tuple[int, bytes] | None = None
        joined: Sequence[tuple[str, int, int]] = ()
        pid_namespace = _NO_DESCRIPTOR
        if held is not None:
            self.cgroup = _cgroup_directory(validated, held)
            written = _written_cgroup(self.cgroup)
            joined, pid_namespace = joined_namespaces(validated, held)
        set_tid = validated.get("set_tid")
        self.wanted = launching.Wanted(
            flags=flags & ~SIGNAL_BITS,
            exit_signal=_exit_signal(flags),
            set_tid=None if set_tid is None else tuple(set_tid),
            cgroup=self.cgroup if written is None else None,
            shares_table=shares_table,
        )
        self.request_flags = cached_request("program", *self.wanted).flags  # refused here, if it is
        self.setup = Setup(
            validated,
            flags,
            shares_table,
            moves,
            written,
            joined,
            maps,
            maps_by_parent,
            self.last_gate,
            confining,
        )
        gated = self.last_gate or maps_by_parent
        entered = pid_namespace != _NO_DESCRIPTOR
        # The kernel sends a parent-death signal at the end of the parent thread, which may be a helper.
        of_process = bool(validated.get("die_with_parent")) or (
            "pdeathsig" in validated and (gated or entered)
        )
        self.manner = launching.Manner(
            gated, of_process, "oom_score_adj" in validated, pid_namespace
        )
        self.has_gates_or_enters = gated or entered
        # The end of any other child needs more than one waitid() by the core.
        self.is_plain = (
            self.cgroup is None and self.confinement is None and not flags & _ENDS_OTHERWISE
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

    def own_steps(self, own: "InPlace") -> "Steps":
        """The steps of one child in a sandbox; others have the same cgroups later."""
        view, kept_as = own.confinement.ground.view, tuple(own.entries)
        is_its_own = any(one is not None for one in (own.layer, own.told, own.tree))
        seen, steps = self._own_steps.get(kept_as, (None, None))
        if is_its_own or steps is None or seen is not view:
            validated = {**self.validated, **own.implied}
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


# Preparing the setup takes most of the time of making a command, and many programs have the same options:
# so it is cached by these.
_OF_EXEC = frozenset(row.name for row in OPTIONS.values() if row.of_exec)
_OF_PREPARED = _OF_EXEC | {"stdin", "stdout", "stderr", "fds", "pass_fds", "cwd", "umask"}
_MOST_KEPT = 64
_NO_OPTIONS: ValidatedOptions = MappingProxyType({})
_made_before: dict[tuple[object, ...], _Made] = {}


def _cwd_in_sandbox(options: Options) -> "Text | None":
    from .._sandbox.description import Sandbox
    from .._sandbox.files.sight import as_seen_from_here

    cwd, sandbox = options.get("cwd"), options.get("sandbox")
    if not isinstance(cwd, str | bytes | os.PathLike) or not isinstance(sandbox, Sandbox):
        return cwd  # which is refused later
    return as_seen_from_here(sandbox, os.fspath(cwd))


def _made_in(sandbox: object) -> "dict[tuple[object, ...], _Made] | None":
    """The same of commands in a sandbox, as long as what it is made of is kept; None where none is."""
    from .._sandbox.description import Sandbox
    from .._sandbox.kept import found_confinement
    from .._sandbox.of_program import OfProgram

    found = found_confinement(OfProgram, sandbox) if isinstance(sandbox, Sandbox) else None
    return None if found is None else found.made


@functools.cache
def _plainly_made() -> _Made:
    return _Made(_NO_OPTIONS, None)


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


def _exit_signal(flags: int) -> int:
    return flags & SIGNAL_BITS or (0 if flags & PARENT else signal.SIGCHLD)


def _words(argv: Sequence[Text]) -> tuple[bytes, ...]:
    if isinstance(argv, str | bytes):
        raise TypeError(
            f"invalid argv: expected a sequence of words, got one string; shlex.split({argv!r}) splits it"
        )
    if not isinstance(argv, Iterable):
        hint = "; clone(fn) runs a function" if callable(argv) else ""
        raise TypeError(
            f"invalid argv: expected a sequence of words, got {type(argv).__name__}{hint}"
        )
    if not argv:
        raise ValueError("invalid argv: expected at least the name of the program, got no words")
    return tuple(
        [
            word.encode(_ENCODING, _ENCODING_ERRORS) if type(word) is str else os.fsencode(word)
            for word in argv
        ]
    )


def _paths(
    argv: tuple[bytes, ...], validated: ValidatedOptions, env: Environment | None
) -> tuple[bytes, ...]:
    """The paths to try: a name without a slash is searched for along PATH."""
    program: bytes = validated.get("executable", argv[0])
    if not program:
        return (b"",)
    if b"/" in program:
        return (program,)
    directories = os.get_exec_path(env)  # type: ignore[arg-type] # bytes keys work too
    return tuple(os.path.join(os.fsencode(directory), program) for directory in directories)


def _cgroup_directory(validated: ValidatedOptions, held: Descriptors) -> int | None:
    cgroup = validated.get("cgroup")
    if isinstance(cgroup, str | bytes | os.PathLike):
        return held.open(os.open, cgroup, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return None if cgroup is None else descriptor_of("cgroup", cgroup)


def _written_cgroup(directory: int | None) -> tuple[int, bytes] | None:
    """Where the child has to write itself into: a directory, a file in it. None: the clone call does it.

    Hierarchies of version 1, and kernels without clone3, know no clone call into a cgroup.
    """
    if directory is None or (has_clone3() and _exists_in(directory, "cgroup.controllers")):
        return None
    return directory, b"cgroup.procs"


def _exists_in(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True
