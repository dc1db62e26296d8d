import ctypes
import errno
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import SpawnError
from ramet._kernel.names import PR_SET_DUMPABLE
from ramet._sandbox.files import sandbox_user
from ramet._sandbox.planning import questions, waiting_child
from ramet._sandbox.planning.machine import Machine, forget, this_machine
from ramet._sandbox.planning.questions import Answer
from ramet._sandbox.planning.waiting_child import kept_namespaces
from ramet.errors import spawn_error

from ...constants import NOBODY, PATIENT_SECONDS
from ...seccomp import forbid, hide, refuse_filters
from .taken_away import as_root_of_a_namespace, mount, needs_all, seen

pytestmark = [needs_all, pytest.mark.kernel]


def test_questions_leave_nothing(nothing_left: object) -> None:
    """No descriptor, child, mount or namespace is left, and the caller has the rights that it had."""

    def state() -> tuple[object, ...]:
        names = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
        namespaces = [os.readlink(f"/proc/thread-self/ns/{name}") for name in names]
        status = Path("/proc/thread-self/status").read_text().splitlines()
        rights = [line for line in status if line.startswith(("Cap", "Uid", "NoNew", "Seccomp:"))]
        return namespaces, rights, Path("/proc/self/mountinfo").read_text(), os.getcwd()

    before = state()
    machine = Machine()
    assert machine.mounts.granted
    assert machine.proc_of_its_own.granted
    assert all(answer.granted for answer in machine.namespaces.values())
    assert machine.landlock_abi >= 1
    assert machine.seccomp.granted
    assert machine.no_new_privs.granted
    for asked in ("overlay", "seccomp_listener", "may_copy_mounts"):
        getattr(machine, asked)
    machine.idmap("/usr")
    machine.as_another("/usr", os.R_OK, mounted=True)
    machine.joins_network("/proc/self/ns/net")
    assert state() == before


def test_an_answer_is_kept_until_it_is_forgotten() -> None:
    """A question is asked once, and again after forget()."""
    machine = this_machine()
    assert machine.seccomp is this_machine().seccomp
    forget()
    assert this_machine() is not machine


def test_who_has_changed_its_user_is_told() -> None:
    """Its files in /proc are root's, and so it cannot write id maps; until it says otherwise."""
    if os.geteuid():
        pytest.skip("needs root, to become another user")

    def told() -> tuple[str, int]:
        ramet.run(["true"], sandbox=ramet.Sandbox())  # imports what that user may not read
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        with pytest.raises(ramet.errors.SandboxError) as raised:
            ramet.run(["true"], sandbox=ramet.Sandbox())
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        return str(raised.value), ramet.run(["true"], sandbox=ramet.Sandbox()).returncode

    with ramet.clone(told) as child:
        error, code = child.result(PATIENT_SECONDS)
    assert "start the caller as the user that it has become" in error
    assert code == 0


def test_a_copy_of_the_process_asks_for_itself() -> None:
    """What the parent was granted is not what a child with a filter is granted."""
    assert this_machine().seccomp.granted
    assert seen(refuse_filters, lambda machine: machine.seccomp.errno) == errno.EINVAL


@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "umount2",
        "openat2",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "pivot_root",
        "mkdirat",
    ],
)
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM], ids=["ENOSYS", "EPERM"])
def test_a_hidden_call_of_mounts_is_named(name: str, number: int) -> None:
    """The answer tells which call was refused, and with what; the user namespace is granted."""
    told = seen(
        lambda: hide(name, number),
        lambda machine: (machine.mounts.call, machine.mounts.errno, machine.user_namespace.granted),
    )
    assert told == (name, number, True)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_namespaces_that_cannot_be_entered_are_not_granted(number: int) -> None:
    """Where a filter hides setns(2): a sandbox is refused with the remedy, or goes on without."""

    def hidden() -> None:
        hide("setns", number)

    def asked(machine: Machine) -> tuple[str, str, str, int]:
        with pytest.raises(ramet.SandboxError) as caught:
            ramet.run(["true"], sandbox=ramet.Sandbox())
        done = ramet.run(["true"], sandbox=ramet.Sandbox(require="best"))
        answers = str(machine.user_namespace), str(machine.mounts)
        return *answers, str(caught.value.remedy), done.returncode

    user, mounts, remedy, code = seen(hidden, asked)
    assert user == mounts == f"setns: {errno.errorcode[number]}"
    assert "seccomp" in remedy
    assert code == 0


@pytest.mark.parametrize(("kills", "granted"), [(2, True), (100, False)])
def test_a_child_that_somebody_kills_is_no_answer(
    kills: int, granted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another is asked, some times: what the machine can do is not told by who runs out of memory."""
    left, done = [kills], questions._done

    def killed(*given: Any) -> Any:
        left[0] -= 1
        return done(*given) if left[0] < 0 else (None, ramet.ExitStatus(signal=signal.SIGKILL))

    monkeypatch.setattr(questions, "_done", killed)
    assert questions.of_child([]).granted is granted


def test_a_call_that_ends_the_process_is_told() -> None:
    """A filter that kills who makes the call kills the child that asks, and the caller goes on."""
    told = seen(lambda: forbid("pivot_root"), lambda machine: str(machine.mounts))
    assert "pivot_root" in told
    assert told.endswith("ends the process")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("landlock_create_ruleset", errno.ENOSYS),
        ("landlock_create_ruleset", errno.EOPNOTSUPP),
        ("landlock_restrict_self", errno.EPERM),
    ],
)
def test_landlock_that_is_missing_or_off(name: str, number: int) -> None:
    """There is no version then, and the answer tells one case from the other."""
    told = seen(
        lambda: hide(name, number),
        lambda machine: (
            machine.landlock_abi,
            machine.landlock_answer.errno,
            machine.landlock_answer.call,
        ),
    )
    assert told == (0, number, name)


def test_the_version_of_landlock_is_the_kernels() -> None:
    """It is what landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) returns."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert this_machine().landlock_abi == libc.syscall(444, None, 0, 1)


@pytest.mark.parametrize(
    ("flags", "may"), [(F.NEWUSER, False), (F.NEWUSER | F.NEWNS, True)], ids=str
)
def test_whose_mounts_the_caller_may_copy(flags: F, may: bool) -> None:
    """Those of a mount namespace that its user namespace owns: CAP_SYS_ADMIN counts for no others."""
    assert seen(lambda: None, lambda machine: machine.may_copy_mounts, flags=flags) is may


def test_a_proc_of_other_pids() -> None:
    """No child is found in it by its pid, to keep its namespaces; what needs no /proc is granted."""

    def ask(machine: Machine) -> tuple[object, ...]:
        maps: list[int] = []
        with pytest.raises(ramet.SpawnError, match="no /proc of this pid namespace"):
            kept_namespaces(int(F.NEWUSER), ["user"], maps.append, lambda _: None, lambda _: None)
        answers = machine.user_namespace, machine.mounts, machine.namespaces["net"]
        return machine.proc, [str(answer) for answer in answers], maps

    told = as_root_of_a_namespace(lambda: None, ask, F.NEWUSER | F.NEWPID)
    assert told == (False, ["open /proc: ESRCH", "open /proc: ESRCH", "granted"], [])


def test_the_child_of_an_interrupted_caller_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, nothing_left: object
) -> None:
    """It waits at its gate where a signal handler raised before the block that ends it: it is killed."""

    def interrupted(child: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(waiting_child._Waiting, "__enter__", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        kept_namespaces(int(F.NEWUSER), ["user"], lambda _: None, lambda _: None, lambda _: None)


def test_no_more_user_namespaces() -> None:
    """The law's rule is told; the root of a namespace makes those of other kinds without one."""

    def allow_none() -> None:
        Path("/proc/sys/user/max_user_namespaces").write_text("0")

    def ask(machine: Machine) -> tuple[object, ...]:
        answer = machine.user_namespace
        granted = sorted(kind for kind, found in machine.namespaces.items() if found.granted)
        rules = tuple(rule.id for rule in answer.rules)
        return answer.errno, answer.call, rules, tuple(granted), machine.mounts.granted

    told = as_root_of_a_namespace(allow_none, ask)
    others = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
    assert told == (errno.ENOSPC, "clone", ("F2",), others, True)


@pytest.mark.parametrize("kind", ["mnt", "pid", "net", "ipc", "uts", "cgroup"])
def test_no_more_namespaces_of_a_kind(kind: str) -> None:
    """Only that kind is refused, by the law's rule."""

    def ask(machine: Machine) -> list[tuple[str, int, list[str]]]:
        answers = [(name, one) for name, one in machine.namespaces.items() if not one.granted]
        return [(name, one.errno, [rule.id for rule in one.rules]) for name, one in answers]

    def allow_none() -> None:
        Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")

    assert as_root_of_a_namespace(allow_none, ask) == [(kind, errno.ENOSPC, ["J3"])]


def test_a_proc_of_which_parts_are_covered() -> None:
    """As in a container: the kernel gives no other /proc then, and all else."""

    def cover() -> None:
        mount("tmpfs", "/proc/sys", "tmpfs")

    def ask(machine: Machine) -> tuple[object, ...]:
        return machine.proc_of_its_own.errno, machine.proc_of_its_own.call, machine.mounts.granted

    assert as_root_of_a_namespace(cover, ask) == (errno.EPERM, "mount", True)


def test_no_proc() -> None:
    """Without /proc no id can be mapped; landlock and filters need none."""

    def cover() -> None:
        mount("tmpfs", "/proc", "tmpfs")

    def ask(machine: Machine) -> tuple[object, ...]:
        answer = machine.user_namespace
        found = (answer.errno, answer.call, machine.landlock_abi > 0, machine.seccomp.granted)
        return (machine.proc, *found)

    told = as_root_of_a_namespace(cover, ask)
    assert told == (False, errno.ENOENT, "write /proc/self/setgroups", True, True)


def test_a_limit_on_tasks_is_no_answer() -> None:
    """It is an error, and the next question is asked again."""
    if os.geteuid() == 0:
        pytest.skip("root may exceed the limit")

    def ask(machine: Machine) -> tuple[object, ...]:
        with pytest.raises(ramet.CloneError) as caught:
            machine.user_namespace  # noqa: B018 - the question
        soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        assert soft == 0
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
        return caught.value.errno, machine.user_namespace.granted

    def allow_none() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))

    assert seen(allow_none, ask) == (errno.EAGAIN, True)


def test_id_mapped_mounts_depend_on_the_file_system(root: None, tmp_path: Path) -> None:
    """The kernel has none for /proc; where it has one, the question leaves the file with its owner."""
    file = tmp_path / "file"
    file.touch()
    before = file.stat()
    machine = this_machine()
    assert machine.idmap("/proc").errno == errno.EINVAL
    assert machine.idmap("/nonexistent").errno == errno.ENOENT
    assert machine.idmap(str(file)).errno in (0, errno.EINVAL)
    assert (file.stat().st_uid, file.stat().st_ino) == (before.st_uid, before.st_ino)


def test_each_mount_is_asked_once_for_ids_that_are_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has none is asked again, and all are where a mount has failed."""
    machine = Machine()
    asked: list[object] = []

    def of_child(*arguments: Any, **named: Any) -> Answer:
        asked.append(arguments)
        return real(*arguments, **named)

    real = questions.of_child
    monkeypatch.setattr(questions, "of_child", of_child)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/proc")
    is_kept = machine.idmap(str(tmp_path)).granted  # not so on tmpfs before Linux 6.3
    assert machine.idmap(str(tmp_path / "file")).granted is is_kept
    assert len(asked) == (1 if is_kept else 2)
    asked.clear()
    assert not machine.idmap(str(tmp_path / "link")).granted
    assert not machine.idmap("/proc").granted
    assert len(asked) == 2
    asked.clear()
    machine.forget_mounts()
    assert machine.idmap(str(tmp_path)).granted is is_kept
    assert len(asked) == 1


def test_a_mount_that_fails_has_them_asked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another mount may have the number of one that was there."""

    def failing(*_: object, **__: object) -> None:
        raise spawn_error("mount_setattr", errno.EINVAL, str(tmp_path), "")

    this_machine().idmap(str(tmp_path))
    monkeypatch.setattr(sandbox_user, "kept_namespaces", failing)
    with pytest.raises(SpawnError, match="mount_setattr"):
        ramet.run(["true"], sandbox=ramet.Sandbox(hostname="fails"))
    assert not this_machine()._with_idmaps


@pytest.mark.parametrize(
    ("mode", "asked", "number"),
    [
        (0o644, os.R_OK, 0),
        (0o640, os.R_OK, errno.EACCES),
        (0o644, os.W_OK, errno.EACCES),
        (0o666, os.W_OK, 0),
    ],
)
def test_what_another_user_may_do_is_tried(
    root: None, tmp_path: Path, mode: int, asked: int, number: int
) -> None:
    """The file is asked as a user without rights, who has to search the way where it is not mounted."""
    tmp_path.chmod(0o700)
    file = tmp_path / "file"
    file.touch()
    file.chmod(mode)
    machine = this_machine()
    assert machine.as_another(str(file), asked, mounted=True).errno == number
    assert machine.as_another(str(file), asked, mounted=False).errno == errno.EACCES
    assert machine.as_another("/usr", os.R_OK | os.X_OK, mounted=False).granted
    assert os.getresuid() == (0, 0, 0)


def test_a_network_namespace_is_entered_on_trial(root: None) -> None:
    """The caller's own can be entered by root, a file that is none cannot, nor by a user without rights."""
    machine = this_machine()
    assert machine.joins_network("/proc/self/ns/net").granted
    assert machine.joins_network("/proc/self/ns/uts").errno == errno.EINVAL
    assert machine.joins_network("/etc/passwd").errno == errno.EINVAL
    assert machine.joins_network("/nonexistent").errno == errno.ENOENT
    told = seen(
        lambda: os.setresuid(NOBODY, NOBODY, NOBODY),
        lambda machine: machine.joins_network("/proc/self/ns/net").errno,
    )
    assert told == errno.EPERM


def test_a_chrooted_caller(root: None, tmp_path: Path) -> None:
    """No user namespace can be made in a chroot, which the law says, too; root makes the others without."""
    (tmp_path / "proc").mkdir()

    def prepare() -> None:
        mount("proc", str(tmp_path / "proc"), "proc")
        os.chroot(tmp_path)
        os.chdir("/")

    def ask(machine: Machine) -> tuple[object, ...]:
        rules = tuple(rule.id for rule in machine.user_namespace.rules)
        return machine.user_namespace.errno, rules, machine.circumstances.chrooted

    told = seen(lambda: private_mounts_then(prepare), ask, flags=F.NEWNS)
    assert told == (errno.EPERM, ("F3",), True)


def private_mounts_then(prepare: Callable[[], None]) -> None:
    """The copy has a mount namespace of its own, of which nothing is to come back."""
    mount("none", "/", "none", 0x4000 | 1 << 18)
    prepare()
