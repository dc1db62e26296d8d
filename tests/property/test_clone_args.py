import functools
import operator
import os
import signal
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ramet
from ramet import CloneFlag as F
from ramet import lowlevel
from ramet._kernel.clone_args import require_size
from ramet.lowlevel import CloneArgs

from ..constants import SECONDS, repeated

# struct clone_args of clone(2): the field, and the byte at which it begins.
OFFSETS = {
    "flags": 0,
    "pidfd": 8,
    "child_tid": 16,
    "parent_tid": 24,
    "exit_signal": 32,
    "stack": 40,
    "stack_size": 48,
    "tls": 56,
    "set_tid": 64,
    "set_tid_size": 72,
    "cgroup": 80,
}

words = st.integers(0, (1 << 64) - 1)
pids = st.lists(st.integers(1, (1 << 31) - 1), max_size=32)


def word_at(packed: bytes, field: str) -> int:
    offset = OFFSETS[field]
    return int.from_bytes(packed[offset : offset + 8], "little")


@given(st.fixed_dictionaries({name: words for name in OFFSETS if not name.startswith("set_tid")}))
def test_each_field_lies_where_the_kernel_reads_it(values: dict[str, int]) -> None:
    """clone(2): "u64 flags; u64 pidfd; u64 child_tid; u64 parent_tid; u64 exit_signal; ..."."""
    block = CloneArgs(**values).block()  # type: ignore[arg-type]
    assert len(block.packed) == 88
    assert {name: word_at(block.packed, name) for name in values} == values
    assert word_at(block.packed, "set_tid") == word_at(block.packed, "set_tid_size") == 0


@given(pids)
def test_the_chosen_pids_are_an_array(set_tid: list[int]) -> None:
    """clone(2): "set_tid: Pointer to a pid_t array; set_tid_size: Number of elements"."""
    block = CloneArgs(set_tid=set_tid).block()
    assert word_at(block.packed, "set_tid_size") == len(set_tid)
    assert (word_at(block.packed, "set_tid") == 0) == (not set_tid)
    address, length = block.set_tid.buffer_info()
    if set_tid:
        assert (address, length) == (word_at(block.packed, "set_tid"), len(set_tid))
        assert block.set_tid.itemsize == 4
        assert block.set_tid.tolist() == set_tid


@given(st.sampled_from(sorted(OFFSETS)), st.sampled_from([64, 80, 88]))
def test_a_size_holds_the_fields_below_it(field: str, size: int) -> None:
    """clone(2): "size ... allowing future extensions": 64, 80 and 88 bytes hold what lies below."""
    args = CloneArgs(set_tid=[5]) if field.startswith("set_tid") else CloneArgs(**{field: 1})  # type: ignore[arg-type]
    if OFFSETS[field] < size:
        require_size(args.block(), size)
    else:
        with pytest.raises(ValueError, match="has no field"):
            require_size(args.block(), size)


# ---- requests that the kernel grants

SHARED_BY_ALL = (F.FS, F.FILES, F.IO, F.SYSVSEM, F.PTRACE, F.UNTRACED, F.PIDFD)
NAMESPACES = (F.NEWNS, F.NEWUTS, F.NEWIPC, F.NEWUSER, F.NEWPID, F.NEWNET, F.NEWCGROUP, F.NEWTIME)
MEMORIES = (
    F(0),
    F.VFORK,
    F.CLEAR_SIGHAND,
    F.VM,
    F.VM | F.VFORK,
    F.VM | F.CLEAR_SIGHAND,
    F.VM | F.SIGHAND,
    F.VM | F.SIGHAND | F.VFORK,
    F.VM | F.SIGHAND | F.THREAD,
)


def union(flags: Iterable[F]) -> F:
    return functools.reduce(operator.or_, flags, F(0))


def made_legal(flags: F) -> F:
    """The same without what clone(2) lists as EINVAL, and without what a plain user may not."""
    if flags & F.THREAD:
        flags &= ~(F.NEWUSER | F.NEWPID)
    if os.geteuid() and flags & union(NAMESPACES):
        flags = flags & ~union(NAMESPACES) if flags & F.THREAD else flags | F.NEWUSER
    if flags & (F.NEWNS | F.NEWUSER):
        flags &= ~F.FS
    if flags & F.NEWIPC:
        flags &= ~F.SYSVSEM
    if flags & F.SIGHAND:
        # Legal, but the end of such a child leaves SIGCHLD ignored in this process
        # (kernel/pid_namespace.c, zap_pid_ns_processes).
        flags &= ~F.NEWPID
    return flags


legal_flags = st.builds(
    lambda memory, shared, namespaces: made_legal(memory | union(shared) | union(namespaces)),
    st.sampled_from(MEMORIES),
    st.sets(st.sampled_from(SHARED_BY_ALL)),
    st.sets(st.sampled_from(NAMESPACES), max_size=3),
)


@settings(max_examples=repeated(300))
@given(legal_flags)
def test_what_is_legal_makes_a_child(flags: F) -> None:
    """clone(2): "The flags mask ... zero or more of the constants": whatever is legal works."""
    child = ramet.clone(os.getpid, flags=flags)
    seen = child.result(SECONDS)
    if flags & F.THREAD:
        assert seen == os.getpid()
    else:
        assert seen == (1 if flags & F.NEWPID else child.pid)
        assert child.exit_status is not None
        assert child.exit_status.code == 0


@settings(max_examples=repeated(200))
@given(legal_flags, st.sampled_from([0, signal.SIGCHLD, signal.SIGURG]), st.integers(0, 255))
def test_what_is_legal_gives_its_exit_code(flags: F, exit_signal: int, code: int) -> None:
    """clone(2): "The integer returned by fn is the exit status for the child process"."""
    flags &= ~(F.THREAD | F.CLEAR_SIGHAND | F.PIDFD | F.NEWTIME)
    stack = None if flags & F.VFORK else lowlevel.Stack(256 * 1024)
    pid = lowlevel.clone(lambda arg: arg, code, flags | exit_signal, stack)
    assert os.waitpid(pid, 0x40000000) == (pid, code << 8)
