"""The options of a call as they cross: as steps, or with descriptors by their place in the message.

The caller checks them, so that what is invalid is refused there, and works out the steps. Where these
depend on the child, as on the numbers of the descriptors that it receives, the child does.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ..._core import Plan, do_steps
from ..._function.setup import FunctionSetup, steps_of_function
from ..._kernel.descriptors import Descriptors, copied_beside
from ..._setup.checks import DEVNULL, descriptor_of
from ..._setup.conflicts import refuse_conflicts
from ..._setup.joined_namespaces import joined_namespaces
from ..._setup.login_groups import warn_of_kept_groups
from ..._setup.order import Operation, Steps
from ..._setup.rows import FUNCTION_OPTIONS
from ..._setup.validate import ValidatedOptions, validate
from .call_messages import CallPlan
from .messages import Channel

_STANDARD = ("stdin", "stdout", "stderr")
_TERMINALS = ("controlling_terminal", "foreground")
# Beside descriptors: what is open in the child, and a personality that it may not share with its caller.
_OF_THE_CHILD = frozenset({"close_fds", "aslr"})


class Sent(NamedTuple):
    """A descriptor that comes with the message, by its place there."""

    place: int


class Taken(NamedTuple):
    """A descriptor that came with the message."""

    number: int

    def fileno(self) -> int:
        """The descriptor."""
        return self.number


class SentOptions:
    """Options, checked, with the descriptors that go with them; close() closes what was opened for them.

    flags: of the clone call. ``streams``: which of the three standard ones the first descriptors are to be.
    ``steps``: what the child does then, to which more may be added. ``options``: where it has to work out
    their steps itself, between the two.
    """

    def __init__(self, options: Mapping[str, Any], flags: int) -> None:
        self._flags = flags
        self.descriptors: list[int] = []
        self._held = Descriptors()
        validated = validate(options, FUNCTION_OPTIONS)
        warn_of_kept_groups(options)
        refuse_conflicts(validated, flags, of_function=True)
        self.options = {name: value for name, value in options.items() if value is not None}
        self._send_descriptors(validated)
        self.streams: tuple[int, ...] = ()
        self.steps = Steps()
        self._work_out_steps(validated)

    def _send_descriptors(self, validated: ValidatedOptions) -> None:
        for name in _STANDARD:
            if name in validated:
                self.options[name] = self._sent(validated[name], name)
        fds = {n: self._sent(fd, f"fds[{n}]") for n, fd in validated.get("fds", {}).items()}
        fds |= {n: self._sent(n, "pass_fds") for n in validated.get("pass_fds", ())}
        self.options.pop("pass_fds", None)
        if fds:
            self.options["fds"] = fds
        for name in _TERMINALS:
            if name in validated:
                self.options[name] = self._sent(descriptor_of(name, self.options[name]), name)
        if "namespaces" in validated:
            self.options["namespaces"] = self._namespaces(validated)

    def _work_out_steps(self, validated: ValidatedOptions) -> None:
        """Where they do not depend on the child, to which no option is left then."""
        streams = [name for name in _STANDARD if isinstance(self.options.get(name), Sent)]
        if len(streams) < len(self.descriptors) or self.options.keys() & _OF_THE_CHILD:
            return
        self.streams = tuple(map(_STANDARD.index, streams))
        others = {name: value for name, value in validated.items() if name not in streams}
        self.steps = steps_of_function(others, self._flags)
        self.options.clear()

    @property
    def told(self) -> CallPlan:
        """What of this is in the plan of the call."""
        plan: CallPlan = {}
        if self.options:
            plan["options"] = self._flags, self.options
        if self.steps.steps:
            plan["steps"] = steps_that_cross(self.steps)
        return plan

    def _sent(self, source: int, what: str) -> Sent | int:
        if source == DEVNULL:
            return source
        try:
            os.fstat(source)
        except OSError as error:
            why = f"invalid {what}: expected an open descriptor, got {source}: {error.strerror}"
            raise OSError(error.errno, why) from None
        self.descriptors.append(source)
        return Sent(len(self.descriptors) - 1)

    def _namespaces(self, validated: Mapping[str, Any]) -> dict[str, Sent | int]:
        joined, pid_namespace = joined_namespaces(validated, self._held)
        if pid_namespace >= 0:
            self.close()
            raise ValueError(
                "invalid namespaces['pid'] for a function: a task never joins one, only its children do; "
                "make the template in it: Template(namespaces={'pid': ...})"
            )
        names = [name for name in validated["namespaces"] if name != "pid"]
        by_label = {label: descriptor for label, descriptor, _ in joined}
        return {
            name: self._sent(by_label[f"setns({name})"], f"namespaces[{name!r}]") for name in names
        }

    def close(self) -> None:
        """Close what was opened for them."""
        self._held.close()


def steps_that_cross(steps: Steps) -> tuple[object, ...]:
    """Two tuples, a plain value: the operations, and their labels."""
    return tuple(map(_that_crosses, steps.steps)), tuple(steps.labels)


def _that_crosses(operation: Operation) -> Operation:
    return tuple(map(_operand_that_crosses, operation))


def _operand_that_crosses(operand: Any) -> object:
    """A buffer as bytes in a list, since bytes alone are a string; a number of 64 bits with its sign."""
    if isinstance(operand, int):
        return operand - (1 << 64) if operand >= 1 << 63 else operand
    return operand if isinstance(operand, bytes | str | tuple) else [bytes(operand)]


class FailedSetup(Exception):  # noqa: N818 - it carries what the caller makes an error of
    """A step of the child's setup failed: its label, errno and file."""


def carry_out(steps: tuple[Any, ...]) -> None:
    """In the child: those that have crossed. Raises FailedSetup."""
    operations, labels = steps
    failed, number = do_steps(Plan(list(operations)))
    if failed >= 0:
        label, file = labels[failed]
        raise FailedSetup(label, number, None if file is None else os.fsdecode(file))


def set_up(options: Mapping[str, Any], flags: int, descriptors: Sequence[int]) -> None:
    """In the child: set up what the options say. Raises FailedSetup."""
    given = {name: _received(value, descriptors) for name, value in options.items()}
    if "namespaces" in given:  # a plain number would be a pid
        given["namespaces"] = {name: Taken(number) for name, number in given["namespaces"].items()}
    setup = FunctionSetup(given, flags)
    failure = setup.do()
    if failure is not None:
        raise FailedSetup(*failure)
    targets = {*given.get("fds", ()), *(n for n, name in enumerate(_STANDARD) if name in given)}
    for descriptor in descriptors:
        if descriptor not in targets:
            os.close(descriptor)


def make_way(
    channel: Channel, options: Mapping[str, Any], descriptors: Sequence[int]
) -> Sequence[int]:
    """In the child: move what the library has where the options will put other files.

    descriptors: those that came with the call. Returns them as they are numbered now.
    """
    targets = options.get("fds") or ()
    if channel.fileno() in targets:
        channel.move_to(copied_beside(channel.fileno(), targets))
    return [_moved(one, targets) if one in targets else one for one in descriptors]


def _moved(descriptor: int, targets: Collection[int]) -> int:
    number = copied_beside(descriptor, targets)
    os.close(descriptor)
    return number


def _received(value: Any, descriptors: Sequence[int]) -> Any:
    if isinstance(value, Sent):
        return descriptors[value.place]
    if isinstance(value, dict):
        return {name: _received(one, descriptors) for name, one in value.items()}
    return value
