import ctypes
import grp
import os
import pwd
import warnings
from collections.abc import Callable
from signal import SIGKILL
from typing import Any, TypeAlias

import pytest

import ramet
from ramet import Child, CloneFlag, Command

from ...constants import NOBODY, PR_GET_DUMPABLE, PR_GET_SECUREBITS
from ...waiting import nothing_unreaped, until

Told: TypeAlias = Callable[..., str]
Status: TypeAlias = Callable[..., dict[str, str]]

# include/uapi/linux/capability.h
CHOWN, KILL, SETUID, NET_BIND, NET_RAW = 1 << 0, 1 << 5, 1 << 7, 1 << 10, 1 << 13


def dumpable() -> int:
    return int(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))


def caps(status: dict[str, str], which: str) -> int:
    return int(status[f"Cap{which}"], 16)


def test_users_and_groups_by_number(status: Status, root: None, nothing_left: object) -> None:
    """All four ids of both kinds change, and the groups are those that were said."""
    said = status(user=1234, group=2345, extra_groups=[3, 70000, 5])
    assert said["Uid"] == "1234 1234 1234 1234"
    assert said["Gid"] == "2345 2345 2345 2345"
    assert said["Groups"] == "3 5 70000"


def test_users_and_groups_by_name(status: Status, root: None, nothing_left: object) -> None:
    """Names stand for what the databases of the system say."""
    user = pwd.getpwuid(NOBODY)
    first, second, *_ = grp.getgrall()[1:]
    said = status(user=user.pw_name, group=first.gr_name, extra_groups=[second.gr_name])
    assert said["Uid"].split()[0] == str(NOBODY)
    assert said["Gid"].split()[0] == str(first.gr_gid)
    assert said["Groups"] == str(second.gr_gid)


def test_no_extra_groups(status: Status, root: None, nothing_left: object) -> None:
    """An empty list takes all groups away."""
    assert status(extra_groups=[])["Groups"] == ""


def test_the_groups_of_a_login(status: Status, root: None, nothing_left: object) -> None:
    """init_groups gives the user's own group and groups; what is said besides wins."""
    user = pwd.getpwuid(NOBODY)
    groups = sorted(os.getgrouplist(user.pw_name, user.pw_gid))
    for name in (user.pw_name, NOBODY):
        said = status(user=name, init_groups=True)
        assert said["Gid"].split() == [str(user.pw_gid)] * 4
        assert sorted(map(int, said["Groups"].split())) == groups
    assert status(user=NOBODY, init_groups=True, group=7)["Gid"].split()[0] == "7"
    assert status(user=NOBODY, init_groups=True, extra_groups=[])["Groups"] == ""
    assert status(user=NOBODY, init_groups=False, group=5)["Gid"].split()[0] == "5"
    seen = ramet.clone(os.getgroups, user=NOBODY, init_groups=True).result()
    assert sorted(seen) == groups


def test_init_groups_needs_a_user_that_is_known() -> None:
    """Without a user there is nothing to look up, and without an entry nothing is found."""
    with pytest.raises(ValueError, match="it needs user"):
        Command(["true"], init_groups=True)
    with pytest.raises(ValueError, match="nothing is known of user 1234567"):
        Command(["true"], user=1234567, init_groups=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, r"becomes user 65534 and keeps this process's group 0 \(group="),
        ({"group": NOBODY}, r"process's groups \[7, 8\] \(extra_groups="),
        ({"extra_groups": []}, r"group 0 \(group= changes it\): init_groups"),
    ],
)
def test_who_is_left_in_groups_of_root_is_warned_of(
    options: dict[str, Any], words: str, root: None
) -> None:
    """For programs and functions, at the line that asks for it."""
    before = os.getgroups()
    os.setgroups([7, 8])
    try:
        for make in (
            lambda: Command(["true"], user=NOBODY, **options),
            lambda: ramet.run(["true"], user=NOBODY, **options),
            lambda: ramet.clone(os.getpid, user=NOBODY, **options).wait(),
        ):
            with pytest.warns(ramet.KeptGroupsWarning, match=words) as caught:
                make()
            assert caught[0].filename == __file__
    finally:
        os.setgroups(before)


def test_a_user_who_is_not_there_keeps_no_groups(root: None) -> None:
    """The error comes alone."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for make in (
            lambda: Command(["true"], user="noboby"),
            lambda: ramet.clone(os.getpid, user="noboby"),
        ):
            with pytest.raises(ramet.UnknownNameError, match="did you mean"):
                make()
    assert caught == []


def test_who_has_said_all_is_not_warned(root: None) -> None:
    """There is no warning where group and groups are named, or taken from the user, or root stays root."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Command(["true"], user=NOBODY, group=0, extra_groups=[])
        Command(["true"], user=NOBODY, init_groups=True)
        Command(["true"], user=0)
        Command(["true"], group=NOBODY)


def test_ones_own_ids_are_always_allowed(status: Status, nothing_left: object) -> None:
    """A plain user may name itself."""
    said = status(user=os.getuid(), group=os.getgid())
    assert said["Uid"].split() == [str(os.getuid())] * 4
    assert said["Gid"].split() == [str(os.getgid())] * 4


def test_no_new_privs(status: Status, nothing_left: object) -> None:
    """The bit is set when it is asked for, and only then."""
    assert status(no_new_privs=True)["NoNewPrivs"] == "1"
    assert status()["NoNewPrivs"] == "0"


def test_ambient_capabilities_reach_a_plain_user(
    status: Status, root: None, nothing_left: object
) -> None:
    """A program of another user has just the ambient ones, permitted and effective."""
    said = status(user=NOBODY, ambient_caps=["NET_BIND_SERVICE", "cap_net_raw"])
    wanted = NET_BIND | NET_RAW
    assert [caps(said, which) for which in ("Inh", "Prm", "Eff", "Amb")] == [wanted] * 4


def test_a_plain_user_has_none_by_default(status: Status, root: None, nothing_left: object) -> None:
    """A change of the user takes all capabilities away, as ever."""
    said = status(user=NOBODY)
    assert [caps(said, which) for which in ("Inh", "Prm", "Eff", "Amb")] == [0] * 4


@pytest.mark.parametrize("user", [None, NOBODY])
def test_inheritable_capabilities(
    status: Status, user: int | None, root: None, nothing_left: object
) -> None:
    """They are set for root and for a user that the child becomes, to whom they alone give nothing."""
    said = status(user=user, inheritable_caps=["CHOWN", "KILL"])
    assert caps(said, "Inh") == CHOWN | KILL
    if user is not None:
        assert [caps(said, which) for which in ("Prm", "Eff", "Amb")] == [0, 0, 0]


def test_bounding_capabilities(status: Status, root: None, nothing_left: object) -> None:
    """What is not in the bounding set is no longer root's."""
    said = status(bounding_caps=["KILL", "SETUID"])
    assert [caps(said, which) for which in ("Bnd", "Prm", "Eff")] == [KILL | SETUID] * 3


def test_permitted_capabilities_until_the_exec(root: None, nothing_left: object) -> None:
    """A child that waits for its start has the permitted ones that were said, and no others."""
    command = Command(["true"], permitted_caps=["KILL"], start=False)
    with command.spawn() as child:
        with open(f"/proc/{child.pid}/status") as file:
            lines = dict(line.split(":\t", 1) for line in file if ":\t" in line)
        assert int(lines["CapPrm"], 16) == int(lines["CapEff"], 16) == KILL
        child.start()
        assert child.wait(60).success


@pytest.mark.parametrize("word", ["ambient_caps", "inheritable_caps", "permitted_caps"])
def test_what_was_kept_for_the_change_of_user_does_not_stay(
    word: str, root: None, nothing_left: object
) -> None:
    """Even before the exec, a child of another user has no capability beyond those named."""
    command = Command(["true"], user=NOBODY, start=False, **{word: ["NET_RAW"]})  # type: ignore[arg-type]
    with command.spawn() as child:
        with open(f"/proc/{child.pid}/status") as file:
            lines = dict(line.split(":\t", 1) for line in file if ":\t" in line)
        wanted = 0 if word == "inheritable_caps" else NET_RAW
        assert int(lines["CapPrm"], 16) == int(lines["CapEff"], 16) == wanted
        child.start()
        assert child.wait(60).success


def test_secure_bits(status: Status, python_told: Told, root: None, nothing_left: object) -> None:
    """NOROOT makes root a user like any other; all bits that an exec keeps are there."""
    said = status(securebits=["NOROOT"])
    assert [caps(said, "Prm"), caps(said, "Eff")] == [0, 0]
    code = f"import ctypes; print(ctypes.CDLL(None).prctl({PR_GET_SECUREBITS}))"
    bits = ["SECBIT_NO_SETUID_FIXUP", "NO_SETUID_FIXUP_LOCKED"]
    assert int(python_told(code, securebits=bits)) == 1 << 2 | 1 << 3
    assert int(python_told(code, securebits=1 << 6)) == 1 << 6


def test_secure_bits_and_ambient_capabilities(
    status: Status, root: None, nothing_left: object
) -> None:
    """A root without privileges of its own keeps the ambient ones."""
    said = status(securebits=["NOROOT", "NOROOT_LOCKED"], ambient_caps=["CHOWN"])
    assert [caps(said, "Prm"), caps(said, "Eff"), caps(said, "Amb")] == [CHOWN] * 3


def test_all_of_an_identity_at_once(status: Status, root: None, nothing_left: object) -> None:
    """User, groups, capabilities in each set and no_new_privs do not get in each other's way."""
    said = status(
        user=NOBODY,
        group=NOBODY,
        extra_groups=[7],
        bounding_caps=["NET_RAW", "KILL", "CHOWN"],
        inheritable_caps=["KILL", "NET_RAW"],
        ambient_caps=["NET_RAW"],
        no_new_privs=True,
    )
    assert said["Uid"].split() == said["Gid"].split() == [str(NOBODY)] * 4
    assert said["Groups"] == "7"
    assert caps(said, "Bnd") == NET_RAW | KILL | CHOWN
    assert caps(said, "Inh") == KILL | NET_RAW
    assert [caps(said, which) for which in ("Prm", "Eff", "Amb")] == [NET_RAW] * 3
    assert said["NoNewPrivs"] == "1"


@pytest.mark.parametrize("start", [True, False])
def test_the_callers_memory_stays_dumpable(start: bool, root: None, nothing_left: object) -> None:
    """A child of another user shares the caller's memory: until its exec that user may not look there.

    Afterwards the caller has its core dumps and its /proc files as before.
    """
    assert dumpable() == 1
    command = Command(["true"], user=NOBODY, group=NOBODY, start=start)
    with command.spawn() as child:
        if not start:
            assert dumpable() != 1
            child.start()
        assert child.wait(60).success
    with pytest.raises(OSError, match="execve"):
        Command(["/no/such"], user=NOBODY).spawn()
    assert Command(["true"], user=NOBODY).spawn().wait(60).success
    assert dumpable() == 1


@pytest.mark.parametrize("end", [Child.kill, lambda child: os.kill(child.pid, SIGKILL)])
def test_the_mark_after_a_function_that_was_killed_while_it_launched(
    end: Callable[[Child[None]], None], root: None, nothing_left: object
) -> None:
    """Who has changed the mark of the memory may be killed before it is restored: another does it then."""
    launched: list[int] = []

    def launch_for_ever() -> None:
        while True:
            launched.append(ramet.run(["/bin/true"], user=NOBODY, group=NOBODY).returncode)

    for _ in range(10):
        launched.clear()
        child = ramet.clone(launch_for_ever, flags=CloneFlag.VM)
        until(lambda: launched)
        end(child)
        assert child.wait(60).signal == SIGKILL
        until(nothing_unreaped)
        assert ramet.run(["/bin/true"]).returncode == 0
        until(lambda: dumpable() == 1)


def test_the_callers_own_identity_stays(root: None, nothing_left: object) -> None:
    """Nothing of the child's identity reaches the caller that lends it its memory."""

    def own() -> list[str]:
        with open("/proc/self/status") as file:
            names = ("Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "SigB", "SigI", "SigC")
            return [line for line in file if line.startswith(names)]

    before = own()
    command = Command(
        ["true"],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        bounding_caps=[],
        securebits=["NOROOT"],
        no_new_privs=True,
        umask=0,
        signal_mask=[1],
        ignored_signals=[2],
    )
    assert command.spawn().wait(60).success
    assert own() == before
