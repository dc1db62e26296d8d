"""What a call asks for, checked in the caller and packed for the child."""

import os
import signal
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..._function.clone import NEW_NAMESPACES, checked_name, checked_set_tid
from ..._kernel.clone_args import cgroup_descriptor
from ..._kernel.clone_bits import INTO_CGROUP, STOPPED
from ..._kernel.descriptors import Descriptors
from ..._kernel.names import PR_SET_NAME, HasFileno
from ..._kernel.timeouts import checked_timeout
from ..._process.request import flags_and_signal
from ..._process.tree.own_cgroup import InitialCgroup
from ...flags import SIGNAL_BITS, CloneFlag, flag_bits
from ..crossing.call_messages import CallPlan, written_plan
from ..crossing.call_options import SentOptions
from .call_memory import CallMemory

if TYPE_CHECKING:
    from ..._sandbox.files.landlock_rights import Rules

_ALLOWED = NEW_NAMESPACES | STOPPED | CloneFlag.CLEAR_SIGHAND.value


class CallRequest:
    """One call's wishes. close() closes what was opened for them."""

    def __init__(
        self,
        *,
        flags: int = 0,
        timeout: float | None = None,
        name: str | None = None,
        trusted: bool | None = None,
        set_tid: Sequence[int] | None = None,
        cgroup: int | HasFileno | str | os.PathLike[str] | None = None,
        memory: CallMemory | None = None,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.flags = 0 if type(flags) is int and flags == 0 else _checked_flags(flags)
        self.timeout = None if timeout is None else checked_timeout(timeout)
        self.trusted = None if trusted is None else _checked_trust(trusted)
        if self.trusted is None and (self.flags & NEW_NAMESPACES or options.get("namespaces")):
            self.trusted = False
        pids = None if set_tid is None else checked_set_tid(set_tid)
        self.set_tid = None if pids is None else tuple(pids)
        # What is decided by the clone call itself: no spare will do.
        self.needs_clone = bool(self.clone_flags) or self.set_tid is not None
        self.initial_cgroup: InitialCgroup | None = None
        self.plan: CallPlan = {}
        self.descriptors: list[int] = []
        self._outputs: tuple[int, ...] = ()
        self._held: Descriptors | None = None
        self._options: SentOptions | None = None
        if self.trusted is not None:
            self.plan["trusted"] = self.trusted
        if self.flags & STOPPED:
            self.plan["stopped"] = True
        shown = checked_name(name)
        if options:
            self._options = SentOptions(options, self.clone_flags)
        if shown is not None:
            self._setup().steps.add("prctl(PR_SET_NAME)", "PRCTL", PR_SET_NAME, os.fsencode(shown))
        self.memory = memory  # its budget, until the child has it
        if cgroup is not None:
            self._enter(cgroup)
        elif memory is not None and memory.entry is not None:
            self.enter_by(memory.entry)
        elif memory is not None and memory.limits_itself:
            self.plan["data_limit"] = memory.bytes
        # Whether waitid(2) tells all about the end of its child.
        self.ends_plainly = self.timeout is None and memory is None and cgroup is None

    @property
    def clone_flags(self) -> int:
        """The flags of the clone call; the child itself stops, and enters a cgroup."""
        return self.flags & ~(STOPPED | INTO_CGROUP)

    def _enter(self, cgroup: Any) -> None:
        self._held = held = Descriptors()
        shown = f"descriptor {cgroup}" if isinstance(cgroup, int) else str(cgroup)
        if isinstance(cgroup, str | os.PathLike):
            how = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
            cgroup = held.open(os.open, cgroup, how)
        directory = cgroup_descriptor(cgroup)
        self.initial_cgroup = InitialCgroup.before_clone(directory)
        self.flags |= INTO_CGROUP
        how = os.O_WRONLY | os.O_CLOEXEC
        try:
            self.enter_by(
                held.open(lambda path: os.open(path, how, dir_fd=directory), "cgroup.procs")
            )
        except (FileNotFoundError, NotADirectoryError) as error:
            why = "invalid cgroup: expected the directory of one, with a file cgroup.procs"
            raise type(error)(error.errno, why, shown) from None

    def enter_by(self, entry: int) -> None:
        """The child writes itself into a cgroup by that descriptor of its cgroup.procs."""
        before = self.plan.get("entry", 0)
        self.plan["entry"] = before + 1
        self.descriptors.insert(before, entry)  # the child takes all of these first

    def restrict(self, rules: "Rules") -> None:
        """By Landlock's rules, beyond those of its sandbox."""
        self._setup().steps.add("landlock_restrict_self", "LANDLOCK", *rules)

    def _setup(self) -> SentOptions:
        if self._options is None:
            self._options = SentOptions({}, self.clone_flags)
        return self._options

    def answer_stacks_by(self, stack_file: int) -> None:
        """The child writes its Python stack there when it is asked for it."""
        self.plan["stack"] = True
        self.descriptors.append(stack_file)

    def write_to(self, stdout: int, stderr: int) -> None:
        """The child's standard output and error are these."""
        self._outputs = (stdout, stderr)

    def pass_on(self, descriptors: Sequence[int]) -> None:
        """The child's function finds these, by numbers of its own, in plan_of_call.passed."""
        self.plan["passed"] = len(descriptors)
        self.descriptors += descriptors

    def packed(
        self, changes: dict[str, Any], files: Sequence[int]
    ) -> tuple[bytes, tuple[int, ...]]:
        """The plan, and the descriptors that go with it. changes, files: see CallerState."""
        if self is AS_IT_IS and not changes:
            return b"", ()
        plan, descriptors = self.plan, [*self.descriptors, *files]
        if changes:
            plan = plan | {"caller": changes}
        streams: tuple[int, ...] = (1, 2) if self._outputs else ()
        descriptors += self._outputs
        if self._options is not None:
            plan, streams = plan | self._options.told, streams + self._options.streams
            descriptors += self._options.descriptors
        if streams:
            plan = plan | {"streams": streams}
        return written_plan(plan), tuple(descriptors)

    def close(self) -> None:
        """Close what was opened for it, and give back a budget that was not taken."""
        if self.memory is not None:
            self.memory.end()
        if self._held is not None:
            self._held.close()
        if self._options is not None:
            self._options.close()


def _checked_flags(flags: int) -> int:
    bits, signal_number = flags_and_signal(flag_bits(flags), None)
    if flag_bits(flags) & SIGNAL_BITS and signal_number != signal.SIGCHLD:
        raise ValueError(
            "invalid flags: expected no exit signal, got one: a child that is cloned with CLONE_PARENT "
            "sends SIGCHLD, as its template does"
        )
    refused = bits & ~_ALLOWED
    if refused:
        raise ValueError(
            f"invalid flags: expected new namespaces (NEW...), CLEAR_SIGHAND or STOPPED, got "
            f"{CloneFlag(refused)}: it would be shared with the template, not with the caller; "
            "ramet.clone() shares with the caller"
        )
    return bits


def _checked_trust(trusted: object) -> bool:
    if not isinstance(trusted, bool):
        raise TypeError(f"invalid trusted: expected True, False or None, got {trusted!r}")
    return trusted


# Of most calls: nothing is to be made, checked or closed for one that asks for nothing.
AS_IT_IS = CallRequest()
