"""The order in which a child is set up: its sections, each with the reason for its place."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

_RANKS, _ROWS = 100, 1000  # in a section, and in a rank


class Section:
    """Steps that stand together: their place, what they are, and why they stand there."""

    def __init__(self, place: int, what: str, why: str) -> None:
        self.place, self.what, self.why = place, what, why


# fmt: off
OWN_FILES = Section(1, "a descriptor table of its own; `/dev/null` opened, sources saved",
    "the table is shared at the clone call, which costs nothing however many are open; this comes before "
    "anything is opened or moved, and under the caller's root")
ID_MAPS = Section(2, "id maps of a new user namespace",
    "until they are written the child has the overflow ids")
ACCOUNTING = Section(3, "`cgroup` where the clone call could not place it, `oom_score_adj`",
    "files of the caller's mounts")
SESSION = Section(4, "session, process group, terminal, foreground",
    "the terminal is a descriptor of the caller's, so before those move")
JOIN = Section(5, "namespaces joined",
    "by descriptors of the caller's too; user first, since it gives the rights for the others, mnt last, "
    "since it takes away the caller's files")
SANDBOX = Section(6, "of a `sandbox`: the caller's namespaces are left, and a child goes on in a new pid "
    "namespace: its `/proc`, session, cgroups, ids", "the namespaces are descriptors of the caller's")
DESCRIPTORS = Section(7, "descriptors under their numbers, the others closed",
    "nothing later needs one")
NAMESPACES = Section(8, "host name, loopback", "in the namespaces that are now the child's")
LIMITS = Section(9, "limits and priorities",
    "raising one needs the caller's rights; a low `NOFILE` would forbid 7")
PLACE = Section(10, "umask, root, cwd; Landlock's rules where the sandbox has no mount namespace",
    "with the caller's rights, as subprocess does; cwd within the new root; another user may not search "
    "the way to each path")
IDENTITY = Section(11, "bounding set, secure bits; groups, gid, uid; the other capabilities; no_new_privs",
    "what only a privileged task can take away or keep comes first; from here on no step needs a right")
PARENT_DEATH = Section(12, "parent-death signal", "a change of identity clears it")
SIGNALS = Section(13, "signal dispositions and mask",
    "the mask is set where the child waits for its start, or by the last call before the program")
RULES = Section(14, "Landlock's rules and the filter of system calls of a `sandbox`",
    "they would forbid what comes before")
LAST_GATE = Section(15, "the gate of `start=False`, with that mask; execve", "")
# fmt: on
ORDER = (
    *(OWN_FILES, ID_MAPS, ACCOUNTING, SESSION, JOIN, SANDBOX, DESCRIPTORS, NAMESPACES, LIMITS),
    *(PLACE, IDENTITY, PARENT_DEATH, SIGNALS, RULES, LAST_GATE),
)

Operation: TypeAlias = tuple[object, ...]


class Steps:
    """Steps for a plan, with a label for each: its name in an error, and the file it is about."""

    def __init__(self) -> None:
        self.steps: list[Operation] = []
        self.labels: list[tuple[str, bytes | None]] = []

    def add(self, label: str, operation: str, *operands: object, file: bytes | None = None) -> None:
        """One more step: its name in steps.def, and its operands."""
        self.steps.append((operation, *operands))
        self.labels.append((label, file))


class Slots(NamedTuple):
    """Where a child keeps what it opens: in slots from ``first`` on, by descriptors from ``least`` on."""

    first: int
    least: int


NO_SLOTS = Slots(0, 0)


class Step:
    """What adds the steps that an option, or several together, ask for.

    ``do`` gets the setup, the steps, and the value of an option that asks for it. In a section they
    are ordered by ``rank``, then as the rows of options are. One with ``of_false`` is also asked for
    by an option that is False.
    """

    __slots__ = ("_first", "do", "of_false", "place")

    def __init__(
        self,
        section: Section,
        do: Callable[[Any, Steps, Any], None],
        rank: int = 0,
        *,
        of_false: bool = False,
    ) -> None:
        self.do = do
        self._first = (section.place * _RANKS + rank) * _ROWS
        self.place = self._first + _ROWS - 1
        self.of_false = of_false

    def stand_at(self, row: int) -> None:
        """Among those of its section and rank."""
        self.place = min(self.place, self._first + row)


def call(
    section: Section,
    label: str,
    operation: Callable[[Any], Operation],
    rank: int = 0,
    *,
    file: bool = False,
) -> Step:
    """One step, worked out from the option's value, which may be the file that it is about."""

    def do(_: object, steps: Steps, value: Any) -> None:
        steps.add(label, *operation(value), file=value if file else None)  # type: ignore[arg-type]

    return Step(section, do, rank)
