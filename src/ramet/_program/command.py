"""A program in a new task: what the child does before its exec is decided before the clone call."""

import errno
import os
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeAlias, Unpack, cast

from .._core import Plan, new_child
from .._kernel.clone_bits import STOPPED
from .._process import launching
from .._process.blocking import BLOCKING, Waits, run_blocking
from .._process.child import Child, make_child
from .._process.tree import subreaper
from .._process.tree.own_cgroup import InitialCgroup
from .._process.unreaped import reap_ended, unreaped
from .._setup import id_maps
from .._setup.checks import DEVNULL, Environment, Text
from .._setup.descriptor_moves import Received, inherited
from .._setup.login_groups import warn_of_kept_groups
from .._setup.options import Options
from .._setup.order import Steps
from .._setup.rows import OPTIONS
from .._setup.step_makers import MAPS_GATE, START_GATE, parent_death
from .._setup.step_reasons import likely_reason, reason_among, why_not_executed
from .._setup.validate import ValidatedOptions
from ..errors import SpawnError, spawn_error
from ..exit_status import ExitStatus
from ..flags import CloneFlag
from .preparation import preparation_of

if TYPE_CHECKING:
    from .._sandbox.of_program import OfProgram

Label: TypeAlias = tuple[str, Text | None]

_NO_FAILURE = -1
# In the place of a failed step: native/parent/launch_beside.h.
_ENTERING = -2  # the helper thread could not enter the pid namespace
_AT_GATE = -3  # it ended while it waited at a gate
_NO_HELPER = -4  # the helper thread could not be made

_ENCODING, _ENCODING_ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()

# The errnos of execve for a name in no directory of PATH; EACCES if one may not be searched.
_NO_SUCH = (errno.ENOENT, errno.EACCES)
_OTHER_FILES = frozenset({"root", "namespaces"})
_PARENT_DEATH = frozenset(row.name for row in OPTIONS.values() if parent_death in row.steps)


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
        "_pipes",
        "_plan",
        "_preparation",
        "_shown",
    )

    def __init__(self, argv: Sequence[Text], **options: Unpack[Options]) -> None:
        self._argv = _words(argv)
        if options.get("cwd") is not None and options.get("sandbox") is not None:
            options["cwd"] = _cwd_in_sandbox(options)
        self._shown = [word if type(word) is str else os.fsdecode(word) for word in argv]
        self._asked = argv[0], options  # for errors: as the caller gave them
        self._last: LastPart | None = None
        self._pipes: tuple[int, ...] = ()
        validated, self._preparation, self._held = preparation_of(options)
        if "user" in options:  # which exists: validate() has looked it up
            warn_of_kept_groups(options)
        argv_of_exec = (validated["arg0"], *self._argv[1:]) if "arg0" in validated else self._argv
        paths = _paths(self._argv, validated, options.get("env"))
        self._exec = ("EXEC", paths, argv_of_exec, validated.get("env"))
        self._has_env = "env" in validated
        self._lay()

    def _lay(self) -> None:
        """Prepare the plan, of the steps before the program as they are by now."""
        steps, confinement = self._preparation.steps, self._preparation.confinement
        if confinement is not None and not self._has_env:
            self._exec = (*self._exec[:3], confinement.environment())
        self._plan = Plan([*steps.steps, self._exec])
        self._last = None
        self._laid = steps

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
        return CloneFlag(self._preparation.request_flags)

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
        return make_child(self._new_child(), self._launch)

    def _new_child(self) -> Child[None]:
        """The handle of a child that will be made."""
        if unreaped:
            reap_ended()
        preparation = self._preparation
        child = new_child(Child, self._shown, preparation.flags, preparation.is_plain)
        if preparation.cgroup is not None:
            child._own_belongings().cgroup = InitialCgroup.before_clone(preparation.cgroup)
        return child

    def _give(self, pipes: Iterable[int]) -> None:
        """Let a confined program, once it is launched, open them anew, as by /dev/stdout."""
        self._pipes = tuple(pipes)

    def _launch(self, child: Child[None]) -> None:
        """Make the child of that handle."""
        preparation = self._preparation
        if preparation.confinement is not None:
            self._launch_confined(child)
            return
        if preparation.is_guided():
            run_blocking(cast(Launch, begin(self, child, None)).arrive, child, BLOCKING)
            return
        failed = launching.launch(preparation.wanted, self._plan, child)
        if failed is not None:
            self._fail(child, failed)

    def _launch_confined(self, child: Child[None]) -> None:
        preparation = self._preparation
        confinement = preparation.confinement
        assert confinement is not None
        use = confinement.make_current()
        confinement.give(self._pipes)
        preparation.make_current()
        if self._laid is not preparation.steps:
            self._lay()
        plan = self._plan
        child._own_belongings().use = use
        if confinement.prepared is not None and self._launch_prepared(child, confinement):
            return
        taken_back = confinement.taken_back()
        if preparation.is_unwatched and not taken_back:
            child._own_belongings().make_supervision = confinement.new_supervision
            failed = launching.launch(preparation.wanted, plan, child)
            if failed is not None:
                self._fail(child, failed)
            return
        labels = None
        own, supervision = confinement.new_parts()
        child._own_belongings().supervision = supervision
        try:
            if taken_back or not own.is_common:
                steps = preparation.own_steps(own, taken_back)
                plan, labels = Plan([*steps.steps, self._exec]), steps.labels
            failed = launching.launch(preparation.wanted, plan, child)
        except BaseException:
            supervision.give_up()
            raise
        if failed is not None:
            supervision.give_up()
            self._fail(child, failed, labels)
        supervision.begin(child)

    def _launch_prepared(self, child: Child[None], confinement: "OfProgram") -> bool:
        """Have a child that was confined ahead go on with the program. False: there is none that could."""
        prepared = confinement.prepared
        assert prepared is not None
        if not self._preparation.is_usual_in_sandbox:
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
            supervision.when_gone = prepared.fill_up
            supervision.ends_later = partial(prepared.ends_later, waiting.orphans)
            child._own_belongings().supervision = supervision
            failed = waiting.ahead.go(child, last.plan, last.sent)
        except BaseException as error:
            waiting.end()
            if isinstance(error, OSError):  # it has been killed, or there are no such descriptors
                child._own_belongings().supervision = None
                return False
            raise
        if subreaper.blocks:
            subreaper.note(child.pid)
        if failed is not None:
            supervision.give_up()
            self._fail(child, failed, last.labels)
        if not self._preparation.is_unwatched:
            supervision.begin(child)
        return True

    def _last_part(self, standard: tuple[int, ...], nothing: int) -> "LastPart | None":
        """What is left for a child that was confined ahead; None where that is too much for a message."""
        if self._last is not None and self._last.inherited == standard:
            return self._last
        received = Received(self._preparation.moves, standard, nothing)
        if not received.are_few:
            return None
        validated, steps = self._preparation.validated, Steps()
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
        return [*(of_steps or self._preparation.steps.labels), ("execve", None)]

    def _error_of(self, label: str, file: "Text | None", number: int) -> SpawnError:
        named: str | bytes | None = None if file is None else os.fsdecode(file)
        argv0, options = self._asked
        reason = reason_among(self._preparation.validated, label, number)
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
            confined = self._preparation.confinement
            if confined is not None and number in _NO_SUCH:
                by_sandbox = confined.why_not_executed(self._exec[1]) or self._why_unseen(confined)
                reason = by_sandbox or reason
        elif label == "chdir" and (cwd := options.get("cwd")) is not None:
            named = os.fspath(cwd)
            if self._preparation.confinement is not None:
                reason = self._preparation.confinement.sight.why_unseen(os.fsdecode(cwd)) or reason
        elif number == errno.EMFILE and self._preparation.confinement is not None:
            limits = self._preparation.validated["rlimits"]
            reason = self._preparation.confinement.why_too_few_files(limits) or reason
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
    preparation = command._preparation
    if preparation.confinement is not None:
        # Its child is made by another, for which the caller waits.
        command._launch(child)
        return None
    if preparation.is_guided():
        patience = None
    elif preparation.manner.has_own_score and not _PARENT_DEATH.isdisjoint(preparation.validated):
        # A parent-death signal would come at the end of the helper that sets the score.
        command._launch(child)
        return None
    begun = launching.launch_beside(
        preparation.wanted, command._plan, preparation.manner, child, patience
    )
    if isinstance(begun, launching.Underway):
        return Launch(command, begun)
    if begun is not None:
        command._fail(child, begun)
    return None


class Launch:
    """A launch in which the parent opens gates, or goes on meanwhile.

    A launch does not refer to the child: a child that waits for start() refers to its launch.
    """

    __slots__ = ("_command", "_preparation", "_underway")

    def __init__(self, command: Command, underway: launching.Underway) -> None:
        self._command = command
        self._preparation = command._preparation
        self._underway = underway

    async def arrive(self, child: Child[None], waits: Waits) -> None:
        """Wait until the program runs, or the child is at the gate of start()."""
        preparation = self._preparation
        if preparation.setup.maps_by_parent:
            await self._at(MAPS_GATE, child, waits)
            await self._write_maps(child, waits)
        if not preparation.last_gate:
            self._see(child, await waits.reach(self._underway, launching.LAUNCHED))
            return
        await self._at(START_GATE, child, waits)
        if preparation.flags & STOPPED:
            self._underway.stop()
        if preparation.waits_for_start:
            child._starter = self.start
        else:
            await self.start(child, waits)

    async def start(self, child: Child[None], waits: Waits) -> None:
        """Open the last gate; a child that is stopped passes it when it is resumed."""
        if self._preparation.waits_for_start and (status := child.poll()) is not None:
            raise _ended_early(status)
        self._underway.open(START_GATE)
        if self._preparation.flags & STOPPED:
            return
        step, _ = report = await waits.reach(self._underway, launching.LAUNCHED)
        if step == _AT_GATE and self._preparation.waits_for_start:
            raise _ended_early(child.wait())
        self._see(child, report)

    async def _write_maps(self, child: Child[None], waits: Waits) -> None:
        async def succeeds(words: list[str]) -> bool:
            command = Command(words, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
            return (await waits.run(command)).success

        await id_maps.write(child.pid, self._preparation.validated, succeeds)
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


def _cwd_in_sandbox(options: Options) -> "Text | None":
    from .._sandbox.description import Sandbox
    from .._sandbox.files.sight import as_seen_from_here

    cwd, sandbox = options.get("cwd"), options.get("sandbox")
    if not isinstance(cwd, str | bytes | os.PathLike) or not isinstance(sandbox, Sandbox):
        return cwd  # which is refused later
    return as_seen_from_here(sandbox, os.fspath(cwd))


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
