import errno
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ramet._preflight.refusal as ramet_refusal
from ramet._preflight.quick_check import ACCEPTED, check
from ramet._preflight.refusal import check as check_by_the_law
from ramet._preflight.refusal import own_refusal, refusal
from ramet.errors import CloneError
from ramet.law import Call, predict
from ramet.law.library import LIBRARY_RULES

from ...constants import SIGCHLD
from ...flag_values import *

# The values are typed here, and not taken from the flags that the law itself is written with.

flag_sets = st.lists(
    st.sampled_from([1 << bit for bit in (*range(7, 39), 62, 64, 65)]), max_size=8
).map(lambda flags: sum(set(flags)))
calls = st.sampled_from(["clone", "clone3"])


def refused(flags: int, exit_signal: int, call: Call) -> list[str]:
    """The ids of the rules by which it is refused beforehand."""
    try:
        check(flags, exit_signal, call)
    except CloneError as error:
        return [rule.id for rule in error.rules]
    return []


@pytest.mark.parametrize("exit_signal", [0, SIGCHLD, 64])
def test_what_is_granted_unasked_no_rule_forbids(exit_signal: int) -> None:
    """Every subset of the flags that are granted without the law is granted by it, by either call."""
    bits = [1 << bit for bit in range(64) if ACCEPTED >> bit & 1]
    bits += [NEWNS] if exit_signal else [NEWNS, PARENT]
    for chosen in itertools.product([0, 1], repeat=len(bits)):
        flags = sum(bit for bit, taken in zip(bits, chosen, strict=True) if taken)
        if flags & FS and flags & NEWNS:
            assert "D1" in refused(flags, exit_signal, "clone3")
            continue
        check_by_the_law(flags, exit_signal, "clone")
        check_by_the_law(flags, exit_signal, "clone3")
        check_by_the_law(flags | CLEAR_SIGHAND, exit_signal, "clone3")


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
    """Requests that are known to succeed are never stopped."""
    assert refused(flags, exit_signal, call) == []


@pytest.mark.parametrize(
    ("flags", "exit_signal"),
    [
        (1 << 38, 0),
        (1 << 63, 0),
        (EMPTY_MNTNS, SIGCHLD),
        (NEWTIME, SIGCHLD),
        (PIDFD | PARENT_SETTID, SIGCHLD),
        (EMPTY_MNTNS | FS, SIGCHLD),
        (PIDFD | VM | SIGHAND | THREAD, 0),
        (AUTOREAP, SIGCHLD),
        (AUTOREAP | PARENT, 0),
        (NNP | VM | SIGHAND | THREAD, 0),
        (PIDFD_AUTOKILL, 0),
        (PIDFD_AUTOKILL | PIDFD | AUTOREAP, 0),
    ],
)
def test_what_some_kernel_grants_goes_to_the_kernel(flags: int, exit_signal: int) -> None:
    """Where kernels differ nothing is refused beforehand."""
    assert refused(flags, exit_signal, "clone3") == []


def test_an_old_kernel_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older kernel does not refuse yet goes to it: it takes the bit of PIDFD for nothing."""
    ramet_refusal._broken.cache_clear()
    monkeypatch.setattr(ramet_refusal, "running_kernel", lambda: "4.18.0-553.el8")
    assert refused(PIDFD | DETACHED, SIGCHLD, "clone") == []
    assert refused(SIGHAND, SIGCHLD, "clone") == ["D4"]
    ramet_refusal._broken.cache_clear()


def test_a_kernel_without_a_readable_version_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the release says nothing, only the library's own rules stop a call."""
    ramet_refusal._broken.cache_clear()
    monkeypatch.setattr(ramet_refusal, "running_kernel", lambda: "strange")
    assert refused(SIGHAND, SIGCHLD, "clone3") == []
    ramet_refusal._broken.cache_clear()


def test_a_later_kernel_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a kernel that the rows do not know only what the library cannot put to it is refused."""
    ramet_refusal._broken.cache_clear()
    monkeypatch.setattr(ramet_refusal, "running_kernel", lambda: "9.0")
    assert refused(SIGHAND, 0, "clone3") == []
    assert refused(PID, 0, "clone3") == ["ramet-pid"]
    ramet_refusal._broken.cache_clear()


# ---- after the kernel's answer


def on_kernel(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(ramet_refusal, "running_kernel", lambda: version)


def test_what_was_foreseen_names_its_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal that the law foresees on this kernel carries its rules."""
    on_kernel(monkeypatch, "6.8")
    error = refusal(errno.EINVAL, PIDFD | VM | SIGHAND | THREAD, 0, "clone3")
    assert [rule.id for rule in error.rules] == ["D8"]
    assert not error.unexpected
    assert "rule D8: CLONE_PIDFD excluded CLONE_THREAD before Linux 6.9" in str(error)


def test_a_hidden_cause_is_named_as_possible() -> None:
    """What the request does not show is named as what may be behind it, and marked."""
    error = refusal(errno.EAGAIN, 0, SIGCHLD, "clone3")
    assert error.rules == ()
    assert error.unexpected
    assert {"G1", "G2", "L5", "N8"} <= {rule.id for rule in error.possible_rules}
    assert "not predicted: perhaps rule G1: " in str(error)


def test_what_nothing_explains_reaches_the_user() -> None:
    """An errno of no rule is passed on, and marked as not predicted."""
    error = refusal(errno.EXDEV, FS, SIGCHLD, "clone3")
    assert (error.errno, error.rules, error.possible_rules) == (errno.EXDEV, (), ())
    assert str(error) == (
        "EXDEV: Invalid cross-device link; not predicted: no known rule applies "
        "(flags CLONE_FS, exit signal SIGCHLD)"
    )


def test_only_chosen_pids_are_blamed() -> None:
    """Rules about set_tid are named only where pids were chosen."""
    plain = refusal(errno.EEXIST, 0, SIGCHLD, "clone3")
    chosen = refusal(errno.EEXIST, 0, SIGCHLD, "clone3", set_tid=(77,))
    assert [rule.id for rule in plain.possible_rules] == []
    assert [rule.id for rule in chosen.possible_rules] == ["L4"]


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
    assert bool(refused(flags, exit_signal, call)) == forbidden(flags, exit_signal, call)


@given(flag_sets, st.sampled_from([0, 1, SIGCHLD, 64]), calls)
def test_nothing_is_stopped_that_a_kernel_grants(flags: int, exit_signal: int, call: Call) -> None:
    """What is refused beforehand is refused by every kernel from 5.4 to 7.1, whichever user asks."""
    kernels = ("5.4", "5.10", "6.1", "6.12", "6.18", "7.1")
    if refused(flags, exit_signal, call) in ([], ["ramet-clone3-only"]):
        return
    if call == "clone" and (flags & 0xFF or flags >> 32):
        return
    answers = {k: predict(flags, exit_signal=exit_signal, call=call, kernel=k) for k in kernels}
    assert [k for k, answer in answers.items() if answer.granted] == []


def test_a_call_without_law_is_refused() -> None:
    """A call that the law does not cover is an error, and not a request without rules."""
    with pytest.raises(ValueError, match="expected one of clone, clone3, unshare, setns"):
        predict(0, call="fork")  # type: ignore[arg-type]


def test_what_the_law_cannot_read_reaches_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel with a strange name still has its refusals passed on."""
    on_kernel(monkeypatch, "strange")
    error = refusal(errno.EPERM, FS, SIGCHLD, "clone3")
    unreadable = refusal(errno.EINVAL, 17, 12, "clone")
    assert (unreadable.errno, unreadable.unexpected) == (errno.EINVAL, True)
    assert (error.errno, error.unexpected) == (errno.EPERM, True)


def test_every_rule_of_the_library_has_words() -> None:
    """What the library refuses on its own account is a rule with a sentence and a remedy, too."""
    for id_, rule in LIBRARY_RULES.items():
        error = own_refusal(id_, VM, SIGCHLD)
        assert error.rules == (rule,)
        assert rule.sentence in str(error)
        assert rule.remedy


@pytest.mark.parametrize(
    ("kernel", "rules"),
    [("7.2.13+deb14-amd64", ["A7"]), ("7.2", ["A7"]), ("7.3", []), ("8.0.1", [])],
)
def test_a_kernel_that_is_newer_than_the_rules_is_asked(
    kernel: str, rules: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have dropped one; a later release of the newest line has them all."""
    monkeypatch.setattr(ramet_refusal, "running_kernel", lambda: kernel)
    ramet_refusal._broken.cache_clear()
    assert refused(0, 65, "clone3") == rules
    ramet_refusal._broken.cache_clear()
