import errno
from typing import Any

import pytest

from ramet._sandbox.planning import remedies
from ramet._sandbox.planning.questions import Answer

from .given_machine import KINDS, NO, described, given

FILTER = Answer(errno.EPERM, "clone")


@pytest.mark.parametrize(
    ("answer", "around", "remedy"),
    [
        (Answer(errno.ENOSPC, "clone"), {}, "sysctl -w user.max_user_namespaces=15000"),
        (NO, {"max_user_namespaces": 0}, "sysctl -w user.max_user_namespaces=15000"),
        (NO, {"unprivileged_userns_clone": 0}, "sysctl -w kernel.unprivileged_userns_clone=1"),
        (NO, {"unmapped": True, "uid": 65534}, "map ids into the user namespace"),
        (NO, {"chrooted": True}, "start the caller outside of the chroot"),
        (Answer(errno.EPERM, "prctl"), {"apparmor_restricts": 1}, "an AppArmor profile for /"),
        (
            NO,
            {"container": "docker", "filtered": True},
            "start the container with --security-opt seccomp",
        ),
        (
            NO,
            {"container": "kubernetes", "filtered": True},
            "give the pod securityContext.seccompProfile",
        ),
        (NO, {"filtered": True}, "start the caller without the seccomp filter"),
        (NO, {"selinux_enforces": True}, "an SELinux policy"),
        (Answer(errno.EINVAL, "clone"), {}, "a kernel with CONFIG_USER_NS"),
        (NO, {}, "let the caller run outside of a landlock domain"),
        (
            Answer(errno.EACCES, "write"),
            {"dumpable": False, "container": "docker"},
            "start the caller as the user that it has become",
        ),
    ],
)
def test_user_namespaces(answer: Answer, around: Any, remedy: str) -> None:
    """What is set around the caller tells what the administrator changes."""
    machine = given(uid=1000, refused=dict.fromkeys(KINDS, answer), around=around)
    assert remedies.of_user_namespace(machine).startswith(remedy)


def test_user_namespaces_of_root_without_rights() -> None:
    """Since Linux 5.12 CAP_SETFCAP maps root; with it, and for another user, it is another cause."""
    refused = {"user": Answer(errno.EPERM, "write /proc/self/uid_map")}
    for uid, rights, said in ((0, set(), True), (0, {"SETFCAP"}, False), (1000, set(), False)):
        around = {"capabilities": frozenset(rights)}
        told = remedies.of_user_namespace(given(uid=uid, refused=refused, around=around))
        assert told.startswith("start the caller with CAP_SETFCAP") == said


def test_user_namespaces_without_proc() -> None:
    """Id maps are written in /proc, whatever else is set."""
    machine = given(refused={"user": NO}, proc=False, around={"max_user_namespaces": 0})
    assert remedies.of_user_namespace(machine).startswith("mount the /proc of this pid namespace")


def test_mounts_without_proc() -> None:
    """Root needs no user namespace for them, but the /proc in which its child is found."""
    machine = given(refused={"user": NO}, mounts=NO, proc=False)
    assert remedies.of_mounts(machine, NO).startswith("mount the /proc of this pid namespace")


def test_the_setting_of_apparmor_can_be_named() -> None:
    """The remedy has both: a profile for this program alone, and the setting of the machine."""
    machine = given(uid=1000, refused={"user": NO}, around={"apparmor_restricts": 1})
    text = remedies.of_user_namespace(machine)
    assert "'userns,'" in text
    assert text.endswith("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")


def test_one_kind_of_namespaces() -> None:
    """A limit of its own has a remedy of its own; a kernel without the kind needs to be another."""
    limit, missing = Answer(errno.ENOSPC, "unshare"), Answer(errno.EINVAL, "unshare")
    machine = given(refused={"net": limit, "cgroup": missing})
    assert remedies.of_namespace("net", machine) == "sysctl -w user.max_net_namespaces=15000"
    assert remedies.of_namespace("cgroup", machine) == "a kernel with CONFIG_CGROUPS"


@pytest.mark.parametrize(
    ("container", "remedy"),
    [
        ("docker", "start the container with --security-opt systempaths=unconfined"),
        ("podman", "start the container with --security-opt unmask=ALL"),
        ("", "mount a /proc of which nothing is covered by other mounts"),
    ],
)
def test_proc_in_a_container(container: str, remedy: str) -> None:
    """The kernel refuses another /proc while parts of the caller's are covered."""
    machine = given(proc_of_its_own=Answer(errno.EPERM, "mount"), around={"container": container})
    assert remedies.of_proc(machine) == remedy


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (
            Answer(errno.EINVAL, "pivot_root"),
            "start the caller where the root directory is a mount",
        ),
        (Answer(errno.ENOSYS, "mount_setattr"), "Linux 5.12"),
    ],
)
def test_mounts(answer: Answer, remedy: str) -> None:
    """The call that was refused tells why."""
    assert remedies.of_mounts(given(), answer).startswith(remedy)


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (Answer(errno.ENODEV, "mount"), "modprobe overlay"),
        (Answer(errno.EPERM, "mount"), "Linux 5.11"),
    ],
)
def test_overlay(answer: Answer, remedy: str) -> None:
    """A missing module is told from a kernel that allows no overlay in user namespaces."""
    assert remedies.of_overlay(given(overlay=answer), described()).startswith(remedy)


def test_a_layer_over_files_whose_ids_cannot_be_mapped() -> None:
    """The path is named; where the caller may map none, another caller is."""
    sandbox = described(write=["/usr"], overlay=True)
    told = remedies.of_overlay(given(idmapped=()), sandbox)
    assert told.startswith("a file system with idmapped mounts below '/usr'")
    assert "call as a plain user" in told
    told = remedies.of_overlay(given(may_copy_mounts=False), sandbox)
    assert told == "call as root outside of this user namespace, or as a plain user"


@pytest.mark.parametrize(
    ("number", "filtered", "remedy"),
    [
        (errno.ENOSYS, False, "Linux 5.13 with CONFIG_SECURITY_LANDLOCK"),
        (
            errno.ENOSYS,
            True,
            "Linux 5.13 with CONFIG_SECURITY_LANDLOCK, or start the caller without",
        ),
        (errno.EOPNOTSUPP, False, "add landlock to the boot parameter lsm="),
    ],
)
def test_landlock(number: int, filtered: bool, remedy: str) -> None:
    """A kernel without it, a filter that hides it, and a boot that leaves it out are different cases."""
    answer = Answer(number, "landlock_create_ruleset")
    machine = given(landlock_answer=answer, landlock_abi=0, around={"filtered": filtered})
    assert remedies.of_landlock(machine, 1).startswith(remedy)


@pytest.mark.parametrize(
    ("abi", "kernel"),
    [(1, "5.13"), (2, "5.19"), (3, "6.2"), (4, "6.7"), (5, "6.10"), (6, "6.12"), (7, "6.15")],
)
def test_the_kernel_of_each_version_of_landlock(abi: int, kernel: str) -> None:
    """The remedy names the first Linux that has it."""
    assert remedies.of_landlock(given(landlock_abi=0), abi).startswith(f"Linux {kernel} with")
