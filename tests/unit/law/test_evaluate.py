import ast
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramet import CloneFlag, law
from ramet.law import Call, Caller, predict

from ...constants import A_THREAD, SIGCHLD, SLOWER
from ...flag_values import *

# Typed by hand: a test never reads the table that it checks.

flag_sets = st.lists(st.sampled_from([1 << bit for bit in range(7, 38)]), max_size=10).map(
    lambda flags: sum(set(flags))
)


# ---- which of several rules is reported


@pytest.mark.parametrize(
    ("flags", "caller", "fields", "expected"),
    [
        (NEWNS | FS, Caller(privileged=False), {}, ["D1", "J1"]),
        (NEWIPC | SYSVSEM, Caller(privileged=False), {}, ["J1", "J2"]),
        (NEWUSER | NEWIPC | SYSVSEM, Caller(privileged=False), {}, ["J2"]),
        (0, Caller(), {"size": 12, "args": 8}, ["A2", "A3"]),
        (0, Caller(), {"size": 5000, "args": 8}, ["A1", "A3"]),
        (0x80000, Caller(), {"tls": 1 << 63, "set_tid": [1]}, ["K1", "L4"]),
        (PIDFD, Caller(), {"pidfd": 8, "set_tid": [1]}, ["L4", "M2"]),
        (PIDFD | 1 << 33, Caller(), {"pidfd": 8, "cgroup": law.Cgroup(removed=True)}, ["M2", "N2"]),
        (THREAD | NEWUSER | NEWIPC | SYSVSEM, Caller(), {}, ["D3", "D6", "J2"]),
    ],
)
def test_all_broken_rules_are_named_in_order(
    flags: int, caller: Caller, fields: dict[str, Any], expected: list[str]
) -> None:
    """Of several broken rules the kernel's first comes first, as was seen on a kernel."""
    outcome = predict(flags, caller=caller, kernel="6.18", **fields)
    assert [rule.id for rule in outcome.broken] == expected


def test_chosen_pids_are_looked_at_from_the_innermost() -> None:
    """A pid in use in the inner namespace is reported before a bad one in the outer."""
    deep = Caller(pid_ns_depth=1)
    ids = [r.id for r in predict(0, set_tid=[1, 0], caller=deep).broken]
    assert ids[0] == "L4"
    assert predict(0, set_tid=[0, 1], caller=deep).broken[0].id == "L2"


# ---- what is shared


def shared_as_the_table_says(flags: int) -> dict[str, bool]:
    """The table of what a success shares, as one expression for each column."""
    has = flags.__and__
    return {
        "vm": bool(has(VM)),
        "files": bool(has(FILES)),
        "fs": bool(has(FS)),
        "sighand": bool(has(SIGHAND)),
        "sysvsem": bool(has(SYSVSEM)),
        "io": bool(has(IO)),
        "ns_mnt": not has(NEWNS),
        "ns_uts": not has(NEWUTS),
        "ns_ipc": not has(NEWIPC),
        "ns_user": not has(NEWUSER),
        "ns_pid": not has(NEWPID),
        "ns_pid_for_children": not has(NEWPID),
        "ns_net": not has(NEWNET),
        "ns_cgroup": not has(NEWCGROUP),
        "ns_time": not has(NEWTIME) or bool(has(VM)),
        "ns_time_for_children": not has(NEWTIME),
        "same_tgid": bool(has(THREAD)),
        "same_ppid": bool(has(THREAD | PARENT)),
    }


@given(flag_sets, st.sampled_from([0, SIGCHLD]))
def test_a_success_shares_what_the_table_says(flags: int, exit_signal: int) -> None:
    """Every column of sharing, and what the child is told, is as the flags say."""
    outcome = predict(flags, exit_signal=exit_signal, kernel="6.18")
    if not outcome.granted:
        assert outcome.shares == {}
        assert outcome.exit_signal is outcome.getpid is None
        return
    assert outcome.shares == shared_as_the_table_says(flags)
    thread, parent, new_pids = flags & THREAD, flags & PARENT, flags & NEWPID
    assert outcome.exit_signal == (-1 if thread else SIGCHLD if parent else exit_signal)
    assert outcome.getpid == ("caller" if thread else 1 if new_pids else "new")
    siblings = "caller's parent" if thread or parent else "caller"
    assert outcome.getppid == (0 if new_pids else siblings)
    words = {"ptid": PARENT_SETTID, "ctid": CHILD_SETTID, "pidfd": PIDFD}
    assert outcome.writes == {name for name, bit in words.items() if flags & bit}
    assert outcome.clears_ctid == bool(flags & CHILD_CLEARTID and flags & VM)


def test_a_caller_with_another_future_splits_its_child() -> None:
    """After unshare() of pids or clocks the child is where the caller's children go."""
    outcome = predict(0, caller=Caller(children_pid_ns_differs=True, children_time_ns_differs=True))
    apart = {key for key, shared in outcome.shares.items() if not shared and key.startswith("ns_")}
    assert apart == {"ns_pid", "ns_time"}
    assert predict(VM, caller=Caller(children_time_ns_differs=True)).shares["ns_time"]


def test_without_an_io_context_none_is_shared() -> None:
    """CLONE_IO shares a context that the caller has, and makes none."""
    assert not predict(IO, caller=Caller(has_io_context=False)).shares["io"]


def test_parent_takes_the_leaders_signal() -> None:
    """A child of CLONE_PARENT has the exit signal of its caller's leader, whatever is asked."""
    outcome = predict(PARENT | 12, call="clone", caller=Caller(leader_exit_signal=10))
    assert outcome.exit_signal == 10
    assert predict(PARENT | 12, call="clone", kernel="2.6.11").exit_signal == 12


def test_unshare_leaves_the_rest() -> None:
    """unshare() takes apart what it names, and what that implies."""
    kept = predict(NEWUSER | FILES, call="unshare").shares
    assert {key for key, is_so in kept.items() if not is_so} == {"files", "fs", "ns_user"}
    later = predict(NEWPID | NEWTIME, call="unshare").shares
    apart = {key for key, is_so in later.items() if not is_so}
    assert apart == {"ns_pid_for_children", "ns_time_for_children"}


@pytest.mark.parametrize(
    ("flags", "call", "caller", "fields", "expected"),
    [
        (0x1000, "unshare", Caller(), {}, "EINVAL"),
        (1 << 40, "unshare", Caller(), {}, "EINVAL"),
        (NEWIPC | SYSVSEM, "unshare", Caller(), {}, None),
        (NEWUSER, "unshare", Caller(threads=2), {}, "EINVAL"),
        (VM, "unshare", Caller(threads=2), {}, "EINVAL"),
        (SIGHAND, "unshare", Caller(shares_handlers=True), {}, "EINVAL"),
        (NEWUTS, "unshare", Caller(privileged=False), {}, "EPERM"),
        (NEWUTS | NEWUSER, "unshare", Caller(privileged=False), {}, None),
        (NEWUSER, "setns", Caller(), {"own": True}, "EINVAL"),
        (NEWNET, "setns", Caller(), {"own": True}, None),
        (NEWTIME, "setns", Caller(threads=2), {}, "EUSERS"),
        (NEWNET, "setns", Caller(privileged=False), {}, "EPERM"),
        (NEWPID, "setns", Caller(), {"descends": False}, "EINVAL"),
        (NEWNS, "setns", Caller(shares_fs=True), {}, "EINVAL"),
        (0, "setns", Caller(), {"fd": -1}, "EBADF"),
        (FILES, "setns", Caller(), {}, "EINVAL"),
    ],
)
def test_unshare_and_setns_have_rules_too(
    flags: int, call: Call, caller: Caller, fields: dict[str, Any], expected: str | None
) -> None:
    """The two calls that change the caller itself are answered as the kernel answers them."""
    assert predict(flags, call=call, caller=caller, **fields).errno == expected


# ---- kernels


@pytest.mark.parametrize(
    ("flags", "call", "kernel", "expected"),
    [
        (PIDFD | A_THREAD, "clone3", "6.8", "EINVAL"),
        (PIDFD | A_THREAD, "clone3", "6.9", None),
        (0, "clone3", "5.2", "ENOSYS"),
        (1 << 32, "clone3", "5.4", "EINVAL"),
        (1 << 32, "clone3", "5.10", None),
        (1 << 33, "clone3", "5.6", "EINVAL"),
        (1 << 34, "clone3", "6.18", "EINVAL"),
        (1 << 34, "clone3", "7.1", None),
        (1 << 38, "clone3", "7.1", "EINVAL"),
        (NEWTIME, "clone3", "5.4", "EINVAL"),
        (NEWTIME, "clone3", "6.1", None),
        (NEWTIME, "clone3", "6.12", None),
        (NEWUSER | FS, "clone", "2.6.11", None),
        (NEWIPC | SYSVSEM, "clone", "2.6.11", None),
        (SIGHAND, "clone", "2.6.11", "EINVAL"),
        (NEWNS | FS, "clone", "2.6.11", "EINVAL"),
        (NEWUSER, "unshare", "2.6.11", "ENOSYS"),
    ],
)
def test_kernels_differ(flags: int, call: Call, kernel: str, expected: str | None) -> None:
    """Each kernel gives its own answer."""
    assert predict(flags, call=call, kernel=kernel).errno == expected


def test_a_time_namespace_is_entered_at_the_exec_since_6_2() -> None:
    """Where memory is shared; before, the child was in it at once."""
    assert not predict(NEWTIME | VM, kernel="6.1").shares["ns_time"]
    assert predict(NEWTIME | VM, kernel="6.2").shares["ns_time"]
    assert predict(VM, kernel="6.1").shares["ns_time"]


def test_unshare_may_leave_no_mounts() -> None:
    """UNSHARE_EMPTY_MNTNS is 0x100000; it implies a root and a working directory of one's own."""
    shares = predict(0x100000, call="unshare", kernel="7.1").shares
    assert {key for key, kept in shares.items() if not kept} == {"fs", "ns_mnt"}
    assert predict(0x100000, call="unshare", kernel="6.18").errno == "EINVAL"
    nobody = Caller(privileged=False)
    assert predict(0x100000, call="unshare", kernel="7.1", caller=nobody).errno == "EPERM"
    assert predict(0x100000 | NEWUSER, call="unshare", kernel="7.1", caller=nobody).errno is None


def test_one_bit_had_two_lives() -> None:
    """The bit of CLONE_STOPPED is CLONE_NEWCGROUP since 4.6, and meant nothing in between."""
    old, between, today = (
        predict(NEWCGROUP | SIGCHLD, call="clone", kernel=kernel)
        for kernel in ("2.6.11", "3.10", "6.18")
    )
    assert (old.starts_stopped, old.shares["ns_cgroup"]) == (True, True)
    assert (between.starts_stopped, between.shares["ns_cgroup"]) == (False, True)
    assert (today.starts_stopped, today.shares["ns_cgroup"]) == (False, False)
    unprivileged = Caller(privileged=False)
    assert predict(NEWCGROUP, call="clone", caller=unprivileged, kernel="6.18").errno == "EPERM"
    assert predict(NEWCGROUP, call="clone", caller=unprivileged, kernel="2.6.11").errno is None


def test_an_old_kernel_ignores_what_it_does_not_know() -> None:
    """clone() of 2.6.11 takes any bit, and makes no namespace for those of later kernels."""
    outcome = predict(NEWUTS | NEWPID | PIDFD, call="clone", kernel="2.6.11")
    assert outcome.shares["ns_uts"]
    assert outcome.getpid == "new"
    assert outcome.writes == frozenset()


def test_a_bad_word_was_an_error_once() -> None:
    """2.6.11 wrote the parent's word before anything else and said EFAULT; later kernels say nothing."""
    old = predict(PARENT_SETTID, call="clone", parent_tid=8, kernel="2.6.11")
    assert (old.errno, old.broken[0].id) == ("EFAULT", "G3")
    today = predict(PARENT_SETTID, call="clone", parent_tid=8, kernel="6.18")
    assert (today.errno, today.writes) == (None, frozenset())


def test_what_stands_above_bit_63_is_the_librarys() -> None:
    """CLONE_STOPPED is done by the library today, and CLONE_PID by nobody."""
    assert predict(STOPPED).starts_stopped
    assert predict(STOPPED | VFORK | VM).errno == "EINVAL"
    assert predict(PID).errno == "EINVAL"


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"flags": 1 << 66}, ValueError, "64 bits"),
        ({"flags": -1}, ValueError, "64 bits"),
        ({"flags": 0, "exit_signal": 1 << 64}, ValueError, "64 bits"),
        ({"flags": 0, "exit_signal": -1}, ValueError, "64 bits"),
        ({"flags": 17, "exit_signal": 12, "call": "clone"}, ValueError, "two exit signals"),
        ({"flags": 0, "exit_signal": 256, "call": "clone"}, ValueError, "one byte"),
        ({"flags": 0, "exit_signal": 17, "call": "unshare"}, ValueError, "no exit signal"),
        ({"flags": 0, "kernel": "six"}, ValueError, "invalid kernel: expected a version"),
        ({"flags": 0, "kernel": "6"}, ValueError, "invalid kernel: expected a version"),
        ({"flags": 0, "kernel": "6.1x"}, ValueError, "invalid kernel: expected a version"),
        ({"flags": 0, "kernel": "2.4.20"}, ValueError, "expected Linux 2.6.11 or later"),
        ({"flags": 0, "kernel": 6.9}, TypeError, "invalid kernel: expected a version"),
        (
            {"flags": 0, "set_tid": [1, 2], "set_tid_size": 3},
            ValueError,
            "expected 2, the pids in set_tid",
        ),
        ({"flags": 0, "set_tid": [1], "call": "clone"}, ValueError, "no set_tid"),
        ({"flags": 0, "stack": -8}, ValueError, "invalid stack: expected 64 bits, got -8"),
        ({"flags": 0, "stak": 8}, TypeError, "the nearest is stack"),
        ({"flags": "VM"}, TypeError, "CloneFlag.parse"),
        ({"flags": 0, "call": "fork"}, ValueError, "invalid call: expected one of"),
    ],
)
def test_bad_input_is_one_clear_error(
    arguments: dict[str, object], error: type[Exception], words: str
) -> None:
    """What cannot be a request is told apart from what the kernel refuses."""
    with pytest.raises(error, match=words):
        predict(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("6.9", (6, 9, 0)),
        ("2.6.11", (2, 6, 11)),
        ("6.1.0-18-amd64", (6, 1, 0)),
        ("6.18.44-fc-v669", (6, 18, 44)),
        ("7.1-rc3", (7, 1, 0)),
        ("5.15.153.1-microsoft-standard-WSL2", (5, 15, 153)),
    ],
)
def test_releases_are_read(text: str, version: tuple[int, int, int]) -> None:
    """A version may be written as people and as kernels do."""
    assert law.parse_version(text) == version


# ---- how it runs


def test_the_evaluator_names_no_flag() -> None:
    """What is forbidden and shared stands in rows: the code that walks them names no flag."""
    source = Path(sys.modules[law.evaluate.__module__].__file__ or "").read_text()
    named = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    assert named & set(CloneFlag.__members__) == set()


@pytest.mark.parametrize(
    ("size", "answer"), [(64, None), (72, "EINVAL"), (80, None), (88, None)], ids=str
)
def test_what_lies_beyond_the_size_is_not_read(size: int, answer: str | None) -> None:
    """set_tid belongs to the second version of the structure; with half of it, one half is missing."""
    assert predict(0, size=size, set_tid=[4000], kernel="6.18").errno == answer


def test_the_law_runs_on_any_machine() -> None:
    """Without the extension and under another system the law answers all the same."""
    code = (
        "import sys; sys.platform = 'emscripten'; sys.modules['ramet._core'] = None\n"
        "import ramet.law as law, ramet\n"
        "assert law.predict(0x800).errno == 'EINVAL' == ramet.predict(0x800).errno\n"
        "assert 'CLONE_VM' in str(law.explain('SIGHAND'))\n"
        "loaded = {'signal', 'subprocess', 'socket', 'ctypes', 'select'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-SEs", "-c", _WITH_PATH + code], check=True)


# Where the package is may be known to a hook alone, which -S leaves out.
_PLACES = [str(Path(law.__file__).parents[2]), *(place for place in sys.path if place)]
_WITH_PATH = f"import sys; sys.path[:0] = {_PLACES!r}\n"


def test_one_request_takes_little_time() -> None:
    """Evaluating a request takes under 20 microseconds on a machine of today, at best."""
    plain = Caller(privileged=False)
    requests = (
        lambda: predict(A_THREAD | FS | FILES | DETACHED).errno,
        lambda: predict(NEWUSER | NEWPID | NEWNET, exit_signal=SIGCHLD, caller=plain).shares,
    )
    for request in requests:
        best = min(_seconds(request) for _ in range(200))
        assert best < 20e-6 * SLOWER


def _seconds(request: object) -> float:
    assert callable(request)
    begin = time.perf_counter()
    for _ in range(20):
        request()
    return (time.perf_counter() - begin) / 20
