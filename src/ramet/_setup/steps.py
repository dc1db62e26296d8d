"""The order in which a child is set up, each step with the reason for its place.

1. *Descriptors of its own.* The table is shared at the clone call, which costs nothing however many are
   open; before anything is opened or moved it becomes the child's, with only what is needed in it.
   What is opened or saved for later comes now, under the caller's root.
2. *Id maps*, in a new user namespace: until they are written the child is nobody, and may do little.
3. *cgroup* (where the clone call could not place it) *and oom_score_adj*: files of the caller's mounts.
4. *Session, process group, terminal*: the terminal is a descriptor of the caller's, so before those move.
5. *Joining namespaces*: by descriptors of the caller's too. The user namespace first, since it gives
   the rights for the others; the mount namespace last, since it takes away the caller's files.
6. *Descriptors*, each under its number, and the others closed: nothing later needs one.
7. *Host name, loopback*: in the namespaces that are now the child's.
8. *Limits and priorities*: with the caller's rights, as raising one needs them; after the descriptors, as
   a low RLIMIT_NOFILE would forbid to move them.
9. *umask, root, cwd*: with the caller's rights, as subprocess does; cwd within the new root.
10. *Identity*: capabilities that only a privileged task can take away or keep, then groups, gid, uid,
    then what of the capabilities shall be left, then no_new_privs. No step after this needs rights.
11. *Parent-death signal*: a change of identity clears it.
12. *Signals*: dispositions, and the mask that is let in with the program.
13. *The last gate*, for a child that waits for its start; then *the program*.
"""

import itertools
import os
import signal
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from .._kernel.clone_bits import FILES, SIGHAND
from .._kernel.names import AT_FDCWD, CAPABILITIES, SCHEDULERS
from ..flags import signal_name
from .options import DEVNULL, ValidatedOptions

Step: TypeAlias = tuple[object, ...]

_F_SETFD = 2
_TIOCSCTTY = 0x540E
_PRIO_PROCESS = 0
_IOPRIO_WHO_PROCESS = 1
_PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 8, 24, 28
_PR_SET_TIMERSLACK, _PR_SET_NO_NEW_PRIVS = 29, 38
_ADDR_NO_RANDOMIZE = 0x0040000
_ALL_BITS = (1 << 64) - 1
_LAST_DESCRIPTOR = (1 << 32) - 1
_LAST_STANDARD = 2
_FAR = 256  # to copy a table up to here costs no more than to ask for three descriptors
_SCHED_ATTR = struct.Struct("=IIQiI3Q")
_RLIMIT = struct.Struct("=2Q")
_LAST_CAPABILITY = "/proc/sys/kernel/cap_last_cap"

# The signals that Python ignores for itself and that programs expect to find at their default.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)

_CAPABILITY_SETS = frozenset({"permitted_caps", "inheritable_caps", "ambient_caps"})

MAPS_GATE, START_GATE = 1, 2


class Steps:
    """Steps for a plan, with a label for each: its name in an error, and the file it is about."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.labels: list[tuple[str, bytes | None]] = []

    def add(self, label: str, operation: str, *operands: object, file: bytes | None = None) -> None:
        """One more step: its name in steps.def, and its operands."""
        self.steps.append((operation, *operands))
        self.labels.append((label, file))


class Moves:
    """How the child's descriptors come from the caller's, whatever the order, cycles included.

    A source that some other move would overwrite is saved out of the way first, and so is what is
    opened for the child. Sources far up in the caller's table are fetched from there instead of
    copying all that is open below them, where the clone call allows it.
    """

    def __init__(self, validated: ValidatedOptions, *, may_fetch: bool = False) -> None:
        self.targets: dict[int, int] = dict(validated.get("fds", ()))
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if name in validated:
                self.targets[number] = validated[name]
        self.kept: frozenset[int] = frozenset(validated.get("pass_fds", ()))
        self.close_others: bool = validated.get("close_fds", True)
        numbers = {_LAST_STANDARD, *self.targets, *self.kept}
        sources = {source for source in self.targets.values() if source >= 0}
        self.fetched: list[int] = []
        if may_fetch and self.close_others and max(numbers) < _FAR:
            self.fetched = sorted(source for source in sources if source >= _FAR)
        # From here on nothing is needed: in the caller's table, and in one without what is fetched,
        # in which whatever is saved lies above the others.
        self.above = max(numbers | sources) + 1
        self.near = max(numbers | sources.difference(self.fetched)) + 1
        self.saved = sorted(
            {s for t, s in self.targets.items() if s != t and (s in self.targets or s == DEVNULL)}
        )

    def __bool__(self) -> bool:
        return bool(self.targets or self.kept or self.close_others)

    def prepare(self, steps: Steps) -> None:
        """Before anything is moved: open and save."""
        for slot, source in enumerate(self.saved):
            if source == DEVNULL:
                path = os.fsencode(os.devnull)
                steps.add("open", "OPEN", path, os.O_RDWR, slot, self.near, file=path)
            else:
                steps.add("fcntl(F_DUPFD)", "SAVE", source, slot, self.near)
        for slot, source in enumerate(self.fetched, len(self.saved)):
            steps.add("pidfd_getfd", "FETCH", source, slot, self.near)

    def carry_out(self, steps: Steps, end: int) -> None:
        """Each descriptor under its number, the others closed: the table had none from `end` on."""
        in_slots = [*self.saved, *self.fetched]
        for target, source in sorted(self.targets.items()):
            if source == target:
                steps.add("fcntl(F_SETFD)", "FCNTL", target, _F_SETFD, 0)
            elif source in in_slots:
                steps.add("dup3", "RESTORE", in_slots.index(source), target)
            else:
                steps.add("dup3", "DUP", source, target, 0)
        for number in sorted(self.kept):
            steps.add("fcntl(F_SETFD)", "FCNTL", number, _F_SETFD, 0)
        if self.close_others:
            self.close(steps, end=_LAST_DESCRIPTOR if in_slots else end)

    def close(self, steps: Steps, *, end: int = _LAST_DESCRIPTOR, also: Sequence[int] = ()) -> None:
        """Close what shall not stay; also: what more stays. The table had none from `end` on."""
        for first, last in self._gaps(also):
            if first < end:
                steps.add("close_range", "CLOSE_RANGE", first, last)

    def _gaps(self, also: Sequence[int]) -> list[tuple[int, int]]:
        """What lies between and above the descriptors that stay; the standard ones always do."""
        staying = sorted({*self.targets, *self.kept, *also, _LAST_STANDARD} - {0, 1})
        bounds = [*staying, _LAST_DESCRIPTOR + 1]
        return [(a + 1, b - 1) for a, b in itertools.pairwise(bounds) if a + 1 <= b - 1]


class Setup(NamedTuple):
    """All that the steps are made from: what was said, and what the launch has found for it."""

    validated: ValidatedOptions
    flags: int = 0
    shared_table: bool = False  # the clone call shares the descriptors, whatever the flags say
    moves: Moves | None = None
    cgroup: tuple[int, bytes] | None = None  # where to write itself into: directory and file
    joined: Sequence[tuple[str, int, int]] = ()  # for an error, a descriptor, what of it
    maps: Sequence[tuple[str, bytes]] = ()  # files of /proc/self that the child writes itself
    maps_by_parent: bool = False
    last_gate: bool = False  # whether the child waits once more before its program


def steps_of(setup: Setup) -> Steps:
    """The steps that set a child up, all but its program."""
    steps = Steps()
    for words, section in _SECTIONS:
        if words is None or not words.isdisjoint(setup.validated):
            section(setup, steps)
    return steps


def _own_files(s: Setup, steps: Steps) -> None:
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
        s.validated[word] for word in ("controlling_terminal", "foreground") if word in s.validated
    ]
    if s.cgroup is not None:
        used.append(s.cgroup[0])
    return max(above, *(number + 1 for number in used)) if used else above


def _id_maps(s: Setup, steps: Steps) -> None:
    for name, text in s.maps:
        path = f"/proc/self/{name}".encode()
        steps.add(f"write {name}", "WRITE", AT_FDCWD, path, text, len(text), file=path)
    if s.maps_by_parent:
        steps.add("wait for the id maps", "GATE", MAPS_GATE, False)


def _accounting(s: Setup, steps: Steps) -> None:
    if s.cgroup is not None:
        directory, path = s.cgroup
        steps.add("write cgroup.procs", "WRITE", directory, path, b"0", 1, file=path)
    if "oom_score_adj" in s.validated:
        text = b"%d" % s.validated["oom_score_adj"]
        path = b"/proc/self/oom_score_adj"
        steps.add("write oom_score_adj", "WRITE", AT_FDCWD, path, text, len(text), file=path)


def _session(s: Setup, steps: Steps) -> None:
    validated = s.validated
    if validated.get("start_new_session") or "controlling_terminal" in validated:
        steps.add("setsid", "SETSID")
    if "process_group" in validated:
        steps.add("setpgid", "SETPGID", 0, validated["process_group"])
    if "controlling_terminal" in validated:
        steps.add("ioctl(TIOCSCTTY)", "IOCTL", validated["controlling_terminal"], _TIOCSCTTY, 0)
    if "foreground" in validated:
        steps.add("ioctl(TIOCSPGRP)", "FOREGROUND", validated["foreground"])


def _join(s: Setup, steps: Steps) -> None:
    for label, descriptor, which in s.joined:
        steps.add(label, "SETNS", descriptor, which)


def _descriptors(s: Setup, steps: Steps) -> None:
    if s.moves is None:
        return
    own = s.shared_table and s.moves.close_others
    s.moves.carry_out(steps, _first_not_needed(s, s.moves.above) if own else _LAST_DESCRIPTOR)


def _namespace(s: Setup, steps: Steps) -> None:
    if "hostname" in s.validated:
        name = s.validated["hostname"]
        steps.add("sethostname", "SETHOSTNAME", name, len(name))
    if s.validated.get("loopback"):
        steps.add("bring up lo", "LOOPBACK")


def _limits(s: Setup, steps: Steps) -> None:
    validated = s.validated
    for name, (resource, soft, hard) in validated.get("rlimits", {}).items():
        limit = bytearray(_RLIMIT.pack(soft, hard))
        steps.add(f"setrlimit({name})", "PRLIMIT", 0, resource, limit, 0)
    if "cpu_affinity" in validated:
        mask = bytearray(validated["cpu_affinity"])
        steps.add("sched_setaffinity", "SCHED_SETAFFINITY", 0, len(mask), mask)
    if "scheduler" in validated:
        _schedule(steps, *validated["scheduler"])
    if "nice" in validated:
        steps.add("setpriority", "SETPRIORITY", _PRIO_PROCESS, 0, validated["nice"])
    if "io_priority" in validated:
        steps.add("ioprio_set", "IOPRIO_SET", _IOPRIO_WHO_PROCESS, 0, validated["io_priority"])
    if "timer_slack_ns" in validated:
        steps.add(
            "prctl(PR_SET_TIMERSLACK)", "PRCTL", _PR_SET_TIMERSLACK, validated["timer_slack_ns"]
        )
    if "personality" in validated or "aslr" in validated:
        steps.add("personality", "PERSONALITY", _persona(validated))


def _schedule(steps: Steps, policy: int, needs: tuple[int, ...]) -> None:
    if policy == SCHEDULERS["DEADLINE"]:
        attr = bytearray(_SCHED_ATTR.pack(_SCHED_ATTR.size, policy, 0, 0, 0, *needs))
        steps.add("sched_setattr", "SCHED_SETATTR", 0, attr, 0)
        return
    parameter = bytearray(struct.pack("=i", needs[0] if needs else 0))
    steps.add("sched_setscheduler", "SCHED_SETSCHEDULER", 0, policy, parameter)


def _persona(validated: ValidatedOptions) -> int:
    persona: int = validated["personality"] if "personality" in validated else _own_personality()
    if "aslr" in validated:
        persona &= ~_ADDR_NO_RANDOMIZE
        persona |= 0 if validated["aslr"] else _ADDR_NO_RANDOMIZE
    return persona


def _own_personality() -> int:
    with open("/proc/self/personality", "rb") as file:
        return int(file.read(), 16)


def _place(s: Setup, steps: Steps) -> None:
    validated = s.validated
    if "umask" in validated:
        steps.add("umask", "UMASK", validated["umask"])
    if "root" in validated:
        steps.add("chroot", "CHROOT", validated["root"], file=validated["root"])
    if "cwd" in validated or "root" in validated:
        cwd = validated.get("cwd", b"/")
        if "root" in validated:  # a way that begins at the old cwd would lead out of the new root
            cwd = os.path.join(b"/", cwd)
        steps.add("chdir", "CHDIR", cwd, file=cwd)


def _identity(s: Setup, steps: Steps) -> None:
    validated = s.validated
    _privileges_kept(validated, steps)
    if "extra_groups" in validated:
        groups = validated["extra_groups"]
        steps.add("setgroups", "SETGROUPS", len(groups), groups)
    if "group" in validated:
        gid = validated["group"]
        steps.add("setresgid", "SETGID", gid, gid, gid)
    if "user" in validated:
        uid = validated["user"]
        steps.add("setresuid", "SETUID", uid, uid, uid)
    _privileges_left(validated, steps)
    if validated.get("no_new_privs"):
        steps.add("prctl(PR_SET_NO_NEW_PRIVS)", "PRCTL", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _privileges_kept(validated: ValidatedOptions, steps: Steps) -> None:
    """What must be done while the child still may."""
    if "bounding_caps" in validated:
        for name, number in _dropped(validated["bounding_caps"]):
            steps.add(f"prctl(PR_CAPBSET_DROP, CAP_{name})", "PRCTL", _PR_CAPBSET_DROP, number)
    if "securebits" in validated:
        steps.add("prctl(PR_SET_SECUREBITS)", "PRCTL", _PR_SET_SECUREBITS, validated["securebits"])
    if "user" in validated and not _CAPABILITY_SETS.isdisjoint(validated):
        steps.add("prctl(PR_SET_KEEPCAPS)", "PRCTL", _PR_SET_KEEPCAPS, 1)


def _privileges_left(validated: ValidatedOptions, steps: Steps) -> None:
    """An ambient capability must be permitted, which it is, and inheritable, which it becomes.

    What was kept across a change of the user only for that is not to stay.
    """
    if not _CAPABILITY_SETS.isdisjoint(validated):
        inheritable = validated.get("inheritable_caps", _ALL_BITS)
        ambient = validated.get("ambient_caps", 0)
        kept = ambient if validated.get("user") else _ALL_BITS
        permitted = validated.get("permitted_caps", kept)
        steps.add("capset", "CAPABILITIES", permitted, inheritable, ambient)
    if "ambient_caps" in validated:
        steps.add("prctl(PR_CAP_AMBIENT)", "AMBIENT", validated["ambient_caps"])


def _dropped(kept: int) -> list[tuple[str, int]]:
    """The capabilities that this kernel knows and that are not to stay."""
    with open(_LAST_CAPABILITY, "rb") as file:
        last = int(file.read())
    names = {number: name for name, number in CAPABILITIES.items()}
    return [(names.get(n, str(n)), n) for n in range(last + 1) if not kept >> n & 1]


def _parent_death(s: Setup, steps: Steps) -> None:
    number = signal.SIGKILL if s.validated.get("die_with_parent") else s.validated.get("pdeathsig")
    if number is not None:
        steps.add("prctl(PR_SET_PDEATHSIG)", "PARENT_DEATH", int(number))


def _signals(s: Setup, steps: Steps) -> None:
    validated = s.validated
    defaults = list(validated.get("default_signals", ()))
    if validated.get("restore_signals", True) and not s.flags & SIGHAND:
        defaults += _IGNORED_BY_PYTHON
    actions = [(int(number), signal.SIG_DFL) for number in defaults]
    actions += [(number, signal.SIG_IGN) for number in validated.get("ignored_signals", ())]
    for number, action in actions:
        steps.add(f"sigaction({signal_name(number)})", "SIGNAL_ACTION", number, int(action))
    if "signal_mask" in validated:
        steps.add("sigprocmask", "SIGNAL_MASK", validated["signal_mask"])


def _start_gate(s: Setup, steps: Steps) -> None:
    if s.last_gate:  # where it can be terminated: with SIGHAND the handlers would be ours
        own_handlers = not s.flags & SIGHAND
        steps.add("wait for the start", "GATE", START_GATE, own_handlers)


# What a section is for: without one of these words it has nothing to do. None: it looks itself.
_SECTIONS: Sequence[tuple[frozenset[str] | None, Callable[[Setup, Steps], None]]] = (
    (None, _own_files),
    (frozenset({"uid_map", "gid_map"}), _id_maps),
    (frozenset({"cgroup", "oom_score_adj"}), _accounting),
    (
        frozenset({"start_new_session", "process_group", "controlling_terminal", "foreground"}),
        _session,
    ),
    (frozenset({"namespaces"}), _join),
    (None, _descriptors),
    (frozenset({"hostname", "loopback"}), _namespace),
    (
        frozenset({"rlimits", "cpu_affinity", "scheduler", "nice", "io_priority"})
        | {"timer_slack_ns", "personality", "aslr"},
        _limits,
    ),
    (frozenset({"umask", "root", "cwd"}), _place),
    (
        frozenset({"user", "group", "extra_groups", "no_new_privs", "securebits", "bounding_caps"})
        | _CAPABILITY_SETS,
        _identity,
    ),
    (frozenset({"pdeathsig", "die_with_parent"}), _parent_death),
    (None, _signals),
    (None, _start_gate),
)
