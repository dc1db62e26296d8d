import errno
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramet.errors import CloneError
from ramet.law import RULES, Call, broken_rules, check, refusal

# The values are typed here, and not taken from the flags that the law itself is written with.
NEWTIME = 0x80
VM = 0x100
FS = 0x200
FILES = 0x400
SIGHAND = 0x800
PIDFD = 0x1000
VFORK = 0x4000
PARENT = 0x8000
THREAD = 0x10000
NEWNS = 0x20000
SYSVSEM = 0x40000
PARENT_SETTID = 0x100000
DETACHED = 0x400000
NEWCGROUP = 0x2000000
NEWIPC = 0x8000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
IO = 0x80000000
CLEAR_SIGHAND = 1 << 32
INTO_CGROUP = 1 << 33
AUTOREAP = 1 << 34
NNP = 1 << 35
PIDFD_AUTOKILL = 1 << 36
EMPTY_MNTNS = 1 << 37
STOPPED = 1 << 64
PID = 1 << 65
SIGCHLD = 17

flag_sets = st.lists(
    st.sampled_from([1 << bit for bit in (*range(7, 39), 62, 64, 65)]), max_size=8
).map(lambda flags: sum(set(flags)))
calls = st.sampled_from(["clone", "clone3"])


def ids(flags: int, exit_signal: int, call: Call, *, certain: bool) -> list[str]:
    broken = broken_rules(flags, exit_signal, call)
    return [rule.id for rule in broken if rule.certain is certain]


@pytest.mark.parametrize(
    ("flags", "exit_signal", "call", "expected"),
    [
        (0, 65, "clone3", ["A7"]),
        (0, -1, "clone3", ["A7"]),
        (0, 0x111, "clone3", ["A7"]),
        (DETACHED, 0, "clone3", ["B2"]),
        (VM | SIGCHLD, 0, "clone3", ["B2"]),
        (DETACHED | SIGCHLD, 0, "clone3", ["B2", "B2"]),
        (VM | SIGHAND | CLEAR_SIGHAND, 0, "clone3", ["B3"]),
        (VM | SIGHAND | THREAD, SIGCHLD, "clone3", ["B4"]),
        (PARENT, SIGCHLD, "clone3", ["B4"]),
        (PIDFD | PARENT_SETTID, 0, "clone", ["C1"]),
        (NEWNS | FS, 0, "clone3", ["D1"]),
        (NEWUSER | FS, 0, "clone", ["D2"]),
        (NEWNS | NEWUSER | FS, 0, "clone", ["D1", "D2"]),
        (THREAD, 0, "clone", ["D3"]),
        (THREAD | SIGHAND, 0, "clone3", ["D4"]),
        (SIGHAND, 0, "clone3", ["D4"]),
        (VM | SIGHAND | THREAD | NEWUSER, 0, "clone3", ["D6"]),
        (VM | SIGHAND | THREAD | NEWPID, 0, "clone", ["D6"]),
        (PIDFD | DETACHED, 0, "clone", ["D8"]),
        (PIDFD | DETACHED, 0, "clone3", ["B2", "D8"]),
        (NEWIPC | SYSVSEM, 0, "clone3", ["J2"]),
        (THREAD | NEWUSER | NEWIPC | SYSVSEM, 0, "clone3", ["D3", "D6", "J2"]),
        (PID, 0, "clone3", ["ramet-pid"]),
        (STOPPED | VM | SIGHAND | THREAD, 0, "clone3", ["ramet-stopped-thread"]),
        (STOPPED | VM | VFORK, 0, "clone", ["ramet-stopped-vfork"]),
        (1 << 66, 0, "clone3", ["ramet-64-bits"]),
        (CLEAR_SIGHAND, 0, "clone", ["ramet-clone3-only"]),
        (1 << 63, 0, "clone", ["ramet-clone3-only"]),
        (0, 256, "clone", ["ramet-exit-signal"]),
        (0, -1, "clone", ["ramet-exit-signal"]),
    ],
)
def test_what_no_kernel_grants_is_refused(
    flags: int, exit_signal: int, call: Call, expected: list[str]
) -> None:
    """A forbidden request raises EINVAL with all of its broken rules, in the kernel's order."""
    assert ids(flags, exit_signal, call, certain=True) == expected
    with pytest.raises(CloneError) as caught:
        check(flags, exit_signal, call)
    assert caught.value.errno == errno.EINVAL
    assert [rule.id for rule in caught.value.rules] == expected


@pytest.mark.parametrize(
    ("flags", "exit_signal", "call"),
    [
        (0, 0, "clone"),
        (0, SIGCHLD, "clone3"),
        (0, 64, "clone3"),
        (VM | VFORK, SIGCHLD, "clone3"),
        (VM | FS | FILES | SIGHAND | THREAD | SYSVSEM, 0, "clone3"),
        (VM | FS | SIGHAND | THREAD | SIGCHLD, 0, "clone"),
        (PARENT | SIGCHLD, SIGCHLD, "clone"),
        (DETACHED, SIGCHLD, "clone"),
        (NEWTIME | SIGCHLD, 0, "clone"),
        (0, 0xFF, "clone"),
        (NEWPID | PARENT, 0, "clone3"),
        (NEWUSER | PARENT, 0, "clone3"),
        (NEWPID | VM | SIGHAND, SIGCHLD, "clone3"),
        (NEWUSER | NEWPID | NEWNS | NEWIPC | NEWCGROUP, SIGCHLD, "clone3"),
        (VM | SIGHAND | THREAD | NEWNS, 0, "clone3"),
        (VM | SIGHAND | THREAD | INTO_CGROUP, 0, "clone3"),
        (CLEAR_SIGHAND | VM, SIGCHLD, "clone3"),
        (STOPPED | VM, SIGCHLD, "clone3"),
        (IO | SYSVSEM, SIGCHLD, "clone3"),
    ],
)
def test_what_is_legal_breaks_no_rule(flags: int, exit_signal: int, call: Call) -> None:
    """Requests that are known to succeed break no rule at all, certain or not."""
    assert broken_rules(flags, exit_signal, call) == ()
    check(flags, exit_signal, call)


@pytest.mark.parametrize(
    ("flags", "exit_signal", "expected"),
    [
        (1 << 38, 0, ["B1"]),
        (1 << 63, 0, ["B1"]),
        (EMPTY_MNTNS, SIGCHLD, ["B1"]),
        (NEWTIME, SIGCHLD, ["B2"]),
        (PIDFD | PARENT_SETTID, SIGCHLD, ["C1"]),
        (EMPTY_MNTNS | FS, SIGCHLD, ["B1", "D1"]),
        (PIDFD | VM | SIGHAND | THREAD, 0, ["D8"]),
        (AUTOREAP, SIGCHLD, ["B1", "D9"]),
        (AUTOREAP | PARENT, 0, ["B1", "D9"]),
        (NNP | VM | SIGHAND | THREAD, 0, ["B1", "D11"]),
        (PIDFD_AUTOKILL, 0, ["B1", "D12", "D12"]),
        (PIDFD_AUTOKILL | PIDFD | AUTOREAP, 0, ["B1"]),
    ],
)
def test_what_some_kernel_grants_goes_to_the_kernel(
    flags: int, exit_signal: int, expected: list[str]
) -> None:
    """Where kernels differ nothing is refused beforehand, and the refusal is explained."""
    check(flags, exit_signal, "clone3")
    error = refusal(errno.EINVAL, flags, exit_signal, "clone3")
    assert [rule.id for rule in error.rules] == expected


def test_a_refusal_with_another_errno_is_not_explained_by_these() -> None:
    """An EPERM is not blamed on a rule that gives EINVAL."""
    error = refusal(errno.EPERM, NEWNS | FS, SIGCHLD, "clone3")
    assert error.rules == ()
    assert str(error) == (
        "EPERM: Operation not permitted (flags CLONE_FS|CLONE_NEWNS, exit signal SIGCHLD)"
    )


def forbidden(flags: int, exit_signal: int, call: Call) -> bool:
    """The EINVAL of clone(2)'s ERRORS and of kernel/fork.c, as one expression."""
    has = flags.__and__
    both = (
        (has(NEWNS) and has(FS))
        or (has(NEWUSER) and has(FS))
        or (has(THREAD) and not has(SIGHAND))
        or (has(SIGHAND) and not has(VM))
        or (has(THREAD) and has(NEWUSER | NEWPID))
        or (has(NEWIPC) and has(SYSVSEM))
        or (has(PIDFD) and has(DETACHED))
    )
    library = has(PID) or (has(STOPPED) and has(THREAD | VFORK))
    if call == "clone":
        own = (has(PIDFD) and has(PARENT_SETTID)) or has(0xFFFFFFFF_00000000) or exit_signal > 255
    else:
        own = (
            exit_signal > 64
            or has(DETACHED | 0x7F)
            or (has(SIGHAND) and has(CLEAR_SIGHAND))
            or (has(THREAD | PARENT) and exit_signal)
        )
    return bool(both or library or own)


@given(flag_sets, st.sampled_from([0, 1, SIGCHLD, 64, 65, 255, 256]), calls)
def test_the_rows_say_what_the_manual_says(flags: int, exit_signal: int, call: Call) -> None:
    """clone(2) under EINVAL: the rows refuse beforehand just what the page and fork.c refuse."""
    assert bool(ids(flags, exit_signal, call, certain=True)) == forbidden(flags, exit_signal, call)


def test_rules_stand_in_the_kernels_order() -> None:
    """The library's own rules come first, then the kernel's by their ids."""
    own = [rule.id for rule in RULES if rule.id.startswith("ramet-")]
    rest = [rule.id for rule in RULES[len(own) :]]
    assert [rule.id for rule in RULES[: len(own)]] == own
    assert rest == sorted(rest, key=lambda id_: (id_[0], int(id_[1:])))
    assert set(rest) == {
        *("A7", "B1", "B2", "B3", "B4", "C1", "D1", "D2", "D3", "D4"),
        *("D6", "D8", "D9", "D11", "D12", "J2"),
    }


def test_every_rule_explains_itself() -> None:
    """Each row says why it is there and what to do, in one line without a full stop."""
    for rule in RULES:
        for text in (rule.sentence, rule.remedy):
            assert text
            assert "\n" not in text
            assert not text.endswith(".")
        assert hasattr(errno, rule.errno)
        assert rule.calls <= {"clone", "clone3"}
        assert not (rule.certain and rule.until)


def test_rules_survive_pickle() -> None:
    """A rule can travel to another process inside an error."""
    assert pickle.loads(pickle.dumps(RULES)) == RULES


def test_a_call_without_law_is_refused() -> None:
    """A call that the law does not cover is an error, and not a request without rules."""
    with pytest.raises(ValueError, match="clone and clone3"):
        check(0, 0, "unshare")  # type: ignore[arg-type]
