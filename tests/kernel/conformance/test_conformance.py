import os
from collections.abc import Iterator

import pytest

from ramet import CloneFlag as F
from ramet import conformance, law
from ramet.conformance import Report, situations
from ramet.conformance.family import in_a_caller, in_a_traced_child
from ramet.conformance.requests import subsets
from ramet.conformance.run import compare_all, in_words, prepared
from ramet.conformance.trial import Case
from ramet.law import Caller, Rule

from ...constants import NOBODY

COLUMNS = {
    *("vm", "files", "fs", "sighand", "sysvsem", "io", "same_tgid", "same_ppid"),
    *("ns_mnt", "ns_uts", "ns_ipc", "ns_user", "ns_pid", "ns_pid_for_children", "ns_net"),
    *("ns_cgroup", "ns_time", "ns_time_for_children"),
}


@pytest.fixture(params=["oneself", "nobody"])
def uid(request: pytest.FixtureRequest) -> Iterator[int | None]:
    """This user, and for root also a plain one."""
    if request.param == "oneself":
        yield None
        return
    if os.geteuid():
        pytest.skip("only root can be somebody else")
    yield NOBODY


def agrees(report: Report) -> None:
    assert report.mismatches == []
    assert report.differing == 0
    assert report.unseen == 0


def test_every_subset_through_clone3(uid: int | None, nothing_left: object) -> None:
    """The law foretells clone3's answer to every subset of deciding flags, and what is shared."""
    report = conformance.check_kernel(uid, ["clone3"])
    agrees(report)
    assert report.requests == {"clone3": 2 * 2**13}
    assert report.granted > 250
    assert report.columns.keys() == COLUMNS
    for key, (apart, shared) in report.columns.items():
        assert apart, key
        assert shared, key


def test_every_subset_through_clone(uid: int | None, nothing_left: object) -> None:
    """The same for clone(), with exit signals that are none, and flags that it ignores."""
    report = conformance.check_kernel(uid, ["clone"])
    agrees(report)
    assert report.requests == {"clone": 2**14}
    assert report.granted > 500


def test_every_argument(uid: int | None, nothing_left: object) -> None:
    """Sizes, signals, stacks, addresses, chosen pids, limits and cgroups, good and bad."""
    report = conformance.check_kernel(uid, ["arguments"])
    agrees(report)
    assert report.requests["arguments"] > 2000
    assert report.granted > 1000


def test_callers_in_special_states(uid: int | None, nothing_left: object) -> None:
    """Callers in namespaces, below another root, or with children elsewhere describe themselves."""
    agrees(conformance.check_kernel(uid, ["situations"]))


def test_unshare_and_setns(uid: int | None, nothing_left: object) -> None:
    """Each flag and many sets of them through unshare(), and every kind of namespace by setns()."""
    report = conformance.check_kernel(uid, ["movers"])
    agrees(report)
    assert report.requests["movers"] > 400
    assert report.granted > 50


def test_root_of_a_user_namespace_has_no_rights_outside(nothing_left: object) -> None:
    """One who is root only in a user namespace of its own is answered as such, pids included."""

    def part() -> list[str]:
        assert situations.map_user_namespace()
        return conformance.check_kernel(None, ["arguments", "movers"]).mismatches

    assert in_a_caller(part) == []


# ---- the check itself can fail


def check_with(monkeypatch: pytest.MonkeyPatch, rules: tuple[Rule, ...]) -> list[str]:
    monkeypatch.setattr(law.evaluate.__globals__["Table"], "__init__", _init_with(rules))
    law.evaluate.__globals__["table_for"].cache_clear()

    def part() -> list[str]:
        kernel, caller = prepared()
        cases = ((Case(flags, signal), caller) for flags in some_flags() for signal in (0, 17))
        return compare_all(cases, kernel).lines

    try:
        return in_a_caller(part)
    finally:
        monkeypatch.undo()
        law.evaluate.__globals__["table_for"].cache_clear()


def _init_with(rules: tuple[Rule, ...]) -> object:
    table = law.evaluate.__globals__["Table"]
    original = table.__init__

    def init(self: object, version: object, call: object) -> None:
        module = law.evaluate.__globals__
        before = module["RULES"]
        module["RULES"] = rules
        try:
            original(self, version, call)
        finally:
            module["RULES"] = before

    return init


def some_flags() -> Iterator[int]:
    return subsets((F.VM, F.FS, F.SIGHAND, F.THREAD, F.PARENT, F.NEWUSER, F.NEWIPC, F.SYSVSEM))


@pytest.mark.parametrize("id_", ["B4", "D2", "D3", "D4", "D6", "J2"])
def test_a_missing_rule_is_found(id_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one of its rows the law differs from the kernel, and the line names the request."""
    lines = check_with(monkeypatch, tuple(rule for rule in law.RULES if rule.id != id_))
    assert lines
    assert all("kernel EINVAL" in line and line.startswith("clone3 flags=") for line in lines)


def test_a_rule_too_many_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a row that no kernel has the law differs, too."""
    invented = law.RULES[-1]._replace(id="X1", calls=frozenset({"clone3"}))
    invented = invented._replace(all_of=F.FS.value, when=None, since="2.6.11")
    invented = invented._replace(none_of=0, any_of=0, raw=False, errno="EINVAL")
    lines = check_with(monkeypatch, (*law.RULES, invented))
    assert lines
    assert all("law EINVAL by rule X1, kernel grants" in line for line in lines)


def test_a_wrong_column_is_found() -> None:
    """A caller that is described wrongly shows in the columns."""

    def part() -> list[str]:
        kernel, _ = prepared()
        wrong = Caller(has_io_context=False, leader_exit_signal=3)
        cases = ((Case(int(F.IO), 17), wrong), (Case(int(F.PARENT), 0), wrong))
        return compare_all(cases, kernel).lines

    assert in_a_caller(part) == [
        "clone3 flags=CLONE_IO exit_signal=SIGCHLD: io: law False, kernel True",
        "clone3 flags=CLONE_PARENT: exit_signal: law 3, kernel 17",
    ]


def test_a_traced_child_is_told_from_another() -> None:
    """Under a tracer the column for it differs, when the caller is described without one."""

    def part() -> list[str]:
        kernel, caller = prepared()
        assert caller.traced
        wrong = caller._replace(traced=False)
        return compare_all(((Case(int(F.PTRACE), 17), wrong),), kernel).lines

    assert in_a_caller(lambda: in_a_traced_child(part)) == [
        "clone3 flags=CLONE_PTRACE exit_signal=SIGCHLD: traced: law False, kernel True"
    ]


def test_requests_are_told_in_one_line() -> None:
    """A request can be pasted into a letter."""
    case = Case(int(F.VM | F.FS), 17, fields={"size": 64})
    assert in_words(case) == "clone3 flags=CLONE_VM|CLONE_FS exit_signal=SIGCHLD size=64"
