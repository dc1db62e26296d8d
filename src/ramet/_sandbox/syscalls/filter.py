"""The filter of a sandbox: what its words and files are compiled to."""

import errno
import os
from dataclasses import dataclass, replace
from functools import lru_cache

from .allow_list import ALLOWED
from .argument_rows import (
    CLONE,
    KEPT_BY_TEMPLATES,
    NO_CORE_LIMIT,
    NO_LIMITS_OF_OTHERS,
    NO_NETLINK,
    NO_NETWORK,
    NO_OTHER_RIGHTS,
    NO_SNAPSHOTS,
    NO_SOCKETS_PAST_NAMESPACES,
    NO_WAYS_PAST_PORTS,
)
from .bpf import compiled_rows
from .call_numbers import AUDIT_ARCH, NAMES, X32_BIT
from .deny_list import DENIED, IPC_OF_OTHERS
from .rule import (
    ALLOW,
    DATA,
    ENOSYS,
    EPERM,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    USER_NOTIFICATION,
    Policy,
    Row,
)

_INSTRUCTION_BYTES = 8  # struct sock_filter
_FORBIDDEN = {"refuse": EPERM, "kill": KILL_PROCESS, "notify": USER_NOTIFICATION}


@dataclass(frozen=True, slots=True)
class Filter:
    """A program for seccomp(2), of one machine.

    ``program``: the bytes of an array of struct sock_filter; ``machine``: "x86_64" or "aarch64";
    ``flags``: SECCOMP_FILTER_FLAG_LOG and _SPEC_ALLOW, where a file asks for them.
    """

    program: bytes
    machine: str
    flags: int = 0

    @property
    def count(self) -> int:
        """How many instructions there are."""
        return len(self.program) // _INSTRUCTION_BYTES

    def name_of(self, number: int, architecture: int | None = None) -> str:
        """The name of the system call with this number, "number N" for one that is not known.

        ``architecture``: as struct seccomp_data has it, None for the machine's own.
        """
        if architecture not in (None, AUDIT_ARCH[self.machine]):
            return f"number {number} of another architecture"
        number &= 0xFFFFFFFF
        names = NAMES[self.machine]
        if self.machine == "x86_64" and number & X32_BIT:
            return f"number {number & ~X32_BIT} of x32"
        return names.get(number, f"number {number}")


def compiled(
    wanted: str | os.PathLike[str],
    *,
    machine: str,
    forbidden: str = "refuse",
    keeps_namespaces: bool = False,
    own_ipc: bool = True,
    has_netlink: bool = True,
) -> Filter:
    """The filter for ``Sandbox.syscalls``.

    ``wanted``: "default", "strict", or the path of a file in the form that container engines use.
    ``machine``: "x86_64" or "aarch64".
    ``forbidden``: "refuse", "kill" (the process), or "notify" (who holds the listener is asked, and shall
    kill). A call that programs make in the ordinary course, and go on without, is refused in each case.
    ``keeps_namespaces``: for a template, which makes pid namespaces with clone() and joins them with
    setns(). With it clone() may have CLONE_PARENT, too: its calls take ``of_a_call()`` beside.
    ``own_ipc``: whether the sandbox has an ipc namespace of its own; without one "default" refuses System
    V's shared memory, semaphores and queues as well, and POSIX's queues.
    ``has_netlink``: whether "default" lets programs ask which interfaces there are, as "strict" does not.

    A file's own answers count, but "kill" and "notify" take the place of each errno other than ENOSYS and
    0, and "notify" that of SCMP_ACT_KILL, SCMP_ACT_KILL_THREAD and SCMP_ACT_KILL_PROCESS.

    Calls of another architecture, such as those of 32-bit programs, end the process (or ask). Those of
    x32, and those newer than Linux 7.1, or than what a file names, fail with ENOSYS.

    Raises ValueError for a word or a file that is none, naming the place in it, and OSError for one that
    cannot be read. Source: seccomp(2).
    """
    if machine not in AUDIT_ARCH:
        raise ValueError(
            f"invalid machine: expected {' or '.join(map(repr, AUDIT_ARCH))}, got {machine!r}; "
            "without a filter a sandbox works there with syscalls=None"
        )
    if forbidden not in _FORBIDDEN:
        raise ValueError(
            f"invalid forbidden: expected {' or '.join(map(repr, _FORBIDDEN))}, got {forbidden!r}"
        )
    wanted = os.fspath(wanted)
    if wanted in ("default", "strict"):
        return _of_word(wanted, machine, forbidden, keeps_namespaces, (own_ipc, has_netlink))
    from .container_file import read_bytes

    content = read_bytes(wanted)
    return _of_file(content, wanted, machine, forbidden, keeps_namespaces)


@lru_cache(maxsize=8)
def of_a_call(*, machine: str, wanted: str | None = None, forbidden: str = "refuse") -> Filter:
    """The filter that a call of a template takes beside the template's, which keeps some namespaces.

    ``wanted``: as for compiled(); beside "strict", what that refuses and the template needed is refused.
    ``machine``: "x86_64" or "aarch64". ``forbidden``: "refuse" or "kill"; a process has one listener at
    most, the template's, so that "notify" is "refuse" here. It is short, since each call installs
    it. System V's shared memory, semaphores and queues, and POSIX's queues, are refused as well:
    calls of a template have one ipc namespace together.

    Source: seccomp(2).
    """
    given_up = ("setns", "mount", "open_tree", "move_mount")
    rows = (*CLONE, *NO_CORE_LIMIT, *(Row(name, EPERM) for name in given_up), *IPC_OF_OTHERS)
    if wanted == "strict":
        rows = (*rows, *NO_OTHER_RIGHTS)
    policy = Policy(rows, ALLOW, ALLOW, None)
    return _compiled(policy, machine, "kill" if forbidden == "kill" else "refuse", False, 0)


@lru_cache(maxsize=2)
def without_limits_of_others(*, machine: str) -> Filter:
    """The filter beside, where there is no pid namespace: limits and priorities of others are not set.

    ``machine``: "x86_64" or "aarch64". Programs of another architecture are ended.

    Source: seccomp(2), prlimit(2), setpriority(2), ioprio_set(2).
    """
    policy = Policy(NO_LIMITS_OF_OTHERS, ALLOW, ALLOW, None)
    return _compiled(policy, machine, "refuse", False, 0)


@lru_cache(maxsize=2)
def without_network(*, machine: str) -> Filter:
    """The filter that refuses all sockets but unix ones, beside the one of ``Sandbox.syscalls``, if any.

    ``machine``: "x86_64" or "aarch64". A program of another architecture has calls that make sockets by
    other numbers: it is ended.

    Source: seccomp(2), socket(2).
    """
    return _compiled(Policy(NO_NETWORK, ALLOW, ALLOW, None), machine, "refuse", False, 0)


@lru_cache(maxsize=2)
def without_sockets_past_namespaces(*, machine: str) -> Filter:
    """The filter beside one that is not ours, or none: of sockets that no network namespace holds.

    ``machine``: "x86_64" or "aarch64". Programs for 32 bits go on as well, with the numbers that these
    calls have for them; those of x86 make no socket by socketcall, whose family no filter sees.

    Source: seccomp(2), socket(2), vsock(7).
    """
    policy = Policy(NO_SOCKETS_PAST_NAMESPACES, ALLOW, ALLOW, None)
    return Filter(compiled_rows(policy, machine, KILL_PROCESS, with_32_bits=True), machine)


@lru_cache(maxsize=2)
def without_snapshots(*, machine: str) -> Filter:
    """The filter beside one that is not ours, or none: of snapshots, which show what is hidden.

    ``machine``: "x86_64" or "aarch64". Programs for 32 bits go on as well.

    Source: seccomp(2); fs/btrfs/ioctl.c.
    """
    policy = Policy(NO_SNAPSHOTS, ALLOW, ALLOW, None)
    return Filter(compiled_rows(policy, machine, KILL_PROCESS, with_32_bits=True), machine)


@lru_cache(maxsize=2)
def without_ways_past_ports(*, machine: str) -> Filter:
    """The filter beside, where Landlock names the ports of TCP: of what connects past its rules.

    ``machine``: "x86_64" or "aarch64". Programs of another architecture are ended.

    Source: seccomp(2), landlock(7), send(2) MSG_FASTOPEN.
    """
    return _compiled(Policy(NO_WAYS_PAST_PORTS, ALLOW, ALLOW, None), machine, "refuse", False, 0)


@lru_cache(maxsize=64)
def _of_word(
    word: str, machine: str, forbidden: str, keeps_namespaces: bool, has: tuple[bool, bool]
) -> Filter:
    own_ipc, has_netlink = has
    newest = max(NAMES[machine])
    if word == "strict":
        policy = Policy(ALLOWED, EPERM, ENOSYS, newest)
    else:
        before = () if has_netlink else NO_NETLINK
        after = () if own_ipc else IPC_OF_OTHERS
        policy = Policy((*before, *DENIED, *after), ALLOW, ENOSYS, newest)
    return _compiled(policy, machine, forbidden, keeps_namespaces, 0)


# By what it holds: a file that is written anew under the same name is another one.
@lru_cache(maxsize=64)
def _of_file(
    content: bytes,
    path: str,
    machine: str,
    forbidden: str,
    keeps_namespaces: bool,
) -> Filter:
    from .container_file import policy_of, running_release

    policy, flags = policy_of(content, path, machine, running_release())
    try:
        return _compiled(policy, machine, forbidden, keeps_namespaces, flags)
    except ValueError as error:
        raise ValueError(f"invalid syscalls: {path}: {error}") from None


def _compiled(
    policy: Policy, machine: str, forbidden: str, keeps_namespaces: bool, flags: int
) -> Filter:
    kept: tuple[Row, ...] = KEPT_BY_TEMPLATES if keeps_namespaces else ()
    policy = Policy(
        (
            *kept,
            *(
                replace(row, answer=_answer(row.answer, forbidden, row.quiet))
                for row in policy.rows
            ),
        ),
        _answer(policy.otherwise, forbidden),
        _answer(policy.unassigned, forbidden),
        policy.newest,
    )
    foreign = _FORBIDDEN["notify"] if forbidden == "notify" else KILL_PROCESS
    return Filter(compiled_rows(policy, machine, foreign), machine, flags)


def _answer(answer: int, forbidden: str, quiet: bool = False) -> int:
    """What is answered to a call that is forbidden, and the same to any other."""
    killed = answer in (KILL_PROCESS, KILL_THREAD)
    if forbidden == "refuse" or quiet or (killed and forbidden == "kill"):
        return answer
    refused = answer & ~DATA == ERRNO and answer & DATA not in (0, errno.ENOSYS)
    return _FORBIDDEN[forbidden] if refused or killed else answer
