import errno
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ramet import SandboxError
from ramet._sandbox.planning.machine import Refused
from ramet._sandbox.planning.plan import Plan, plan
from ramet._sandbox.planning.questions import Answer
from ramet._sandbox.planning.row import Row

from .given_machine import KINDS, NO, described, given

EVERY = frozenset(KINDS)
NO_NAMESPACES = dict.fromkeys(KINDS, NO)
ALWAYS = (
    *("environment", "hostname", "own processes only", "own sockets only", "own IPC only"),
    *("no user of the host", "no capabilities", "no new privileges", "no set-user-ID bits"),
    *("new session", "closed descriptors", "whole tree dies"),
)


def met(found: Plan) -> dict[str, str]:
    return {row.wish: row.met for row in found.rows}


def row(found: Plan, wish: str) -> Row:
    return next(row for row in found.rows if row.wish == wish)


def without_namespaces(**answers: Any) -> Any:
    return given(
        **{"uid": 1000, "refused": NO_NAMESPACES, "mounts": NO, "proc_of_its_own": NO, **answers}
    )


def test_a_machine_that_grants_all(tmp_path: Path) -> None:
    """Root's sandbox is met in full, with an unused id and named paths whose ids are mapped."""
    found = plan(described(write=[tmp_path]), machine=given())
    assert found.lost == ()
    assert found.namespaces == EVERY
    assert (found.landlock_abi, found.seccomp, found.filters_sockets) == (7, True, False)
    assert (found.idmap, found.idmapped) == (True, frozenset({str(tmp_path)}))
    assert found.own_id == "unused id"
    found.refuse_if_short()


def test_each_wish_has_a_row() -> None:
    """A row for each field that asks for something, and for what is always wished."""
    least = described(system=False, tmp=None, proc=False, network="host", syscalls=None)
    shown = {row.wish for row in plan(least, machine=given()).rows}
    assert shown == {"read", "network", *ALWAYS} - {"own sockets only", "hostname"}
    most = described(root="/", write=["/usr"], hidden=["/etc"], overlay=True)
    shown = {row.wish for row in plan(most, machine=given()).rows}
    assert shown == {
        "write",
        "root",
        "hidden",
        "overlay",
        "tmp",
        "proc",
        "network",
        "syscalls",
        *ALWAYS,
    }


def test_a_plain_user_has_its_own_id() -> None:
    """That is announced, so that it is told and no reason to refuse."""
    found = plan(described(), machine=given(uid=1000))
    assert found.own_id == "caller's id"
    assert [row.wish for row in found.lost] == ["no user of the host"]
    assert row(found, "no user of the host").shortfall
    assert found.idmap is False
    found.refuse_if_short()


SUBORDINATE = {"subordinate_ids": 65536}


def of_plain_user(wishes: Any, around: Any = SUBORDINATE, **answers: Any) -> Plan:
    machine = given(uid=1000, around=around, **answers)
    return plan(described(**wishes), machine=machine, parts=["subordinate ids"])


def test_subordinate_ids_are_for_a_launch_that_takes_them() -> None:
    """It is another than the caller's id, and meets the wish in full."""
    machine = given(uid=1000, around=SUBORDINATE)
    assert plan(described(), machine=machine).own_id == "caller's id"
    found = of_plain_user({})
    assert (found.own_id, found.lost) == ("subordinate id", ())
    assert found.idmapped == frozenset()
    found.refuse_if_short()


@pytest.mark.parametrize(
    "wishes",
    [{"write": ["/usr"]}, {"write": ["/usr"], "overlay": True}, {"root": "/"}],
)
def test_the_callers_own_files_are_for_its_own_id(wishes: Any) -> None:
    """Where it writes, or sees all that the caller may read, a sandbox keeps the caller's id."""
    assert of_plain_user(wishes).own_id == "caller's id"
    assert row(of_plain_user(wishes), "no user of the host").remedy == "call as root"


@pytest.mark.parametrize(
    ("around", "answers", "remedy"),
    [
        (
            SUBORDINATE,
            {"to_subordinate": Refused(Answer(errno.EACCES, "faccessat2"), "/home/me/key")},
            "others may not read /home/me/key: leave it out, or let them, or call as root",
        ),
        (
            SUBORDINATE,
            {"to_subordinate": Refused(Answer(errno.EPERM, "write uid_map"))},
            "let newuidmap and newgidmap be set-user-ID programs of root, or call as root",
        ),
        (
            {"why_no_subordinate_ids": "newuidmap is not there: install it"},
            {},
            "newuidmap is not there: install it, or call as root",
        ),
        (SUBORDINATE, {"refused": {"user": NO}}, "call as root"),
    ],
)
def test_what_keeps_a_sandbox_from_subordinate_ids(around: Any, answers: Any, remedy: str) -> None:
    """It keeps the caller's id where one could not read what is shown, or cannot be mapped; it says so."""
    found = of_plain_user({}, around, **answers)
    assert found.own_id == "caller's id"
    assert row(found, "no user of the host").remedy == remedy


def test_a_mistaken_path_is_told_and_not_asked(tmp_path: Path) -> None:
    """What is not there has a row of its own, whoever would read it."""
    missing = str(tmp_path / "missing")
    found = of_plain_user({"read": [missing]})
    assert [row.wish for row in found.lost] == ["no user of the host", "read"]
    assert found.rows[-1].path == missing


@pytest.mark.parametrize(
    ("network", "has_own"),
    [("none", True), ("loopback", True), ("host", False), ({"connect": [443]}, False)],
)
def test_the_network_decides_of_its_namespace(network: Any, has_own: bool) -> None:
    """A network namespace is made for none and for loopback alone."""
    found = plan(described(network=network), machine=given())
    assert ("net" in found.namespaces) is has_own
    assert found.lost == ()


def test_a_network_namespace_is_for_a_launch_that_joins_it() -> None:
    """It is not met by one that does not; and not where the kernel refuses it."""
    sandbox = described(network="/proc/self/ns/net")
    assert row(plan(sandbox, machine=given()), "network").met == "not"
    found = plan(sandbox, machine=given(), parts=["joined networks"])
    assert (row(found, "network").mechanism, found.lost) == ("setns", ())
    refused = plan(sandbox, machine=given(network=NO), parts=["joined networks"])
    assert row(refused, "network").remedy.startswith("call as root of the user namespace")


def test_without_any_namespace(tmp_path: Path) -> None:
    """Landlock keeps files and signals in part and sockets in full, a filter keeps system calls."""
    found = plan(described(write=[tmp_path]), machine=without_namespaces())
    assert met(found) == {
        "read": "partly",
        "write": "partly",
        "tmp": "not",
        "proc": "not",
        "network": "partly",
        "syscalls": "fully",
        "environment": "fully",
        "hostname": "not",
        "own processes only": "partly",
        "own sockets only": "fully",
        "own IPC only": "fully",
        "no user of the host": "partly",
        "no capabilities": "fully",
        "no new privileges": "fully",
        "no set-user-ID bits": "fully",
        "new session": "fully",
        "closed descriptors": "fully",
        "whole tree dies": "partly",
    }
    assert found.namespaces == frozenset()
    assert row(found, "read").mechanism == "landlock ABI 7"
    assert row(found, "own sockets only").mechanism == "landlock ABI 7"
    assert "UDP" in row(found, "network").shortfall


def test_without_namespaces_sockets_are_filtered_by_a_launch_that_can() -> None:
    """The filter is then set even where no call is to be refused otherwise."""
    sandbox = described(syscalls=None)
    machine = without_namespaces()
    assert plan(sandbox, machine=machine).filters_sockets is False
    found = plan(sandbox, machine=machine, parts=["filtered sockets"])
    assert (found.filters_sockets, found.seccomp) == (True, True)
    assert row(found, "network").mechanism == "seccomp: no sockets but unix ones"


def test_without_namespaces_and_landlock() -> None:
    """No file is kept from the program then, and nobody says so but the plan."""
    off = Answer(errno.EOPNOTSUPP, "landlock_create_ruleset")
    machine = without_namespaces(landlock_abi=0, landlock_answer=off)
    found = plan(described(), machine=machine)
    for wish in ("read", "network", "own processes only", "own sockets only"):
        assert row(found, wish).met == "not"
    assert row(found, "syscalls").met == "fully"
    ports = plan(described(network={"bind": [80]}), machine=machine)
    assert (
        row(ports, "network").remedy
        == "add landlock to the boot parameter lsm=, which leaves it out"
    )


def test_without_a_filter() -> None:
    """System calls are not kept by anything else."""
    found = plan(described(), machine=given(seccomp=Answer(errno.EINVAL, "prctl")))
    assert [row.wish for row in found.lost] == ["network", "syscalls", "no capabilities"]
    assert "user namespace" in row(found, "no capabilities").shortfall
    assert row(found, "syscalls").remedy == "a kernel with CONFIG_SECCOMP_FILTER"
    assert found.seccomp is False


@pytest.mark.parametrize(
    ("wishes", "beside"),
    [
        ({}, False),
        ({"hidden": ["/usr/src"]}, False),
        ({"hidden": ["/usr/src"], "syscalls": "strict"}, False),
        ({"syscalls": None}, False),
        ({"hidden": ["/usr/src"], "syscalls": None, "network": "host"}, True),
        ({"hidden": ["/usr/src"], "syscalls": "/filter.json"}, True),
    ],
)
def test_what_keeps_snapshots_of_hidden_files(wishes: Any, beside: bool) -> None:
    """Our own lists of system calls, or a filter beside, where there are such."""
    found = plan(described(**wishes), machine=given())
    assert found.filters_snapshots is beside
    assert found.seccomp or not beside
    off = plan(described(**wishes), machine=given(seccomp=Answer(errno.EINVAL, "prctl")))
    assert off.filters_snapshots is False


@pytest.mark.parametrize(
    ("wishes", "mechanism", "beside"),
    [
        ({}, "a network namespace", False),
        ({"syscalls": "strict"}, "a network namespace", False),
        ({"syscalls": None}, "a network namespace with a seccomp filter", True),
        ({"syscalls": "/etc/passwd"}, "a network namespace with a seccomp filter", True),
        (
            {"syscalls": None, "network": "loopback"},
            "a network namespace with a seccomp filter",
            True,
        ),
        ({"syscalls": None, "network": "host"}, "the caller's network namespace", False),
        ({"syscalls": None, "network": "/proc/self/ns/net"}, "setns with a seccomp filter", True),
        (
            {"syscalls": None, "network": {"connect": [443]}},
            "landlock ABI 7 with a seccomp filter",
            True,
        ),
    ],
)
def test_what_keeps_sockets_that_no_namespace_holds(
    wishes: Any, mechanism: str, beside: bool
) -> None:
    """Our own lists of system calls, or a filter beside; without one the plan says what is open."""
    parts: Any = ["joined networks"]
    found = plan(described(**wishes), machine=given(), parts=parts)
    network = row(found, "network")
    assert (network.met, network.mechanism) == ("fully", mechanism)
    assert found.filters_past_namespaces is beside
    off = given(seccomp=Answer(errno.EINVAL, "prctl"))
    without = plan(described(**wishes), machine=off, parts=parts)
    assert without.filters_past_namespaces is False
    lost = row(without, "network")
    if wishes.get("network") not in ("host", {"connect": [443]}):
        assert lost.met == "partly"
        assert "vsock" in lost.shortfall
        assert lost.remedy == "a kernel with CONFIG_SECCOMP_FILTER"


@pytest.mark.parametrize(
    ("wishes", "mechanism"),
    [
        ({"write": ["/usr"]}, "a seccomp filter"),
        ({"write": ["/usr"], "syscalls": "strict"}, "a seccomp filter"),
        ({"syscalls": None}, "a mount namespace"),
        ({"write": ["/usr"], "overlay": True, "syscalls": None}, "a mount namespace"),
    ],
)
def test_what_keeps_set_user_id_programs_from_being_left(wishes: Any, mechanism: str) -> None:
    """Our own lists of system calls, and where nothing outside is written the mounts."""
    found = row(plan(described(**wishes), machine=given()), "no set-user-ID bits")
    assert (found.met, found.mechanism) == ("fully", mechanism)


def test_a_layer_needs_files_whose_ids_can_be_mapped() -> None:
    """Where the child is another user than the caller; what is written is only read otherwise."""
    wished = described(write=["/usr"], overlay=True)
    found = plan(wished, machine=given(idmapped=()))
    for wish in ("write", "overlay"):
        assert row(found, wish).met == "not"
        assert "idmapped mounts below '/usr'" in row(found, wish).remedy
    assert (found.launched.write, found.launched.overlay) == ((), False)
    assert "/usr" in found.launched.read
    with pytest.raises(SandboxError, match="call as a plain user"):
        found.refuse_if_short()
    missing = described(write=["/nowhere"], overlay=True)
    assert row(plan(missing, machine=given(idmapped=())), "overlay").met == "fully"
    assert row(plan(wished, machine=given(uid=1000, idmapped=())), "overlay").met == "fully"
    nested = given(may_copy_mounts=False)
    assert row(plan(wished, machine=nested), "overlay").met == "not"


def test_a_layer_of_a_single_file(tmp_path: Path) -> None:
    """The caller copies it to where layers are: the ids there are to be mapped, and not its own."""
    (file := tmp_path / "file").touch()
    wished = described(write=[file], overlay=True)
    assert row(plan(wished, machine=given(idmapped=("/dev/shm",))), "overlay").met == "fully"
    assert row(plan(wished, machine=given(idmapped=(str(file),))), "overlay").met == "not"


@pytest.mark.parametrize("has_file", [False, True])
def test_set_user_id_programs_may_be_left_without_our_lists(has_file: bool, tmp_path: Path) -> None:
    """The plan says so, with what would refuse it; who has asked for other lists is not refused."""
    (tmp_path / "profile.json").touch()
    (tmp_path / "work").mkdir()
    syscalls = tmp_path / "profile.json" if has_file else None
    found = plan(described(write=[tmp_path / "work"], syscalls=syscalls), machine=given())
    (lost,) = (row for row in found.lost if row.wish == "no set-user-ID bits")
    assert (lost.met, lost.mechanism) == ("partly", "no_new_privs")
    assert "'strict'" in lost.remedy
    assert "overlay=True" in lost.remedy
    found.refuse_if_short()
    off = plan(described(write=[tmp_path]), machine=given(seccomp=Answer(errno.EINVAL, "prctl")))
    assert row(off, "no set-user-ID bits").remedy == "a kernel with CONFIG_SECCOMP_FILTER"


@pytest.mark.parametrize(
    ("abi", "wish", "kept"),
    [
        (3, "network", "not"),
        (4, "network", "fully"),
        (5, "own sockets only", "not"),
        (6, "own sockets only", "fully"),
    ],
)
def test_what_each_version_of_landlock_keeps(abi: int, wish: str, kept: str) -> None:
    """TCP ports since ABI 4, abstract sockets since ABI 6; the remedy names the kernel."""
    found = plan(described(network={"connect": [443]}), machine=given(landlock_abi=abi))
    assert row(found, wish).met == kept
    kernels = {"network": "Linux 6.7", "own sockets only": "Linux 6.12"}
    assert kept == "fully" or row(found, wish).remedy.startswith(kernels[wish])


@pytest.mark.parametrize(
    ("abi", "lacks"),
    [(1, 4), (2, 3), (3, 2), (4, 2), (5, 1), (7, 1)],
)
def test_what_landlock_lacks_for_files(abi: int, lacks: int) -> None:
    """Moving (ABI 2), truncating (3) and ioctl (5) came later; that names can be seen stays."""
    found = plan(described(), machine=without_namespaces(landlock_abi=abi))
    assert len(row(found, "read").shortfall.split("; ")) == lacks


def test_a_mount_namespace_without_mounts_is_none() -> None:
    """Where a mount is refused, landlock keeps files, and no mount namespace is made."""
    machine = given(
        mounts=Answer(errno.EPERM, "mount"), around={"filtered": True, "container": "podman"}
    )
    found = plan(described(), machine=machine)
    # Landlock's rules are opened by the caller, who has all rights outside of a user namespace alone.
    assert found.namespaces == EVERY - {"mnt", "user"}
    assert row(found, "read").mechanism == "landlock ABI 7"
    assert "podman" not in row(found, "read").remedy
    assert "--security-opt seccomp=unconfined" in row(found, "read").remedy


@pytest.mark.parametrize(
    ("syscalls", "kept"),
    [("default", "fully"), ("strict", "fully"), (None, "not"), ("/etc/passwd", "not")],
)
def test_ipc_without_a_namespace_is_kept_by_our_own_lists(syscalls: Any, kept: str) -> None:
    """They refuse its calls then; what a file of the caller's allows is not known."""
    machine = given(uid=1000, refused={"ipc": NO})
    assert row(plan(described(syscalls=syscalls), machine=machine), "own IPC only").met == kept


def test_proc_is_mounted_with_a_pid_namespace_alone() -> None:
    """Without one it would show the processes of the caller's."""
    assert plan(described(), machine=given()).proc
    assert not plan(described(proc=False), machine=given()).proc
    assert not plan(described(), machine=given(refused={"pid": NO})).proc
    assert not plan(described(), machine=given(proc_of_its_own=NO)).proc


def test_a_refusal_names_wish_call_and_remedy() -> None:
    """What is not met at all comes first; the others are named."""
    machine = given(refused={"uts": Answer(errno.ENOSPC, "unshare")}, overlay=NO)
    with pytest.raises(SandboxError) as caught:
        plan(described(), machine=machine).refuse_if_short()
    error = caught.value
    assert (error.wish, error.errno, error.mechanism) == ("hostname", errno.ENOSPC, "")
    assert error.remedy == "sysctl -w user.max_uts_namespaces=15000"
    assert str(error) == (
        "ENOSPC: hostname: the host name 'sandbox': nothing on this machine meets it (unshare: ENOSPC); "
        "remedy: sysctl -w user.max_uts_namespaces=15000"
    )


def test_what_is_met_in_part_is_refused_too() -> None:
    """Unless it was announced; the error says what it lacks, and what else is short."""
    with pytest.raises(SandboxError) as caught:
        plan(described(tmp=None, proc=False), machine=without_namespaces()).refuse_if_short()
    error = caught.value
    assert (error.wish, error.errno) == ("hostname", errno.EPERM)
    assert "own processes only" in error.others
    assert "no user of the host" not in error.others


def test_the_best_that_can_be_is_not_refused() -> None:
    """With require="best" what is lost is told, and nothing raised."""
    found = plan(described(require="best"), machine=without_namespaces())
    found.refuse_if_short()
    assert {row.wish for row in found.lost} == {
        *("read", "tmp", "proc", "network", "hostname", "own processes only"),
        *("no user of the host", "whole tree dies"),
    }


def test_a_rule_of_the_law_is_carried() -> None:
    """The rule behind a refused clone flag is in the error and in its text."""

    class Rule(NamedTuple):
        id: str = "F2"
        errno: str = "ENOSPC"
        sentence: str = "the limit is reached"
        remedy: str = "raise it"

    refused = Answer(errno.ENOSPC, "clone", (Rule(),))
    machine = without_namespaces(refused=dict.fromkeys(KINDS, refused), mounts=refused)
    with pytest.raises(SandboxError, match="rule F2: the limit is reached") as caught:
        plan(described(), machine=machine).refuse_if_short()
    assert [rule.id for rule in caught.value.rules] == ["F2"]


class Amount(NamedTuple):
    wish: str
    mechanism: str
    shortfall: str = ""
    remedy: str = ""


def test_amounts_are_rows_too() -> None:
    """One that is kept in part is announced, one that nothing keeps is refused."""
    amounts = [
        Amount("memory", "a watch", "it looks every 10 ms", "delegate a cgroup"),
        Amount("timeout", "a thread"),
    ]
    sandbox = described(memory="1M", swap="2M", timeout=2)
    found = plan(sandbox.replace(swap=None), amounts, machine=given())
    assert (met(found)["memory"], met(found)["timeout"]) == ("partly", "fully")
    assert row(found, "memory").text == "memory of 1M"
    found.refuse_if_short()
    with pytest.raises(SandboxError) as caught:
        plan(sandbox, [*amounts, Amount("swap", "", "no limit")], machine=given()).refuse_if_short()
    assert caught.value.wish == "swap"


def test_an_amount_of_which_nothing_is_known_is_not_met() -> None:
    """A plan without mechanisms does not pretend that there are any."""
    found = plan(described(memory="1M", open_files=5), machine=given())
    assert [(row.wish, row.met) for row in found.lost] == [("memory", "not"), ("open_files", "not")]


def test_the_text_is_a_table() -> None:
    """A line for each wish, below it what it lacks and the remedy."""
    sandbox = described(read=["/usr"], system=False, tmp=None, proc=False, network="host")
    found = plan(sandbox, machine=given(uid=1000), parts=["subordinate ids"])
    lines = str(found).splitlines()
    assert lines[0] == "read                 yes     no files but /usr, by a mount namespace"
    place = next(i for i, line in enumerate(lines) if line.startswith("no user of the host"))
    assert lines[place : place + 3] == [
        "no user of the host  partly  has the rights of no user of the host's, by the caller's id",
        "                             lacks: files and limits outside are those of the caller's user",
        "                             remedy: call as root",
    ]


def test_a_plan_as_json() -> None:
    """All of it is there, and the kernel's answer is a text."""
    machine = given(uid=1000, refused={"uts": Answer(errno.ENOSPC, "unshare")})
    found = json.loads(json.dumps(plan(described(), machine=machine).to_dict()))
    assert (found["starts"], found["own_id"], found["landlock_abi"]) == (False, "caller's id", 7)
    assert found["namespaces"] == ["cgroup", "ipc", "mnt", "net", "pid", "user"]
    hostname = next(row for row in found["rows"] if row["wish"] == "hostname")
    assert (hostname["met"], hostname["refused"]) == ("not", "unshare: ENOSPC")
