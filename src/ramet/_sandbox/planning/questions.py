"""Questions to the kernel: by the calling thread where they change nothing, else by a child.

The child shares the caller's memory, copies none of its descriptors, makes what it is told in namespaces of
its own, and ends; what it made ends with it.
"""

import errno
import os
import signal
import time
from array import array
from collections.abc import Iterable, Sequence
from struct import pack
from typing import NamedTuple, TypeAlias

from ... import _core
from ..._kernel.clone_bits import FILES, NEWUSER
from ..._kernel.names import AT_FDCWD, PR_SET_NO_NEW_PRIVS
from ..._preflight.this_machine import errno_name
from ..._process.child import Child, make_child
from ..._process.request import cached_request
from ...errors import BrokenRule, CloneError
from ...exit_status import ExitStatus
from ..identity.marked_memory import moments

Step: TypeAlias = tuple[object, ...]

# Since 2019 a new call has one number on all processors: scripts/syscall.tbl.
_NUMBERS = {
    "open_tree": 428,
    "openat2": 437,
    "move_mount": 429,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_restrict_self": 446,
    "faccessat2": 439,
}
_OLDER_NUMBERS = {
    "x86_64": {
        "kill": 62,
        "keyctl": 250,
        "mkdirat": 258,
        "mount": 165,
        "openat": 257,
        "pivot_root": 155,
        "seccomp": 317,
        "setns": 308,
        "umount2": 166,
    },
    "aarch64": {
        "kill": 129,
        "keyctl": 219,
        "mkdirat": 34,
        "mount": 40,
        "openat": 56,
        "pivot_root": 41,
        "seccomp": 277,
        "setns": 268,
        "umount2": 39,
    },
}
_ANSWERED = 4096  # native/child/plan.h
# A limit on tasks, or no memory: another time the answer may be another.
_OF_THIS_MOMENT = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_NONE = 0  # a null pointer
_NO_DESCRIPTOR, _LAST_DESCRIPTOR = -1, (1 << 32) - 1
_MOST_KILLED = 5  # children for one question
_ALL_STEPS_DONE = 127  # native/child/plan.h: what a plan without EXEC exits with


_CALLS_OF_STEPS = {"OWN_FILES": "close_range", "DUP": "dup3"}


class Answer(NamedTuple):
    """What came of a question. errno: 0 where the kernel did all; call: what it refused, or empty.

    rules: those of ``ramet.law`` behind a refused clone call, or that may be.
    """

    errno: int = 0
    call: str = ""
    rules: tuple[BrokenRule, ...] = ()

    @property
    def granted(self) -> bool:
        """Whether the kernel did all."""
        return self.errno == 0

    def __str__(self) -> str:
        if self.granted:
            return "granted"
        ids = ", ".join(rule.id for rule in self.rules)
        rules = f" (rule {ids})" if ids else ""
        reason = "ends the process" if self.errno == KILLED else errno_name(self.errno)
        return f"{self.call}: {reason}{rules}"


GRANTED = Answer()
KILLED = -1  # in the place of an errno: a seccomp filter kills who makes the call


def call(name: str, *arguments: object) -> Step:
    """A system call as a step."""
    return "SYSCALL", number_of(name), *arguments


def number_of(name: str) -> int:
    """The number of a system call on this processor."""
    number = _NUMBERS.get(name)
    if number is None:
        # uname() names an i686 where personality(2) says so; the core is compiled for these two alone.
        processor = "aarch64" if os.uname().machine.startswith(("a", "A")) else "x86_64"
        number = _OLDER_NUMBERS[processor][name]
    return number


def own_ids() -> list[Step]:
    """The steps that map the caller's own ids in a new user namespace, to those of its root.

    Source: user_namespaces(7).
    """
    maps = {
        "setgroups": b"deny",
        "uid_map": b"0 %d 1" % os.geteuid(),
        "gid_map": b"0 %d 1" % os.getegid(),
    }
    return [
        ("WRITE", AT_FDCWD, b"/proc/self/" + name.encode(), text, len(text))
        for name, text in maps.items()
    ]


def as_user(uid: int, gid: int) -> list[Step]:
    """The steps that become a user without any right of the caller's: no group, no capability."""
    return [
        ("SETGROUPS", 0, _NONE),
        ("SETGID", gid, gid, gid),
        ("SETUID", uid, uid, uid),
        ("CAPABILITIES", 0, 0, 0),
    ]


def here(name: str, *arguments: object) -> int:
    """What a system call returns to the calling thread, or -errno. For calls that change nothing."""
    _, number = _core.do_steps(_core.Plan([("ASK", number_of(name), *arguments)]))
    return _value(number)


def of_child(steps: Iterable[Step], flags: int = 0, keeps: int = _NO_DESCRIPTOR) -> Answer:
    """Whether a child with these flags can do all these steps.

    It has no descriptor open at its start, and the first that it opens is 0. keeps: a descriptor of the
    caller's, which is 1 in the child.
    CloneError where there is no child for want of memory, or for a limit on tasks.
    Source: clone(2).
    """
    start, asked = _own_table(keeps), list(steps)
    for pause in moments():
        answer = _answer(start, asked, flags)
        if answer.errno != errno.EACCES or not answer.call.startswith("write "):
            return answer
        time.sleep(pause)
    return _answer(start, asked, flags)


def _answer(start: list[Step], steps: list[Step], flags: int) -> Answer:
    asked = [*start, *steps]
    try:
        failed, status = _done_undisturbed(asked, flags)
    except CloneError as error:
        return answer_of(error)
    if failed is not None:
        return Answer(failed[1], _name_of(asked[failed[0]]))
    return GRANTED if status.code == _ALL_STEPS_DONE else Answer(KILLED, _names_of(steps))


def _done_undisturbed(
    steps: Sequence[Step], flags: int
) -> tuple[tuple[int, int] | None, ExitStatus]:
    """_done(), again where somebody has killed the child: that is no answer, and answers are kept."""
    for _ in range(_MOST_KILLED - 1):
        failed, status = _done(steps, flags)
        if status.signal in (None, signal.SIGSYS):  # by a filter of seccomp
            return failed, status
    return _done(steps, flags)


def answer_of(error: CloneError) -> Answer:
    """What a refused clone call answers; raises the error where it tells of this moment alone."""
    if error.errno in _OF_THIS_MOMENT:
        raise error
    return Answer(error.errno or errno.EIO, "clone", error.rules or error.possible_rules)


def new_user_namespace() -> int:
    """A descriptor of a new user namespace that maps the caller's own ids; the caller closes it.

    CloneError, and OSError with the errno of a file in /proc, where there can be none.
    Source: user_namespaces(7).
    """
    opened = (
        "ASK",
        number_of("openat"),
        AT_FDCWD,
        b"/proc/self/ns/user",
        os.O_RDONLY | os.O_CLOEXEC,
    )
    failed, _ = _done_undisturbed([*own_ids(), opened], NEWUSER)
    descriptor = -errno.EIO if failed is None else _value(failed[1])
    if descriptor < 0:
        raise OSError(-descriptor, os.strerror(-descriptor))
    return descriptor


def _own_table(keeps: int) -> list[Step]:
    steps: list[Step] = [("OWN_FILES", keeps + 1, keeps + 1)]
    if keeps >= 0:
        steps += [("DUP", keeps, 1, 0)] if keeps != 1 else []
        steps += [("CLOSE_RANGE", 0, 0), ("CLOSE_RANGE", 2, _LAST_DESCRIPTOR)]
    return steps


def _done(steps: Sequence[Step], flags: int) -> tuple[tuple[int, int] | None, ExitStatus]:
    """The failed step with its errno, and how the child ended; its table is the caller's."""
    plan = _core.Plan([*steps])
    # No signal tells the caller's process of the child's end.
    request = cached_request("program", flags, 0, shares_table=True)
    failed: tuple[int, int] | None = None

    def launch(child: Child[None]) -> None:
        nonlocal failed
        try:
            failed = _core.spawn(child, request.core, plan)
        except OSError as error:
            raise request.refusal(error) from None

    with make_child(_core.new_child(Child, "a question", flags | FILES, True), launch) as child:
        return failed, child.wait()


def _value(number: int) -> int:
    return number - _ANSWERED if number >= _ANSWERED else -number


def _name_of(step: Step) -> str:
    """The system call of a step, by its name, and the file that it writes."""
    operation, first, *rest = step
    if operation == "WRITE":
        return f"write {os.fsdecode(rest[0])}"  # type: ignore[arg-type]
    if operation not in ("SYSCALL", "ASK"):
        return _CALLS_OF_STEPS.get(str(operation), str(operation).lower())
    numbers = {number_of(name): name for names in _OLDER_NUMBERS.values() for name in names}
    return {**numbers, **{number: name for name, number in _NUMBERS.items()}}[first]  # type: ignore[index]


def _names_of(steps: Sequence[Step]) -> str:
    return " or ".join(dict.fromkeys(_name_of(step) for step in steps))


class AllowAll:
    """A seccomp filter that lets all pass, in memory that a child shares while this object lives."""

    def __init__(self) -> None:
        self._instructions = array(
            "Q", [int.from_bytes(pack("=HBBI", 6, 0, 0, 0x7FFF0000), "little")]
        )
        address, count = self._instructions.buffer_info()
        self.program = bytearray(pack("@HP", count, address))


NO_NEW_PRIVS: Step = ("PRCTL", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
