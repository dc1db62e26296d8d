from struct import pack
from typing import Any

import pytest

from ramet import CloneFlag
from ramet.law import Cgroup
from ramet.observe.tracing.calls import errno_of, is_restarted, read_call
from ramet.observe.tracing.records import Kind, Number, Part, Record

SIGCHLD = 17


def call_record(number: Number, *args: int, parts: tuple[bytes, ...] = ()) -> Record:
    padded = (*args, *[0] * (7 - len(args)))
    pieces = tuple(Part(part, is_cut=False) for part in parts)
    return Record(Kind.CALL, number, 5, 0, 0, 0, padded, pieces)


def clone3(
    *words: int, pids: bytes = b"", target: bytes = b"", beyond: bytes = b"", size: int = 88
) -> Record:
    structure = pack(f"={len(words)}Q", *words) + beyond
    return call_record(Number.CLONE3, 0x7000, size, parts=(structure, pids, target))


WRITTEN: list[tuple[Record, str, str]] = [
    (call_record(Number.FORK), "fork()", "fork()"),
    (call_record(Number.VFORK), "vfork()", "vfork()"),
    (
        call_record(Number.CLONE, 0x1200011, 0, 1, 0x7F10, 5),
        "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tid=0x7f10)",
        "clone(CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD)",
    ),
    (
        clone3(0x4100, 0, 0, 0, SIGCHLD, 0x7F00, 0x9000, 0, 0, 0, 0),
        "clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack=0x7f00, stack_size=36864}, 88)",
        "clone3(CLONE_VM|CLONE_VFORK|SIGCHLD)",
    ),
    (
        clone3(0, 0, 0, 0, SIGCHLD, 0, 0, 0, 0x7F00, 2, 0, pids=pack("=2i", 7, 70)),
        "clone3({flags=0, exit_signal=SIGCHLD, set_tid=[7, 70], set_tid_size=2}, 88)",
        "clone3(SIGCHLD, set_tid=[7, 70])",
    ),
    (
        clone3(1 << 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, target=b"/sys/fs/cgroup/jobs"),
        "clone3({flags=CLONE_INTO_CGROUP, cgroup=4</sys/fs/cgroup/jobs>}, 88)",
        "clone3(CLONE_INTO_CGROUP, cgroup=4</sys/fs/cgroup/jobs>)",
    ),
    (call_record(Number.CLONE3, 8, 88, parts=(b"", b"", b"")), "clone3(0x8, 88)", "clone3(0)"),
    (call_record(Number.UNSHARE, 0x40000000), "unshare(CLONE_NEWNET)", "unshare(CLONE_NEWNET)"),
    (
        call_record(Number.UNSHARE, 0x20000001),
        "unshare(CLONE_NEWPID|0x1)",
        "unshare(CLONE_NEWPID|0x1)",
    ),
    (call_record(Number.UNSHARE, 0x80), "unshare(CLONE_NEWTIME)", "unshare(CLONE_NEWTIME)"),
    (
        clone3(0x11, 0, 0, 0, 0x100),
        "clone3({flags=0x11, exit_signal=0x100}, 88)",
        "clone3(0x11|0x100)",
    ),
    (
        call_record(Number.SETNS, 3, 0x40000000, parts=(b"net:[42]",)),
        "setns(3<net:[42]>, CLONE_NEWNET)",
        "setns(3<net:[42]>, CLONE_NEWNET)",
    ),
    (call_record(Number.SETNS, 0xFFFFFFFF, parts=(b"",)), "setns(-1, 0)", "setns(-1, 0)"),
]


@pytest.mark.parametrize(("asked", "whole", "short"), WRITTEN, ids=lambda one: str(one)[:30])
def test_a_call_is_written_as_strace_does(asked: Record, whole: str, short: str) -> None:
    """With all that it reads, and in short without addresses."""
    call = read_call(asked, 0.0)
    assert str(call) == whole
    assert call.short() == short


def test_clone_reads_no_argument_that_its_flags_do_not_ask_for() -> None:
    """The registers of the others hold what was there before."""
    call = read_call(call_record(Number.CLONE, 0x80000 | SIGCHLD, 0, 1, 2, 0x7F20), 0.0)
    assert call.fields == (("tls", 0x7F20),)
    assert call.exit_signal == SIGCHLD


REQUESTS: list[tuple[Record, str, dict[str, Any]]] = [
    (call_record(Number.FORK), "clone", {"flags": 0, "exit_signal": SIGCHLD}),
    (call_record(Number.VFORK), "clone", {"flags": 0x4100, "exit_signal": SIGCHLD}),
    (call_record(Number.UNSHARE, 0x100), "unshare", {"flags": 0x100}),
    (
        call_record(Number.SETNS, 3, 0, parts=(b"uts:[42]",)),
        "setns",
        {"fd": 3, "namespace": 0x4000000},
    ),
    (
        call_record(Number.SETNS, 3, 0, parts=(b"anon_inode:[pidfd]",)),
        "setns",
        {"pidfd_target": True},
    ),
    (clone3(0, 0, 0, 0, 0, 0, 0, 0, size=64), "clone3", {"size": 64}),
    (clone3(*[0] * 11, beyond=pack("=Q", 1), size=96), "clone3", {"size": 96, "beyond": True}),
    (clone3(1 << 33, *[0] * 10), "clone3", {"cgroup": Cgroup()}),
    (
        clone3(0, 0, 0, 0, 0, 0, 0, 0, 0x7F00, 1, 0, pids=pack("=i", 7)),
        "clone3",
        {"set_tid": (7,), "set_tid_size": 1},
    ),
    (call_record(Number.CLONE3, 8, 88, parts=(b"", b"", b"")), "clone3", {"args": 8, "size": 88}),
]


@pytest.mark.parametrize(("asked", "name", "fields"), REQUESTS, ids=lambda one: str(one)[:30])
def test_a_call_is_a_request_to_the_law(asked: Record, name: str, fields: dict[str, Any]) -> None:
    """The law gets the call's name and its fields."""
    request = read_call(asked, 0.0).request()
    assert request.call == name
    assert {field: getattr(request, field) for field in fields} == fields


def test_a_call_for_machines() -> None:
    """Flags by their names, one by one."""
    told = read_call(call_record(Number.CLONE, 0x600 | SIGCHLD), 0.0).to_dict()
    assert told["flags"] == ("CLONE_FS", "CLONE_FILES")
    assert told["flags_value"] == int(CloneFlag.FS | CloneFlag.FILES)
    assert told["exit_signal"] == "SIGCHLD"


def test_results_that_are_errors() -> None:
    """-1 to -4095 are errors, and those from 512 on are no program's: the kernel makes the call again."""
    assert (errno_of(-1), errno_of(-95), errno_of(7), errno_of(0)) == (
        "EPERM",
        "EOPNOTSUPP",
        None,
        None,
    )
    assert errno_of(-5000) is None
    assert [is_restarted(result) for result in (-511, -512, -513, -4096, 0)] == [
        *(False, True, True, False, False),
    ]
