"""What holds where the machine grants less: a row for each setting, and what a program could do."""

import ctypes
import errno
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import ramet
from ramet import CloneFlag as F
from ramet._kernel import procfs
from ramet._sandbox.amounts import amounts
from ramet._sandbox.planning.machine import this_machine

from ... import seccomp
from ...constants import (
    PR_SET_NO_NEW_PRIVS,
    PR_SET_SECCOMP,
    SECCOMP_ERRNO,
    SECONDS,
    SYSTEM_CALLS,
)
from ...seccomp import be_in_a_container, hide
from ...waiting import until
from . import confined_probe
from .taken_away import mount, needs_all, needs_landlock, without_capabilities

pytestmark = needs_all

IS_ROOT = os.geteuid() == 0
# Another user cannot reach the Python of root.
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
ALL_KINDS = frozenset({"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"})
OWN_USER_NAMESPACE = {"flags": F.NEWUSER | F.NEWNS}
OWN_PID_NAMESPACE: Any = {"flags": F.NEWUSER | F.NEWPID}  # with the /proc of the outer one
Prepare = Callable[[], object]


class Stage(NamedTuple):
    """What the programs try to reach. directory: what is shown, what is not, and what may be written."""

    directory: Path
    name: str
    port: int


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Not below /tmp, which is the sandbox's own; open to all, since its user may be another."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        directory = Path(made)
        directory.chmod(0o755)
        for name in ("shown", "work"):
            (directory / name).mkdir()
        (directory / "work").chmod(0o777)
        (directory / "outside").write_text("x")
        (directory / "shown" / "file").write_text("x")
        shutil.copy(confined_probe.__file__, directory / "shown" / "probe.py")
        with (
            socket.socket(socket.AF_UNIX) as abstract,
            socket.create_server(("127.0.0.1", 0)) as tcp,
        ):
            name = f"ramet-{os.path.basename(made)}"
            abstract.bind("\0" + name)
            abstract.listen()
            yield Stage(directory, name, tcp.getsockname()[1])


# ---- what is taken away


def nothing() -> None:
    """All is granted."""


def map_ids() -> None:
    """Be root in the user namespace of this copy, by its own ids."""
    for name, text in _MAPS.items():
        Path(f"/proc/self/{name}").write_text(text)


_MAPS = {"setgroups": "deny", "uid_map": f"0 {os.geteuid()} 1", "gid_map": f"0 {os.getegid()} 1"}


def limited(*kinds: str) -> Prepare:
    """No namespace of these kinds can be made."""

    def prepare() -> None:
        map_ids()
        for kind in kinds:
            Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")

    return prepare


def landlock_of_version(version: int) -> Prepare:
    """As on an older kernel: a newer one does what an older was asked for."""

    def prepare() -> None:
        this_machine().__dict__["_landlock_version"] = version

    return prepare


def no_landlock() -> None:
    hide("landlock_create_ruleset")


def no_filters() -> None:
    # prctl(PR_SET_SECCOMP) fails as on a kernel without; this is the last filter that can be set.
    seccomp._answer("prctl", SECCOMP_ERRNO | errno.EINVAL, first=PR_SET_SECCOMP)


def no_mounts() -> None:
    for name in ("open_tree", "move_mount", "mount_setattr"):
        hide(name, errno.EPERM)


def no_cgroups() -> None:
    vars(amounts).update(find_places=lambda _: {}, missing_in_version_2=lambda *_: False)


def no_new_privileges() -> None:
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def few_descriptors() -> None:
    """As many as a caller with its standard streams has under a limit of 32, whatever else is open here."""
    opened = {int(name) for name in os.listdir("/proc/self/fd")}
    free = [number for number in range(len(opened) + 32) if number not in opened]
    limit = free[32 - 3]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def covered_proc() -> None:
    map_ids()
    mount("tmpfs", "/proc/sys", "tmpfs")


def no_proc() -> None:
    map_ids()
    mount("tmpfs", "/proc", "tmpfs")


def all_of(*parts: Prepare) -> Prepare:
    """Each in turn."""

    def prepare() -> None:
        for part in parts:
            part()

    return prepare


# ---- the settings


class Setting(NamedTuple):
    """namespaces, ends: what the plan is to say; ends_for_user: to a plain user, where that is another.

    can: what the program does or is refused, with root's sandbox; can_as_user: what differs there.
    landlock: the ABI that this needs.
    """

    name: str
    prepare: Prepare
    namespaces: frozenset[str]
    ends: str
    can: Mapping[str, object]
    can_as_user: Mapping[str, object] = {}
    ends_for_user: str = ""
    options: Mapping[str, Any] = {}
    for_root: bool = False
    landlock: int = 0

    @property
    def parameter(self) -> Any:
        """For pytest."""
        by_landlock = self.can.get("connects to an abstract socket") == "EPERM"
        return pytest.param(
            self, id=self.name, marks=needs_landlock(6 if by_landlock else self.landlock)
        )


BY_NAMESPACES = {
    "sees a file outside": "ENOENT",
    "writes what is shown": "EROFS",
    "adds to its directory": "yes",
    "signals the caller": "ESRCH",
    "connects to an abstract socket": "ECONNREFUSED",
    "shares memory": "yes",
    "host name": "sandbox",
}
BY_LANDLOCK = {
    "sees a file outside": "yes",
    "reads a file outside": "EACCES",
    "writes what is shown": "EACCES",
    "adds to its directory": "yes",
    "adds to /tmp": "EACCES",
    "reads /proc/self": "EACCES",
    "reads the caller's /proc": "EACCES",
    "uses /dev/null": "yes",
    "reads /dev/urandom": "yes",
    "host name": os.uname().nodename,
}
BY_FILTER = {"uses UDP": "EACCES", "connects to the host": "EACCES", "shares memory": "EPERM"}
IN_A_CONTAINER = {
    **BY_LANDLOCK,
    **BY_FILTER,
    "signals the caller": "EPERM",
    "sets limits of its own": "yes",
    "sets limits of the caller": "EPERM",
    "is nicer itself": "yes",
    "has its user be nicer": "EPERM",
    "core": 1,
    "connects to an abstract socket": "EPERM",
}
BY_OLD_LANDLOCK = {**BY_LANDLOCK, **BY_FILTER, "connects to an abstract socket": "yes"}
NONE: frozenset[str] = frozenset()

SETTINGS = (
    Setting("all", nothing, ALL_KINDS, "pid namespace", BY_NAMESPACES),
    Setting("container", be_in_a_container, NONE, "user", IN_A_CONTAINER, {}, "subreaper"),
    Setting(
        *("container without landlock", all_of(no_landlock, be_in_a_container), NONE, "user"),
        {
            "reads a file outside": "yes",
            "writes what is shown": "EACCES",
            "signals the caller": "EPERM",
        },
        {"writes what is shown": "yes", "signals the caller": "yes"},
        "subreaper",
    ),
    *(
        Setting(
            f"container with landlock {version}",
            all_of(landlock_of_version(version), be_in_a_container),
            *(NONE, "user", {**BY_OLD_LANDLOCK, "signals the caller": "EPERM"}),
            {"signals the caller": "yes"},
            "subreaper",
            landlock=version,
        )
        for version in (1, 3, 5)
    ),
    Setting(
        *("container without filters", all_of(be_in_a_container, no_filters), NONE, "user"),
        {
            **BY_LANDLOCK,
            "uses UDP": "yes",
            "connects to the host": "EACCES",
            "shares memory": "yes",
        },
        ends_for_user="subreaper",
        landlock=4,
    ),
    Setting(
        "container without landlock and filters",
        all_of(no_landlock, be_in_a_container, no_filters),
        *(NONE, "user", {"reads a file outside": "yes", "connects to the host": "yes"}),
        ends_for_user="subreaper",
    ),
    Setting(
        *("container without cgroups", all_of(no_cgroups, map_ids, be_in_a_container), NONE),
        *("subreaper", IN_A_CONTAINER),
        options=OWN_USER_NAMESPACE,
    ),
    Setting(
        *("no new privileges", all_of(no_new_privileges, be_in_a_container), NONE, "user"),
        IN_A_CONTAINER,
        ends_for_user="subreaper",
    ),
    Setting(
        *("few descriptors", all_of(few_descriptors, be_in_a_container), NONE, "user"),
        IN_A_CONTAINER,
        ends_for_user="subreaper",
    ),
    Setting(
        *("no mounts", all_of(map_ids, no_mounts), ALL_KINDS - {"mnt"}, "pid namespace"),
        {
            **BY_LANDLOCK,
            "host name": "sandbox",
            "signals the caller": "ESRCH",
            "shares memory": "yes",
        },
        options=OWN_USER_NAMESPACE,
    ),
    Setting(
        *("no mounts for root", no_mounts, ALL_KINDS - {"mnt", "user"}, "pid namespace"),
        {
            **BY_LANDLOCK,
            "host name": "sandbox",
            "signals the caller": "ESRCH",
            "shares memory": "yes",
        },
        for_root=True,
    ),
    Setting("no landlock", no_landlock, ALL_KINDS, "pid namespace", BY_NAMESPACES),
    Setting(
        *("no filters", no_filters, ALL_KINDS, "pid namespace"),
        {**BY_NAMESPACES, "makes a namespace": "yes"},
    ),
    Setting(
        *("root of a namespace", map_ids, ALL_KINDS, "pid namespace", BY_NAMESPACES),
        options=OWN_USER_NAMESPACE,
    ),
    Setting(
        *("root of a user namespace alone", map_ids, ALL_KINDS, "pid namespace", BY_NAMESPACES),
        options={"flags": F.NEWUSER},
    ),
    Setting(
        *("the last user namespace", limited("user"), ALL_KINDS - {"user"}, "pid namespace"),
        BY_NAMESPACES,
        options={"flags": F.NEWUSER},
    ),
    Setting(
        *("no pid namespace", all_of(no_cgroups, limited("pid")), ALL_KINDS - {"pid"}, "subreaper"),
        {**BY_NAMESPACES, "signals the caller": "EPERM", "reads /proc/self": "ENOENT"},
        options=OWN_USER_NAMESPACE,
        landlock=6,
    ),
    Setting(
        *("no network namespace", limited("net"), ALL_KINDS - {"net"}, "pid namespace"),
        {**BY_NAMESPACES, "uses UDP": "EACCES", "connects to an abstract socket": "EPERM"},
        options=OWN_USER_NAMESPACE,
    ),
    Setting(
        *("no mount namespace", limited("mnt"), ALL_KINDS - {"mnt"}, "pid namespace"),
        {
            **BY_LANDLOCK,
            "host name": "sandbox",
            "signals the caller": "ESRCH",
            "shares memory": "yes",
        },
        options=OWN_USER_NAMESPACE,
    ),
    Setting(
        *(
            "no user namespace",
            limited("user"),
            ALL_KINDS - {"user"},
            "pid namespace",
            BY_NAMESPACES,
        ),
        options=OWN_USER_NAMESPACE,
    ),
    Setting(
        *(
            "neither name nor IPC",
            limited("uts", "ipc"),
            ALL_KINDS - {"uts", "ipc"},
            "pid namespace",
        ),
        {**BY_NAMESPACES, "host name": os.uname().nodename, "shares memory": "EPERM"},
        options=OWN_USER_NAMESPACE,
    ),
    Setting(
        *("covered /proc", covered_proc, ALL_KINDS, "pid namespace"),
        {**BY_NAMESPACES, "reads /proc/self": "ENOENT"},
        options=OWN_USER_NAMESPACE,
    ),
    Setting(
        *("no /proc", no_proc, NONE, "nothing"),
        {**IN_A_CONTAINER, "reads /proc/self": "ENOENT", "reads the caller's /proc": "ENOENT"},
        options=OWN_USER_NAMESPACE,
    ),
    Setting(
        *("root without SYS_ADMIN", nothing, ALL_KINDS, "pid namespace", BY_NAMESPACES),
        options=without_capabilities("SYS_ADMIN"),
        for_root=True,
    ),
    Setting(
        *("such a container", be_in_a_container, NONE, "user", IN_A_CONTAINER),
        options=without_capabilities("SYS_ADMIN", "SYS_PTRACE", "SYS_RESOURCE", "NET_ADMIN"),
        for_root=True,
    ),
    Setting(
        *("root without capabilities", no_cgroups, NONE, "subreaper", IN_A_CONTAINER),
        options=without_capabilities(),
        for_root=True,
    ),
)


def described(**wishes: Any) -> ramet.Sandbox:
    """A description, by values of any type that it takes."""
    return ramet.Sandbox(**wishes)


def tried(setting: Setting, stage: Stage, **wishes: Any) -> dict[str, Any]:
    """In a copy of this process from which that was taken away: the plan, and what a program could do."""

    def in_copy() -> dict[str, Any]:
        setting.prepare()
        shown, work = stage.directory / "shown", stage.directory / "work"
        sandbox = described(require="best", read=[shown], write=[work], **wishes)
        plan = sandbox.plan()
        words = [
            shown / "file",
            stage.directory / "outside",
            work,
            os.getpid(),
            stage.name,
            stage.port,
        ]
        done: Any = ramet.run(
            [PYTHON, str(shown / "probe.py"), *map(str, words)],
            sandbox=sandbox,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
        )
        return {
            "namespaces": sorted(plan.namespaces),
            "ends": plan.tree_ends_by,
            "rows": [(row.wish, row.met, row.mechanism) for row in plan.rows],
            "is_lost": done.report.lost == plan.lost,
            "lost": [row.wish for row in done.report.lost],
            "code": done.returncode,
            "output": done.stdout.decode(),
        }

    with ramet.clone(in_copy, **setting.options) as child:
        return child.result(SECONDS)


# What the rows of a plan claim, by the wish and how it is met: what the program was to be answered.
_REFUSED = ("EACCES", "EPERM", "EROFS", "ENOENT", "ESRCH", "ECONNREFUSED", "ENETUNREACH")
CLAIMS: dict[str, dict[str, tuple[str, tuple[object, ...]]]] = {
    "read": {
        "fully": ("sees a file outside", ("ENOENT",)),
        "partly": ("reads a file outside", ("EACCES",)),
    },
    "write": dict.fromkeys(("fully", "partly"), ("writes what is shown", ("EROFS", "EACCES"))),
    "tmp": {"fully": ("adds to /tmp", ("yes",))},
    "proc": {"fully": ("reads the caller's /proc", ("ENOENT",))},
    "network": dict.fromkeys(("fully", "partly"), ("connects to the host", _REFUSED)),
    "syscalls": {"fully": ("makes a namespace", ("EPERM",))},
    "hostname": {"fully": ("host name", ("sandbox",))},
    "own processes only": {
        "fully": ("signals the caller", ("ESRCH",)),
        "partly": ("signals the caller", ("EPERM",)),
    },
    "own sockets only": {"fully": ("connects to an abstract socket", ("ECONNREFUSED", "EPERM"))},
    "no capabilities": dict.fromkeys(("fully", "partly"), ("capabilities", (0,))),
    "no new privileges": {"fully": ("no_new_privs", (1,))},
    "no set-user-ID bits": {
        "fully": ("makes a set-user-ID program", ("EPERM",)),
        "partly": ("makes a set-user-ID program", ("yes", "EACCES")),
    },
    "new session": {"fully": ("leads a session", (True,))},
    "closed descriptors": {"fully": ("descriptors", ([],))},
}


@pytest.mark.parametrize("setting", [setting.parameter for setting in SETTINGS])
def test_what_is_granted_is_done(setting: Setting, stage: Stage) -> None:
    """The plan says what is used; the program can do what is typed, and nothing that a row denies."""
    if setting.for_root and not IS_ROOT:
        pytest.skip("needs root")
    found = tried(setting, stage)
    assert found["code"] == 0, found["output"]
    could = json.loads(found["output"])
    assert frozenset(found["namespaces"]) == setting.namespaces
    ends = setting.ends if IS_ROOT else setting.ends_for_user or setting.ends
    assert found["ends"] == ends
    expected = {**setting.can, **({} if IS_ROOT else setting.can_as_user)}
    assert {key: could[key] for key in expected} == expected
    assert could["reads what is shown"] == "yes"
    for wish, met, mechanism in found["rows"]:
        if met in CLAIMS.get(wish, {}):
            key, answers = CLAIMS[wish][met]
            assert could[key] in answers, (wish, met, mechanism, key)
    assert found["is_lost"]
    assert found["lost"] == [wish for wish, met, _ in found["rows"] if met != "fully"]


@pytest.mark.parametrize(
    ("prepare", "options"),
    [
        (be_in_a_container, {}),
        (limited("pid"), OWN_USER_NAMESPACE),
        (no_proc, OWN_USER_NAMESPACE),
        (map_ids, OWN_PID_NAMESPACE),
    ],
    ids=["container", "no pid namespace", "no /proc", "a /proc of other pids"],
)
def test_with_all_it_is_refused_before_anything_is_made(
    prepare: Prepare, options: Any, stage: Stage
) -> None:
    """The error names a wish; no descriptor and no child is left."""

    def in_copy() -> list[object]:
        prepare()
        with pytest.raises(ramet.SandboxError):  # what a first one imports and opens stays
            ramet.run(["true"], sandbox=ramet.Sandbox())
        directory = "/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"
        before = sorted(os.listdir(directory)) if os.path.exists(directory) else []
        with pytest.raises(ramet.SandboxError) as caught:
            ramet.run(["true"], sandbox=described(read=[stage.directory / "shown"]))
        after = sorted(os.listdir(directory)) if os.path.exists(directory) else []
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        return [caught.value.wish, before == after]

    with ramet.clone(in_copy, **options) as child:
        wish, is_same = child.result(SECONDS)
    assert wish
    assert is_same


def test_a_proc_of_other_pids() -> None:
    """It has others by the pids of our children: no namespace is made that would be looked for in it."""

    def in_copy() -> tuple[list[str], str, list[str]]:
        map_ids()
        with pytest.raises(ramet.SandboxError) as caught:
            ramet.run(["true"], sandbox=ramet.Sandbox())
        sandbox = ramet.Sandbox(require="best")
        ramet.run(["true"], sandbox=sandbox, check=True)
        lost = [row.wish for row in sandbox.plan().lost]
        return sorted(sandbox.plan().namespaces), caught.value.remedy, lost

    with ramet.clone(in_copy, **OWN_PID_NAMESPACE) as child:
        namespaces, remedy, lost = child.result(SECONDS)
    assert namespaces == sorted(ALL_KINDS - {"user", "mnt"})
    assert remedy.startswith("mount the /proc of this pid namespace")
    assert {"read", "tmp", "proc"} <= {*lost}


# ---- the whole tree

# Two forks and a session of its own; its pid is told, and the pipe to the caller stays open in it.
DAEMON = """
import os, sys, time
told, tells = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.write(tells, b"x")
        time.sleep(1000)
    os._exit(0)
os.wait()
os.read(told, 1)
"""
LASTS = "time.sleep(1000)\n"
TREES = [
    ("user", be_in_a_container, {}, True),
    ("subreaper", all_of(no_cgroups, map_ids, be_in_a_container), OWN_USER_NAMESPACE, False),
    ("cgroup", all_of(map_ids, be_in_a_container), OWN_USER_NAMESPACE, True),
    ("subreaper", all_of(no_cgroups, limited("pid")), OWN_USER_NAMESPACE, False),
]


def is_dead(pid: int) -> bool:
    """It has ended, whether or not it was reaped: init may take its time."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.parametrize(
    ("ends", "prepare", "options", "for_root"),
    TREES,
    ids=["user", "subreaper", "cgroup", "subreaper in namespaces"],
)
@pytest.mark.parametrize("by", ["its own end", "deadline", "kill"])
def test_nothing_is_left(
    ends: str, prepare: Prepare, options: Any, for_root: bool, by: str
) -> None:
    """A daemon dies with the program, however that ends; another child of the caller lives on."""
    if for_root and not IS_ROOT:
        pytest.skip("needs root")

    def in_copy() -> list[object]:
        prepare()
        sandbox = ramet.Sandbox(require="best")
        found = sandbox.plan().tree_ends_by
        if by == "deadline":
            sandbox = sandbox.replace(timeout=1)
        was = ramet.is_subreaper()
        with subprocess.Popen(["sleep", "1000"]) as other:
            code = DAEMON if by == "its own end" else DAEMON + LASTS
            options: Any = {"sandbox": sandbox, "stdout": subprocess.PIPE}
            with ramet.Popen([PYTHON, "-c", code], **options) as process:
                assert process.stdout is not None
                daemon = int(process.stdout.readline())
                if by == "kill":
                    process.kill()
                rest = process.stdout.read()  # which ends when the daemon has
                process.wait()
            told = [found, rest, is_dead(daemon), other.poll(), ramet.is_subreaper() == was]
            other.kill()
        return told

    with ramet.clone(in_copy, **options) as child:
        assert child.result(SECONDS) == [ends, b"", True, None, True]


def test_no_room_for_the_thread_that_waits_for_its_end() -> None:
    """The caller is told; neither the program is left nor a descriptor, and the next one is served."""
    start = threading.Thread.start

    def start_others(thread: threading.Thread) -> None:
        if thread.name == "ramet-tree":
            raise RuntimeError("can't start new thread")
        start(thread)

    def in_copy() -> list[object]:
        all_of(no_cgroups, map_ids, be_in_a_container)()
        command = ramet.Command(["sleep", "1000"], sandbox=ramet.Sandbox(require="best"))
        opened = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading.Thread, "start", start_others)
            for _ in range(2):
                with pytest.raises(RuntimeError, match="can't start new thread"):
                    command.spawn()
                opened.append(len(os.listdir("/proc/self/fd")))
        with command.spawn() as child:
            pass
        was_killed = child.wait().signal == signal.SIGKILL
        return [opened[0] == opened[1], was_killed, procfs.children(os.getpid())]

    with ramet.clone(in_copy, flags=F.NEWUSER | F.NEWNS) as child:
        assert child.result(SECONDS) == [True, True, []]


def test_children_at_once_keep_theirs() -> None:
    """The end of one kills nothing of another's, whose daemon lives as long as that."""

    def in_copy() -> list[bool]:
        all_of(no_cgroups, map_ids, be_in_a_container)()
        options: Any = {"sandbox": ramet.Sandbox(require="best"), "stdout": subprocess.PIPE}
        with ramet.Popen([PYTHON, "-c", DAEMON + LASTS], **options) as lasting:
            assert lasting.stdout is not None
            daemon = int(lasting.stdout.readline())
            ended = ramet.run([PYTHON, "-c", DAEMON], timeout=SECONDS, **options)
            told = [is_dead(int(ended.stdout)), is_dead(daemon)]
            lasting.kill()
            lasting.wait()
            until(lambda: is_dead(daemon))
        return told

    with ramet.clone(in_copy, flags=F.NEWUSER | F.NEWNS) as child:
        assert child.result(SECONDS) == [True, False]


ORPHANS = """
import os
for _ in range(100):
    child = os.fork()
    if child == 0:
        os.fork()
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_more_orphans_than_descriptors() -> None:
    """All are reaped, though the table has no room for a pidfd of each."""

    def in_copy() -> list[int]:
        all_of(no_cgroups, map_ids, be_in_a_container, few_descriptors)()
        ramet.run([PYTHON, "-c", ORPHANS], sandbox=ramet.Sandbox(require="best"), check=True)
        return procfs.children(os.getpid())

    with ramet.clone(in_copy, flags=F.NEWUSER | F.NEWNS) as child:
        assert child.result(SECONDS) == []


def test_each_child_is_a_user_of_its_own(root: None) -> None:
    """Two children of one sandbox are two users: what kills all of one finds none of the other's."""

    def in_copy() -> list[str]:
        be_in_a_container()
        sandbox = ramet.Sandbox(require="best")
        run: Any = {"sandbox": sandbox, "stdout": subprocess.PIPE}
        return [ramet.run(["id", "-u"], **run).stdout.decode().strip() for _ in range(2)]

    with ramet.clone(in_copy) as child:
        one, other = map(int, child.result(SECONDS))
    assert one != other
    assert 1879048192 <= min(one, other) < max(one, other) < 2147483647


# ---- what cannot be reached


def test_a_program_that_its_user_cannot_reach(root: None, stage: Stage) -> None:
    """The error names the directory that keeps the sandbox's own user from it, and the remedy."""
    closed = stage.directory / "closed"
    closed.mkdir(mode=0o700)
    shutil.copy("/bin/true", closed / "program")

    def in_copy() -> None:
        be_in_a_container()
        ramet.run([closed / "program"], sandbox=described(require="best", read=[closed]))

    with (
        ramet.clone(in_copy) as child,
        pytest.raises(ramet.RemoteError, match=f"chmod o\\+x {closed}"),
    ):
        child.result(SECONDS)


def test_a_program_that_is_not_shown(stage: Stage) -> None:
    """Landlock refuses it; the error says that it is to be named."""
    shutil.copy("/bin/true", stage.directory / "program")

    def in_copy() -> None:
        be_in_a_container()
        ramet.run([stage.directory / "program"], sandbox=ramet.Sandbox(require="best"))

    with ramet.clone(in_copy) as child, pytest.raises(ramet.RemoteError, match="to read"):
        child.result(SECONDS)


def test_a_layer_that_cannot_be_had_is_not_written_to(stage: Stage) -> None:
    """What was to be written to a layer is read alone: the caller's files stay as they are."""
    found = tried(Setting("", be_in_a_container, NONE, "", {}), stage, overlay=True)
    could = json.loads(found["output"])
    assert could["adds to its directory"] == "EACCES"
    assert {"overlay", "write"} <= set(found["lost"])


def test_all_files_without_mounts(stage: Stage) -> None:
    """root="/" shows all by Landlock's rules, and lets nothing be written."""
    found = tried(Setting("", be_in_a_container, NONE, "", {}), stage, root="/")
    could = json.loads(found["output"])
    expected = {
        "reads a file outside": "yes",
        "writes what is shown": "EACCES",
        "adds to /tmp": "EACCES",
    }
    assert {key: could[key] for key in expected} == expected


def test_what_is_hidden_without_mounts(stage: Stage) -> None:
    """Landlock shows what stands beside it, also what is made before the next launch, and not by a link."""
    shown = stage.directory / "shown"
    (shown / "below" / "secrets").mkdir(parents=True)
    (shown / "below" / "secrets" / "key").write_text("secret")
    (shown / "below" / "beside").write_text("beside")
    (shown / "link").symlink_to(shown / "below" / "secrets")
    words = [
        shown / "below" / "beside",
        shown / "below" / "secrets" / "key",
        shown / "link" / "key",
    ]

    def in_copy() -> list[list[object]]:
        be_in_a_container()
        sandbox = described(require="best", read=[shown], hidden=[shown / "below" / "secrets"])
        told: list[list[object]] = []
        for path in (*words, shown / "below" / "later"):
            (shown / "below" / "later").write_text("later")
            options: Any = {
                "sandbox": sandbox,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
            }
            done: Any = ramet.run(["cat", path], **options)
            told.append([done.stdout.decode(), "Permission denied" in done.stderr.decode()])
            (shown / "below" / "later").unlink()
        told.append([row.met for row in sandbox.plan().rows if row.wish == "hidden"])
        return told

    def in_written() -> list[str]:
        be_in_a_container()
        sandbox = described(require="best", write=[shown], hidden=[shown / "below" / "secrets"])
        return [row.met for row in sandbox.plan().rows if row.wish == "hidden"]

    with ramet.clone(in_copy) as child:
        assert child.result(SECONDS) == [
            ["beside", False],
            ["", True],
            ["", True],
            ["later", False],
            ["partly"],
        ]
    with ramet.clone(in_written) as other:
        assert other.result(SECONDS) == ["not"]


def test_calls_are_known_here() -> None:
    """The settings hide calls that this machine's tests know by number."""
    assert {"landlock_create_ruleset", "open_tree", "move_mount"} <= SYSTEM_CALLS.keys()
