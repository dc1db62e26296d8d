"""Settings of the administrator's that forbid what the library uses: what works, and what errors say."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ramet
from ramet import CloneFlag as F

from ..constants import SECONDS
from .conftest import as_plain_user, program_of

Change = Callable[[str, str], None]


def make_a_user_namespace() -> None:
    import ramet

    try:
        ramet.clone(int, flags=ramet.CloneFlag.NEWUSER)
    except ramet.CloneError as error:
        print(error)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "kernel/unprivileged_userns_clone",
            "0",
            "EPERM: rule D2: kernel.unprivileged_userns_clone is 0",
        ),
        ("user/max_user_namespaces", "0", "ENOSPC: rule F2"),
    ],
    ids=["by Debian's sysctl", "by their number"],
)
def test_user_namespaces_are_switched_off(
    setting: Change, name: str, value: str, words: str
) -> None:
    """The refusal names the rule, and the setting that is to be changed."""
    setting(name, value)
    told = as_plain_user(make_a_user_namespace)
    assert words in told
    assert name.rpartition("/")[2] in told


def confine_a_program() -> None:
    import ramet

    try:
        ramet.run(["true"], sandbox=ramet.Sandbox())
    except ramet.SandboxError as error:
        print(error)
    done = ramet.run(["id", "-u"], sandbox=ramet.Sandbox(require="best"), capture_output=True)
    print("best", done.stdout.decode())


@pytest.mark.kernel
def test_a_sandbox_without_user_namespaces(setting: Change) -> None:
    """It is refused, with the command that changes it; what can be done without them is done if asked."""
    setting("user/max_user_namespaces", "0")
    told = as_plain_user(confine_a_program)
    assert "sysctl -w user.max_user_namespaces" in told
    assert "best 65534" in told


def kill_functions() -> None:
    import os
    import warnings

    import ramet
    from ramet import CloneFlag as F

    warnings.simplefilter("ignore", RuntimeWarning)  # that it may have held a lock
    never, _ = os.pipe()
    for act in (lambda: os.read(never, 1), lambda: exec("while True: pass")):
        begun: list[int] = []
        child = ramet.clone(lambda act=act, begun=begun: (begun.append(1), act()), flags=F.VM)  # type: ignore[misc]
        while not begun:
            os.sched_yield()
        child.kill()
        print(child.wait(60).signal, ramet.clone(abs, -3, flags=F.VM).result(60))


@pytest.mark.parametrize("scope", ["0", "1", "2"])
def test_functions_are_killed_under_yama(setting: Change, scope: str) -> None:
    """Where it forbids to look where a function is, that is killed there, and the caller goes on."""
    setting("kernel/yama/ptrace_scope", scope)
    assert as_plain_user(kill_functions).split() == ["9", "3"] * 2


# ---- without /proc


def act_without_proc() -> None:
    import os
    import signal
    import subprocess

    import ramet
    from ramet import CloneFlag as F

    print(ramet.run(["echo", "program"], stdout=subprocess.PIPE, text=True).stdout.strip())
    print(
        ramet.run(
            ["true"], close_fds=True, nice=3, user=65534, group=65534, extra_groups=[]
        ).returncode
    )
    print(ramet.clone(abs, -1).result(60), ramet.vfork(abs, -2).result(60))
    print(ramet.clone(abs, -3, flags=F.VM).result(60))
    print(ramet.clone(signal.pause, flags=F.VM, timeout=0.1).wait(60).signal)
    print(ramet.run(["true"], flags=F.NEWPID | F.NEWNS | F.NEWNET).returncode)
    child = ramet.Popen(["sleep", "1000"])
    try:
        child.kill_tree()
    except RuntimeError as error:
        print(error)
    print(child.wait(60))
    try:
        with ramet.Template(["json"]) as template:
            print(template.clone(os.getppid).result(60) != 0)
    except ramet.TemplateError as error:
        print(error)


@pytest.mark.kernel
def test_there_is_no_proc() -> None:
    """Programs and functions run; what needs /proc says so."""
    program = program_of(act_without_proc)
    done = ramet.run(
        ["sh", "-c", 'mount -t tmpfs tmpfs /proc && exec "$@"', "sh", sys.executable, "-c", program],
        flags=F.NEWNS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[:6] == ["program", "0", "1 2", "3", "9", "0"]
    assert "no /proc" in lines[6]
    assert lines[7] == "-9"
    assert lines[8] == "True" or "/proc" in lines[8]


# ---- cgroups of version 2, with all controllers


@pytest.fixture
def group() -> object:
    """A cgroup below the first, with memory, pids and cpu."""
    root = Path("/sys/fs/cgroup")
    (root / "cgroup.subtree_control").write_text("+memory +pids +cpu")
    made = root / f"of-tests-{os.getpid()}"
    made.mkdir()
    yield made
    made.rmdir()


def limit(group: Path, name: str, value: str) -> None:
    if not (group / name).exists():
        pytest.skip(f"this kernel has no {name}")
    (group / name).write_text(value)


ALLOCATE = [sys.executable, "-c", "held = bytearray(1 << 28); print(len(held))"]


@pytest.mark.kernel
def test_a_program_beyond_its_memory_is_named(group: Path) -> None:
    """It is made in its cgroup, and its exit status says what killed it."""
    limit(group, "memory.max", str(64 << 20))
    child = ramet.Command(ALLOCATE, cgroup=str(group)).spawn()
    status = child.wait(SECONDS * 6)
    assert (status.signal, status.reason) == (signal.SIGKILL, "out of memory")


@pytest.mark.kernel
def test_a_task_too_many_is_named(group: Path) -> None:
    """The rule of the limit explains why the clone call was refused."""
    limit(group, "pids.max", "0")
    with pytest.raises(ramet.CloneError, match="rule N8"):
        ramet.clone(int, flags=F.INTO_CGROUP, cgroup=str(group))


def test_a_share_of_a_processor(group: Path) -> None:
    """A program is held to it from its birth."""
    limit(group, "cpu.max", "10000 100000")
    ramet.run([sys.executable, "-c", "sum(range(3_000_000))"], cgroup=str(group), check=True)
    counts = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    assert int(counts["nr_throttled"]) > 0


@pytest.mark.kernel
def test_all_in_a_cgroup_are_killed_at_once(group: Path) -> None:
    """By cgroup.kill, also those that have left their parent."""
    if not (group / "cgroup.kill").exists():
        pytest.skip("this kernel has no cgroup.kill")
    script = "setsid sleep 1000 & setsid sleep 1000 & echo ready; wait"
    child = ramet.Popen(["sh", "-c", script], cgroup=str(group), stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    (group / "cgroup.kill").write_text("1")
    assert child.wait(SECONDS) == -signal.SIGKILL
    child.stdout.close()
    while "populated 1" in (group / "cgroup.events").read_text():
        os.sched_yield()
