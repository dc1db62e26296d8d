import pickle
from typing import Any, NamedTuple

import pytest

from ramet import law
from ramet.law import Caller, Cgroup, explain, predict

from ...constants import A_THREAD, KERNEL_SPACE, SIGCHLD
from ...flag_values import *

# A request for each of the kernel's 70 rules, typed by hand from the manual page and fork.c.


class Example(NamedTuple):
    """A request that breaks a rule first, and the errno that the kernel gives."""

    rule: str
    errno: str | None
    request: dict[str, Any]
    kernel: str = "6.18"


def plain(**state: Any) -> Caller:
    return Caller(privileged=False, **state)


EXAMPLES = (
    Example("A1", "E2BIG", {"flags": 0, "size": 4097}),
    Example("A2", "EINVAL", {"flags": 0, "size": 63}),
    Example("A3", "EFAULT", {"flags": 0, "args": KERNEL_SPACE}),
    Example("A4", "E2BIG", {"flags": 0, "size": 96, "beyond": True}),
    Example("A5", "EINVAL", {"flags": 0, "set_tid": 0x10000, "set_tid_size": 33}),
    Example("A6", "EINVAL", {"flags": 0, "set_tid": 0x10000}),
    Example("A7", "EINVAL", {"flags": 0, "exit_signal": 65}),
    Example("A8", "EINVAL", {"flags": INTO_CGROUP, "cgroup": 1 << 31}),
    Example("A9", "EFAULT", {"flags": 0, "set_tid": 8, "set_tid_size": 1}),
    Example("B1", "EINVAL", {"flags": AUTOREAP}),
    Example("B2", "EINVAL", {"flags": DETACHED}),
    Example("B3", "EINVAL", {"flags": VM | SIGHAND | CLEAR_SIGHAND}),
    Example("B4", "EINVAL", {"flags": A_THREAD, "exit_signal": SIGCHLD}),
    Example("B5", "EINVAL", {"flags": VM, "stack": 0x10000}),
    Example("C0", None, {"flags": EMPTY_MNTNS}, "7.1"),
    Example(
        "C1",
        "EINVAL",
        {"flags": PIDFD | PARENT_SETTID, "pidfd": 0x10000, "parent_tid": 0x10000},
    ),
    Example("C2", "EINVAL", {"flags": 0, "exit_signal": 65, "call": "clone"}, "7.2"),
    Example("D1", "EINVAL", {"flags": NEWNS | FS}),
    Example("D2", "EINVAL", {"flags": NEWUSER | FS}),
    Example("D3", "EINVAL", {"flags": THREAD | VM}),
    Example("D4", "EINVAL", {"flags": SIGHAND}),
    Example("D5", "EINVAL", {"flags": PARENT, "caller": Caller(pid_ns_init=True)}),
    Example("D6", "EINVAL", {"flags": A_THREAD | NEWPID}),
    Example("D7", "EINVAL", {"flags": VM, "caller": Caller(children_time_ns_differs=True)}, "6.1"),
    Example("D8", "EINVAL", {"flags": PIDFD | DETACHED, "call": "clone"}),
    Example("D9", "EINVAL", {"flags": AUTOREAP, "exit_signal": SIGCHLD}, "7.1"),
    Example("D10", "EINVAL", {"flags": PARENT, "caller": Caller(autoreap=True)}, "7.1"),
    Example("D11", "EINVAL", {"flags": NNP | A_THREAD}, "7.1"),
    Example("D12", "EINVAL", {"flags": PIDFD_AUTOKILL | PIDFD}, "7.1"),
    Example("D13", "EPERM", {"flags": PIDFD_AUTOKILL | PIDFD | AUTOREAP, "caller": plain()}, "7.1"),
    Example("E1", None, {"flags": 0, "caller": Caller(signal_pending=True)}),
    Example("E2", "ENOMEM", {"flags": 0, "caller": Caller(no_memory_for_task=True)}),
    Example("F1", "ENOSPC", {"flags": NEWUSER, "caller": Caller(user_ns_depth=33)}),
    Example(
        "F2",
        "ENOSPC",
        {"flags": NEWUSER, "caller": Caller(exhausted_namespaces=frozenset({"user"}))},
    ),
    Example("F3", "EPERM", {"flags": NEWUSER, "caller": Caller(chrooted=True)}),
    Example("F4", "EPERM", {"flags": NEWUSER, "caller": plain(ids_mapped=False)}),
    Example("F5", "EACCES", {"flags": NEWUSER, "caller": plain(lsm_on_user_ns="EACCES")}),
    Example("G1", "EAGAIN", {"flags": 0, "caller": plain(nproc_exceeded=True)}),
    Example("G2", "EAGAIN", {"flags": 0, "caller": Caller(threads_max_reached=True)}),
    Example("H1", "EAGAIN", {"flags": 0, "caller": Caller(deadline_policy=True)}),
    Example("H2", "EPERM", {"flags": 0, "caller": Caller(lsm_on_task="EPERM")}),
    Example("I1", "EAGAIN", {"flags": FS, "caller": Caller(fs_sharer_execs=True)}),
    Example("I2", "ENOMEM", {"flags": FILES, "caller": Caller(no_memory_for_copy=True)}),
    Example("J1", "EPERM", {"flags": NEWUTS, "caller": plain()}),
    Example("J2", "EINVAL", {"flags": NEWIPC | SYSVSEM}),
    Example(
        "J3", "ENOSPC", {"flags": NEWNET, "caller": Caller(exhausted_namespaces=frozenset({"net"}))}
    ),
    Example("J4", "EINVAL", {"flags": NEWPID, "caller": Caller(children_pid_ns_differs=True)}),
    Example("J5", "EINVAL", {"flags": NEWPID, "caller": Caller(pid_ns_foreign=True)}),
    Example("J6", "ENOSPC", {"flags": NEWPID, "caller": Caller(pid_ns_depth=32)}),
    Example("K1", "EPERM", {"flags": SETTLS, "tls": KERNEL_SPACE}),
    Example(
        "K2",
        "EINVAL",
        {"flags": SETTLS, "tls": 0x10000, "tls_entry": 3, "caller": Caller(machine="i386")},
    ),
    Example("L1", "EINVAL", {"flags": 0, "set_tid": [7, 8]}),
    Example("L2", "EINVAL", {"flags": NEWPID, "set_tid": [7]}),
    Example("L3", "EPERM", {"flags": 0, "set_tid": [77], "caller": plain()}),
    Example("L4", "EEXIST", {"flags": 0, "set_tid": [1]}),
    Example("L5", "EAGAIN", {"flags": 0, "caller": Caller(no_free_pid=True)}),
    Example("L6", "ENOMEM", {"flags": 0, "caller": Caller(children_init_dead=True)}),
    Example("M1", "EMFILE", {"flags": PIDFD, "caller": Caller(descriptors_exhausted=True)}),
    Example("M2", "EFAULT", {"flags": PIDFD, "pidfd": 0}),
    Example("N1", "EBADF", {"flags": INTO_CGROUP, "cgroup": Cgroup(is_directory=False)}),
    Example("N2", "ENOENT", {"flags": INTO_CGROUP, "cgroup": Cgroup(removed=True)}),
    Example("N3", "EACCES", {"flags": INTO_CGROUP, "caller": plain()}),
    Example("N4", "ENOENT", {"flags": INTO_CGROUP, "cgroup": Cgroup(in_namespace=False)}),
    Example("N5", "EOPNOTSUPP", {"flags": INTO_CGROUP, "cgroup": Cgroup(domain_invalid=True)}),
    Example("N6", "EBUSY", {"flags": INTO_CGROUP, "cgroup": Cgroup(domain_controllers=True)}),
    Example("N7", "EOPNOTSUPP", {"flags": INTO_CGROUP | A_THREAD}),
    Example("N8", "EAGAIN", {"flags": 0, "caller": Caller(pids_limit_reached=True)}),
    Example("O1", "ENOMEM", {"flags": 0, "caller": Caller(children_init_dies=True)}),
    Example("O2", "EINTR", {"flags": 0, "caller": Caller(fatal_signal_pending=True)}),
    Example("P1", None, {"flags": PARENT_SETTID, "parent_tid": 8}),
    Example("P2", None, {"flags": DETACHED | SIGCHLD, "call": "clone"}),
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.rule)
def test_each_rule_answers_for_its_request(example: Example) -> None:
    """The first of the broken rules is the one that the kernel reports, with its errno."""
    outcome = predict(**example.request, kernel=example.kernel)
    assert outcome.errno == example.errno
    told = outcome.broken if example.errno else outcome.notes
    assert told[0].id == example.rule
    assert outcome.granted == (example.errno is None)


def test_every_rule_of_the_kernel_has_a_row_and_a_request() -> None:
    """The seventy-one rules, A1 to P2, are rows and are tried by an example."""
    stages = {"A": 9, "B": 5, "D": 13, "E": 2, "F": 5, "G": 2, "H": 2, "I": 2, "J": 6, "K": 2}
    stages |= {"L": 6, "M": 2, "N": 8, "O": 2, "P": 2}
    expected = {f"{stage}{n}" for stage, last in stages.items() for n in range(1, last + 1)}
    expected |= {"C0", "C1", "C2"}
    assert len(expected) == 71
    assert {example.rule for example in EXAMPLES} == expected
    assert expected <= {rule.id for rule in law.RULES}


def test_rows_stand_in_the_kernels_order() -> None:
    """For each call the rows are sorted by their ids, which follow the kernel's way."""
    for call in ("clone", "clone3"):
        ids = [r.id for r in law.RULES if call in r.calls and not r.id.startswith("ramet-")]
        assert ids == sorted(ids, key=lambda id_: (id_[0], int(id_[1:])))


def test_every_row_explains_itself() -> None:
    """Each row says why it is there and what to do, in one line without a full stop."""
    for rule in law.RULES:
        for text in (rule.sentence, rule.remedy):
            assert text
            assert "\n" not in text
            assert not text.endswith(".")
        assert rule.calls <= set(law.CALLS)
        assert not (rule.certain and (rule.until or rule.unseen or rule.errno != "EINVAL"))


def test_rows_survive_pickle() -> None:
    """A rule can travel to another process inside an error."""
    assert pickle.loads(pickle.dumps(law.RULES)) == law.RULES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.rule)
def test_explain_is_useful_for_each_rule(example: Example) -> None:
    """The explanation names the rule, its errno, its reason and its place, and what would help."""
    request = dict(example.request)
    call = request.pop("call", "clone3")
    told = explain(request.pop("flags"), call=call, kernel=example.kernel, **request)
    words = str(told)
    row = next(r for r in (*told.outcome.broken, *told.outcome.notes) if r.id == example.rule)
    for part in (example.rule, row.sentence, row.remedy, row.kernel_function, row.source):
        assert part in words
    if example.errno is None:
        assert told.verdict == "granted"
        return
    assert example.errno in words
    assert "Smallest changes" in words
    for change in told.changes:
        assert 1 <= len(change.steps) <= 2
